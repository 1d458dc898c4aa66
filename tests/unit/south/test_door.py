"""gateway.south.door: what is told of an outage, and how often it is tried again."""

import asyncio
from itertools import pairwise
from random import Random

from gateway.counters import Counters
from gateway.errors import LinkDown
from gateway.model import Event
from gateway.south.door import RETRY_MS_MAX, STEADY_MS, Door
from gateway.south.stop import Stop
from gateway.testing.clock import FakeClock, turns


class Opened:
    """A link that counts its closings."""

    closed = 0

    async def close(self) -> None:
        """One more."""
        self.closed += 1


class Bench:
    """A door to something that is there or not."""

    def __init__(self, *, there: bool = True) -> None:
        self.clock, self.stop, self.events = FakeClock(), Stop(), list[Event]()
        self.link = Opened()
        self.there = there
        self.tried_at: list[int] = []
        self.door = Door("bus-1", self._open, self.clock, Counters(), Random(2), self.events.append, self.stop)

    async def open(self, ms: float = 0) -> Opened | None:
        """What opens within `ms`."""
        task = asyncio.create_task(self.door.open())  # noqa: TID251 - time has to move beside it
        await self.clock.advance(ms)
        assert task.done()
        return await task

    @property
    def told(self) -> list[tuple[str, str, object]]:
        """Subject, code and detail of all events; each is urgent."""
        assert all(event.urgent for event in self.events)
        return [(event.subject, event.code, event.detail) for event in self.events]

    async def _open(self) -> Opened:
        self.tried_at.append(self.clock.boot_ms())
        if not self.there:
            raise LinkDown("no such port")
        return self.link


async def test_a_bus_that_opens_and_works_is_no_news() -> None:
    """Also when it is lost between two good exchanges, and opens again at once."""
    bench = Bench()
    for _ in range(5):
        assert await bench.open() is bench.link
        bench.door.works()
        bench.door.lost(LinkDown("hung up"))
    assert bench.told == []
    assert not bench.door.down


async def test_a_missing_port_is_told_once_with_its_cause_and_its_return() -> None:
    """Down at the first failure to open; up with the first exchange, not with the mere opening."""
    bench = Bench(there=False)
    task = asyncio.create_task(bench.door.open())  # noqa: TID251 - time has to move beside it
    await bench.clock.advance(60_000)
    assert bench.told == [("bus-1", "bus_down", "no such port")]
    bench.there = True
    await bench.clock.advance(RETRY_MS_MAX)
    assert await task is bench.link
    assert bench.door.down
    bench.door.works()
    bench.door.works()
    assert bench.told == [("bus-1", "bus_down", "no such port"), ("bus-1", "bus_up", "")]


async def test_retries_widen_to_ten_seconds() -> None:
    """A technician who plugs the adapter in again need not wait for longer than that."""
    bench = Bench(there=False)
    task = asyncio.create_task(bench.door.open())  # noqa: TID251 - time has to move beside it
    await bench.clock.advance(120_000)
    gaps = [later - earlier for earlier, later in pairwise(bench.tried_at)]
    assert gaps[0] <= 500
    assert max(gaps) <= RETRY_MS_MAX
    assert min(gaps[-5:]) >= RETRY_MS_MAX / 2
    bench.stop.ask()
    assert await task is None


async def test_a_bus_that_opens_and_fails_again_and_again_is_down() -> None:
    """A port that opens but carries nothing is not believed, and not tried without pause."""
    bench = Bench()
    for _ in range(4):
        await bench.open(RETRY_MS_MAX)
        bench.door.lost(LinkDown("input/output error"))
    assert bench.told == [("bus-1", "bus_down", "input/output error")]


async def test_a_bus_that_stays_open_is_believed_after_a_while() -> None:
    """`steady_at` tells when; there is nothing to wait for while it is up or closed."""
    bench = Bench(there=False)
    assert bench.door.steady_at() is None
    bench.door.lost(LinkDown("x"))
    bench.door.lost(LinkDown("x"))
    assert bench.door.steady_at() is None
    bench.there = True
    await bench.open(2000)
    assert bench.door.steady_at() == bench.tried_at[-1] + STEADY_MS
    bench.door.works()
    assert bench.door.steady_at() is None


async def test_an_event_never_carries_a_novel() -> None:
    """The operating system's words are cut; a loss without words is told by its code."""
    bench = Bench()
    for _ in range(3):
        bench.door.lost(LinkDown("x" * 10_000))
    assert len(str(bench.events[0].detail)) == 200
    bench.door.works()
    for _ in range(3):
        bench.door.lost(LinkDown())
    assert bench.events[-1].detail == "link_down"


async def test_a_stop_ends_an_opening_that_hangs() -> None:
    """An endpoint that never answers cannot hold the shutdown."""
    stop, clock = Stop(), FakeClock()

    async def never() -> Opened:
        await asyncio.Event().wait()
        return Opened()

    door = Door("bus-1", never, clock, Counters(), Random(1), lambda _event: None, stop)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(door.open())
        await turns()
        stop.ask()
    assert task.result() is None


async def test_what_was_opened_is_closed_after_each_loss_and_at_the_stop() -> None:
    """Lost, opened again, stopped: closed twice, and the loss told of only when it lasts."""
    bench, served = Bench(), list[Opened]()

    async def work(link: Opened) -> None:
        served.append(link)
        bench.door.works()
        if len(served) == 1:
            raise LinkDown("hung up")
        bench.stop.ask()

    await bench.door.serve(work)
    assert (len(served), bench.link.closed, bench.told) == (2, 2, [])
