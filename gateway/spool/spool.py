"""The spool as the stages see it: appends, reads, settles, parks, and goes on from a RAM ring when the disk does not.

    append -> [ disk, one transaction ] -> read -> north ~~> receipt -> settle -> with the next append
                  | SpoolFailed, SpoolFull
                  v
              [ ring: a spool file in memory, own epoch ] -> read ...     retried every 10 s; then moved to disk whole

What is asked for here is done as one step on whichever works: `steps`.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.counters import Counters
from gateway.errors import SpoolFailed
from gateway.model import Batch, BatchId, BootMs, Draft, Given, Segment, Seq, SeqRanges
from gateway.seams import Clock, Worker
from gateway.site import SpoolSettings
from gateway.spool import export, verify
from gateway.spool.branch import Branch
from gateway.spool.export import Exported, Wanted
from gateway.spool.home import Home
from gateway.spool.keeper import Keeper
from gateway.spool.report import Report, report_of
from gateway.spool.steps import Estimate, OnEvent, SegmentOf, Steps
from gateway.spool.verify import Verified
from gateway.spool.view import SETTLED, Kept, uplink_number
from gateway.wire.documents import SpoolStatus

T = TypeVar("T")

TICK_MS = 1_000
SALVAGE_TICK_MS = 100
TEND_MS = 10_000  # the ballast, the free disk


async def open_spool(
    settings: SpoolSettings,
    gateway: str,
    machine: str,
    boot: str,
    worker: Worker,
    clock: Clock,
    counters: Counters,
    segment_of: SegmentOf,
    on_event: OnEvent,
    estimate: Estimate,
    others: Sequence[str] = (),
) -> "Spool":
    """Lock, open (or salvage), and say what is there; raises SpoolInUse. `segment_of(b0, urgent)` is the timeline's.

    Before the first append the timeline goes on from `segments` and `given`, and what it answers is dated; what lies
    on a disk that comes later is dated by `estimate`. `others`: the names of the uplinks behind the first.
    """
    home = Home(settings, gateway, machine, others={uplink_number(name): name for name in others})
    spool = Spool(Steps(home, boot, worker, clock, counters, segment_of, on_event, estimate))
    await spool.open()
    return spool


class Spool:
    """All methods run in the event loop; disk work goes through `worker`, in order. Made by `open_spool`."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self._clock, self._gateway = steps.clock, steps.home.gateway
        self._news = steps.bell.listener()
        self._given = Given()
        self._segments: tuple[Segment, ...] = ()
        self._tend_at = BootMs(0)

    # -- for the pipeline

    async def append(self, draft: Draft) -> Seq:
        """On disk when this returns (or in the RAM ring, alarmed, while the disk fails)."""
        segment = self.steps.segment_of(draft.b0, draft.urgent) if draft.stamp is None else None
        seq = await self.step(lambda keeper: keeper.append([(draft, segment)]))
        self.steps.bell.ring()
        return seq

    # -- for north

    @property
    def epoch(self) -> str:
        """The one that appends go to."""
        return self.steps.snapshot.epoch

    @property
    def last_order(self) -> int:
        """The order of the newest batch; 0 when there was never one."""
        return self.steps.snapshot.last_order

    async def read(self, after: int, until: int | None, limit: int) -> Sequence[Batch]:
        """Pending, not parked, dated batches with after < order (<= until), rising.

        Stops before the first undated batch that is not urgent (and at what salvage has not fetched yet), so that a
        cursor never passes one. What lies below a cursor and comes into sight later is told by `rewound`.
        """
        return await self.step(lambda keeper: keeper.read(after, until, limit))

    async def read_urgent(self, after: int, limit: int) -> Sequence[Batch]:
        """The same, only urgent ones, stopped only by an undated urgent one."""
        return await self.step(lambda keeper: keeper.read(after, None, limit, urgent=True))

    @property
    def rewound(self) -> int:
        """Times that batches below orders once passed came into sight: read again from 0."""
        return self.steps.rewound

    async def reread(self, batch_id: BatchId) -> Batch | None:
        """One batch from disk again, crc checked; None when it is settled or given up."""
        if batch_id.gateway != self._gateway:
            return None
        return await self.step(lambda keeper: keeper.reread(batch_id.epoch, batch_id.seq))

    async def recall(self, batch_id: BatchId) -> Batch | None:
        """A settled batch from the archive, crc checked, as it was first sent; None when it is not kept."""
        if self.steps.failing and batch_id.epoch != self.epoch:
            raise SpoolFailed(self.steps.failing)  # nobody can say now what is kept there
        if batch_id.gateway != self._gateway:
            return None
        return await self.step(lambda keeper: keeper.recall(batch_id.epoch, batch_id.seq))

    async def kept(self, epoch: str, seqs: SeqRanges) -> Kept:
        """What of these is still here; raises SpoolFailed while nobody knows: the disk fails, or is salvaged."""
        kept = await self.step(lambda keeper: keeper.file.view.kept(epoch, seqs))
        if self.steps.failing or self.steps.snapshot.salvaging:  # after the step: it may be what found out
            raise SpoolFailed(self.steps.failing or "being salvaged")
        return kept

    async def unpark_seqs(self, epoch: str, seqs: SeqRanges) -> None:
        """Offered again, at their old order: those of them that are parked."""
        if seqs:
            await self.step(lambda keeper: keeper.file.unpark_seqs(epoch, seqs))
            self.steps.sighted()

    def settle(self, epoch: str, seqs: SeqRanges) -> None:
        """Remembered now; on disk with the next append, or by `run` once 20 wait or 5 s passed."""
        self.settle_for(SETTLED, epoch, seqs)

    def settle_for(self, uplink: int, epoch: str, seqs: SeqRanges) -> None:
        """The same for the uplink of this number."""
        self.steps.settle((uplink, epoch, seqs))

    async def park(self, batch_id: BatchId, why: str) -> None:
        """Kept, pending, not offered until `unpark`; on disk when this returns."""
        await self.step(lambda keeper: keeper.park(batch_id.epoch, batch_id.seq, why))

    async def unpark(self, batch_id: BatchId) -> None:
        """Offered again, at its old order."""
        await self.step(lambda keeper: keeper.file.unpark(batch_id.epoch, batch_id.seq))
        self.steps.sighted()

    async def unpark_all(self, why: str) -> int:
        """The same for every one parked for this reason, or one of its kind (`why:…`); how many."""
        count = await self.step(lambda keeper: keeper.file.unpark_all(why))
        if count:
            self.steps.sighted()
        return count

    @property
    def whole(self) -> bool:
        """Whether the disk is used, not the ring."""
        return not self.steps.failing

    async def renew(self) -> tuple[str, str]:
        """Go on in a new epoch; (old, new). Raises SpoolFailed while the RAM ring is used: that is one already."""
        if self.steps.failing:
            raise SpoolFailed(self.steps.failing)
        old = self.epoch
        await self.step(lambda keeper: keeper.renew(self.steps.home.make_epoch()))
        return old, self.epoch

    # -- for people

    async def export(self, wanted: Wanted, after: int) -> Exported:
        """The next page of what is kept, behind this order; a page is small enough for polls to go on."""
        return await self.step(
            lambda keeper: export.page(keeper.file.db, keeper.file.view, wanted, after, keeper.unfetched)
        )

    async def verify(self, after: int) -> Verified:
        """The next page of a look at every row, behind this order; changes nothing."""
        return await self.step(lambda keeper: verify.page(keeper.file.db, keeper.file.view, keeper.unfetched, after))

    async def report(self) -> Report:
        """What is kept, by epoch, another gateway's too."""
        return await self.step(lambda keeper: report_of(keeper.file.view))

    async def wait(self) -> None:
        """Until something was appended or dated since the last `wait` returned; one waiter."""
        await self._news.wait()
        self._news.clear()

    def in_flight(self, ids: frozenset[BatchId]) -> None:
        """What north has out now: given up last."""
        self.steps.in_flight = ids

    def branch(self, name: str) -> Branch:
        """The same for another uplink than the first, one of `others`."""
        return Branch(self, uplink_number(name), self.steps.bell)

    def counts(self, uplink: int = SETTLED) -> tuple[int, int]:
        """(pending, settled) batches that are here, of one uplink; while the disk fails, with what was seen on it."""
        pending = len(self.steps.away.pending(uplink)) + self.steps.snapshot.waiting.get(uplink, 0)
        return pending, self.steps.away.here() + self.steps.snapshot.kept - pending

    async def step(self, act: Callable[[Keeper], T]) -> T:
        """What `act` returns, in the disk's thread: for all above, and for branches."""
        return await self.steps.step(act)

    # -- for the clock

    @property
    def segments(self) -> Sequence[Segment]:
        """Those that were there at open: `Timeline.resume` goes on from them."""
        return self._segments

    @property
    def given(self) -> Given:
        """The highest times given out before this open."""
        return self._given

    async def date(self, segments: Sequence[Segment]) -> None:
        """Segments that got their offset: written once, never changed."""
        if not segments:
            return
        await self.step(lambda keeper: keeper.file.date(segments))
        self.steps.dated(segments)
        self.steps.bell.ring()

    # -- its own life

    async def open(self) -> None:
        """Once, by `open_spool`."""
        self._given, self._segments = await self.steps.open()

    async def run(self) -> None:
        """Flush settled seqs in time, make room, watch the free disk, retry a failing disk; for ever."""
        while True:
            pause_ms = SALVAGE_TICK_MS if self.steps.snapshot.salvaging else TICK_MS
            await self._clock.sleep_until(BootMs(self._clock.boot_ms() + pause_ms))
            await self.tick()

    async def tick(self) -> None:
        """One round of `run`."""
        if self.steps.retry_due:
            await self.steps.restore()
        if self.steps.snapshot.salvaging or self._clock.boot_ms() >= self._tend_at:
            await self.step(Keeper.tick)
            self._tend_at = BootMs(self._clock.boot_ms() + TEND_MS)
        if self.steps.flush_due:
            await self.step(lambda keeper: keeper.file.flush())

    async def close(self) -> None:
        """Write what is settled, move a ring to disk if that will have it, close, release the lock. Idempotent."""
        await self.steps.close()

    @property
    def status(self) -> SpoolStatus:
        """As of the last step; while the disk fails, with what was seen on it."""
        shot, (pending, settled) = self.steps.snapshot, self.counts()
        return SpoolStatus(
            epoch=shot.epoch,
            epochs=(*self.steps.away.status(), *shot.epochs),
            pending=pending,
            settled=settled,
            oldest_age_ms=_age_ms(self.steps),
            size_bytes=shot.size_bytes,
            gaps=shot.gaps,
            failing=self.steps.failing,
            outage_left_ms=None if self.steps.failing else shot.outlook.outage_left_ms,
            archive_ms=None if self.steps.failing else shot.outlook.archive_ms,
        )


def _age_ms(steps: Steps) -> int | None:
    """Of the oldest pending batch: by the boot clock where it is this boot's, else by the wall clock."""
    if steps.oldest is None:
        return None
    boot, b0, offset_ms = steps.oldest
    if boot == steps.boot:
        return max(0, steps.clock.boot_ms() - b0)
    return None if offset_ms is None else max(0, steps.clock.utc_ms() - b0 - offset_ms)
