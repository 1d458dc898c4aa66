"""The archive, and what `resend` finds in it; clause ids are those of docs/specs/wire.md."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import SpoolFailed
from gateway.model import BatchId, SeqRanges
from gateway.spool.database import Database
from gateway.spool.view import Kept
from tests.support.spools import GATEWAY, Box


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    """Nine batches: 1 to 5 settled, 6 parked, 7 to 9 pending."""
    made = Box(tmp_path)
    await made.start()
    for _ in range(8):
        await made.append()
    made.spool.settle(made.spool.epoch, SeqRanges.of([(1, 5)]))
    await made.spool.park(BatchId(GATEWAY, made.spool.epoch, 6), "refused:schema")
    yield made
    await made.spool.close()


def ranges(*pairs: tuple[int, int]) -> SeqRanges:
    """Of seqs."""
    return SeqRanges.of(pairs)


async def test_what_is_kept_of_what_is_asked_for(box: Box) -> None:
    """W-95: archived, parked, waiting; what the open epoch has not given out yet is in no part of the answer."""
    kept = await box.spool.kept(box.spool.epoch, ranges((2, 3), (6, 20)))
    assert kept == Kept(ranges((2, 3)), ranges((6, 6)), ranges((7, 9)))


async def test_what_made_room_is_gone(box: Box) -> None:
    """And so is all of an epoch that this box knows nothing of."""
    box.spool.steps.keeper.file.drop(ranges((1, 2)))
    kept = await box.spool.kept(box.spool.epoch, ranges((1, 3)))
    assert kept == Kept(ranges((3, 3)), gone=ranges((1, 2)))
    assert await box.spool.kept("nobody", ranges((1, 3))) == Kept(gone=ranges((1, 3)))


async def test_a_recalled_batch_is_what_was_sent(box: Box) -> None:
    """W-93: the same header crc, after a restart too; only settled ones are in the archive."""
    epoch = box.spool.epoch
    box.spool.settle(epoch, ranges((7, 7)))
    first = await box.spool.reread(BatchId(GATEWAY, epoch, 8))
    box.spool.settle(epoch, ranges((8, 8)))
    await box.restart()
    assert first is not None
    assert await box.spool.recall(first.id) == first
    assert await box.spool.recall(BatchId(GATEWAY, epoch, 9)) is None
    assert await box.spool.recall(BatchId("hc-0002", epoch, 8)) is None
    assert await box.seqs() == [9]


async def test_a_parked_batch_comes_back_to_its_place(box: Box) -> None:
    """PARK-1: at its old order, told by `rewound`; it stays unparked after a restart."""
    before = box.spool.rewound
    await box.spool.unpark_seqs(box.spool.epoch, ranges((1, 9)))
    assert box.spool.rewound == before + 1
    assert await box.seqs() == [6, 7, 8, 9]
    await box.restart()
    assert await box.seqs() == [6, 7, 8, 9]


async def test_a_damaged_archive_is_not_kept_any_more(box: Box) -> None:
    """It is never sent, needs no gap, is counted; the next answer names it."""
    epoch = box.spool.epoch
    await box.spool.close()
    database = Database(str(box.folder / "spool.db"))
    database._db.execute("UPDATE batch SET body = x'00' WHERE seq = 3")
    database.close()
    await box.start()
    gaps = box.spool.status.gaps
    assert await box.spool.recall(BatchId(GATEWAY, epoch, 3)) is None
    assert box.counters.get("spool_archive_damaged", reason="corrupt") == 1
    assert (await box.spool.kept(epoch, ranges((2, 4)))).gone == ranges((3, 3))
    assert box.spool.status.gaps == gaps


async def test_while_the_disk_fails_nobody_knows_what_is_kept(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """W-95: it is not said that all is lost; nothing is read from the ring in place of the disk."""
    epoch = box.spool.epoch

    def broken(*_: object) -> None:
        raise SpoolFailed("disk I/O error")

    monkeypatch.setattr("gateway.spool.file.SpoolFile.append", broken)
    with pytest.raises(SpoolFailed):
        await box.append()
    monkeypatch.undo()
    with pytest.raises(SpoolFailed):
        await box.spool.kept(epoch, ranges((1, 3)))
    with pytest.raises(SpoolFailed):
        await box.spool.recall(BatchId(GATEWAY, epoch, 3))
    await box.clock.advance(10_000)
    await box.spool.tick()
    assert (await box.spool.kept(epoch, ranges((1, 3)))).archived == ranges((1, 3))
