"""A disk that answers with errors, or is full: the spool goes on from RAM, and comes back with everything."""

import os
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import SpoolFull
from gateway.model import Segment, SeqRanges
from gateway.spool.database import Damaged, Database
from gateway.spool.home import Home
from gateway.spool.keeper import Keeper, Place
from gateway.spool.meta import BLIND_BLOCK, BLIND_FIRST
from gateway.spool.spool import TEND_MS
from gateway.spool.steps import RETRY_MS
from gateway.spool.untold import SETTLED_MS_MAX
from gateway.testing.clock import FakeClock
from gateway.wire.body import decode
from tests.support.failing_disk import FailingDisk
from tests.support.spools import MB, Box


@pytest.fixture
async def box(tmp_path: Path, disk: FailingDisk) -> AsyncIterator[Box]:
    """A box with three batches on a disk that works."""
    made = Box(tmp_path)
    await made.start()
    await made.append()
    await made.append()
    yield made
    disk.failing = False
    await made.spool.close()


async def retry(box: Box) -> None:
    """Until the disk is tried again."""
    await box.clock.advance(RETRY_MS)
    await box.spool.tick()


async def test_a_failing_disk_is_replaced_by_a_ring(box: Box, disk: FailingDisk) -> None:
    """RING-1: the draft that met the error is in the ring, under a new epoch, alarmed and in status."""
    old = box.spool.epoch
    disk.failing = True
    assert await box.append() == 2
    assert box.spool.epoch != old
    batches = await box.spool.read(0, None, 10)
    assert [(b.id.epoch, b.id.seq, b.order) for b in batches] == [(box.spool.epoch, 1, 4), (box.spool.epoch, 2, 5)]
    assert list(decode(batches[0].enc, batches[0].body).events[0].detail) == [old, 3, "ring"]
    assert box.spool.status.failing == "disk I/O error"
    assert [(e.code, e.urgent) for e in box.events] == [("spool_failed", True)]


async def test_the_ring_moves_to_disk_under_its_own_epoch(box: Box, disk: FailingDisk) -> None:
    """RING-2: settled, pending and parked as they were; the file's epoch goes on; orders stay."""
    old = box.spool.epoch
    disk.failing = True
    await box.append()
    await box.append()
    ring = box.spool.epoch
    box.spool.settle(ring, SeqRanges.of([(1, 2)]))
    box.spool.settle(old, SeqRanges.of([(1, 1)]))
    await retry(box)
    assert box.spool.status.failing
    disk.failing = False
    seen = box.spool.rewound
    await retry(box)
    assert (box.spool.epoch, box.spool.status.failing, box.spool.rewound) == (old, "", seen + 1)
    assert await box.append() == 4
    await box.restart()
    batches = await box.spool.read(0, None, 10)
    assert [(b.id.epoch, b.id.seq) for b in batches] == [(old, 2), (old, 3), (ring, 3), (old, 4)]
    assert [b.order for b in batches] == [2, 3, 6, 7]
    assert box.codes == ["spool_failed", "spool_restored"]
    by_epoch = {e.epoch: (e.last, e.pending) for e in box.spool.status.epochs}
    assert by_epoch == {old: (4, SeqRanges.of([(2, 4)])), ring: (3, SeqRanges.of([(3, 3)]))}


async def test_a_disk_that_failed_on_its_first_batch_keeps_its_epoch(tmp_path: Path, disk: FailingDisk) -> None:
    """RING-2: an epoch without a batch begins with its epoch_start when the disk is back."""
    box = Box(tmp_path)
    spool = await box.start()
    epoch = spool.epoch
    disk.failing = True
    await box.append()
    disk.failing = False
    await retry(box)
    assert await box.append() == 2
    first = next(b for b in await spool.read(0, None, 10) if b.id.epoch == epoch)
    assert list(decode(first.enc, first.body).events[0].detail) == ["", 0, "new_spool"]
    await spool.close()


async def test_rings_that_never_saw_their_disk_keep_their_times(
    tmp_path: Path, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RING-4, FILE-3: their numbers are drawn, so those of a later ring may be lower; no time of a kept batch goes."""
    bases = iter(Place(next_id=BLIND_FIRST + n * BLIND_BLOCK, segment=BLIND_FIRST + n * BLIND_BLOCK) for n in (7, 3))
    monkeypatch.setattr(Home, "blind", lambda _home: next(bases))
    box = Box(tmp_path)
    await box.start()
    for boot in ("one", "two"):
        disk.failing, box.boot = True, f"{box.boot[:-3]}{boot}"
        await box.restart()
        await box.append()
        disk.failing = False
        await retry(box)
    before = [(one.id, one.stamp) for one in await box.spool.read(0, None, 10)]
    assert len(before) == 4  # of each ring its `epoch_start`, and one more
    await box.restart()
    assert [(one.id, one.stamp) for one in await box.spool.read(0, None, 10)] == before
    await box.spool.close()


async def test_a_ring_is_bounded_and_names_what_it_gives_up(box: Box, disk: FailingDisk) -> None:
    """RING-3: only the ring is given up to make room in it."""
    disk.failing = True
    for _ in range(120):
        await box.append(size=60_000)
    batches = await box.spool.read(0, None, 1000)
    gaps = [gap for b in batches if b.n == 0 for gap in decode(b.enc, b.body).gaps]
    assert {gap.reason for gap in gaps} == {"ring_full"}
    assert {gap.epoch for gap in gaps} == {box.spool.epoch}
    named = SeqRanges.of((gap.first, gap.last) for gap in gaps)
    assert named.union(SeqRanges.of_seqs(b.id.seq for b in batches)) == SeqRanges.of(
        [(1, box.spool.status.epochs[-1].last)]
    )
    assert box.spool.status.size_bytes <= 4 * MB


async def test_a_full_ring_finds_room_in_a_small_file(tmp_path: Path, disk: FailingDisk) -> None:
    """RING-3: whatever the quota, what a ring may hold fits on the disk, and the disk is used again."""
    box = Box(tmp_path, quota_bytes=MB // 2)
    spool = await box.start()
    disk.failing = True
    for _ in range(300):
        await box.append(size=3_000)
    disk.failing = False
    await retry(box)
    assert not spool.status.failing
    assert "spool_restored" in box.codes
    await spool.close()


async def test_what_an_earlier_run_of_this_boot_left_undated_is_dated_when_the_disk_comes(
    tmp_path: Path, disk: FailingDisk
) -> None:
    """TIME-1, RING-4: a run that started without its disk knows nothing of these segments; they must not block it."""
    box = Box(tmp_path, clock=FakeClock(synchronised=False))
    await box.start()
    await box.append()
    await box.spool.close()
    disk.failing = True
    spool = await box.start()
    await box.append()
    box.clock.set_synchronised(True)
    await box.observe()
    disk.failing = False
    await retry(box)
    batches = await spool.read(0, None, 10)
    assert spool.status.pending == len(batches)
    assert {batch.stamp.clock for batch in batches} == {"ntp", "estimated"}
    await spool.close()


async def test_a_full_disk_costs_a_young_spool_nothing(tmp_path: Path) -> None:
    """ROOM-2: a file that is too small to make room in gives nothing up; it goes on in RAM."""
    box = Box(tmp_path, reserve_bytes=0)
    spool = await box.start()
    for _ in range(5):
        await box.append()
    spool.steps.home.settings = replace(spool.steps.home.settings, reserve_bytes=1 << 60)
    assert spool.steps.keeper._folder is not None
    spool.steps.keeper._folder.reserve_bytes = 1 << 60
    pending = spool.status.pending
    await box.append()
    assert spool.status.failing == "disk_full"
    assert spool.status.pending > pending
    assert box.counters.total("spool_given_up") == 0
    await spool.close()


async def test_it_starts_without_a_disk(tmp_path: Path, disk: FailingDisk) -> None:
    """RING-4: numbered above anything that could be on the disk it cannot see; joined when the disk is back."""
    box = Box(tmp_path)
    await box.start()
    await box.append()
    await box.spool.close()
    disk.failing = True
    spool = await box.start()
    assert await box.append() == 2
    assert spool.last_order > 1 << 40
    disk.failing = False
    await retry(box)
    await box.append()
    assert [b.id.seq for b in await spool.read(0, None, 10)] == [1, 2, 1, 2, 3]
    await spool.close()


async def test_offsets_found_while_the_disk_fails_reach_it(tmp_path: Path, disk: FailingDisk) -> None:
    """TIME-1: undated batches on the disk get the time that came meanwhile."""
    box = Box(tmp_path, FakeClock(synchronised=False))
    spool = await box.start()
    await box.append()
    disk.failing = True
    await box.append()
    box.clock.set_synchronised(True)
    await box.observe()
    assert [b.stamp.clock for b in await spool.read(0, None, 10)] == ["ntp", "ntp"]
    disk.failing = False
    await retry(box)
    assert [b.stamp.clock for b in await spool.read(0, None, 10)] == ["ntp"] * 4
    await spool.close()


async def test_close_saves_the_ring_if_it_can(box: Box, disk: FailingDisk) -> None:
    """RING-2: a disk that is back by then takes it."""
    disk.failing = True
    await box.append()
    ring = box.spool.epoch
    disk.failing = False
    await box.restart()
    assert ring in {b.id.epoch for b in await box.spool.read(0, None, 10)}


def no_more_pages(box: Box) -> None:
    """Somebody else filled the disk: SQLite gets no page, and the quota does not know."""
    keeper = box.spool.steps.keeper
    assert keeper is not None
    keeper.file.db.limit_pages(keeper.file.db.pages()[0])


async def test_a_full_disk_costs_the_ballast_then_the_oldest(box: Box) -> None:
    """FULL-1: the ballast first, then chunks, and the append succeeds on disk."""
    for _ in range(40):
        await box.append(size=60_000)
    await box.spool.tick()
    assert (box.folder / "ballast").stat().st_size == 8 * MB
    no_more_pages(box)
    epoch = box.spool.epoch
    for _ in range(5):
        await box.append(size=60_000)
    assert not (box.folder / "ballast").exists()
    assert box.spool.epoch == epoch
    assert "disk_full" in box.codes
    await box.clock.advance(TEND_MS)
    assert box.counters.get("spool_given_up", reason="disk_full") >= 16
    await box.spool.tick()
    assert (box.folder / "ballast").exists()


async def test_a_receipt_on_a_full_disk_costs_the_ballast_and_not_the_disk(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FULL-1: any step that finds no page gets the ballast's room; a ring in RAM is for a disk that fails.

    Found by the gauntlet: receipts to be written, or settled batches to be given up, on a full disk.
    """
    await box.append()
    await box.spool.tick()
    transaction = Database.transaction

    def full(self: Database) -> AbstractContextManager[None]:
        if (box.folder / "ballast").exists():
            raise SpoolFull("database or disk is full")
        return transaction(self)

    monkeypatch.setattr(Database, "transaction", full)
    epoch = box.spool.epoch
    box.spool.settle(epoch, SeqRanges.of([(1, 1)]))
    await box.clock.advance(SETTLED_MS_MAX)
    await box.spool.tick()
    assert box.spool.status.failing == ""
    assert box.spool.epoch == epoch
    assert not (box.folder / "ballast").exists()
    assert "disk_full" in box.codes
    assert "spool_failed" not in box.codes


async def test_the_reserve_is_never_used(tmp_path: Path) -> None:
    """FULL-2: what would take the disk below its reserve gives up the oldest instead."""
    box = Box(tmp_path)
    await box.start()
    for _ in range(40):
        await box.append(size=60_000)
    box.reserve_bytes = 1 << 60
    await box.restart()
    size = (tmp_path / "spool.db").stat().st_size
    for _ in range(40):
        await box.append(size=60_000)
    assert box.counters.get("spool_given_up", reason="disk_full") > 0
    assert box.spool.status.failing == ""
    assert box.spool.steps.keeper.file.db.pages()[0] * 4096 <= size + 16 * 4096
    await box.spool.close()


async def test_status_names_what_is_on_the_failing_disk(box: Box, disk: FailingDisk) -> None:
    """RING-5: what waits there is pending, less what gets its receipt; its age counts; then all is as it was."""
    old = box.spool.epoch
    box.spool.settle(old, SeqRanges.of([(1, 1)]))
    await box.clock.advance(2_000)
    disk.failing = True
    await box.append()
    ring = box.spool.epoch
    assert {e.epoch: e.pending for e in box.spool.status.epochs} == {
        old: SeqRanges.of([(2, 3)]),
        ring: SeqRanges.of([(1, 2)]),
    }
    assert (box.spool.status.pending, box.spool.status.oldest_age_ms) == (4, 2_000)
    box.spool.settle(old, SeqRanges.of([(2, 3)]))
    assert {e.epoch: e.pending for e in box.spool.status.epochs}[old] == SeqRanges()
    assert (box.spool.status.pending, box.spool.status.oldest_age_ms) == (2, 0)
    disk.failing = False
    await retry(box)
    assert {e.epoch: len(e.pending) for e in box.spool.status.epochs} == {old: 0, ring: 2}


async def test_a_disk_that_comes_back_damaged_is_salvaged(
    box: Box, disk: FailingDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RING-2, DMG-6: trying a malformed file again and again would fill the ring; the next try sets it aside."""
    old, take_in, tries = box.spool.epoch, Keeper.take_in, list[int]()

    def malformed_once(keeper: Keeper, ring: Keeper, dated: list[Segment]) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise Damaged("database disk image is malformed")
        take_in(keeper, ring, dated)

    monkeypatch.setattr(Keeper, "take_in", malformed_once)
    disk.failing = True
    await box.append()
    ring = box.spool.epoch
    disk.failing = False
    await retry(box)
    assert box.spool.status.failing
    await retry(box)
    assert (box.spool.status.failing, box.spool.epoch) == ("", old)
    while box.spool.steps.snapshot.salvaging:
        await box.spool.tick()
    assert [(b.id.epoch, b.id.seq) for b in await box.spool.read(0, None, 10)] == [
        *((old, seq) for seq in (1, 2, 3)),
        *((ring, seq) for seq in (1, 2)),
    ]
    assert "spool_damaged" in box.codes


async def test_a_ring_that_ends_with_the_daemon_is_counted(box: Box, disk: FailingDisk) -> None:
    """RING-2: stopped while the disk fails, what only memory had is lost, and said."""
    disk.failing = True
    await box.append()
    await box.spool.close()
    assert box.counters.get("spool_ring_lost") == 2


async def test_a_ballast_that_cannot_be_made_is_no_failing_disk(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """FULL-1: the spool works without it; it is counted and tried again."""
    epoch, os_open = box.spool.epoch, os.open

    def refused(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if str(path).endswith("ballast"):
            raise PermissionError(13, "Permission denied")
        return os_open(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", refused)
    await box.clock.advance(TEND_MS)
    await box.spool.tick()
    assert (box.spool.epoch, box.spool.status.failing) == (epoch, "")
    assert box.counters.get("spool_ballast_missing", reason="disk") == 1


async def test_what_a_late_disk_holds_of_earlier_boots_is_dated(tmp_path: Path, disk: FailingDisk) -> None:
    """TIME-3, RING-4: undated batches on a disk that was away at the start would hold up all that comes after them."""
    box = Box(tmp_path, FakeClock(synchronised=False))
    await box.start()
    await box.append()
    await box.spool.close()
    box.boot, box.clock = "b2", FakeClock(boot_ms=20_000)
    disk.failing = True
    spool = await box.start()
    await box.append()
    disk.failing = False
    await retry(box)
    assert [(b.id.seq, b.stamp.clock) for b in await spool.read(0, None, 10)] == [
        (1, "estimated"),
        (2, "estimated"),
        (1, "ntp"),
        (2, "ntp"),
    ]
    await spool.close()


async def test_another_uplink_goes_through_a_failing_disk_too(tmp_path: Path, disk: FailingDisk) -> None:
    """UPL-1 over RING-1 and RING-2: what it settled before, in and of the ring holds once the disk is back."""
    box = Box(tmp_path, others=("telegraf",))
    await box.start()
    branch = box.spool.branch("telegraf")
    await box.append()
    await box.append()
    disk.failing = True
    await box.append()
    assert [batch.id.epoch for batch in await branch.read(0, None, 9)] == ["epoch2", "epoch2"]
    branch.settle("epoch1", SeqRanges.of_seqs([2]))
    branch.settle("epoch2", SeqRanges.of_seqs([1]))
    await box.append()
    assert branch.counts == (4, 2, 0)
    disk.failing = False
    await retry(box)
    left = [(batch.id.epoch, batch.id.seq) for batch in await branch.read(0, None, 9)]
    assert left == [("epoch1", 1), ("epoch1", 3), ("epoch2", 2), ("epoch2", 3)]
    await box.restart()
    again = [(batch.id.epoch, batch.id.seq) for batch in await box.spool.branch("telegraf").read(0, None, 9)]
    assert again == left
    assert len(await box.spool.read(0, None, 9)) == 6
    await box.spool.close()


@pytest.mark.parametrize("clock_came", [True, False])
async def test_what_a_late_disk_holds_of_this_boot_is_dated(
    tmp_path: Path, disk: FailingDisk, clock_came: bool
) -> None:
    """The same after a restart within one boot: the timeline never saw those segments, so nobody else would."""
    box = Box(tmp_path, FakeClock(synchronised=False))
    await box.start()
    await box.append()
    await box.spool.close()
    disk.failing = True
    spool = await box.start()
    await box.append()
    if clock_came:
        box.clock.set_synchronised(True)
        await box.observe()
        await box.append()
    disk.failing = False
    await retry(box)
    words = ["estimated", "estimated", *(["ntp"] * 3 if clock_came else [])]
    batches = await spool.read(0, None, 10)
    assert [b.stamp.clock for b in batches] == words
    if clock_came:
        assert batches[1].stamp.t0 == box.clock.utc_ms() - RETRY_MS  # exactly: this boot's clock is known
    await spool.close()
