"""Virtual time: nothing moves until a test says so, and then every sleeper wakes in the order of its time."""

import asyncio
from heapq import heappop, heappush
from itertools import count

from gateway.model import BootMs, UtcMs

NS_PER_MS = 1_000_000
NOON_MS = UtcMs(1_795_521_600_000)  # 2026-11-24T12:00:00Z
ROUNDS = 20  # turns of the loop that what was woken gets, before time moves on


class FakeClock:
    """`seams.Clock` by hand: `advance` moves time, `step` and `set_synchronised` change what the wall clock says."""

    def __init__(self, boot_ms: int = 60_000, utc_ms: int = NOON_MS, *, synchronised: bool = True) -> None:
        self._now_ns = boot_ms * NS_PER_MS
        self._offset_ms = utc_ms - boot_ms
        self._synchronised = synchronised
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._serial = count()

    def boot_ms(self) -> BootMs:
        """Virtual milliseconds since boot."""
        return BootMs(self._now_ns // NS_PER_MS)

    def boot_ns(self) -> int:
        """Virtual nanoseconds since boot."""
        return self._now_ns

    def utc_ms(self) -> UtcMs:
        """Boot time plus whatever the steps have made of the offset."""
        return UtcMs(self.boot_ms() + self._offset_ms)

    def synchronised(self) -> bool:
        """What the test last said."""
        return self._synchronised

    async def sleep_until(self, at: BootMs) -> None:
        """Until `advance` reaches `at`; always gives others a turn."""
        await self._sleep(at * NS_PER_MS)

    async def wire_wait(self, until_ns: int) -> None:
        """Until `advance` reaches `until_ns`; returns at once when that is past."""
        if until_ns > self._now_ns:
            await self._sleep(until_ns)

    async def advance(self, ms: float) -> None:
        """Let `ms` pass; each sleeper sees its own time when it wakes, and may sleep again inside this stretch."""
        target_ns = self._now_ns + round(ms * NS_PER_MS)
        await turns()
        while self._sleepers and self._sleepers[0][0] <= target_ns:
            at_ns, _, future = heappop(self._sleepers)
            if future.done():
                continue
            self._now_ns = max(self._now_ns, at_ns)
            future.set_result(None)
            await turns()
        self._now_ns = target_ns
        await turns()

    def step(self, ms: int) -> None:
        """The wall clock is set forward (or back) by `ms`."""
        self._offset_ms += ms

    def set_synchronised(self, synchronised: bool) -> None:  # noqa: FBT001 - one flag, named by the method
        """What `synchronised` answers from now on."""
        self._synchronised = synchronised

    @property
    def sleepers(self) -> int:
        """How many tasks wait for this clock now."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def _sleep(self, at_ns: int) -> None:
        if at_ns <= self._now_ns:
            await turns(1)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heappush(self._sleepers, (at_ns, next(self._serial), future))
        await future


async def turns(rounds: int = ROUNDS) -> None:
    """Let every task that can run do so, `rounds` times."""
    for _ in range(rounds):
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, not a wait: no time passes
