"""Serial sensors that speak by themselves, on a pty, one frame a period, at the speed of the line."""

import math
from pathlib import Path

from gateway.protocols.modbus_frame import Frame
from gateway.site import Bus
from simulators.device import StreamDevice
from simulators.exchange import Outcome
from simulators.fault import Exchange, Step
from simulators.moments import boot_ns, now
from simulators.run import NS_PER_MS, Run
from simulators.serve_line import LineServer


class StreamServer(LineServer):
    """The one device of one serial line."""

    def __init__(self, bus: Bus, device: StreamDevice, run: Run) -> None:
        super().__init__(bus.endpoint, run.line(Path(bus.endpoint), bus.line), run)
        self._device = device

    async def run(self) -> None:
        """Until cancelled. The beat goes on while nobody listens; a beat that is over is not made up for."""
        period_ns = self._device.period_ms * NS_PER_MS
        beat_ns = boot_ns()
        while True:
            beat_ns += period_ns * max(1, -(-(boot_ns() - beat_ns) // period_ns))
            await self._line.until(beat_ns)
            if self._line.listened_to():
                await self._say(self._device.name, self._outcome(), boot_ns(), "stream")

    def _outcome(self) -> Outcome:
        answer = self._device.frame(now().utc_ms)
        device = self._device
        chosen = self._run.in_force.spoils(device.name, self._run.now_ms())
        if chosen is None:
            return Outcome(device.name, device.kind, answer, (Step(0, answer.data),))
        exchange = Exchange("stream", b"", Frame(0, answer.data), math.inf, chosen.chance, chosen.turn)
        steps, kind = chosen.spoiled.steps(exchange), chosen.fault.kind
        return Outcome(device.name, device.kind, answer, steps, kind, chosen.spoiled.may_be_right)
