"""Modbus RTU on a pty: devices that share two wires, at the speed of the line."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.protocols.modbus_frame import Frame, RtuReader, encode_rtu, request_length
from gateway.site import Bus
from simulators.device import ModbusDevice
from simulators.line import SerialLine
from simulators.moments import now
from simulators.truth import TruthLog

TURNAROUND_NS = 2_000_000  # between the end of a request and the begin of its reply: what the devices think
FRAME_GAP_NS = 50_000_000  # silence after which half a request is given up
FRAME_AROUND_PDU = 3  # bytes: unit_id before, checksum behind


class RtuServer:
    """The devices of one RTU bus."""

    def __init__(self, bus: Bus, devices: Mapping[int, ModbusDevice], truth: TruthLog) -> None:
        self._line = SerialLine(Path(bus.endpoint), bus.line)
        self._devices = devices
        self._truth = truth
        self._reader = RtuReader(request_length)
        self._began_ns = 0
        self._last_ns = 0
        self.endpoint = bus.endpoint

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.__exit__(kind, error, trace)

    async def run(self) -> None:
        """One exchange after the other, until cancelled."""
        while True:
            frames = self._fed(*await self._line.receive())
            if len(frames) == 1:  # two at once have no silence between them: no device understands either
                await self._answer(frames[0])

    def _fed(self, data: bytes, at_ns: int) -> list[Frame]:
        if at_ns - self._last_ns > FRAME_GAP_NS:
            self._reader.reset()
        if not self._reader.held_bytes:
            self._began_ns = at_ns
        self._last_ns = at_ns
        return self._reader.feed(data)

    async def _answer(self, frame: Frame) -> None:
        """Wait until the request has arrived at line speed, think, answer; a unit_id that is not there is silence."""
        device = self._devices.get(frame.unit_id)
        if device is None:
            return
        on_wire_ns = (len(frame.pdu) + FRAME_AROUND_PDU) * self._line.char_ns
        begin_ns = max(self._began_ns + on_wire_ns, self._last_ns) + TURNAROUND_NS
        await self._line.until(begin_ns)
        answer = device.answer(frame.pdu, now().utc_ms)
        left = await self._line.send(encode_rtu(Frame(frame.unit_id, answer.data)), begin_ns)
        if left is not None:
            self._truth.left(device.name, device.kind, answer, left, "modbus")
