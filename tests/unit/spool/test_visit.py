"""A spool whose daemon does not run: looked at under the lock, and left as it was."""

import sqlite3
from pathlib import Path

import pytest

from gateway.errors import SpoolFailed, SpoolInUse
from gateway.spool.export import Wanted
from gateway.spool.lock import Lock
from gateway.spool.migrate import NewerVersion, word_of
from gateway.spool.visit import NoSpool, Visit
from gateway.wire import batch as batches
from gateway.wire import exported
from gateway.wire.body import decode
from tests.support.spools import GATEWAY, Box


@pytest.fixture
async def box(tmp_path: Path) -> Box:
    """Two batches of an older gateway id, three of this one; closed."""
    box = Box(tmp_path, gateway="hc-0000")
    await box.start()
    await box.measure()
    box.gateway = GATEWAY
    await box.restart()
    await box.measure(2.0)
    await box.measure(3.0)
    await box.spool.close()
    return box


def tables(box: Box) -> list[str]:
    """All that the file holds."""
    db = sqlite3.connect(box.folder / "spool.db")
    try:
        return list(db.iterdump())
    finally:
        db.close()


def test_all_can_be_seen_and_nothing_changes(box: Box) -> None:
    """EXP-5: report, export and verify without a daemon."""
    before = tables(box)
    visit = Visit(box.folder)
    mine = visit.report().epochs[-1]
    assert (mine.gateway, mine.pending, mine.ours) == (GATEWAY, 3, True)
    assert visit.size_bytes > 0
    page = visit.export(Wanted(), 0)
    found = [batches.decode(exported.payload(line)).id for line in page.lines]
    assert [(id_.gateway, id_.seq) for id_ in found] == [
        ("hc-0000", 1),
        ("hc-0000", 2),
        *((GATEWAY, s) for s in (1, 2, 3)),
    ]
    verified = visit.verify(0)
    assert (verified.rows, verified.findings, verified.after) == (5, (), None)
    visit.close()
    visit.close()
    assert tables(box) == before


def test_a_damaged_one_can_be_seen_too(box: Box) -> None:
    """EXP-5: meta and the epochs' first copies are lost: what can be read is exported, and no epoch begins."""
    db = sqlite3.connect(box.folder / "spool.db", isolation_level=None)
    db.execute("UPDATE meta SET row_crc = 1")
    db.execute("UPDATE epoch SET row_crc = 1 WHERE copy = 0")
    db.close()
    visit = Visit(box.folder)
    assert len(visit.export(Wanted(), 0).lines) == 5
    with pytest.raises(SpoolFailed, match="meta_damaged"):
        visit.renew()
    assert len(visit.verify(0).findings) == 3
    visit.close()


def test_one_that_is_held_is_not_touched(box: Box) -> None:
    """LOCK-1: the pid of the owner is told."""
    lock = Lock(box.folder)
    with pytest.raises(SpoolInUse):
        Visit(box.folder)
    lock.release()
    Visit(box.folder).close()


def test_where_there_is_none_none_is_made(tmp_path: Path) -> None:
    """EXP-5: a slip in the folder's name leaves nothing behind."""
    with pytest.raises(NoSpool):
        Visit(tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_a_newer_one_is_refused_and_the_lock_let_go(box: Box) -> None:
    """VER-1: it is not read."""
    db = sqlite3.connect(box.folder / "spool.db")
    db.execute(f"PRAGMA user_version = {word_of(9)}")
    db.close()
    for _ in range(2):
        with pytest.raises(NewerVersion):
            Visit(box.folder)


async def test_a_renewed_one_goes_on_in_the_new_epoch(box: Box) -> None:
    """EPOCH-4: without a daemon; its first batch says so once it runs."""
    visit = Visit(box.folder)
    old, new = visit.renew()
    assert visit.report().epochs[-1].epoch == new
    visit.close()
    spool = await box.start()
    assert spool.epoch == new != old
    await box.measure()
    start = (await spool.read(5, None, 1))[0]
    assert list(decode(start.enc, start.body).events[0].detail) == [old, 3, "renew"]
    await spool.close()
