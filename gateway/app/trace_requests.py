"""The request `trace` of the control socket: what went over one bus, and what goes over it from now on.

    {"bus": "rs485-1", "follow": true}
    -> {"v":1,"bus":…,"transport":…,"mode":…,"line":"9600 8N1","utc_ms":…,"boot_ns":…}     the two clocks now
    -> {"missed":0,"chunks":[[boot ns, "out"|"in", "hex"], …]}                               again and again with follow

What the bytes mean is found out by whoever asked: the daemon only hands over what it holds. FOLLOWERS_MAX at a time, so
that traces which were left running leave places on the socket for other questions.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

from gateway.control.server import Handler
from gateway.errors import GatewayError
from gateway.profile.profile import Line
from gateway.seams import Clock
from gateway.site import Bus
from gateway.south.links.trace import Trace

FOLLOWERS_MAX = 4  # half of the places on the socket
BEAT_S = 2.0  # an answer at least so often, though nothing came: so each side knows that the other is there


class Traced(Protocol):
    """A bus loop."""

    @property
    def name(self) -> str:
        """Of the bus."""
        ...

    @property
    def trace(self) -> Trace:
        """What goes over it."""
        ...


class UnknownBus(GatewayError):
    """The site has no bus of this name."""

    code = "unknown_bus"


class TooManyFollow(GatewayError):
    """FOLLOWERS_MAX traces are followed already."""

    code = "too_many_follow"


def handlers(site_buses: Sequence[Bus], loops: Sequence[Traced], clock: Clock) -> Mapping[str, Handler]:
    """`trace`."""
    buses = {bus.name: bus for bus in site_buses}
    traces = {loop.name: loop.trace for loop in loops}

    followers = 0

    async def trace(arguments: dict[str, object]) -> AsyncGenerator[object, None]:
        nonlocal followers
        name, follow = arguments.get("bus"), arguments.get("follow") is True
        if not isinstance(name, str) or name not in buses or name not in traces:
            raise UnknownBus(str(name))
        if follow and followers >= FOLLOWERS_MAX:
            raise TooManyFollow(str(followers))
        followers += follow
        try:
            yield _head(buses[name], clock)
            since, answer = _chunks(traces[name], 0)
            yield answer
            while follow:
                await traces[name].wait(since, BEAT_S)
                since, answer = _chunks(traces[name], since)
                yield answer
        finally:
            followers -= follow

    return {"trace": trace}


def line_text(line: Line) -> str:
    """As in the site file."""
    return f"{line.baud} {line.bits}{line.parity}{line.stop_bits}"


def _head(bus: Bus, clock: Clock) -> dict[str, object]:
    return {
        "v": 1,
        "bus": bus.name,
        "transport": bus.transport,
        "mode": bus.mode,
        "line": line_text(bus.line),
        "utc_ms": clock.utc_ms(),
        "boot_ns": clock.boot_ns(),
    }


def _chunks(trace: Trace, since: int) -> tuple[int, dict[str, object]]:
    """The number of the next chunk, and those from `since` on."""
    chunks = trace.chunks(since)
    told = [[chunk.at_ns, "out" if chunk.sent else "in", chunk.data.hex()] for chunk in chunks]
    missed = trace.noted - since - len(chunks) if since else 0  # of the past only what is kept is asked for
    return trace.noted, {"missed": missed, "chunks": told}
