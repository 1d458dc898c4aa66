"""gateway.south.jobs.permit: what may be written, and how it stands in registers."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.model import Value
from gateway.profile.profile import Field, Line, SerialSource, Writable
from gateway.protocols.framing import Framing
from gateway.protocols.modbus_pdu import ReadRequest, Table, WriteCoils, WriteRegisters
from gateway.protocols.parse import Parse
from gateway.south.jobs.permit import Permit, Refusal, limits, permit
from tests.support.asks import FIELDS, LEVEL, MODE, OFFSET, RELAY, SPAN, device_of, level_bus

LABELLED = replace(MODE, name="state", letter="s", labels=((0, "off"), (1, "auto"), (4, "hand")))
BITS = replace(MODE, name="flags", bits=(2, 1))
SCALED = replace(MODE, name="power", scale_from="zero_offset")
INPUT = replace(MODE, name="seen", table=Table.INPUT)
TEXT = replace(MODE, name="tag", letter="s", type="text", length=4)
ODD = replace(MODE, name="ratio", scale=0.03, decimals=2, write=Writable())


def asked(name: str, value: Value, fields: Sequence[Field] = FIELDS, writable: Sequence[str] | None = None) -> object:
    """The decision on a bus of these fields, all of them allowed by the site unless said otherwise."""
    bus = level_bus(fields, [field.name for field in fields] if writable is None else writable)
    return permit(bus, device_of(bus), name, value)


def code(name: str, value: Value, fields: Sequence[Field] = FIELDS, writable: Sequence[str] | None = None) -> str:
    """Of the refusal."""
    found = asked(name, value, fields, writable)
    assert isinstance(found, Refusal)
    return found.code


@pytest.mark.parametrize(
    ("name", "value", "write", "read"),
    [
        ("zero_offset", 0.25, WriteRegisters(10, (25,)), ReadRequest(Table.HOLDING, 10, 1)),
        ("zero_offset", -5.0, WriteRegisters(10, (0x10000 - 500,)), ReadRequest(Table.HOLDING, 10, 1)),
        ("relay", True, WriteCoils(3, (True,)), ReadRequest(Table.COIL, 3, 1)),
        ("relay", False, WriteCoils(3, (False,)), ReadRequest(Table.COIL, 3, 1)),
        ("mode", 4.0, WriteRegisters(12, (4,)), ReadRequest(Table.HOLDING, 12, 1)),
        ("span", 2.5, WriteRegisters(20, (0x0000, 0x4020)), ReadRequest(Table.HOLDING, 20, 2)),
    ],
)
def test_a_value_as_it_stands_in_registers(
    name: str, value: Value, write: WriteRegisters | WriteCoils, read: ReadRequest
) -> None:
    """One register by function 6, several by 16, a coil by 5; and the read that sees what became of it."""
    found = asked(name, value)
    assert isinstance(found, Permit)
    assert (found.write, found.read, found.value) == (write, read, value)


def test_both_have_to_allow_it() -> None:
    """The profile, and the site; which of them does not is told apart."""
    assert code("level", 1.0) == "not_writable"
    assert code("zero_offset", 0.1, writable=()) == "not_allowed"
    assert code("zero_offset", 0.1, writable=("mode",)) == "not_allowed"
    assert code("nothing", 0.1) == "no_such_field"


def test_the_limits_hold() -> None:
    """Their ends are inside; one of a list is only what is listed."""
    assert isinstance(asked("zero_offset", 5.0), Permit)
    assert code("zero_offset", 5.01) == code("zero_offset", -5.01) == "out_of_limits"
    assert code("mode", 2.0) == "out_of_limits"
    assert code("span", 10.1) == "out_of_limits"
    assert asked("mode", 3.0) == Refusal("out_of_limits", "allowed: 0, 1, 4")


@pytest.mark.parametrize(
    ("name", "value"),
    [("zero_offset", True), ("zero_offset", "1"), ("relay", 1.0), ("relay", "on"), ("zero_offset", float("nan"))],
)
def test_another_type_is_refused(name: str, value: Value) -> None:
    """A number is no boolean, a text neither; NaN is inside no limits."""
    assert code(name, value) in {"bad_value", "out_of_limits"}


def test_nothing_is_rounded_in_silence() -> None:
    """The nearest value that the device can hold is said, and can then be asked for."""
    assert asked("zero_offset", 0.254) == Refusal("bad_value", "zero_offset: 0.254 would read back as 0.25")
    assert asked("span", 2.54) == Refusal("bad_value", "span: 2.54 would read back as 2.5")
    assert isinstance(asked("ratio", 0.33, (ODD,)), Permit)
    assert code("ratio", 0.34, (ODD,)) == "bad_value"


def test_what_does_not_fit_into_its_register_is_refused() -> None:
    """Though no limit says so."""
    wide = replace(MODE, write=Writable())
    assert code("mode", 65_536.0, (wide,)) == "bad_value"
    assert code("mode", -1.0, (wide,)) == "bad_value"
    assert code("mode", 9.0, (replace(wide, sentinels=(9,)),)) == "bad_value"


def test_a_label_stands_for_its_number() -> None:
    """And only one of its labels."""
    found = asked("state", "hand", (LABELLED,))
    assert isinstance(found, Permit)
    assert (found.write, found.value) == (WriteRegisters(12, (4,)), "hand")
    assert asked("state", "asleep", (LABELLED,)) == Refusal("bad_value", "'asleep' is not one of off, auto, hand")
    assert code("state", 4.0, (LABELLED,)) == "bad_value"
    few = replace(LABELLED, write=Writable(values=(0.0, 1.0)))
    assert code("state", "hand", (few,)) == "out_of_limits"


@pytest.mark.parametrize("field", [BITS, SCALED, INPUT, TEXT], ids=lambda field: field.name)
def test_what_has_no_safe_way_is_not_written(field: Field) -> None:
    """Part of a register, a scale that may change, a table that cannot be written, a text."""
    assert code(field.name, 1.0, (field,)) == "not_writable"


def test_a_device_that_is_not_asked_is_not_written() -> None:
    """A stream, and a bus that only listens."""
    bus = level_bus()
    device = device_of(bus)
    listening = replace(bus, mode="listen")
    assert permit(listening, device, "mode", 1.0) == Refusal("not_writable", "bus-1 only listens")
    stream = SerialSource(Line(), Framing("line", 80, end=b"\n"), Parse("split"), 1000)
    sends = replace(device, profile=replace(device.profile, source=stream))
    found = permit(bus, sends, "mode", 1.0)
    assert isinstance(found, Refusal)
    assert found.code == "not_writable"


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (Writable(), ""),
        (Writable(-5.0, 5.0), "-5 … 5"),
        (Writable(high=10.0), "… 10"),
        (Writable(low=0.5), "0.5 …"),
        (Writable(values=(0.0, 2.5)), "0, 2.5"),
    ],
)
def test_limits_in_words(write: Writable, text: str) -> None:
    """For people."""
    assert limits(write) == text


def test_the_test_device_is_what_it_seems() -> None:
    """Five fields, of which four may be written."""
    assert [field.name for field in (LEVEL, OFFSET, RELAY, MODE, SPAN) if field.write] == [
        "zero_offset",
        "relay",
        "mode",
        "span",
    ]
