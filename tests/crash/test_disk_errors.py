"""EIO and ENOSPC out of the C library, at append, at a receipt, at a checkpoint and at the start.

Needs Debian's fiu-utils and libfiu0 (scripts/servers.sh).
"""

import errno
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import require

ROOT = Path(__file__).parents[2]
PWRITE, PREAD, FDATASYNC = "posix/io/rw/pwrite", "posix/io/rw/pread", "posix/io/sync/fdatasync"


def lived(folder: Path, call: str, code: int, where: str) -> dict[str, Any]:
    """What became of a spool that met this."""
    command = [
        require("fiu-run"),
        "-x",
        sys.executable,
        "-m",
        "tests.crash.faulty",
        str(folder),
        call,
        str(code),
        where,
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["met"] > 0
    return told


@pytest.mark.parametrize(
    ("call", "code", "where"),
    [
        *((PWRITE, code, where) for code in (errno.EIO, errno.ENOSPC) for where in ("append", "receipt")),
        *((FDATASYNC, errno.EIO, where) for where in ("append", "receipt")),
        (PWRITE, errno.EIO, "start"),
        (PWRITE, errno.ENOSPC, "start"),
        (PREAD, errno.EIO, "start"),
    ],
)
def test_the_ring_takes_over_and_gives_back(tmp_path: Path, call: str, code: int, where: str) -> None:
    """RING-1, RING-2, RING-4, FULL-1: alarmed, nothing lost while the process lives, all on disk when it is back."""
    told = lived(tmp_path / "spool", call, code, where)
    assert told["failing"]
    assert told["back"] == {"epoch": True, "failing": ""}
    assert {"spool_failed", "spool_restored"} <= set(told["codes"])
    assert "spool_damaged" not in told["codes"]
    assert (told["lost_meanwhile"], told["lost_after"], told["lost_reopened"], told["twice"]) == ([], [], [], 0)


@pytest.mark.parametrize(("call", "code"), [(PWRITE, errno.EIO), (PWRITE, errno.ENOSPC), (FDATASYNC, errno.EIO)])
def test_a_checkpoint_that_fails_is_tried_again(tmp_path: Path, call: str, code: int) -> None:
    """FILE-2, FULL-1: the batches are in the WAL; nothing is lost, nothing is said to be damaged."""
    told = lived(tmp_path / "spool", call, code, "checkpoint")
    assert "spool_damaged" not in told["codes"]
    assert told["back"]["failing"] == ""
    assert (told["lost_after"], told["lost_reopened"], told["twice"]) == ([], [], 0)
