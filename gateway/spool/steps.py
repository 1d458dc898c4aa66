"""One step after another on the keeper that works: the disk's, or a ring's while the disk fails.

    step -> disk --- Damaged ---------------> mended: set aside, its rows are fetched behind what goes on; tried again
              '----- SpoolFailed, SpoolFull -> a ring in memory, with an epoch of its own; tried again there
    every 10 s while there is a ring -------> the disk takes all that it holds, and goes on

All goes through one lock and one worker, in order. The loop's side keeps no view of its own but the last snapshot and,
while the disk fails, what that was last seen to hold (`outage`).
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from gateway.counters import Counters
from gateway.errors import SpoolError, SpoolFailed, SpoolFull
from gateway.model import BatchId, BootMs, Detail, Event, Given, Segment
from gateway.seams import Clock, Worker
from gateway.spool.branch import News
from gateway.spool.database import Damaged
from gateway.spool.home import Home
from gateway.spool.keeper import Keeper
from gateway.spool.moment import Moment
from gateway.spool.outage import Outage
from gateway.spool.snapshot import NO_SNAPSHOT, Oldest, Snapshot
from gateway.spool.untold import Told, Untold
from gateway.spool.view import SETTLED, View

T = TypeVar("T")

RETRY_MS = 10_000
NOTHING = View()

SegmentOf: TypeAlias = Callable[[BootMs, bool], Segment]
OnEvent: TypeAlias = Callable[[Event], None]
Estimate: TypeAlias = Callable[[Sequence[Segment], Given], Sequence[Segment]]  # the timeline's, for boots that are over


class Steps:
    """Of one spool, run in the event loop. `open` first."""

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
        self.home, self.boot, self.clock, self.counters, self.segment_of = home, boot, clock, counters, segment_of
        self._worker, self._on_event, self._estimate = worker, on_event, estimate
        self._turn = asyncio.Lock()
        self._keeper: Keeper | None = None
        self._outage: Outage | None = None
        self._untold = Untold()
        self._closed = False
        self.bell = News()
        self.snapshot: Snapshot = NO_SNAPSHOT
        self.in_flight: frozenset[BatchId] = frozenset()
        self.rewound = 0

    async def open(self) -> tuple[Given, tuple[Segment, ...]]:
        """What the clock goes on from; raises SpoolInUse. A disk that fails at once is a ring."""
        async with self._turn:
            try:
                keeper, damaged = await self._worker.run(self.home.open_disk)
            except (SpoolFailed, SpoolFull) as error:
                await self._fall(error)
            else:
                self._keeper = keeper
                self._tell_damage(damaged=damaged)
            keeper = self.keeper
            self.snapshot = await self._worker.run(keeper.snapshot)
            return keeper.given, tuple(keeper.file.view.segments.values())

    async def step(self, act: Callable[[Keeper], T]) -> T:
        """Do it; mend what proves damaged, or go on in a ring, and do it there."""
        async with self._turn:
            for _ in range(2):
                try:
                    return await self.act(act)
                except Damaged as error:
                    if self.failing:
                        raise
                    await self._mend(error)
                except (SpoolFailed, SpoolFull) as error:
                    if self.failing:
                        raise
                    await self._fall(error)
            return await self.act(act)

    async def act(self, act: Callable[[Keeper], T]) -> T:
        """Do it once, with what is settled; within a turn."""
        keeper, settled = self.keeper, self._untold.take()
        moment = self._moment(settled)

        def step() -> tuple[T, Snapshot]:
            keeper.now(moment)
            return keeper.do(act), keeper.snapshot()

        try:
            result, self.snapshot = await self._worker.run(step)
        except BaseException:
            self._untold.give_back(settled)
            raise
        finally:
            self._tell(keeper)
        if not self.snapshot.unsaved:
            self._untold.saved()
        return result

    async def restore(self) -> None:
        """If there is a ring, try the disk; if it takes all that the ring holds, the ring is over."""
        if self._outage is None or not await self._restored(self._outage):
            return
        await self.step(lambda _: None)
        self.sighted()

    async def close(self) -> None:
        """Move a ring to disk if that will have it, write what is settled, let go. Idempotent."""
        if self._closed:
            return
        await self.restore()
        await self.step(lambda keeper: keeper.file.flush())
        if self.failing:
            self.counters.add("spool_ring_lost", self.snapshot.waiting.get(SETTLED, 0))
        async with self._turn:
            keeper, self._closed = self.keeper, True
            await self._worker.run(keeper.close)
            await self._worker.run(self.home.close)

    # -- what is known without a step

    @property
    def keeper(self) -> Keeper:
        """The disk's, or the ring's; raises SpoolFailed once it is closed."""
        if self._keeper is None or self._closed:
            raise SpoolFailed("the spool is closed")
        return self._keeper

    @property
    def failing(self) -> str:
        """Why there is a ring; "" without one."""
        return self._outage.why if self._outage is not None else ""

    @property
    def away(self) -> View:
        """What a disk that fails was seen to hold; nothing while it works."""
        return self._outage.away if self._outage is not None else NOTHING

    @property
    def oldest(self) -> Oldest:
        """The oldest pending batch, wherever it is."""
        away = self._outage.oldest if self._outage is not None and self.away.pending() else None
        return away or self.snapshot.oldest

    @property
    def retry_due(self) -> bool:
        """Whether there is a ring, and it is time to try the disk."""
        return self._outage is not None and self.clock.boot_ms() >= self._outage.retry_at

    @property
    def flush_due(self) -> bool:
        """Whether what is settled has waited long enough."""
        return self._untold.due(self.clock.boot_ms())

    def settle(self, told: Told) -> None:
        """Remembered, for the disk; while that fails, of the disk that comes back."""
        uplink, epoch, seqs = told
        if self._outage is not None and epoch != self.snapshot.epoch:
            self._outage.away.settle(epoch, seqs, uplink)
        else:
            self._untold.add(told, self.clock.boot_ms())

    def dated(self, segments: Sequence[Segment]) -> None:
        """Were written; a disk that fails must be told too."""
        if self._outage is not None:
            self._outage.date(segments)

    def sighted(self) -> None:
        """Batches below orders once passed came into sight."""
        self.rewound += 1
        self.bell.ring()

    # -- inside

    async def _mend(self, error: Damaged) -> None:
        """Set the file aside and fetch its rows, behind what goes on."""
        keeper = self.keeper
        self._untold.give_back(keeper.file.view.told())
        await self._worker.run(keeper.close)
        try:
            self._keeper, damaged = await self._worker.run(lambda: self.home.open_disk(damaged=True))
        except (SpoolFailed, SpoolFull):
            await self._fall(error)
        else:
            self._tell_damage(damaged=damaged)
            self.sighted()

    async def _fall(self, error: SpoolError) -> None:
        """The disk answers with errors: from now on the ring is the disk."""
        disk, retry_at = self._keeper, BootMs(self.clock.boot_ms() + RETRY_MS)
        outage = Outage(str(error) or error.code, retry_at, blind=disk is None)
        place = self.home.blind()
        if disk is not None:
            place, outage.away, outage.oldest = disk.place, disk.file.view, self.snapshot.oldest
            for uplink, epoch, seqs in self._untold.take():
                outage.away.settle(epoch, seqs, uplink)
            await self._worker.run(disk.close)
        self._keeper = await self._worker.run(lambda: self.home.open_ring(place))
        self._outage = outage
        self._emit("spool_failed", outage.why, urgent=True)

    async def _restored(self, outage: Outage) -> bool:
        async with self._turn:
            ring, dated, settled = self.keeper, list(outage.dated.values()), self._untold.take()
            moment = self._moment([*outage.away.told(), *settled])
            malformed, outage.malformed = outage.malformed, False
            try:
                disk, damaged = await self._worker.run(lambda: self.home.open_disk(damaged=malformed))
                there = disk.file.view.segments.values()
                dated += self._estimate(outage.strange(there, ring.file.view.segments, self.boot), disk.given)
                await self._worker.run(lambda: self.home.move(ring, disk, moment, dated))
            except (SpoolFailed, SpoolFull) as error:
                outage.malformed = isinstance(error, Damaged)  # trying again would not help: next time it is salvaged
                outage.retry_at = BootMs(self.clock.boot_ms() + RETRY_MS)
                self._untold.give_back(settled)
                self.counters.add("spool_retries")
                return False
            except BaseException:
                self._untold.give_back(settled)
                raise
            self._keeper, self._outage = disk, None
            self._tell_damage(damaged=damaged)
            self._emit("spool_restored", "")
            return True

    def _moment(self, settled: Sequence[Told]) -> Moment:
        now = self.clock.boot_ms()
        segment = self.segment_of(now, False)  # noqa: FBT003 - a callable has no names for its arguments
        return Moment(now, self.clock.utc_ms(), segment, self.in_flight, tuple(settled))

    def _tell(self, keeper: Keeper) -> None:
        notes = keeper.take_notes()
        for (name, reason), count in notes.counts.items():
            self.counters.add(name, count, reason=reason)
        for code, detail, urgent in notes.events:
            self._emit(code, detail, urgent=urgent)

    def _tell_damage(self, *, damaged: bool) -> None:
        if damaged:
            self._emit("spool_damaged", "", urgent=True)

    def _emit(self, code: str, detail: Detail, *, urgent: bool = False) -> None:
        self._on_event(Event(self.clock.boot_ms(), "", code, detail, urgent=urgent))
