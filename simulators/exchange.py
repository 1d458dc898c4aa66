"""One request and what becomes of it: the device's answer, and the fault that spoils it. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.model import UtcMs
from gateway.protocols.modbus_frame import Frame
from simulators.device import Answer, ModbusDevice
from simulators.fault import Exchange, Step, Steps
from simulators.in_force import InForce

SINGLE = frozenset({5, 6})  # functions that name one address
WRITES = (b"\x05", b"\x06", b"\x0f", b"\x10")
BROADCAST = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is said, when, and what of it is true."""

    name: str
    kind: str
    answer: Answer
    steps: Steps
    fault: str = ""  # its kind
    delivered: bool = True  # whether the gateway can have got the answer; with a fault it may also have lost it
    queue: bool = True  # whether what is asked meanwhile is answered later


@dataclass(frozen=True, slots=True)
class Wire:
    """How frames look on a medium, and how long one byte is."""

    framing: str  # rtu | tcp
    encode: Callable[[Frame], bytes]
    byte_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Faulty:
    """A device with the faults it may have."""

    device: ModbusDevice
    in_force: InForce

    def asked(self, frame: Frame, wire: Wire, now_ms: int, utc_ms: UtcMs) -> Outcome:
        """Its outcome; `now_ms` is counted as the timetables are."""
        device, pdu = self.device, frame.pdu
        exception = self._refuses(pdu, now_ms)
        answer = device.answer(pdu, utc_ms) if exception is None else device.refuse(pdu, exception)
        reply = Frame(frame.unit_id, answer.data, frame.tid)
        chosen = self.in_force.spoils(device.name, now_ms)
        if chosen is None:
            return Outcome(device.name, device.kind, answer, (Step(0, wire.encode(reply)),))
        exchange = Exchange(wire.framing, wire.encode(frame), reply, device.timeout_ms, chosen.chance, chosen.turn)
        steps = chosen.spoiled.steps(exchange)
        in_time = device.timeout_ms + wire.byte_ms * len(exchange.good)
        delivered = chosen.spoiled.may_be_right and all(step.after_ms <= in_time for step in steps)
        return Outcome(device.name, device.kind, answer, steps, chosen.fault.kind, delivered, chosen.spoiled.queue)

    def told(self, frame: Frame, utc_ms: UtcMs) -> None:
        """What was said to all: a write is carried out, nobody answers."""
        if frame.pdu[:1] in WRITES:
            self.device.answer(frame.pdu, utc_ms)

    def _refuses(self, pdu: bytes, now_ms: int) -> int | None:
        first = int.from_bytes(pdu[1:3])
        count = 1 if pdu[0] in SINGLE else int.from_bytes(pdu[3:5])
        return self.in_force.refuses(self.device.name, pdu[0], (first, first + max(1, count) - 1), now_ms)
