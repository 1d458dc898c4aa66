"""The real thing: SQLite of the standard library on ext4, whose power is cut while the spool appends.

Needs root and a loop device (tests/support/loop_disk.py). Only what was told before the cut is promised: after it, a
sync may still come back with success on a disk that is gone, which no real machine could tell anybody.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.crash.appender import fact_of
from tests.crash.recorder import Fact
from tests.crash.truth import Truth, stand_up, wrongs
from tests.support.loop_disk import LoopDisk

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("POWER_ROUNDS", "6"))
SEED = int(os.environ.get("POWER_SEED", "1"))
FACTS_MAX = 480  # about as many as a life has


def cut_after(disk: LoopDisk, folder: Path, facts_wanted: int, seed: int) -> Truth:
    """A child appends; after so many facts the power goes; what it had promised by then."""
    command = [sys.executable, "-m", "tests.crash.appender", str(folder), str(seed)]
    truth = Truth()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        for number, line in enumerate(child.stdout, 1):
            truth.add(fact_of(line))
            if number == facts_wanted:
                break
        disk.cut_power()
        child.kill()
        for line in child.stdout:
            if line.endswith("\n"):
                _tried_only(truth, fact_of(line))
    return truth


def _tried_only(truth: Truth, fact: Fact) -> None:
    """What was under way, or told too late: it may be there or not."""
    if fact.what == "trying":
        truth.tried.add(fact.detail)
    elif fact.what == "appended":
        truth.tried.add(fact.detail[0])
    elif fact.what == "settled":
        truth.settled.add((fact.epoch, fact.seq))
        truth.stored_gaps += fact.detail
    else:
        truth.doubtful.add((fact.epoch, fact.seq))


@pytest.mark.timeout(30 + 10 * ROUNDS)
def test_a_power_cut_on_ext4_loses_nothing(tmp_path: Path) -> None:
    """P1, FILE-1, FILE-2, SEQ-2: nothing lost, damaged, or numbered twice, over several cuts at random moments."""
    random = Random(SEED)
    promised = 0
    with LoopDisk(tmp_path) as disk:
        for number in range(ROUNDS):
            folder = disk.path / str(number)
            truth = cut_after(disk, folder, random.randrange(5, FACTS_MAX), SEED + number)
            disk.come_back()
            promised += len(truth.appended)
            assert wrongs(truth, asyncio.run(stand_up(folder))) == [], f"POWER_SEED={SEED}, round {number}"
    assert promised > 10 * ROUNDS
