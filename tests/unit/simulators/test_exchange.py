"""A request, its answer, and the fault that spoils it."""

import pytest

from gateway.model import UtcMs
from gateway.protocols.modbus_frame import Frame, encode_rtu
from gateway.protocols.modbus_pdu import ReadRequest, Table, WriteRegisters, encode_request
from simulators.device import ModbusDevice
from simulators.exchange import Faulty, Outcome, Wire
from simulators.fault import Step, Target
from simulators.faults import fault
from simulators.in_force import InForce
from tests.unit.simulators.worlds import METER, constants, modbus_device

VALUES = constants(voltage=230.2, power=-12.3, energy=70000.25, setting=7.0, far=9.0)
READ = Frame(1, encode_request(ReadRequest(Table.INPUT, 0, 2)))
GOOD = encode_rtu(Frame(1, bytes.fromhex("04 04 43663333")))
WIRE = Wire("rtu", encode_rtu, byte_ms=1.0)


def meter(*tables: dict[str, object]) -> Faulty:
    """At unit_id 1, timeout 1 s."""
    in_force = InForce(1)
    for table in tables:
        in_force.add(fault("meter-1", Target("device", "rtu"), table))
    return Faulty(ModbusDevice(modbus_device("meter-1", METER), VALUES), in_force)


def ask(faulty: Faulty, frame: Frame = READ, now_ms: int = 0) -> Outcome:
    """One exchange."""
    return faulty.asked(frame, WIRE, now_ms, UtcMs(0))


def test_without_a_fault_the_right_answer_comes_at_once() -> None:
    """And is true."""
    outcome = ask(meter())
    assert (outcome.steps, outcome.fault, outcome.delivered, outcome.queue) == ((Step(0, GOOD),), "", True, True)
    assert [one.value for one in outcome.answer.served] == [230.2]


@pytest.mark.parametrize(
    ("table", "delivered"),
    [
        ({"kind": "silent"}, False),
        ({"kind": "wrong_crc"}, False),
        ({"kind": "torn"}, False),
        ({"kind": "late", "by_ms": 900}, True),
        ({"kind": "late", "by_ms": 1100}, False),
        ({"kind": "slow", "byte_ms": 100}, True),
        ({"kind": "slow", "byte_ms": 200}, False),
        ({"kind": "garbage"}, True),
        ({"kind": "echo"}, True),
        ({"kind": "exception"}, False),
    ],
)
def test_what_was_spoiled_is_not_true(table: dict[str, object], delivered: object) -> None:
    """Nor what came after the timeout; what came right but oddly may have been lost."""
    outcome = ask(meter(table))
    assert (outcome.fault, outcome.delivered) == (table["kind"], delivered)


def test_registers_are_refused() -> None:
    """A read that touches them and a write to them; others are answered. Each answer has its number."""
    faulty = meter({"kind": "refuse_registers", "addresses": [2, 9]})
    setting = Frame(1, encode_request(WriteRegisters(2, (5,))))
    far = Frame(1, encode_request(ReadRequest(Table.INPUT, 0, 10)))
    assert [ask(faulty, frame).steps[0].data[1:3] for frame in (READ, setting, far)] == [
        b"\x04\x04",
        b"\x86\x02",
        b"\x84\x02",
    ]
    assert ask(faulty).answer.n == 4
    assert ask(meter({"kind": "refuse_functions", "functions": [4]})).answer.data == b"\x84\x01"


def test_what_is_said_to_all_is_carried_out() -> None:
    """Writes only."""
    faulty = meter()
    faulty.told(Frame(0, encode_request(WriteRegisters(2, (42,)))), UtcMs(0))
    faulty.told(Frame(0, READ.pdu), UtcMs(0))
    outcome = ask(faulty, Frame(1, encode_request(ReadRequest(Table.HOLDING, 2, 1))))
    assert (outcome.answer.data, outcome.answer.n) == (b"\x03\x02\x00\x2a", 2)
