"""gateway.app.push: who hands in is told when it is on disk, and not before."""

import asyncio
from collections.abc import Mapping

import pytest

from gateway.app import push
from gateway.counters import Counters
from gateway.errors import Malformed
from gateway.model import BootMs, Group, Row
from gateway.profile.profile import Field, Line, LocalSource
from gateway.site import Bus, Device, Polled
from gateway.south.pushed import PushLoop
from gateway.testing.clock import FakeClock, turns
from tests.support.south import a_profile

LEVEL = Field("level", "level", "m", "f", 2)


class Bench:
    """Handlers of one pushed device, and the collector's side by hand."""

    def __init__(self) -> None:
        self.clock, self.rows, self.lost = FakeClock(), list[Row](), 0
        polled = Polled(Group("tide", "tide", "acme/tide@1", ("level",), "f"), (LEVEL,), 1_000)
        bus = Bus(
            "programs", "push", "own", "", Line(), (Device("tide", a_profile([LEVEL], LocalSource()), 0, (polled,)),)
        )
        self.loop = PushLoop(bus, self.clock, Counters(), self.rows.append, lambda _: None)
        self.waiting = push.Waiting(self.clock, lambda: self.lost)
        self.handler = push.handlers([self.loop], self.waiting)["push"]

    async def hand_in(self, **arguments: object) -> Mapping[str, object]:
        """The answer."""
        answers = [answer async for answer in self.handler(arguments)]
        assert len(answers) == 1
        assert isinstance(answers[0], dict)
        return answers[0]


async def test_the_answer_comes_with_the_disk() -> None:
    """Not when the row is taken; when the collector says that it is written."""
    bench = Bench()
    asked = asyncio.get_running_loop().create_task(bench.hand_in(device="tide", values={"level": 1.5}))
    await turns()
    assert [row.values for row in bench.rows] == [(1.5,)]
    assert not asked.done()
    assert bench.waiting.due(bench.clock.boot_ms())
    push.tell(bench.waiting.begin(), stored=True)
    assert await asked == {"code": "stored"}


async def test_a_disk_that_fails_is_told() -> None:
    """Taken, and in memory only: the program must know."""
    bench = Bench()
    asked = asyncio.get_running_loop().create_task(bench.hand_in(device="tide", values={"level": 1.5}))
    await turns()
    push.tell(bench.waiting.begin(), stored=False)
    assert (await asked)["code"] == "spool_failed"


async def test_what_may_have_been_dropped_is_not_acknowledged() -> None:
    """The inbox gave something up meanwhile: it may have been this row."""
    bench = Bench()
    asked = asyncio.get_running_loop().create_task(bench.hand_in(device="tide", values={"level": 1.5}))
    await turns()
    bench.lost += 1
    push.tell(bench.waiting.begin(), stored=True)
    assert (await asked)["code"] == "spool_failed"


async def test_a_stream_of_them_shares_commits() -> None:
    """The first is written at once, the next ones a second after it, together."""
    bench = Bench()
    loop = asyncio.get_running_loop()
    first = loop.create_task(bench.hand_in(device="tide", values={"level": 1.0}))
    await turns()
    push.tell(bench.waiting.begin(), stored=True)
    await first
    await bench.clock.advance(100)
    second = loop.create_task(bench.hand_in(device="tide", values={"level": 2.0}))
    await turns()
    assert bench.waiting.due_at() == BootMs(bench.clock.boot_ms() + 900)
    await bench.clock.advance(900)
    third = loop.create_task(bench.hand_in(device="tide", values={"level": 3.0}))
    await turns()
    assert bench.waiting.due(bench.clock.boot_ms())
    push.tell(bench.waiting.begin(), stored=True)
    assert [(await one)["code"] for one in (second, third)] == ["stored", "stored"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"device": "tide", "values": {"depth": 1.0}}, "no field depth"),
        ({"device": "river", "values": {"level": 1.0}}, "these are: tide"),
    ],
)
async def test_what_is_not_of_the_site_is_refused(arguments: dict[str, object], why: str) -> None:
    """With the reason, and nobody waits."""
    bench = Bench()
    answer = await bench.hand_in(**arguments)
    assert answer["code"] == "not_handed_in"
    assert why in str(answer["detail"])
    assert bench.waiting.due_at() is None


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"device": "tide"},
        {"device": 1, "values": {}},
        {"device": "tide", "values": [1]},
        {"device": "tide", "values": {"level": [1]}},
        {"device": "tide", "values": {"level": "x" * 257}},
        {"device": "tide", "values": {"level": 1.0}, "age_ms": -1},
        {"device": "tide", "values": {"level": 1.0}, "age_ms": True},
        {"device": "tide", "values": {"level": 1.0}, "age_ms": 10**9},
    ],
)
async def test_what_is_no_push_is_malformed(arguments: dict[str, object]) -> None:
    """Any program may write to the socket."""
    bench = Bench()
    with pytest.raises(Malformed):
        await bench.hand_in(**arguments)
    assert bench.rows == []
