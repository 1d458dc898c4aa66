"""A life of a spool in little: everything that writes, each promise noted when it is given."""

from collections.abc import Callable
from pathlib import Path
from random import Random

from gateway.model import Batch, SeqRanges
from gateway.spool.steps import RETRY_MS
from gateway.testing.clock import FakeClock
from tests.crash.recorder import Fact
from tests.crash.truth import gaps_in, numbered
from tests.support.spools import MB, Box

SMALL, BIG = 100, 30_000
SLOW_MS = 700  # between two appends


class Life:
    """One box over several boots; `note` is told each fact at once, `fail` breaks and mends its disk."""

    def __init__(
        self, folder: Path, note: Callable[[Fact], None], fail: Callable[[bool], None], *, seed: int = 0
    ) -> None:
        self.box = Box(folder, quota_bytes=MB)
        self._note, self._fail, self._random = note, fail, Random(seed)
        self._serial = 0
        self._held: list[Fact] = []  # in the ring only

    async def run(self) -> None:
        """All of it; the spool is closed at the end."""
        await self.box.start()
        await self.calm()
        await self.full()
        await self.box.restart()
        await self.undated()
        await self.broken_disk()
        await self.other_machine()
        await self.box.spool.close()

    async def calm(self) -> None:
        """Appends, receipts late and out of order, a batch parked and brought back."""
        for at in range(16):
            await self.append(SMALL, urgent=at % 5 == 4)
            if at == 6:
                await self.park(await self._some(3))
            if at % 4 == 3:
                await self.settle(await self._some(5))
        await self.unpark()
        await self.wait(6_000)

    async def full(self) -> None:
        """Past the quota: the archive goes, then the oldest as gaps; gap batches are settled, or given up as well."""
        for at in range(130):
            await self.append(BIG)
            if at == 10:
                await self.settle(await self._some(8))
            if at == 30:
                self.box.spool.in_flight(frozenset(batch.id for batch in await self._some(2)))
                await self.settle([batch for batch in await self._offered() if batch.n == 0])
            if at == 40:
                await self.park(await self._some(2))
        self.box.spool.in_flight(frozenset())

    async def undated(self) -> None:
        """A boot without a clock, and the clock comes; then one where it never comes."""
        for synchronised in (True, False):
            await self.reboot(synchronised=False)
            for _ in range(4):
                await self.append(SMALL)
            if synchronised:
                self.box.clock.set_synchronised(True)
                await self.box.observe()
            await self.append(SMALL, urgent=True)
        await self.reboot(synchronised=True)
        await self.append(SMALL)

    async def broken_disk(self) -> None:
        """The ring, and its way back to disk in one transaction."""
        self._fail(True)
        for _ in range(3):
            await self.append(SMALL, in_ring=True)
        self._fail(False)
        await self.wait(RETRY_MS)
        for fact in self._held:
            self._note(fact)
        self._held.clear()
        await self.append(SMALL)

    async def other_machine(self) -> None:
        """The card goes into another box: a new epoch, which fills up too."""
        self.box.machine = "m2"
        await self.reboot(synchronised=True)
        for at in range(30):
            await self.append(BIG)
            if at == 5:
                await self.settle(await self._some(4))

    # -- one thing each

    async def append(self, size: int, *, urgent: bool = False, in_ring: bool = False) -> None:
        """What it returned is a fact; what only the ring has is one when the disk has it."""
        await self.box.clock.advance(SLOW_MS)
        self._serial += 1
        clock = self.box.clock
        draft = numbered(clock.boot_ms(), self._serial, size, self.box.boot, urgent=urgent)
        self._note(Fact("trying", detail=draft.body))
        seq = await self.box.spool.append(draft)
        fact = Fact(
            "appended", self.box.spool.epoch, seq, (draft.body, clock.utc_ms() if clock.synchronised() else None)
        )
        if in_ring:
            self._held.append(fact)
        else:
            self._note(fact)

    async def settle(self, batches: list[Batch]) -> None:
        """Receipts, in any order."""
        self._random.shuffle(batches)
        for batch in batches:
            self.box.spool.settle(batch.id.epoch, SeqRanges.of_seqs([batch.id.seq]))
            self._note(Fact("settled", batch.id.epoch, batch.id.seq, gaps_in(batch)))

    async def park(self, batches: list[Batch]) -> None:
        """Two of these."""
        for batch in batches[-2:]:
            self._note(Fact("parking", batch.id.epoch, batch.id.seq))
            await self.box.spool.park(batch.id, "refused:crc")
            self._note(Fact("parked", batch.id.epoch, batch.id.seq))

    async def unpark(self) -> None:
        """All that are parked."""
        parked = [(epoch.epoch, seq) for epoch in self.box.spool.status.epochs for seq in epoch.parked.seqs()]
        for key in parked:
            self._note(Fact("unparking", *key))
        await self.box.spool.unpark_all("refused:crc")
        for key in parked:
            self._note(Fact("unparked", *key))

    async def reboot(self, *, synchronised: bool) -> None:
        """In order."""
        await self.box.spool.close()
        self.box.boot += "'"
        self.box.clock = FakeClock(20_000, self.box.clock.utc_ms() + 60_000, synchronised=synchronised)
        await self.box.start()

    async def wait(self, ms: int) -> None:
        """The clock is looked at, the spool does its round."""
        await self.box.clock.advance(ms)
        await self.box.observe()
        await self.box.spool.tick()

    async def _offered(self) -> list[Batch]:
        return list(await self.box.spool.read(0, None, 10_000))

    async def _some(self, count: int) -> list[Batch]:
        return (await self._offered())[:count]
