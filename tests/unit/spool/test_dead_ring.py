"""A ring in memory that ended with its process: the next start names what it held, and nothing else."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import SpoolFull
from gateway.model import Gap, SeqRanges
from gateway.spool import moving
from gateway.spool.export import Wanted
from gateway.spool.ring_mark import look
from gateway.spool.steps import RETRY_MS
from gateway.testing.clock import FakeClock
from gateway.wire.body import decode
from tests.support.failing_disk import FailingDisk
from tests.support.spools import GATEWAY, Box


@pytest.fixture
async def box(tmp_path: Path, disk: FailingDisk) -> AsyncIterator[Box]:
    """A box with two batches on a disk that works, then two in a ring: epoch1 and epoch2, an `epoch_start` in each."""
    made = Box(tmp_path)
    await made.start()
    await made.append()
    disk.failing = True
    await made.append()
    await made.append()
    assert made.spool.epoch == "epoch2"
    yield made
    disk.failing = False
    await made.spool.close()


async def reborn(box: Box, disk: FailingDisk) -> list[tuple[str, int, int, str]]:
    """Killed; started on a disk that works; the gap records on offer after the daemon's first round."""
    box.kill()
    disk.failing = False
    await box.start()
    await box.spool.tick()
    return [(gap.epoch, gap.first, gap.last, gap.reason) for gap in await gaps(box)]


async def gaps(box: Box) -> list[Gap]:
    """On offer."""
    return [gap for b in await box.spool.read(0, None, 1000) if b.n == 0 for gap in decode(b.enc, b.body).gaps]


async def retry(box: Box) -> None:
    """Until the disk is tried again."""
    await box.clock.advance(RETRY_MS)
    await box.spool.tick()


async def test_a_ring_that_was_killed_is_named(box: Box, disk: FailingDisk) -> None:
    """RING-6, RING-7: all of it, once, by the disk's own epoch, which goes on without a hole."""
    assert await reborn(box, disk) == [("epoch2", 1, 3, "ring_lost")]
    (gap,) = await gaps(box)
    assert (gap.rows, gap.from_ms, gap.to_ms) == (None, None, None)
    assert (box.spool.epoch, await box.append()) == ("epoch1", 4)
    offered = await box.spool.read(0, None, 9)
    assert [(b.id.epoch, b.id.seq) for b in offered] == [("epoch1", seq) for seq in (1, 2, 3, 4)]
    assert [b.order for b in offered] == [1, 2, 6, 7]
    assert box.counters.get("spool_given_up", reason="ring_lost") == 3
    assert "spool_damaged" not in box.codes


async def test_until_the_centre_has_the_gap_the_dead_epoch_is_pending(box: Box, disk: FailingDisk) -> None:
    """RING-7, STAT-2: from the first status on; then it is forgotten, and no note of it is left."""
    box.kill()
    disk.failing = False
    await box.start()
    assert {e.epoch: e.pending for e in box.spool.status.epochs}["epoch2"] == SeqRanges.of([(1, 3)])
    await box.spool.tick()
    assert {e.epoch: e.pending for e in box.spool.status.epochs}["epoch2"] == SeqRanges.of([(1, 3)])
    box.spool.settle("epoch1", SeqRanges.of([(1, 3)]))
    await box.restart()
    await box.spool.tick()
    assert [e.epoch for e in box.spool.status.epochs] == ["epoch1"]
    assert await gaps(box) == []


async def test_a_stop_in_order_is_named_as_well(box: Box, disk: FailingDisk) -> None:
    """RING-5, RING-6: counted when it stops, named when it starts."""
    await box.spool.close()
    assert box.counters.get("spool_ring_lost") == 3
    disk.failing = False
    await box.start()
    await box.spool.tick()
    assert [(gap.epoch, gap.first, gap.last) for gap in await gaps(box)] == [("epoch2", 1, 3)]


@pytest.mark.parametrize(
    ("settled", "named"),
    [
        ([(1, 2)], [("epoch2", 3, 3, "ring_lost")]),
        ([(2, 3)], [("epoch2", 1, 3, "ring_lost")]),  # behind one that waits: the centre calls them stored
        ([(1, 3)], []),
    ],
)
async def test_what_has_its_receipt_is_not_named(
    box: Box, disk: FailingDisk, settled: list[tuple[int, int]], named: list[object]
) -> None:
    """RING-6: up to the first that waits; a ring whose batches all have theirs leaves nothing to tell."""
    box.spool.settle("epoch2", SeqRanges.of(settled))
    await box.spool.read(0, None, 1)  # any step
    assert await reborn(box, disk) == named


async def test_what_the_ring_gave_up_is_named_with_it(box: Box, disk: FailingDisk) -> None:
    """RING-6, GAP-2: as long as its gap batch had no receipt; that one died as well."""
    for _ in range(120):
        await box.append(size=60_000)
    last = box.spool.status.epochs[-1].last
    box.spool.settle("epoch2", SeqRanges.of([(last, last)]))
    assert await reborn(box, disk) == [("epoch2", 1, last, "ring_lost")]


async def test_a_ring_that_reached_the_disk_leaves_nothing_to_tell(box: Box, disk: FailingDisk) -> None:
    """RING-2, RING-6: killed right behind `spool_restored`."""
    disk.failing = False
    await retry(box)
    assert "spool_restored" in box.codes
    assert look(box.folder / "spool.ring", GATEWAY) == []
    assert await reborn(box, disk) == []
    assert [b.id.epoch for b in await box.spool.read(0, None, 9)] == ["epoch1", "epoch1", "epoch2", "epoch2", "epoch2"]


async def test_an_old_note_of_a_ring_that_the_spool_knows_is_nothing(box: Box, disk: FailingDisk) -> None:
    """RING-7: what blanked it never reached the medium: the ring's batches are here, or its gap is."""
    note = box.folder / "spool.ring"
    old = note.read_bytes()
    disk.failing = False
    await retry(box)
    note.write_bytes(old)
    assert await reborn(box, disk) == []
    note.write_bytes(old)
    await box.restart()
    await box.spool.tick()
    assert await gaps(box) == []
    assert old != note.read_bytes()


async def test_ring_after_ring(box: Box, disk: FailingDisk) -> None:
    """RING-7, RING-4: each start without its disk is another epoch; the last note has all of them."""
    box.kill()
    await box.start()
    await box.append()
    assert box.spool.epoch == "epoch3"
    box.spool.settle("epoch3", SeqRanges.of([(1, 1)]))
    await box.append()
    assert await reborn(box, disk) == [("epoch2", 1, 3, "ring_lost"), ("epoch3", 2, 3, "ring_lost")]


async def test_a_ring_that_runs_names_the_one_before_when_the_disk_is_back(box: Box, disk: FailingDisk) -> None:
    """RING-7, RING-2: the dead one as a gap, the living one with its batches; no restart is needed."""
    box.kill()
    await box.start()
    await box.append()
    disk.failing = False
    await retry(box)
    assert not box.spool.status.failing
    assert [(gap.epoch, gap.first, gap.last) for gap in await gaps(box)] == [("epoch2", 1, 3)]
    assert [b.id.epoch for b in await box.spool.read(0, None, 9)] == ["epoch1"] * 2 + ["epoch3"] * 2 + ["epoch1"]
    assert await reborn(box, disk) == [("epoch2", 1, 3, "ring_lost")]  # the same gap batch, still without a receipt


async def test_a_ring_without_a_batch_is_no_ring(tmp_path: Path, disk: FailingDisk) -> None:
    """RING-6: a dating met the error, and nothing was appended."""
    box = Box(tmp_path, FakeClock(synchronised=False))
    await box.start()
    await box.append()
    disk.failing = True
    box.clock.set_synchronised(True)
    await box.observe()
    assert box.spool.status.failing
    assert await reborn(box, disk) == []
    await box.spool.close()


async def test_of_another_gateway_nothing_is_named(box: Box, disk: FailingDisk) -> None:
    """RING-8: the card went to another gateway and came back: its note waited there."""
    box.gateway = "hc-0002"
    assert await reborn(box, disk) == []
    box.kill()
    box.gateway = GATEWAY
    assert await reborn(box, disk) == [("epoch2", 1, 3, "ring_lost")]


async def test_in_another_machine_the_same_gateway_names_it(box: Box, disk: FailingDisk) -> None:
    """RING-8, EPOCH-1: a card that is put into a new box; behind a new epoch's first batch."""
    box.machine, box.boot, box.clock = "m2", "b2", FakeClock(20_000)
    assert await reborn(box, disk) == [("epoch2", 1, 3, "ring_lost")]
    offered = [(b.id.epoch, b.id.seq) for b in await box.spool.read(0, None, 9)]
    assert offered == [("epoch1", 1), ("epoch1", 2), ("epoch3", 1), ("epoch3", 2)]


async def test_a_spool_that_is_gone_still_names_it(box: Box, disk: FailingDisk) -> None:
    """RING-7, DMG-7: a new file takes the note over; its first batch says where it began."""
    for file in box.folder.glob("spool.db*"):
        file.unlink()
    (box.folder / "spool.mark").unlink()
    assert await reborn(box, disk) == [("epoch2", 1, 3, "ring_lost")]
    first = (await box.spool.read(0, None, 9))[0]
    assert (first.id.epoch, first.id.seq) == ("epoch3", 1)
    assert list(decode(first.enc, first.body).events[0].detail) == ["", 0, "new_spool"]


async def test_no_room_to_name_it_is_tried_again(box: Box, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    """RING-7: a disk that is still full: counted, the note stays, nobody is stopped; the next round names it."""
    bury = moving.bury

    def full(*_: object) -> None:
        raise SpoolFull("database or disk is full")

    monkeypatch.setattr(moving, "bury", full)
    assert await reborn(box, disk) == []
    assert not box.spool.status.failing
    assert box.counters.get("spool_ring_unnamed", reason="disk_full") == 1
    monkeypatch.setattr(moving, "bury", bury)
    await retry(box)
    assert [(gap.epoch, gap.first, gap.last) for gap in await gaps(box)] == [("epoch2", 1, 3)]


async def test_a_receipt_under_way_is_not_forgotten_by_it(
    box: Box, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SET-2: told in the same step in which the dead ring is taken over."""
    bury = moving.bury
    monkeypatch.setattr(moving, "bury", lambda *_: (_ for _ in ()).throw(SpoolFull("full")))
    await reborn(box, disk)
    monkeypatch.setattr(moving, "bury", bury)
    box.spool.settle("epoch1", SeqRanges.of([(1, 1)]))
    await retry(box)
    assert [b.id.seq for b in await box.spool.read(0, None, 9)] == [2, 3]


async def test_it_is_no_damage(box: Box, disk: FailingDisk) -> None:
    """RING-7, VFY-1, EXP-4: neither before its gap is written nor behind that (bodies are no bodies in these tests)."""
    box.kill()
    disk.failing = False
    await box.start()
    assert (await box.spool.export(Wanted(), 0)).damaged == 0
    assert {what for _, _, what in (await box.spool.verify(0)).findings} == {"body"}
    await box.spool.tick()
    assert {what for _, _, what in (await box.spool.verify(0)).findings} == {"body"}


async def test_a_power_cut_before_the_gap_was_written(box: Box, disk: FailingDisk) -> None:
    """RING-7: the epoch is known to the spool, the note is gone: its reason is still the ring's."""
    box.kill()
    disk.failing = False
    await box.start()
    (box.folder / "spool.ring").unlink()
    assert await reborn(box, disk) == [("epoch2", 1, 3, "ring_lost")]
