"""Modbus RTU on a pty: devices that share two wires, at the speed of the line."""

from collections.abc import Mapping
from heapq import heappop, heappush
from pathlib import Path

from gateway.protocols.checksums import crc16
from gateway.protocols.modbus_frame import RTU_MAX, Frame, RtuReader, encode_rtu, request_length
from gateway.site import Bus
from simulators.device import ModbusDevice
from simulators.exchange import BROADCAST, Faulty, Outcome, Wire
from simulators.lane import FRAME_AROUND_PDU, TURNAROUND_NS, Lane
from simulators.moments import boot_ns, now
from simulators.run import NS_PER_MS, Run
from simulators.serve_line import LineServer, zero_ns

FRAME_GAP_NS = 50_000_000  # silence after which half a request is given up
FRAME_MIN = 4  # bytes: unit_id, function, checksum
WAITING_MAX = 256  # replies that are late; more are forgotten


class RtuServer(LineServer):
    """The devices of one RTU bus."""

    def __init__(self, bus: Bus, devices: Mapping[int, ModbusDevice], run: Run) -> None:
        super().__init__(bus.endpoint, run.line(Path(bus.endpoint), bus.line), run)
        self._devices = {unit_id: Faulty(device, run.in_force) for unit_id, device in devices.items()}
        self._lanes = {unit_id: Lane() for unit_id in devices}
        self._wire = Wire("rtu", encode_rtu, self._line.char_ns / NS_PER_MS)
        self._reader = RtuReader(request_length)
        self._began_ns = 0
        self._last_ns = 0
        self._burst = b""  # what came without a silence
        self._waiting: list[tuple[int, int, int, Outcome]] = []  # first byte, running number, unit_id

    async def run(self) -> None:
        """One exchange after the other, until cancelled."""
        number = 0
        while True:
            data, at_ns = await self._line.receive(self._waiting[0][0] if self._waiting else None)
            if not data:
                if self._waiting and self._waiting[0][0] <= boot_ns():
                    _, _, unit_id, outcome = heappop(self._waiting)
                    await self._say(unit_id, outcome, zero_ns(outcome, boot_ns()), "modbus")
                continue
            frames = self._fed(data, at_ns)
            if len(frames) == 1:  # two at once have no silence between them: no device understands either
                number += 1
                await self._answer(frames[0], number)

    def _fed(self, data: bytes, at_ns: int) -> list[Frame]:
        """The requests; also one by a function that tells nothing of its length: a whole burst with a good checksum."""
        if at_ns - self._last_ns > FRAME_GAP_NS:
            self._reader.reset()
            self._burst = b""
        if not self._reader.held_bytes:
            self._began_ns = at_ns
        self._last_ns = at_ns
        self._burst = (self._burst + data)[: RTU_MAX + 1]
        frames = self._reader.feed(data)
        if not frames and FRAME_MIN <= len(self._burst) <= RTU_MAX and crc16(self._burst) == 0:
            self._reader.reset()
            frames = [Frame(self._burst[0], self._burst[1:-2])]
        if frames:
            self._burst = b""
        return frames

    async def _answer(self, frame: Frame, number: int) -> None:
        """Hear the request at line speed, think, answer; a unit_id that is not there is silence."""
        if frame.unit_id == BROADCAST:
            for faulty in self._devices.values():
                faulty.told(frame, now().utc_ms)
            return
        if frame.unit_id not in self._devices:
            return
        lane = self._lanes[frame.unit_id]
        on_wire_ns = (len(frame.pdu) + FRAME_AROUND_PDU) * self._line.char_ns
        heard_ns = max(self._began_ns + on_wire_ns, self._last_ns) + TURNAROUND_NS
        begin_ns = lane.begin_ns(heard_ns)
        if begin_ns is None:
            return
        outcome = self._devices[frame.unit_id].asked(frame, self._wire, self._run.now_ms(), now().utc_ms)
        late_ns = begin_ns + round(outcome.steps[0].after_ms * NS_PER_MS) if outcome.steps else begin_ns
        if late_ns == heard_ns:
            await self._say(frame.unit_id, outcome, zero_ns(outcome, begin_ns), "modbus")
        elif len(self._waiting) < WAITING_MAX:
            reply_ns = sum(len(step.data) for step in outcome.steps) * self._line.char_ns
            lane.busy(late_ns + reply_ns + TURNAROUND_NS, queue=outcome.queue)
            heappush(self._waiting, (late_ns, number, frame.unit_id, outcome))
