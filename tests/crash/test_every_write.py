"""The power fails after every write: what append had returned is there, and nothing contradicts itself.

Short form: 2,400 states in one run of the suite, other ones each time the seed is changed. Long form:
`CRASH_STATES=100000 CRASH_SEED=7 pytest tests/crash/test_every_write.py`.
"""

import asyncio
import os
from random import Random

import pytest

from tests.crash.recorded import broken, record
from tests.crash.recorder import Delete, Fact, Op, Sync, Truncate, Write
from tests.crash.replay import Medium

STATES = int(os.environ.get("CRASH_STATES", "2400"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
SHARES = 4


@pytest.fixture(scope="module")
def log() -> list[Op]:
    """One life, recorded once."""
    return asyncio.run(record("every-write"))


@pytest.mark.timeout(60 + STATES // 10)
@pytest.mark.parametrize("share", range(SHARES))
async def test_a_power_cut_at_any_write_loses_nothing(log: list[Op], share: int) -> None:
    """P1, FILE-2, SEQ-2, GAP-1, PARK-1: any unsynced sectors gone, on every file, at every moment of a life."""
    assert await broken(log, STATES // SHARES, SEED * SHARES + share) == []


def test_the_life_has_it_all(log: list[Op]) -> None:
    """What is recorded covers each kind of operation, a checkpoint under way, a WAL begun anew, gaps and parking."""
    assert {type(op) for op in log} == {Write, Sync, Truncate, Delete, Fact}
    assert {op.what for op in log if isinstance(op, Fact)} == {
        "trying", "appended", "settled", "parking", "parked", "unparking", "unparked",
    }  # fmt: skip
    assert any(isinstance(op, Fact) and op.what == "settled" and op.detail for op in log)
    wal = [op for op in log if isinstance(op, Write | Delete) and op.file == "spool.db-wal"]
    heads = [at for at, op in enumerate(wal) if isinstance(op, Write) and op.at == 0]
    assert any(not isinstance(wal[at - 1], Delete) for at in heads[1:])


def test_unsynced_sectors_each_land_or_not() -> None:
    """The model itself: synced bytes stay, unsynced ones come and go by sector, a name that was never synced may."""
    medium = Medium()
    for op in (Write("a", 0, b"1" * 1024), Sync("a"), Write("a", 0, b"2" * 1024), Write("b", 0, b"3")):
        medium.do(op)
    seen = [medium.after_cut(Random(seed)) for seed in range(200)]
    assert {state["a"][::512] for state in seen} == {b"11", b"12", b"21", b"22"}
    assert {"b" in state for state in seen} == {True, False}
    medium.do(Delete("a", synced=False))
    assert {"a" in medium.after_cut(Random(seed)) for seed in range(50)} == {True, False}
    medium.do(Sync("b"))
    assert "a" not in medium.after_cut(Random(1))
