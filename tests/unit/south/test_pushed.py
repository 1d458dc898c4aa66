"""gateway.south.pushed: what programs hand in becomes rows, or nothing does; who stops is down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.counters import Counters
from gateway.model import Event, Group, Quality, Row, Value
from gateway.profile.profile import Field, Line, LocalSource
from gateway.site import Bus, Device, Polled
from gateway.south.pushed import NotHandedIn, PushLoop
from gateway.testing.clock import FakeClock, turns
from tests.support.south import a_profile

LEVEL = Field("level", "level", "m", "f", 2, low=0.0, high=10.0)
RAINS = Field("rains", "rains", "1", "b", 0)
SOURCE = Field("source", "source", "1", "s", 0)


class Bench:
    """A bus of one device with two groups, in virtual time."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.rows: list[Row] = []
        self.events: list[Event] = []
        fast = Polled(Group("tide", "tide", "acme/tide@1", ("level", "rains"), "fb"), (LEVEL, RAINS), 1_000)
        slow = Polled(Group("tide", "tide", "acme/tide@1", ("source",), "s"), (SOURCE,), 10_000)
        device = Device("tide", a_profile([LEVEL, RAINS, SOURCE], LocalSource()), 0, (fast, slow))
        bus = Bus("programs", "push", "own", "", Line(), (device,), mode="push")
        self.loop = PushLoop(bus, self.clock, Counters(), self.rows.append, self.events.append)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The loop watches."""
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self.loop.run(), name="bus")
            yield
            self.loop.stop()
            await running


def test_a_group_with_a_value_makes_a_row() -> None:
    """A number is a float; what was not handed in is null, no_value; a group without any value makes none."""
    bench = Bench()
    bench.loop.put("tide", {"level": 3}, age_ms=20)
    (row,) = bench.rows
    assert row.values == (3.0, None)
    assert row.quality == ((1, Quality.NO_VALUE),)
    assert row.at == bench.clock.boot_ms() - 20


def test_all_groups_that_are_handed_in_have_one_time() -> None:
    """A push of fields of two groups is two rows."""
    bench = Bench()
    bench.loop.put("tide", {"level": 3.5, "rains": True, "source": "model 4"})
    assert [row.values for row in bench.rows] == [(3.5, True), ("model 4",)]
    assert len({row.at for row in bench.rows}) == 1


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"depth": 1.0}, "no field depth"),
        ({"level": True}, "a number"),
        ({"level": "3"}, "a number"),
        ({"rains": 1}, "true or false"),
        ({"source": 4.0}, "a text"),
        ({"level": 10.1}, "not in 0 .. 10"),
        ({"source": "model 4", "level": -0.1}, "not in 0 .. 10"),
        ({"level": None}, "no value"),
        ({}, "no value"),
    ],
)
def test_what_is_wrong_is_refused_as_a_whole(values: dict[str, Value | None], why: str) -> None:
    """Nothing of it is taken, also what would have been right."""
    bench = Bench()
    with pytest.raises(NotHandedIn, match=why):
        bench.loop.put("tide", values)
    assert bench.rows == []


def test_time_rises() -> None:
    """A reading that is not later than the one before, of any of its groups, is refused; the next one is not."""
    bench = Bench()
    bench.loop.put("tide", {"level": 1.0})
    with pytest.raises(NotHandedIn, match="not_rising"):
        bench.loop.put("tide", {"level": 1.1, "source": "late"}, age_ms=5)
    assert len(bench.rows) == 1


async def test_who_stops_handing_in_is_down() -> None:
    """After three of its longest periods, told once; the next reading brings it back."""
    bench = Bench()
    async with bench.running():
        await bench.clock.advance(29_000)
        assert bench.events == []
        await bench.clock.advance(3_000)
        assert list(bench.loop.status.devices_down) == ["tide"]
        bench.loop.put("tide", {"level": 1.0})
        await turns()
    assert [(event.subject, event.code) for event in bench.events] == [("tide", "device_down"), ("tide", "device_up")]
    assert not bench.loop.status.devices_down
