"""What raw registers mean: worked by hand, and against the gateway's own decoder."""

from dataclasses import replace

import pytest

from gateway.model import Value
from gateway.profile.codec import Block
from gateway.profile.profile import Field
from gateway.protocols.modbus_pdu import Table
from simulators.meaning import limits, value_of


def field(kind: str, order: str = "ABCD", **more: object) -> Field:
    """A register field."""
    one = Field("x", "x", "1", "f", 2, table=Table.INPUT, address=0, type=kind, order=order)
    return replace(one, **more)  # type: ignore[arg-type]


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
        (field("u16", bits=(4, 3)), "0150", 5.0),
        (field("i16", bits=(4, 3)), "0150", -3.0),
        (field("u16", bits=(4, 3), sentinels=(0xFFFF,)), "FFFF", None),
        (field("u16", bits=(15, 1), letter="b"), "8000", True),
        (field("u8", bits=(8, 8), sentinels=(0xFF,)), "07FF", 7.0),
        (field("u8", bits=(0, 8), sentinels=(0xFF,)), "07FF", None),
        (field("i8", bits=(8, 8), tens=1), "FE00", -0.2),
        (field("bcd16", tens=1), "2305", 230.5),
        (field("bcd32", "CDAB"), "34560012", 123456.0),
        (field("bcd16"), "23A5", None),
        (field("u16", not_fitted=True), "0000", None),
        (field("u16", letter="s", labels=((0, "off"), (16, "on"))), "0010", "on"),
        (field("u16", letter="s", labels=((0, "off"), (16, "on"))), "0011", None),
        (field("i16", letter="s", bits=(0, 2), labels=((-1, "back"),)), "0003", "back"),
        (field("text", letter="s", length=3), "574200200000", "WB"),
        (field("text", "BADC", letter="s", length=2), "42570020", "WB"),
        (field("text", letter="s", length=1), "E900", None),
        (field("text", letter="s", length=1, encoding="latin-1"), "E900", "\u00e9"),
        (field("text", letter="s", length=2), "41004200", None),
    ],
)
def test_worked_examples(one: Field, raw: str, expected: Value | None) -> None:
    """By hand; and the gateway's decoder says the same."""
    assert value_of(one, bytes.fromhex(raw)) == expected
    block = Block((one,), Table.INPUT, 0, one.words)
    assert block.decode(bytes.fromhex(raw)).values == (expected,)


def test_bits() -> None:
    """A coil is a boolean."""
    coil = Field("x", "x", "1", "b", 0, table=Table.COIL, address=0, type="bit")
    assert value_of(coil, b"\x01") is True
    assert value_of(coil, b"\x00") is False


@pytest.mark.parametrize(
    ("power", "expected"),
    [(-2, 12.34), (-4, 0.12), (0, 1234.0), (3, 1_234_000.0), (None, None), (11, None), (0.5, None)],
)
def test_a_power_of_ten(power: float | None, expected: float | None) -> None:
    """From another register; without it, or with one that is none, a number means nothing."""
    assert value_of(field("u16", scale_from="power"), bytes.fromhex("04D2"), power) == expected


def test_limits() -> None:
    """What the registers can say, scaled; everything for floats and text."""
    assert limits(field("u16", tens=1)) == (0.0, 6553.5)
    assert limits(field("i16", scale=-1.0)) == (-32767.0, 32768.0)
    assert limits(field("u8")) == (0.0, 255.0)
    assert limits(field("u16", bits=(4, 3))) == (0.0, 7.0)
    assert limits(field("i8", bits=(8, 8))) == (-128.0, 127.0)
    assert limits(field("bcd32")) == (0.0, 99_999_999.0)
    assert limits(field("u16"), power=-1) == (0.0, 6553.5)
    assert limits(field("f32"))[1] == float("inf")
    assert limits(field(""))[0] == -float("inf")
