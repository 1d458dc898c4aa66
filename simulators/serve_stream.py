"""Serial sensors that speak by themselves, on a pty, one frame a period, at the speed of the line."""

from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.site import Bus
from simulators.device import StreamDevice
from simulators.line import SerialLine
from simulators.moments import boot_ns, now
from simulators.truth import TruthLog


class StreamServer:
    """The one device of one serial line."""

    def __init__(self, bus: Bus, device: StreamDevice, truth: TruthLog) -> None:
        self._line = SerialLine(Path(bus.endpoint), bus.line)
        self._device = device
        self._truth = truth
        self.endpoint = bus.endpoint

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.__exit__(kind, error, trace)

    async def run(self) -> None:
        """Until cancelled. The beat goes on while nobody listens; a beat that is over is not made up for."""
        period_ns = self._device.period_ms * 1_000_000
        beat_ns = boot_ns()
        while True:
            beat_ns += period_ns * max(1, -(-(boot_ns() - beat_ns) // period_ns))
            await self._line.until(beat_ns)
            await self._speak()

    async def _speak(self) -> None:
        if not self._line.listened_to():
            return
        answer = self._device.frame(now().utc_ms)
        left = await self._line.send(answer.data, boot_ns())
        if left is not None:
            self._truth.left(self._device.name, self._device.kind, answer, left, "stream")
