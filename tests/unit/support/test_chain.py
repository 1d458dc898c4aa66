"""tests.support.chain: what it says of a process that others keep from running."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.chain import Command, wait_until

BUSY = "while True: pass\n"


def test_how_long_others_kept_a_process_from_running_is_counted(tmp_path: Path) -> None:
    """Two that never rest, on one processor: each waits for the other. One that does not run has not waited."""
    (tmp_path / "busy.py").write_text(BUSY)
    command = Command(tmp_path, "busy", "runpy")
    command._arguments = [sys.executable, str(tmp_path / "busy.py")]
    assert command.waited_ms() == 0
    one = {min(os.sched_getaffinity(0))}
    command.start()
    rival = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        for pid in (command.pid, rival.pid):
            os.sched_setaffinity(pid, one)
        wait_until(lambda: command.waited_ms() > 50, 20, "the one to wait for the other")
    finally:
        rival.kill()
        rival.wait()
        command.kill()
