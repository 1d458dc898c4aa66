"""The spool as the stages see it: appends, reads, settles, parks, and goes on from a RAM ring when the disk does not.

    append -> [ disk, one transaction ] -> read -> north ~~> receipt -> settle -> with the next append
                  | SpoolFailed, SpoolFull
                  v
              [ ring: a spool file in memory, own epoch ] -> read ...     retried every 10 s; then moved to disk whole

Steps go through one lock and one worker, in order. The loop's side keeps no view of its own but the last snapshot.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from gateway.counters import Counters
from gateway.errors import SpoolError, SpoolFailed, SpoolFull
from gateway.model import Batch, BatchId, BootMs, Detail, Draft, Event, Given, Segment, Seq, SeqRanges
from gateway.seams import Clock, Worker
from gateway.site import SpoolSettings
from gateway.spool.branch import Branch, News
from gateway.spool.database import Damaged
from gateway.spool.export import Exported, Wanted
from gateway.spool.home import Home, move
from gateway.spool.keeper import Keeper, Moment, Oldest, Snapshot
from gateway.spool.report import Report, report_of
from gateway.spool.verify import Verified
from gateway.spool.view import SETTLED, Kept, View, uplink_number
from gateway.wire.documents import SpoolStatus

T = TypeVar("T")

TICK_MS = 1_000
SALVAGE_TICK_MS = 100
RETRY_MS = 10_000
TEND_MS = 10_000  # the ballast, the free disk
SETTLED_MAX = 20  # wait for an append at most
SETTLED_MS_MAX = 5_000

SegmentOf = Callable[[BootMs, bool], Segment]
OnEvent = Callable[[Event], None]
Estimate = Callable[[Sequence[Segment], Given], Sequence[Segment]]  # the timeline's, for boots that are over


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
    spool = Spool(home, boot, worker, clock, counters, segment_of, on_event, estimate)
    await spool.open()
    return spool


class Spool:
    """All methods run in the event loop; disk work goes through `worker`, in order. Made by `open_spool`."""

    def __init__(
        self,
        home: Home,
        boot: str,
        worker: Worker,
        clock: Clock,
        counters: Counters,
        segment_of: SegmentOf,
        on_event: OnEvent,
        estimate: Estimate,
    ) -> None:
        self._home, self._boot, self._worker, self._clock = home, boot, worker, clock
        self._counters, self._segment_of, self._on_event, self._estimate = counters, segment_of, on_event, estimate
        self._turn = asyncio.Lock()
        self._bell = News()
        self._news = self._bell.listener()
        self._keeper: Keeper | None = None
        self._snapshot = Snapshot("", 0, (), None, 0, 0, unsaved=False, salvaging=False)
        self._given = Given()
        self._segments: tuple[Segment, ...] = ()
        self._in_flight: frozenset[BatchId] = frozenset()
        self._settled: list[tuple[int, str, SeqRanges]] = []  # (uplink, ...), not told to the keeper yet
        self._settled_since: BootMs | None = None
        self._settled_count = 0
        self._failing = ""  # why there is a ring
        self._away = View()  # what the disk that fails was seen to hold, and what was settled of it since
        self._away_oldest: Oldest = None
        self._blind = False  # the disk was not there at the start, and has not been seen since
        self._malformed = False  # the disk answers again, and its file contradicts itself
        self._dated: dict[int, Segment] = {}  # while the disk fails
        self._retry_at = self._tend_at = BootMs(0)
        self._blind = False  # this run started without its disk
        self._closed = False
        self.rewound = 0  # times that batches below orders once passed came into sight: read again from 0

    # -- for the pipeline

    async def append(self, draft: Draft) -> Seq:
        """On disk when this returns (or in the RAM ring, alarmed, while the disk fails)."""
        segment = self._segment_of(draft.b0, draft.urgent) if draft.stamp is None else None
        seq = await self._step(lambda keeper: keeper.append([(draft, segment)]))
        self._bell.ring()
        return seq

    # -- for north

    @property
    def epoch(self) -> str:
        """The one that appends go to."""
        return self._snapshot.epoch

    @property
    def last_order(self) -> int:
        """The order of the newest batch; 0 when there was never one."""
        return self._snapshot.last_order

    async def read(self, after: int, until: int | None, limit: int) -> Sequence[Batch]:
        """Pending, not parked, dated batches with after < order (<= until), rising.

        Stops before the first undated batch that is not urgent (and at what salvage has not fetched yet), so that a
        cursor never passes one. What lies below a cursor and comes into sight later is told by `rewound`.
        """
        return await self._step(lambda keeper: keeper.read(after, until, limit))

    async def read_urgent(self, after: int, limit: int) -> Sequence[Batch]:
        """The same, only urgent ones, stopped only by an undated urgent one."""
        return await self._step(lambda keeper: keeper.read(after, None, limit, urgent=True))

    async def reread(self, batch_id: BatchId) -> Batch | None:
        """One batch from disk again, crc checked; None when it is settled or given up."""
        if batch_id.gateway != self._home.gateway:
            return None
        return await self._step(lambda keeper: keeper.reread(batch_id.epoch, batch_id.seq))

    async def recall(self, batch_id: BatchId) -> Batch | None:
        """A settled batch from the archive, crc checked, as it was first sent; None when it is not kept."""
        if self._failing and batch_id.epoch != self.epoch:
            raise SpoolFailed(self._failing)  # nobody can say now what is kept there
        if batch_id.gateway != self._home.gateway:
            return None
        return await self._step(lambda keeper: keeper.recall(batch_id.epoch, batch_id.seq))

    async def kept(self, epoch: str, seqs: SeqRanges) -> Kept:
        """What of these is still here; raises SpoolFailed while nobody knows: the disk fails, or is salvaged."""
        kept = await self._step(lambda keeper: keeper.file.view.kept(epoch, seqs))
        if self._failing or self._snapshot.salvaging:  # after the step: it may have been the one that found out
            raise SpoolFailed(self._failing or "being salvaged")
        return kept

    async def unpark_seqs(self, epoch: str, seqs: SeqRanges) -> None:
        """Offered again, at their old order: those of them that are parked."""
        if seqs:
            await self._step(lambda keeper: keeper.file.unpark_seqs(epoch, seqs))
            self._sighted()

    def settle(self, epoch: str, seqs: SeqRanges) -> None:
        """Remembered now; on disk with the next append, or by `run` once 20 wait or 5 s passed."""
        self.settle_for(SETTLED, epoch, seqs)

    def settle_for(self, uplink: int, epoch: str, seqs: SeqRanges) -> None:
        """The same for the uplink of this number."""
        if self._failing and epoch != self.epoch:
            self._away.settle(epoch, seqs, uplink)
            return
        self._settled.append((uplink, epoch, seqs))
        self._settled_count += len(seqs)
        if self._settled_since is None:
            self._settled_since = self._clock.boot_ms()

    async def park(self, batch_id: BatchId, why: str) -> None:
        """Kept, pending, not offered until `unpark`; on disk when this returns."""
        await self._step(lambda keeper: keeper.park(batch_id.epoch, batch_id.seq, why))

    async def unpark(self, batch_id: BatchId) -> None:
        """Offered again, at its old order."""
        await self._step(lambda keeper: keeper.file.unpark(batch_id.epoch, batch_id.seq))
        self._sighted()

    async def unpark_all(self, why: str) -> int:
        """The same for every one parked for this reason, or one of its kind (`why:…`); how many."""
        count = await self._step(lambda keeper: keeper.file.unpark_all(why))
        if count:
            self._sighted()
        return count

    @property
    def whole(self) -> bool:
        """Whether the disk is used, not the ring."""
        return not self._failing

    async def renew(self) -> tuple[str, str]:
        """Go on in a new epoch; (old, new). Raises SpoolFailed while the RAM ring is used: that is one already."""
        if self._failing:
            raise SpoolFailed(self._failing)
        old = self.epoch
        await self._step(lambda keeper: keeper.renew(self._home.make_epoch()))
        return old, self.epoch

    # -- for people

    async def export(self, wanted: Wanted, after: int) -> Exported:
        """The next page of what is kept, behind this order; a page is small enough for polls to go on."""
        return await self._step(lambda keeper: keeper.export(wanted, after))

    async def verify(self, after: int) -> Verified:
        """The next page of a look at every row, behind this order; changes nothing."""
        return await self._step(lambda keeper: keeper.verify(after))

    async def report(self) -> Report:
        """What is kept, by epoch, another gateway's too."""
        return await self._step(lambda keeper: report_of(keeper.file.view))

    async def wait(self) -> None:
        """Until something was appended or dated since the last `wait` returned; one waiter."""
        await self._news.wait()
        self._news.clear()

    def in_flight(self, ids: frozenset[BatchId]) -> None:
        """What north has out now: given up last."""
        self._in_flight = ids

    def branch(self, name: str) -> Branch:
        """The same for another uplink than the first, one of `others`."""
        return Branch(self, uplink_number(name), self._bell)

    def counts(self, uplink: int = SETTLED) -> tuple[int, int]:
        """(pending, settled) batches that are here, of one uplink; while the disk fails, with what was seen on it."""
        pending = len(self._away.pending(uplink)) + self._snapshot.waiting.get(uplink, 0)
        return pending, self._away.here() + self._snapshot.kept - pending

    async def step(self, act: Callable[[Keeper], T]) -> T:
        """For branches."""
        return await self._step(act)

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
        await self._step(lambda keeper: keeper.file.date(segments))
        if self._failing:
            self._dated.update({segment.number: segment for segment in segments})
        self._bell.ring()

    # -- its own life

    async def open(self) -> None:
        """Once, by `open_spool`."""
        async with self._turn:
            try:
                keeper, damaged = await self._worker.run(self._home.open_disk)
            except (SpoolFailed, SpoolFull) as error:
                self._blind = True
                await self._fall(error)
            else:
                self._keeper = keeper
                self._tell_damage(damaged=damaged)
            keeper = self._kept()
            self._given, self._segments = keeper.given, tuple(keeper.file.view.segments.values())
            self._snapshot = await self._worker.run(keeper.snapshot)

    async def run(self) -> None:
        """Flush settled seqs in time, make room, watch the free disk, retry a failing disk; for ever."""
        while True:
            pause_ms = SALVAGE_TICK_MS if self._snapshot.salvaging else TICK_MS
            await self._clock.sleep_until(BootMs(self._clock.boot_ms() + pause_ms))
            await self.tick()

    async def tick(self) -> None:
        """One round of `run`."""
        if self._failing and self._clock.boot_ms() >= self._retry_at:
            await self._restore()
        if self._snapshot.salvaging or self._clock.boot_ms() >= self._tend_at:
            await self._step(Keeper.tick)
            self._tend_at = BootMs(self._clock.boot_ms() + TEND_MS)
        if self._due():
            await self._step(lambda keeper: keeper.file.flush())

    async def close(self) -> None:
        """Write what is settled, move a ring to disk if that will have it, close, release the lock. Idempotent."""
        if self._closed:
            return
        if self._failing:
            await self._restore()
        await self._step(lambda keeper: keeper.file.flush())
        if self._failing:
            self._counters.add("spool_ring_lost", self._snapshot.waiting.get(SETTLED, 0))
        async with self._turn:
            keeper, self._closed = self._kept(), True
            await self._worker.run(keeper.close)
            await self._worker.run(self._home.close)

    @property
    def status(self) -> SpoolStatus:
        """As of the last step; while the disk fails, with what was seen on it."""
        shot, (pending, settled) = self._snapshot, self.counts()
        return SpoolStatus(
            epoch=shot.epoch,
            epochs=(*self._away.status(), *shot.epochs),
            pending=pending,
            settled=settled,
            oldest_age_ms=self._age_ms(),
            size_bytes=shot.size_bytes,
            gaps=shot.gaps,
            failing=self._failing,
            outage_left_ms=None if self._failing else shot.outlook.outage_left_ms,
            archive_ms=None if self._failing else shot.outlook.archive_ms,
        )

    # -- inside

    async def _step(self, act: Callable[[Keeper], T]) -> T:
        """Do it; mend what proves damaged, or go on in a ring, and do it there."""
        async with self._turn:
            for _ in range(2):
                try:
                    return await self._act(act)
                except Damaged as error:
                    if self._failing:
                        raise
                    await self._mend(error)
                except (SpoolFailed, SpoolFull) as error:
                    if self._failing:
                        raise
                    await self._fall(error)
            return await self._act(act)

    async def _act(self, act: Callable[[Keeper], T]) -> T:
        keeper, settled, self._settled = self._kept(), self._settled, []
        moment = self._moment(settled)

        def step() -> tuple[T, Snapshot]:
            keeper.now(moment)
            return keeper.do(act), keeper.snapshot()

        try:
            result, self._snapshot = await self._worker.run(step)
        except BaseException:
            self._settled = settled + self._settled  # telling twice is harmless
            raise
        finally:
            self._tell(keeper)
        if not self._snapshot.unsaved and not self._settled:
            self._settled_count, self._settled_since = 0, None
        return result

    def _moment(self, settled: Sequence[tuple[int, str, SeqRanges]]) -> Moment:
        now = self._clock.boot_ms()
        segment = self._segment_of(now, False)  # noqa: FBT003 - a callable has no names for its arguments
        return Moment(now, self._clock.utc_ms(), segment, self._in_flight, tuple(settled))

    def _due(self) -> bool:
        since, enough = self._settled_since, self._settled_count >= SETTLED_MAX
        return since is not None and (enough or self._clock.boot_ms() - since >= SETTLED_MS_MAX)

    async def _mend(self, error: Damaged) -> None:
        """Set the file aside and fetch its rows, behind what goes on."""
        keeper = self._kept()
        self._settled = [*keeper.file.view.told(), *self._settled]
        await self._worker.run(keeper.close)
        try:
            self._keeper, damaged = await self._worker.run(lambda: self._home.open_disk(damaged=True))
        except (SpoolFailed, SpoolFull):
            await self._fall(error)
        else:
            self._tell_damage(damaged=damaged)
            self._sighted()

    async def _fall(self, error: SpoolError) -> None:
        """The disk answers with errors: from now on the ring is the disk."""
        place = self._home.blind()
        if self._keeper is not None:
            place = self._keeper.place
            self._away, self._away_oldest = self._keeper.file.view, self._snapshot.oldest
            for uplink, epoch, seqs in self._settled:
                self._away.settle(epoch, seqs, uplink)
            self._settled = []
            await self._worker.run(self._keeper.close)
        self._keeper = await self._worker.run(lambda: self._home.open_ring(place))
        self._failing = str(error) or error.code
        self._retry_at = BootMs(self._clock.boot_ms() + RETRY_MS)
        self._emit("spool_failed", self._failing, urgent=True)

    async def _restore(self) -> None:
        """Try the disk again; if it takes all that the ring holds, the ring is over."""
        async with self._turn:
            ring, dated = self._kept(), list(self._dated.values())
            moment = self._moment([*self._away.told(), *self._settled])
            malformed, self._malformed = self._malformed, False
            try:
                disk, damaged = await self._worker.run(lambda: self._home.open_disk(damaged=malformed))
                dated += self._estimate(self._strange(disk, ring), disk.given)
                await self._worker.run(lambda: move(ring, disk, moment, dated))
            except (SpoolFailed, SpoolFull) as error:
                self._malformed = isinstance(error, Damaged)  # trying again would not help: next time it is salvaged
                self._retry_at = BootMs(self._clock.boot_ms() + RETRY_MS)
                self._counters.add("spool_retries")
                return
            self._keeper, self._failing, self._blind = disk, "", False
            self._away, self._away_oldest, self._settled, self._dated = View(), None, [], {}
            self._tell_damage(damaged=damaged)
            self._emit("spool_restored", "")
        await self._step(lambda _: None)
        self._sighted()

    def _strange(self, disk: Keeper, ring: Keeper) -> list[Segment]:
        """What the timeline will not date: earlier boots, and this one's if it was not seen; with this boot's clock."""
        there, here = disk.file.view.segments.values(), ring.file.view.segments
        earlier = [s for s in there if s.boot != self._boot]
        unseen = [s for s in there if self._blind and s.boot == self._boot and s.number not in here]
        return [*earlier, *unseen, *(s for s in here.values() if unseen and s.offset_ms is not None)]

    def _kept(self) -> Keeper:
        if self._keeper is None or self._closed:
            raise SpoolFailed("the spool is closed")
        return self._keeper

    def _sighted(self) -> None:
        self.rewound += 1
        self._bell.ring()

    def _tell(self, keeper: Keeper) -> None:
        notes = keeper.take_notes()
        for (name, reason), count in notes.counts.items():
            self._counters.add(name, count, reason=reason)
        for code, detail, urgent in notes.events:
            self._emit(code, detail, urgent=urgent)

    def _tell_damage(self, *, damaged: bool) -> None:
        if damaged:
            self._emit("spool_damaged", "", urgent=True)

    def _emit(self, code: str, detail: Detail, *, urgent: bool = False) -> None:
        self._on_event(Event(self._clock.boot_ms(), "", code, detail, urgent=urgent))

    def _age_ms(self) -> int | None:
        oldest = (self._away_oldest if self._away.pending() else None) or self._snapshot.oldest
        if oldest is None:
            return None
        boot, b0, offset_ms = oldest
        if boot == self._boot:
            return max(0, self._clock.boot_ms() - b0)
        return None if offset_ms is None else max(0, self._clock.utc_ms() - b0 - offset_ms)
