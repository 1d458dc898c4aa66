"""What raw registers mean: worked by hand, and against the gateway's own decoder."""

import pytest

from gateway.profile.codec import Block
from gateway.profile.profile import Field
from gateway.protocols.modbus_pdu import Table
from simulators.meaning import limits, value_of


def field(kind: str, order: str = "ABCD", **more: object) -> Field:
    """A register field."""
    return Field("x", "x", "1", "f", 2, table=Table.INPUT, address=0, type=kind, order=order, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "raw", "expected"),
    [
        (field("u16", tens=1), "0901", 230.5),
        (field("i16", tens=1), "FFF6", -1.0),
        (field("i16", raw_offset=-400.0, tens=1), "0258", 20.0),
        (field("u16", tens=-2), "0003", 300.0),
        (field("u16", scale=0.25), "0003", 0.75),
        (field("f32"), "43663333", 230.2),
        (field("f32", "CDAB"), "33334366", 230.2),
        (field("f32", "BADC"), "66433333", 230.2),
        (field("f32", "DCBA"), "33336643", 230.2),
        (field("u32", tens=2), "006ACFD9", 70000.25),
        (field("i64", "CDAB"), "FFFEFFFFFFFFFFFF", -2.0),
        (field("f32"), "7FC00000", None),
        (field("f32"), "7F800000", None),
        (field("u16", sentinels=(0xFFFF,)), "FFFF", None),
        (field("i16", sentinels=(0x8000,)), "8000", None),
        (field("u32", "CDAB", sentinels=(0xFFFF0000,)), "0000FFFF", None),
    ],
)
def test_worked_examples(one: Field, raw: str, expected: float | None) -> None:
    """By hand; and the gateway's decoder says the same."""
    assert value_of(one, bytes.fromhex(raw)) == expected
    block = Block((one,), Table.INPUT, 0, one.words)
    assert block.decode(bytes.fromhex(raw)).values == (expected,)


def test_bits() -> None:
    """A coil is a boolean."""
    coil = Field("x", "x", "1", "b", 0, table=Table.COIL, address=0, type="bit")
    assert value_of(coil, b"\x01") is True
    assert value_of(coil, b"\x00") is False


def test_limits() -> None:
    """What the registers can say, scaled; everything for floats and text."""
    assert limits(field("u16", tens=1)) == (0.0, 6553.5)
    assert limits(field("i16", scale=-1.0)) == (-32767.0, 32768.0)
    assert limits(field("u8")) == (0.0, 255.0)
    assert limits(field("f32"))[1] == float("inf")
    assert limits(field(""))[0] == -float("inf")
