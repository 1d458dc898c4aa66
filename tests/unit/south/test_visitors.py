"""gateway.south.visitors: visits between the polls of a line, and what is never taken for an answer to them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gateway.errors import BusBusy, LinkDown
from gateway.model import Quality, Row
from gateway.profile.profile import SerialSource
from gateway.protocols.declared import SetupStep
from gateway.site import Device
from gateway.south.visitors import WAIT_MS, WAITING_MAX
from gateway.south.visits import call
from gateway.testing.clock import turns
from tests.support.asks import played
from tests.unit.south.test_talks import HUMIDITY, TEMPERATURE, Bench, a_talker

SECOND = 1000
BOTH = (TEMPERATURE, HUMIDITY)


@asynccontextmanager
async def somebody(bench: Bench, device: Device, ms: float) -> AsyncIterator[Callable[[], "asyncio.Task[Row]"]]:
    """`Bench.running`, and who asks for both fields of the device."""
    async with asyncio.TaskGroup() as tasks, bench.running(ms):
        yield lambda: tasks.create_task(call(bench.loop.visits, device, BOTH, bench.clock), name="somebody")


async def test_a_visit_goes_between_the_polls_and_costs_none() -> None:
    """All fields in one talk, at the time of its answer; it is not counted as a read of the bus."""
    air = a_talker("air-1", "0", SECOND)
    bench = Bench(air)
    bench.line.values["0"] = "T=-1.5,U=87"
    async with somebody(bench, air, 1500) as asks:
        asked = asks()
        await bench.clock.advance(100)
        row = asked.result()
        assert (row.group.fields, row.values) == (("temperature", "humidity"), (-1.5, 87.0))
        assert row.at - bench.start == 1530
        await bench.clock.advance(1900)
    assert [at for at, _ in bench.of("air-1")] == [30, 1030, 2030, 3030]
    assert bench.line.asked == ["0"] * 5
    assert bench.counters.get("reads", bus="bus-1", device="air-1") == 4
    assert bench.counters.get("turns", bus="bus-1") == 1
    assert bench.missed("air-1", "busy") == 0


async def test_a_silent_device_is_told_to_whoever_asks() -> None:
    """Each field without a value; its neighbour is read on, and its own health is the loop's to judge."""
    air, dead = a_talker("air-1", "0", SECOND), a_talker("dead", "9", 600 * SECOND)
    bench = Bench(air, dead)
    bench.line.values["0"] = "T=1,U=2"
    async with somebody(bench, dead, 30 * SECOND) as asks:
        asked = asks()
        await bench.clock.advance(2 * WAIT_MS)
        row = asked.result()
        assert (row.values, {why for _, why in row.quality}) == ((None, None), {Quality.NO_REPLY})
    assert len(bench.of("air-1")) >= 39


async def test_an_answer_to_an_older_question_is_not_the_answer() -> None:
    """A device that owes one is waited for: what it says late is the old value, and is thrown away."""
    air = a_talker("air-1", "0", 60 * SECOND)
    bench = Bench(air)
    bench.line.values["0"] = "T=1,U=1"
    bench.line.after = lambda _: (350,)  # beyond its timeout of 200
    async with somebody(bench, air, 250) as asks:
        bench.line.values["0"] = "T=2,U=2"
        bench.line.after = lambda _: (30,)
        asked = asks()
        await bench.clock.advance(60)
        assert bench.line.asked == ["0"]  # not asked while it owes
        await bench.clock.advance(WAIT_MS)
        assert asked.result().values == (2.0, 2.0)


async def test_a_device_is_set_up_by_the_poll_or_by_the_visit_and_not_twice() -> None:
    """What was understood is known to both."""
    air = a_talker("air-1", "0", SECOND)
    source = air.profile.source
    assert isinstance(source, SerialSource)
    source = replace(source, setup=(SetupStep("53 0D"),))
    air = replace(air, profile=replace(air.profile, source=source))
    bench = Bench(air)
    bench.line.values["0"] = "T=1,U=1"
    async with somebody(bench, air, 500) as asks:
        asked = asks()
        await bench.clock.advance(300)
        assert asked.result().values == (1.0, 1.0)
    assert [one for one in bench.line.asked if one != "0"] == ["S\r"]


async def test_while_the_bus_is_away_everybody_is_told_why() -> None:
    """Who waits, and who comes."""
    air = a_talker("air-1", "0", SECOND)
    bench = Bench(air)
    bench.missing = True
    async with bench.running(5000):
        for _ in range(2):
            with pytest.raises(LinkDown, match="no such port"):
                await played(bench.clock, call(bench.loop.visits, air, BOTH, bench.clock))
    with pytest.raises(LinkDown, match="not read any more"):
        await call(bench.loop.visits, air, BOTH, bench.clock)


async def test_more_than_can_wait_are_told_that_it_is_busy() -> None:
    """A bound; who goes away leaves the queue, and who stays is served or told within a bounded time."""
    air = a_talker("air-1", "0", SECOND)
    bench = Bench(air)
    bench.line.values["0"] = "T=1,U=1"
    async with somebody(bench, air, 100) as asks:
        waiting = [asks() for _ in range(WAITING_MAX)]
        await turns()
        with pytest.raises(BusBusy):
            await call(bench.loop.visits, air, BOTH, bench.clock)
        waiting.pop().cancel()
        await turns()
        waiting.append(asks())
        await bench.clock.advance(20 * SECOND)
        assert [one.result().values for one in waiting] == [(1.0, 1.0)] * WAITING_MAX
