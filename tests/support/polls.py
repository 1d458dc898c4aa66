"""Groups of one device on a scripted bus: what the tests of poll and visit are made with."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from gateway.counters import Counters
from gateway.profile.profile import Field
from gateway.south.reads.memory import Memory
from gateway.south.reads.plan import LineCost
from gateway.south.reads.poll import Outcome, Poller, poll_together
from gateway.testing.clock import FakeClock
from tests.support.south import Slaves, a_device, a_field

T = TypeVar("T")

COST = LineCost(1.0, 10.0)  # 11 registers are bridged, 12 are not
FAR = [a_field(0), a_field(100), a_field(200)]  # three reads
NEAR = [a_field(n) for n in range(8)]  # one read


class Bench:
    """One group of one device."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.clock, self.counters = FakeClock(), Counters()
        self.slaves = Slaves(self.clock)
        device = a_device("m", (fields, 1000))
        self.poller = Poller("bus-1", device, device.polled[0], COST, self.clock, self.counters)

    async def poll(self, patience: int = 2) -> Outcome:
        """One poll, in as much virtual time as it needs."""
        return await self._timed(self.poller.poll(self.slaves, patience))

    @property
    def asked(self) -> list[tuple[int, int]]:
        """Address and count of each request of the last poll."""
        return [(address, count) for _, address, count in self.slaves.asked]

    def failures(self, cause: str) -> float:
        """Reads that failed so."""
        return self.counters.get("read_failures", bus="bus-1", device="m", cause=cause)

    async def _timed(self, work: Coroutine[Any, Any, T]) -> T:
        self.slaves.asked.clear()
        task = asyncio.create_task(work)
        while not task.done():
            await self.clock.advance(10)
        return await task


class Groups(Bench):
    """Two groups of one device: 1 s and 10 s."""

    def __init__(self, often: Sequence[Field], seldom: Sequence[Field]) -> None:
        super().__init__(often)
        device = a_device("m", (often, 1000), (seldom, 10_000))
        memory = Memory(device, COST)
        self.pollers = [
            Poller("bus-1", device, polled, COST, self.clock, self.counters, memory) for polled in device.polled
        ]

    async def together(self, patience: int = 2) -> list[Outcome]:
        """One poll of both."""
        return await self._timed(poll_together(self.slaves, patience, self.pollers))


def codes(outcome: Outcome) -> list[tuple[str, object]]:
    """What an outcome tells."""
    return [(event.code, event.detail) for event in outcome.events]


def times(n: int, error: Exception) -> Callable[[], Exception | None]:
    """An answer that is `error` so many times, and good from then on."""
    errors = iter([error] * n)
    return lambda: next(errors, None)
