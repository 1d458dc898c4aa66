"""gateway.app.trace_requests: what a technician gets of the bytes on a bus."""

from collections.abc import AsyncIterator

import pytest

from gateway.app import trace_requests
from gateway.app.trace_requests import FOLLOWERS_MAX, TooManyFollow, UnknownBus, handlers
from gateway.control.server import CLIENTS_MAX
from gateway.south.links.trace import Trace
from gateway.testing.clock import FakeClock
from tests.support.south import a_bus, a_device, a_field


class Loop:
    """A bus with a trace."""

    def __init__(self) -> None:
        self.name, self.trace = "bus-1", Trace()


def asked(loop: Loop, **arguments: object) -> AsyncIterator[object]:
    """The answers to `trace`."""
    bus = a_bus(a_device("m", ([a_field(0)], 1000)))
    return handlers([bus], [loop], FakeClock())["trace"](dict(arguments))


async def test_what_is_held_and_whose_it_is() -> None:
    """The bus and both clocks, then all chunks; without `follow` that is all."""
    loop = Loop()
    loop.trace.note(5, b"\x01\x03", sent=True)
    loop.trace.note(7, b"\xff", sent=False)
    head, answer = [one async for one in asked(loop, bus="bus-1")]
    assert head == {
        "v": 1,
        "bus": "bus-1",
        "transport": "rtu",
        "mode": "poll",
        "line": "9600 8N1",
        "utc_ms": FakeClock().utc_ms(),
        "boot_ns": FakeClock().boot_ns(),
    }
    assert answer == {"missed": 0, "chunks": [[5, "out", "0103"], [7, "in", "ff"]]}


async def test_follow_tells_each_chunk_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty answer says that the daemon is still there; what the ring has lost meanwhile is counted."""
    monkeypatch.setattr(trace_requests, "BEAT_S", 0.01)
    loop = Loop()
    loop.trace = Trace(chunks_max=2)
    answers = asked(loop, bus="bus-1", follow=True)
    await anext(answers)
    assert await anext(answers) == {"missed": 0, "chunks": []}
    loop.trace.note(1, b"a", sent=True)
    assert await anext(answers) == {"missed": 0, "chunks": [[1, "out", "61"]]}
    assert await anext(answers) == {"missed": 0, "chunks": []}
    for at in (2, 3, 4):
        loop.trace.note(at, b"b", sent=False)
    assert await anext(answers) == {"missed": 1, "chunks": [[3, "in", "62"], [4, "in", "62"]]}


@pytest.mark.parametrize("name", ["bus-2", "", None, 7, ["bus-1"]])
async def test_a_bus_that_is_not_there(name: object) -> None:
    """Refused by its code."""
    with pytest.raises(UnknownBus):
        await anext(asked(Loop(), bus=name))


async def test_not_all_places_are_for_followers() -> None:
    """Traces that were left running leave places for `status`; who goes gives its own back."""
    bus, loop = a_bus(a_device("m", ([a_field(0)], 1000))), Loop()
    trace = handlers([bus], [loop], FakeClock())["trace"]
    assert FOLLOWERS_MAX < CLIENTS_MAX
    followers = [trace({"bus": "bus-1", "follow": True}) for _ in range(FOLLOWERS_MAX)]
    for one in followers:
        await anext(one)
    with pytest.raises(TooManyFollow):
        await anext(trace({"bus": "bus-1", "follow": True}))
    assert len([answer async for answer in trace({"bus": "bus-1"})]) == 2
    await followers[0].aclose()
    again = trace({"bus": "bus-1", "follow": True})
    await anext(again)
    for one in (*followers, again):
        await one.aclose()
