"""A map of registers: remembered where it can be, always as it is now."""

from collections.abc import Iterable

from gateway.model import UtcMs
from gateway.profile.profile import Field
from gateway.protocols.modbus_pdu import ReadRequest, Table
from simulators.registers import VIEWS_MAX, Registers
from simulators.signals import Moment, Signal

U16 = Field("x", "index", "1", "f", 0, 0, 100, table=Table.HOLDING, address=0, type="u16")
LOW = Field("low", "index", "1", "f", 0, table=Table.HOLDING, address=5, type="u16", bits=(0, 4))
HIGH = Field("high", "index", "1", "f", 0, table=Table.HOLDING, address=5, type="u16", bits=(4, 4))


def registers(*fields: tuple[Field, Signal], max_registers: int = 125) -> Registers:
    """In no group."""
    return Registers(fields, (), {}, (), max_registers)


def counting(moment: Moment) -> float:
    """The number of the reply."""
    return float(moment.n)


def values(made: Registers, n: int, count: int = 1, address: int = 0) -> dict[str, object]:
    """What one read tells."""
    found = made.read(ReadRequest(Table.HOLDING, address, count), Moment(UtcMs(0), n))
    assert found is not None
    return {one.field: one.value for one in found[1]}


def test_every_read_shows_what_is_now() -> None:
    """Though reads, registers and meanings are remembered."""
    made = registers((U16, counting))
    assert [values(made, n) for n in (1, 2, 2, 1)] == [{"x": 1.0}, {"x": 2.0}, {"x": 2.0}, {"x": 1.0}]
    made.write(Table.HOLDING, 0, [42])
    assert values(made, 3) == {"x": 42.0}


def test_what_must_not_be_believed_is_no_truth() -> None:
    """Outside the field's range: the gateway must say null."""
    made = registers((U16, counting))
    assert values(made, 101) == {}
    assert values(made, 100) == {"x": 100.0}


def test_two_fields_share_a_register() -> None:
    """Each has its bits, and both are told."""
    made = registers((LOW, lambda _: 3.0), (HIGH, counting))
    assert made.read(ReadRequest(Table.HOLDING, 5, 1), Moment(UtcMs(0), 9)) is not None
    assert values(made, 9, address=5) == {"low": 3.0, "high": 9.0}
    assert values(made, 2, address=5) == {"low": 3.0, "high": 2.0}


def test_more_different_reads_than_are_remembered() -> None:
    """Are answered all the same."""
    fields: Iterable[tuple[Field, Signal]] = [
        (Field(f"x{at}", "index", "1", "f", 0, table=Table.HOLDING, address=at, type="u16"), counting)
        for at in range(VIEWS_MAX + 9)
    ]
    made = registers(*fields)
    for at in range(VIEWS_MAX + 9):
        assert values(made, 7, address=at) == {f"x{at}": 7.0}


def test_a_scale_register_scales() -> None:
    """What stands in the registers is the value over its power of ten, as it is now: also one that was written."""
    scale = Field("scale", "", "1", "f", 0, table=Table.HOLDING, address=7, type="i16", hidden=True)
    scaled = Field("scaled", "index", "1", "f", 2, table=Table.HOLDING, address=6, type="u16", scale_from="scale")
    made = registers((scaled, lambda _: 12.34), (scale, lambda _: -2.0))
    found = made.read(ReadRequest(Table.HOLDING, 6, 2), Moment(UtcMs(0), 1))
    assert found is not None
    assert found[0] == bytes.fromhex("04D2 FFFE")
    assert values(made, 1, 2, address=6) == {"scaled": 12.34}
    assert values(made, 1, address=6) == {"scaled": 12.34}
    made.write(Table.HOLDING, 7, [1])
    assert values(made, 2, address=6) == {"scaled": 12340.0}


def test_what_nobody_logs_is_not_told() -> None:
    """The data are the same; their meaning costs as much again."""
    request = ReadRequest(Table.HOLDING, 0, 1)
    found = Registers([(U16, counting)], (), {}, (), 125, tells=False).read(request, Moment(UtcMs(0), 7))
    assert found == (b"\x00\x07", ())
