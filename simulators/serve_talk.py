"""Serial sensors that are asked, on a pty or behind a converter: those that share a line, at its speed."""

from collections.abc import Sequence
from heapq import heappop, heappush

from gateway.protocols.modbus_frame import Frame
from gateway.site import Bus
from simulators.device import TalkDevice
from simulators.exchange import Outcome
from simulators.fault import Exchange, Step
from simulators.lane import TURNAROUND_NS
from simulators.moments import boot_ns, now
from simulators.run import NS_PER_MS, Run
from simulators.serve_line import LineServer, line_of, zero_ns

REQUEST_GAP_NS = 50_000_000  # silence after which half a request is given up
HEARD_MAX_BYTES = 1024
WAITING_MAX = 64  # replies that are late; more are forgotten


class TalkServer(LineServer):
    """The devices of one serial line."""

    def __init__(self, bus: Bus, devices: Sequence[TalkDevice], run: Run) -> None:
        line = line_of(bus, run.line)
        super().__init__(line.endpoint, line, run)
        self._devices = devices
        self._heard = b""
        self._began_ns = 0
        self._last_ns = 0
        self._waiting: list[tuple[int, int, str, Outcome]] = []  # first byte, running number, device

    async def run(self) -> None:
        """One request after the other, until cancelled."""
        number = 0
        while True:
            data, at_ns = await self._line.receive(self._waiting[0][0] if self._waiting else None)
            if not data:
                if self._waiting and self._waiting[0][0] <= boot_ns():
                    _, _, name, outcome = heappop(self._waiting)
                    await self._say(name, outcome, zero_ns(outcome, boot_ns()), "poll")
                continue
            number += 1
            await self._take(data, at_ns, number)

    async def _take(self, data: bytes, at_ns: int, number: int) -> None:
        """Hear a request at line speed, think, answer; what is none of ours is silence."""
        if at_ns - self._last_ns > REQUEST_GAP_NS or not self._heard:
            self._heard, self._began_ns = b"", at_ns
        self._last_ns = at_ns
        self._heard = (self._heard + data)[-HEARD_MAX_BYTES:]
        asked = [(len(request), device, request) for device in self._devices for request in device.hears]
        fitting = [one for one in asked if self._heard.endswith(one[2])]
        if not fitting:
            return
        _, device, request = max(fitting, key=lambda one: one[0])
        on_wire_ns = self._began_ns + len(self._heard) * self._line.char_ns
        self._heard = b""
        begin_ns = max(on_wire_ns, self._last_ns) + TURNAROUND_NS
        outcome = self._outcome(device, request)
        if outcome is None:
            return
        late_ns = begin_ns + round(outcome.steps[0].after_ms * NS_PER_MS) if outcome.steps else begin_ns
        if late_ns == begin_ns:
            await self._say(device.name, outcome, zero_ns(outcome, begin_ns), "poll")
        elif len(self._waiting) < WAITING_MAX:
            heappush(self._waiting, (late_ns, number, device.name, outcome))

    def _outcome(self, device: TalkDevice, request: bytes) -> Outcome | None:
        answer = device.answer(request, now().utc_ms)
        if answer is None:
            return None
        chosen = self._run.in_force.spoils(device.name, self._run.now_ms())
        if chosen is None:
            return Outcome(device.name, device.kind, answer, (Step(0, answer.data),))
        exchange = Exchange("talk", request, Frame(0, answer.data), device.timeout_ms, chosen.chance, chosen.turn)
        steps = chosen.spoiled.steps(exchange)
        in_time = device.timeout_ms + self._line.char_ns / NS_PER_MS * len(answer.data)
        delivered = chosen.spoiled.may_be_right and all(step.after_ms <= in_time for step in steps)
        return Outcome(device.name, device.kind, answer, steps, chosen.fault.kind, delivered)
