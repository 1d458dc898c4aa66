"""What every server of devices on a serial line is: the line it opens and closes, its state, what it says and when."""

from collections.abc import Callable, Hashable
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.profile.profile import Line
from gateway.site import Bus
from simulators.exchange import Outcome
from simulators.fault import Then
from simulators.line import SerialLine
from simulators.moments import Instant
from simulators.run import NS_PER_MS, Run
from simulators.tcp_line import TcpLine


class LineServer:
    """A context that closes its line; a server says what it does in `run`."""

    def __init__(self, endpoint: str, line: SerialLine, run: Run) -> None:
        self._line = line
        self._run = run
        self._held: dict[Hashable, bytes] = {}  # of a torn reply, by device
        self.endpoint = endpoint

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.__exit__(kind, error, trace)

    async def turn(self, state: str) -> None:
        """The bus is now in this state, as `simulators.faults` names it."""
        self._line.turn(state)

    async def _say(self, device: Hashable, outcome: Outcome, zero_ns: int, via: str) -> None:
        """Each step in its time, which is counted from `zero_ns`; all of it has to be heard to be served."""
        first: Instant | None = None
        heard = bool(outcome.steps)
        for step in outcome.steps:
            if step.then is Then.HOLD:
                self._held[device] = step.data
                continue
            at_ns = zero_ns + round(step.after_ms * NS_PER_MS)
            left = await self._line.send(self._held.pop(device, b"") + step.data, at_ns)
            first = first or left
            heard = heard and left is not None
        self._run.said(outcome, first if heard else None, via)


def line_of(bus: Bus, at_a_port: Callable[[Path, Line], SerialLine]) -> SerialLine:
    """Of a bus with a port, or with a host: the line behind a converter. Raises OSError where there can be none."""
    return at_a_port(Path(bus.endpoint), bus.line) if bus.serial else TcpLine(bus.endpoint, bus.line)


def zero_ns(outcome: Outcome, first_ns: int) -> int:
    """From when on the times of its steps count, if the first is said at `first_ns`."""
    return first_ns - (round(outcome.steps[0].after_ms * NS_PER_MS) if outcome.steps else 0)
