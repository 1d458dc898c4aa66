"""Serial sensors that speak by themselves, on a pty, one frame a period, at the speed of the line."""

import math
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.protocols.modbus_frame import Frame
from gateway.site import Bus
from simulators.device import StreamDevice
from simulators.exchange import Outcome
from simulators.fault import Exchange, Step, Then
from simulators.moments import Instant, boot_ns, now
from simulators.run import NS_PER_MS, Run


class StreamServer:
    """The one device of one serial line."""

    def __init__(self, bus: Bus, device: StreamDevice, run: Run) -> None:
        self._line = run.line(Path(bus.endpoint), bus.line)
        self._device = device
        self._run = run
        self._held = b""  # of a torn frame
        self.endpoint = bus.endpoint

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.__exit__(kind, error, trace)

    async def run(self) -> None:
        """Until cancelled. The beat goes on while nobody listens; a beat that is over is not made up for."""
        period_ns = self._device.period_ms * NS_PER_MS
        beat_ns = boot_ns()
        while True:
            beat_ns += period_ns * max(1, -(-(boot_ns() - beat_ns) // period_ns))
            await self._line.until(beat_ns)
            if self._line.listened_to():
                await self._speak()

    async def turn(self, state: str) -> None:
        """The bus is now in this state, as `simulators.faults` names it."""
        self._line.turn(state)

    async def _speak(self) -> None:
        outcome, begin_ns = self._outcome(), boot_ns()
        first: Instant | None = None
        heard = bool(outcome.steps)
        for step in outcome.steps:
            if step.then is Then.HOLD:
                self._held = step.data
                continue
            data, self._held = self._held + step.data, b""
            left = await self._line.send(data, begin_ns + round(step.after_ms * NS_PER_MS))
            first = first or left
            heard = heard and left is not None
        self._run.said(outcome, first if heard else None, "stream")

    def _outcome(self) -> Outcome:
        answer = self._device.frame(now().utc_ms)
        device = self._device
        chosen = self._run.in_force.spoils(device.name, self._run.now_ms())
        if chosen is None:
            return Outcome(device.name, device.kind, answer, (Step(0, answer.data),))
        exchange = Exchange("stream", b"", Frame(0, answer.data), math.inf, chosen.chance, chosen.turn)
        steps, kind = chosen.spoiled.steps(exchange), chosen.fault.kind
        return Outcome(device.name, device.kind, answer, steps, kind, chosen.spoiled.may_be_right)
