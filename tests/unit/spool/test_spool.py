"""The spool as the stages see it; clause ids are those of docs/specs/spool.md."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.clock.timeline import Timeline, estimate
from gateway.counters import Counters
from gateway.errors import SpoolInUse
from gateway.model import BatchId, BootMs, SeqRanges, Trust
from gateway.spool.spool import Spool, open_spool
from gateway.spool.untold import SETTLED_MAX
from gateway.testing.clock import FakeClock
from gateway.testing.worker import InlineWorker
from gateway.wire import batch as wire_batch
from gateway.wire.body import decode
from tests.support.spools import MB, Box, draft, settings, stamped


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    """A box with a clock; whatever spool it has last is closed."""
    made = Box(tmp_path)
    await made.start()
    yield made
    await made.spool.close()


def unsaved(box: Box) -> bool:
    """Whether a receipt is only in RAM."""
    return box.spool.steps.snapshot.unsaved


async def test_the_first_batch_of_a_new_epoch_is_its_start(box: Box) -> None:
    """EPOCH-2: seq 1 is the event epoch_start, whatever is appended first."""
    assert await box.append() == 2
    first = (await box.spool.read(0, None, 1))[0]
    assert (first.id.seq, first.n) == (1, 0)
    (event,) = decode(first.enc, first.body).events
    assert (event.code, list(event.detail)) == ("epoch_start", ["", 0, "new_spool"])


async def test_seqs_and_orders_rise_by_one(box: Box) -> None:
    """SEQ-1: dense seqs, rising orders, over a restart too."""
    assert [await box.append() for _ in range(3)] == [2, 3, 4]
    await box.restart()
    assert await box.append() == 5
    batches = await box.spool.read(0, None, 10)
    assert [b.id.seq for b in batches] == [1, 2, 3, 4, 5]
    assert [b.order for b in batches] == [1, 2, 3, 4, 5]
    assert box.spool.last_order == 5


async def test_what_is_settled_is_not_offered_nor_after_a_restart(box: Box) -> None:
    """SET-1: a receipt takes a batch out of the offer, and close writes it."""
    for _ in range(4):
        await box.append()
    box.spool.settle(box.spool.epoch, SeqRanges.of([(1, 3)]))
    assert await box.seqs() == [4, 5]
    await box.restart()
    assert await box.seqs() == [4, 5]


async def test_an_emptied_spool_goes_on_counting(box: Box) -> None:
    """SEQ-2: all settled and dropped, the next seq is still the next."""
    await box.append()
    box.spool.settle(box.spool.epoch, SeqRanges.of([(1, 2)]))
    await box.restart()
    assert await box.append() == 3
    assert box.spool.last_order == 3


async def test_settled_seqs_wait_for_twenty_or_five_seconds(box: Box) -> None:
    """SET-2: their own transaction only then."""
    for _ in range(SETTLED_MAX):
        await box.append()
    box.spool.settle(box.spool.epoch, SeqRanges.of([(1, 2)]))
    await box.spool.tick()
    assert unsaved(box)
    await box.clock.advance(5_000)
    await box.spool.tick()
    assert not unsaved(box)
    box.spool.settle(box.spool.epoch, SeqRanges.of([(1, SETTLED_MAX)]))
    await box.spool.tick()
    assert not unsaved(box)


async def test_settled_seqs_go_along_with_an_append(box: Box) -> None:
    """SET-2: no transaction of their own while batches come."""
    await box.append()
    box.spool.settle(box.spool.epoch, SeqRanges.of([(1, 1)]))
    await box.append()
    assert not unsaved(box)


async def test_a_receipt_for_what_never_was_is_ignored(box: Box) -> None:
    """SET-3: foreign epochs and seqs settle nothing, now or later."""
    await box.append()
    box.spool.settle("nobody", SeqRanges.of([(1, 9)]))
    box.spool.settle(box.spool.epoch, SeqRanges.of([(3, 9)]))
    await box.append()
    assert await box.seqs() == [1, 2, 3]


async def test_read_honours_its_bounds(box: Box) -> None:
    """READ-1: after is open, until is closed, limit is a limit."""
    for _ in range(5):
        await box.append()
    assert [b.order for b in await box.spool.read(2, 4, 10)] == [3, 4]
    assert [b.order for b in await box.spool.read(2, None, 1)] == [3]


async def test_read_urgent_finds_only_urgent_ones(box: Box) -> None:
    """READ-2: by their index, in order."""
    await box.append()
    await box.append(urgent=True)
    await box.append()
    await box.append(urgent=True)
    assert [b.id.seq for b in await box.spool.read_urgent(0, 10)] == [3, 5]
    assert [b.id.seq for b in await box.spool.read_urgent(3, 10)] == [5]


async def test_a_batch_says_what_was_filed(box: Box) -> None:
    """READ-3: body, rows, time and crc are those of the draft, the crc that of the wire."""
    at = box.clock.boot_ms()
    seq = await box.append(n=7, size=321)
    batch = (await box.spool.read(seq - 1, None, 1))[0]
    assert batch.id == BatchId(box.gateway, box.spool.epoch, seq)
    assert (batch.n, len(batch.body), batch.enc, batch.urgent) == (7, 321, "none", False)
    assert (batch.stamp.t0, batch.stamp.clock) == (box.clock.utc_ms() + at - box.clock.boot_ms(), "ntp")
    expected = wire_batch.crc(batch.id, batch.stamp, 7, "none", batch.body, urgent=False, origin=None)
    assert batch.crc == expected


async def test_parked_batches_wait(box: Box) -> None:
    """PARK-1: kept, pending, not offered, over a restart; back at its old order."""
    for _ in range(3):
        await box.append()
    parked = BatchId(box.gateway, box.spool.epoch, 2)
    await box.spool.park(parked, "crc")
    assert await box.seqs() == [1, 3, 4]
    await box.restart()
    assert await box.seqs() == [1, 3, 4]
    assert box.spool.status.epochs[0].parked == SeqRanges.of([(2, 2)])
    assert 2 in box.spool.status.epochs[0].pending
    seen = box.spool.rewound
    await box.spool.unpark(parked)
    assert await box.seqs() == [1, 2, 3, 4]
    assert box.spool.rewound == seen + 1


async def test_reread_gives_only_what_is_pending(box: Box) -> None:
    """READ-4: None once settled, for another gateway, for what never was."""
    await box.append()
    id_ = BatchId(box.gateway, box.spool.epoch, 2)
    again = await box.spool.reread(id_)
    assert again is not None
    assert again.id == id_
    assert await box.spool.reread(replace(id_, gateway="other")) is None
    assert await box.spool.reread(replace(id_, seq=9)) is None
    box.spool.settle(box.spool.epoch, SeqRanges.of([(2, 2)]))
    assert await box.spool.reread(id_) is None


async def test_undated_batches_are_not_offered_until_the_clock_comes(tmp_path: Path) -> None:
    """TIME-1: a box without a clock keeps rows, and sends them with the true time later."""
    box = Box(tmp_path, FakeClock(synchronised=False))
    spool = await box.start()
    at = box.clock.boot_ms()
    await box.append()
    await box.append(urgent=True)
    assert await box.seqs() == []
    await box.clock.advance(5_000)
    await box.observe()
    urgent = await spool.read_urgent(0, 10)
    assert [(b.id.seq, b.stamp.clock) for b in urgent] == [(3, "unset")]
    assert await box.seqs() == []
    box.clock.step(3_600_000)
    box.clock.set_synchronised(True)
    await box.observe()
    batches = await spool.read(0, None, 10)
    assert [(b.id.seq, b.stamp.clock) for b in batches] == [(1, "ntp"), (2, "ntp"), (3, "unset")]
    assert batches[1].stamp.t0 == box.clock.utc_ms() - (box.clock.boot_ms() - at)
    await spool.close()


async def test_an_undated_urgent_batch_does_not_stop_the_others(tmp_path: Path) -> None:
    """READ-1: read skips it, read_urgent stops at it."""
    box = Box(tmp_path, FakeClock(synchronised=False))
    spool = await box.start()
    await box.append(urgent=True)
    box.clock.set_synchronised(True)
    changes = box.timeline.observe(box.clock.boot_ms(), box.clock.utc_ms(), synchronised=True)
    await spool.date([s for s in changes.dated if not s.urgent])
    await box.append()
    assert await box.seqs() == [1, 3]
    assert await spool.read_urgent(0, 10) == []
    await spool.date(changes.dated)
    assert [b.id.seq for b in await spool.read_urgent(0, 10)] == [2]
    await spool.close()


async def test_an_offset_never_changes(box: Box) -> None:
    """TIME-2: what was dated keeps its offset, whatever comes later."""
    await box.append()
    (segment,) = box.timeline._segments
    before = await box.spool.read(0, None, 10)
    await box.spool.date([replace(segment, offset_ms=5, clock=Trust.UNSET)])
    assert await box.spool.read(0, None, 10) == before


async def test_the_next_boot_estimates_what_was_left_undated(tmp_path: Path) -> None:
    """TIME-3: before anything is appended, right after the highest time given out."""
    box = Box(tmp_path)
    spool = await box.start()
    await box.append()
    trusted = (await spool.read(0, None, 10))[-1].stamp.t0 + 10
    await spool.close()
    box.boot, box.clock = "b2", FakeClock(boot_ms=20_000, synchronised=False)
    spool = await box.start()
    await box.append()
    await spool.close()
    box.boot, box.clock = "b3", FakeClock(boot_ms=20_000, synchronised=False)
    spool = await box.start()
    last = (await spool.read(0, None, 10))[-1]
    assert (last.id.seq, last.stamp.clock) == (3, "estimated")
    assert last.stamp.t0 == trusted + 1 + 20_000
    await spool.close()


async def test_two_boots_with_the_same_false_clock_never_share_a_time(tmp_path: Path) -> None:
    """TIME-5: both `unset`, by a wall clock that said the same; the second boot begins after all the first gave out."""
    box, times = Box(tmp_path, patience_ms=1), list[tuple[str, int]]()
    for boot in ("b1", "b2", "b3"):
        box.boot, box.clock = boot, FakeClock(boot_ms=20_000, synchronised=False)
        spool = await box.start()
        for _ in range(3):
            await box.append()
            await box.clock.advance(1_000)
            await box.observe()
        times = [(batch.stamp.clock, batch.stamp.t0) for batch in await spool.read(0, None, 100) if batch.n]
        await spool.close()
    unset = [t0 for clock, t0 in times if clock == "unset"]
    assert len(unset) >= 6
    assert all(earlier < later for earlier, later in pairwise(unset))


async def test_two_daemons_never_share_a_spool(box: Box) -> None:
    """LOCK-1: the second one is told who holds it, and touches nothing."""
    other = Box(box.folder)
    with pytest.raises(SpoolInUse) as caught:
        await other.start()
    assert caught.value.pid > 0


@pytest.mark.parametrize(("change", "why"), [("machine", "other_machine"), ("gateway", "other_gateway")])
async def test_another_identity_starts_another_epoch(tmp_path: Path, change: str, why: str) -> None:
    """EPOCH-1: a cloned card and a renamed gateway never use a seq twice."""
    box = Box(tmp_path)
    await box.start()
    await box.append()
    old = box.spool.epoch
    setattr(box, change, "other")
    await box.restart()
    assert await box.append() == 2
    start = (await box.spool.read(2, None, 1))[0]
    assert list(decode(start.enc, start.body).events[0].detail) == [old, 2, why]
    await box.spool.close()


async def test_batches_of_another_gateway_id_are_kept_and_never_sent(tmp_path: Path) -> None:
    """EPOCH-3: they are not pending, and their epoch is not ours to report."""
    box = Box(tmp_path)
    await box.start()
    await box.append()
    box.gateway = "hc-0002"
    spool = await box.restart()
    await box.append()
    assert {b.id.epoch for b in await spool.read(0, None, 10)} == {spool.epoch}
    assert [e.epoch for e in spool.status.epochs] == [spool.epoch]
    assert spool.last_order == 4
    box.gateway = "hc-0001"
    await box.restart()
    assert await box.seqs() == [1, 2]
    await box.spool.close()


async def test_status_names_what_waits(box: Box) -> None:
    """STAT-1: epochs, pending ranges, age of the oldest, size."""
    for _ in range(3):
        await box.append()
    box.spool.settle(box.spool.epoch, SeqRanges.of([(1, 2)]))
    await box.clock.advance(1_500)
    await box.append()
    status = box.spool.status
    (epoch,) = status.epochs
    assert (epoch.first_kept, epoch.last, epoch.pending) == (1, 5, SeqRanges.of([(3, 5)]))
    assert (status.pending, status.oldest_age_ms, status.failing, status.gaps) == (3, 1_500, "", 0)
    assert status.size_bytes > 0


async def test_a_full_spool_gives_up_settled_ones_first(tmp_path: Path) -> None:
    """ROOM-1: no gap as long as the archive has anything to give."""
    box = Box(tmp_path, quota_bytes=2 * MB)
    spool = await box.start()
    for _ in range(60):
        seq = await box.append(size=60_000)
        spool.settle(spool.epoch, SeqRanges.of([(1, seq)]))
    assert spool.status.gaps == 0
    assert spool.status.epochs[0].first_kept > 1
    assert spool.status.size_bytes <= 2 * MB
    assert box.counters.get("spool_archive_cut", reason="quota") > 0
    await spool.close()


async def test_a_full_spool_gives_up_its_oldest_as_gaps(tmp_path: Path) -> None:
    """ROOM-2, GAP-1: every seq is offered or named, and the quota holds."""
    box = Box(tmp_path, quota_bytes=2 * MB)
    spool = await box.start()
    for _ in range(120):
        await box.append(n=2, size=60_000)
    batches = await spool.read(0, None, 1000)
    named = [gap for batch in batches if batch.n == 0 for gap in decode(batch.enc, batch.body).gaps]
    assert {gap.reason for gap in named} == {"quota"}
    last = spool.status.epochs[0].last
    told = SeqRanges.of([(gap.first, gap.last) for gap in named])
    kept = SeqRanges.of_seqs(batch.id.seq for batch in batches)
    assert told.union(kept) == SeqRanges.of([(1, last)])
    assert not told.intersection(kept)
    rows = sum(batch.n for batch in batches) + sum(gap.rows or 0 for gap in named)
    assert rows == 240
    assert spool.status.size_bytes <= 2 * MB
    assert box.counters.get("spool_given_up", reason="quota") == len(told)
    await spool.close()


async def test_those_in_flight_are_given_up_last(tmp_path: Path) -> None:
    """ROOM-3: what north has out stays, while others can go."""
    box = Box(tmp_path, quota_bytes=2 * MB)
    spool = await box.start()
    await box.append(size=60_000)
    spool.in_flight(frozenset({BatchId(box.gateway, spool.epoch, 2)}))
    for _ in range(60):
        await box.append(size=60_000)
    assert (await box.seqs())[0] == 2
    await spool.close()


async def test_gap_records_of_a_gap_batch_are_carried_on(tmp_path: Path) -> None:
    """GAP-2: a gap batch is given up like any other, and its records are not."""
    box = Box(tmp_path, quota_bytes=2 * MB)
    spool = await box.start()
    for _ in range(400):
        await box.append(size=60_000)
    batches = await spool.read(0, None, 1000)
    told = SeqRanges.of(
        (gap.first, gap.last) for batch in batches if batch.n == 0 for gap in decode(batch.enc, batch.body).gaps
    )
    assert told.union(SeqRanges.of_seqs(b.id.seq for b in batches)) == SeqRanges.of([(1, spool.status.epochs[0].last)])
    await spool.close()


async def test_a_relays_draft_keeps_its_time(box: Box) -> None:
    """TIME-4: a draft that brings its stamp is sent with that stamp."""
    seq = await box.spool.append(stamped(123_456, "holdover"))
    batch = (await box.spool.read(seq - 1, None, 1))[0]
    assert (batch.stamp.t0, batch.stamp.clock) == (123_456, "holdover")


async def test_wait_returns_after_an_append(box: Box) -> None:
    """WAIT-1: once for what came since the last time."""
    await box.append()
    await box.spool.wait()
    assert not box.spool._news.is_set()


async def test_run_flushes_by_itself(box: Box) -> None:
    """SET-2: within 5 s and a tick."""
    await box.append()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(box.spool.run(), name="spool")
        box.spool.settle(box.spool.epoch, SeqRanges.of([(1, 1)]))
        await box.clock.advance(7_000)
        assert not unsaved(box)
        running.cancel()


async def test_open_spool_opens_by_the_sites_settings(tmp_path: Path) -> None:
    """LOCK-1: the one call of the daemon."""
    box = Box(tmp_path)
    worker, counters, timeline = InlineWorker(), Counters(), Timeline("b")
    box.spool = await open_spool(
        settings(tmp_path),
        "hc-0001",
        "m",
        "b",
        worker,
        box.clock,
        counters,
        timeline.segment_of,
        box.events.append,
        estimate,
    )
    assert isinstance(box.spool, Spool)
    assert len(box.spool.epoch) == 6
    assert box.spool.given.boot == ""
    with pytest.raises(SpoolInUse):
        await box.start()


async def test_events_and_rows_may_be_older_than_the_first_segment(box: Box) -> None:
    """TIME-1: a draft from before the daemon knew the time goes with the first segment of its boot."""
    seq = await box.spool.append(draft(5))
    assert (await box.spool.read(seq - 1, None, 1))[0].stamp.t0 == box.clock.utc_ms() - box.clock.boot_ms() + 5
    assert box.timeline.segment_of(BootMs(5), False).start > 5


async def test_room_made_for_a_first_batch_does_not_take_its_place(tmp_path: Path) -> None:
    """EPOCH-2: epoch_start is seq 1 even when the first append of an epoch has to give something up."""
    box = Box(tmp_path / "measured", quota_bytes=2 * MB)
    await box.start()
    fits = 0
    while not box.counters.get("spool_given_up", reason="quota"):
        await box.append(size=60_000)
        fits += 1
    await box.spool.close()
    box = Box(tmp_path / "full", quota_bytes=2 * MB)
    await box.start()
    for _ in range(fits - 1):
        await box.append(size=60_000)
    box.machine = "another"
    spool = await box.restart()
    await box.append(size=60_000)
    assert box.counters.get("spool_given_up", reason="quota") > 0
    first = next(b for b in await spool.read(0, None, 1000) if b.id.epoch == spool.epoch)
    assert [event.code for event in decode(first.enc, first.body).events] == ["epoch_start"]
    await spool.close()


async def test_what_was_given_up_is_pending_until_its_gap_can_be_stored(tmp_path: Path) -> None:
    """STAT-2: after a long outage the status comes first and the gap batch last; nothing is unexplained meanwhile."""
    box = Box(tmp_path, quota_bytes=2 * MB)
    spool = await box.start()
    for _ in range(60):
        await box.append(size=60_000)
    spool = await box.restart()
    (epoch,) = spool.status.epochs
    kept = SeqRanges.of_seqs(await box.seqs())
    assert epoch.first_kept > 1
    assert epoch.pending == SeqRanges.of([(1, epoch.last)])
    assert spool.status.pending == len(kept) < epoch.last
    spool.settle(spool.epoch, kept)
    await box.append()
    left = SeqRanges.of([(epoch.last + 1, epoch.last + 1)])
    assert spool.status.epochs[0].pending == left
    spool = await box.restart()
    assert spool.status.epochs[0].pending == left
    await spool.close()


async def test_an_epoch_is_named_until_its_gap_can_be_stored(tmp_path: Path) -> None:
    """STAT-2: given up to the last batch, by a gap batch of a later epoch."""
    box = Box(tmp_path, quota_bytes=2 * MB)
    await box.start()
    for _ in range(3):
        await box.append(size=60_000)
    old, box.machine = box.spool.epoch, "another"
    await box.restart()
    while box.counters.get("spool_given_up", reason="quota") < 10:
        await box.append(size=60_000)
    spool = await box.restart()
    by_epoch = {epoch.epoch: epoch.pending for epoch in spool.status.epochs}
    assert by_epoch[old] == SeqRanges.of([(1, 4)])
    spool.settle(spool.epoch, SeqRanges.of_seqs(await box.seqs()))
    await box.append()
    spool = await box.restart()
    assert [epoch.epoch for epoch in spool.status.epochs] == [spool.epoch]
    await spool.close()
