"""SimClock: `seams.Clock` of one boot of one machine in a `SimLoop`. Its wall clock may say what it likes.

    clock = SimClock(loop, utc_ms=NOON_MS)              # power comes on now
    clock.step(3_600_000); clock.set_synchronised(False)
    lazy = clock.every(60_000)                          # the same clock for stages that look around all the time

A stage that wakes up each second costs a month of it 2.6 million wake-ups. `every` gives it a clock on which a coarse
sleep ends at the next full minute, as on a machine that is always late: nothing may depend on being in time.
"""

import asyncio

from gateway.model import BootMs, UtcMs
from gateway.testing.simloop import NS_PER_S, SimLoop

NS_PER_MS = 1_000_000
POWER_ON_MS = 20_000  # what a boot takes before we are started


class SimClock:
    """Boot time counts with the loop's; the wall clock is boot time plus an offset that `step` moves."""

    def __init__(self, loop: SimLoop, utc_ms: int, *, synchronised: bool = True, boot_ms: int = POWER_ON_MS) -> None:
        self._loop = loop
        self._started_ns = loop.time_ns() - boot_ms * NS_PER_MS
        self._wall = _Wall(utc_ms - boot_ms, synchronised=synchronised)
        self._grain_ms = 1

    def every(self, grain_ms: int) -> "SimClock":
        """The same clock, on which `sleep_until` ends at the next multiple of `grain_ms` of boot time."""
        lazy = SimClock(self._loop, 0)
        lazy._started_ns, lazy._wall, lazy._grain_ms = self._started_ns, self._wall, grain_ms
        return lazy

    def boot_ms(self) -> BootMs:
        """Virtual milliseconds since power came on."""
        return BootMs(self.boot_ns() // NS_PER_MS)

    def boot_ns(self) -> int:
        """Virtual nanoseconds since then."""
        return self._loop.time_ns() - self._started_ns

    def utc_ms(self) -> UtcMs:
        """Boot time plus whatever the steps have made of the offset."""
        return UtcMs(self.boot_ms() + self._wall.offset_ms)

    def synchronised(self) -> bool:
        """What was last said."""
        return self._wall.synchronised

    def step(self, ms: int) -> None:
        """The wall clock is set forward, or back."""
        self._wall.offset_ms += ms

    def set_synchronised(self, synchronised: bool) -> None:  # noqa: FBT001 - one flag, named by the method
        """What `synchronised` answers from now on."""
        self._wall.synchronised = synchronised

    async def sleep_until(self, at: BootMs) -> None:
        """To the grain; always gives others a turn."""
        grain = self._grain_ms
        await self._sleep(-(-at // grain) * grain * NS_PER_MS)

    async def wire_wait(self, until_ns: int) -> None:
        """Exact; returns at once when that is past."""
        if until_ns > self.boot_ns():
            await self._sleep(until_ns)

    async def _sleep(self, at_ns: int) -> None:
        if at_ns <= self.boot_ns():
            await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop, not a wait
            return
        woken: asyncio.Future[None] = self._loop.create_future()
        timer = self._loop.call_at((self._started_ns + at_ns) / NS_PER_S, _wake, woken)
        try:
            await woken
        finally:
            timer.cancel()


class _Wall:
    def __init__(self, offset_ms: int, *, synchronised: bool) -> None:
        self.offset_ms, self.synchronised = offset_ms, synchronised


def _wake(woken: "asyncio.Future[None]") -> None:
    if not woken.done():
        woken.set_result(None)
