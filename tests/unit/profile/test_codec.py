"""gateway.profile.codec: registers and parts to values and back."""

import math
import struct
from dataclasses import replace
from typing import Any

import pytest

from gateway.model import Quality, Value
from gateway.profile.codec import Block, Decoded, decode_parts, encode_parts
from gateway.profile.profile import Field
from gateway.protocols.modbus_pdu import Table


def field(name: str = "x", address: int = 0, type_: str = "u16", **more: Any) -> Field:
    """A field of input registers."""
    return replace(Field(name, name, "1", "f", 0, table=Table.INPUT, address=address, type=type_), **more)


def decode(data: str, *fields: Field, address: int = 0) -> Decoded:
    """These registers, decoded."""
    raw = bytes.fromhex(data)
    return Block(fields, Table.INPUT, address, len(raw) // 2).decode(raw)


@pytest.mark.parametrize(
    ("type_", "data", "value"),
    [
        ("u16", "FF33", 65331.0),
        ("i16", "FF33", -205.0),
        ("u32", "0001 0002", 65538.0),
        ("i32", "FFFF FFFE", -2.0),
        ("u64", "0000 0001 0000 0000", 4294967296.0),
        ("i64", "FFFF FFFF FFFF FFFF", -1.0),
        ("f32", "4366 3333", 230.2),
        ("f64", "4066 CCCC CCCC CCCD", 182.4),
    ],
)
def test_types(type_: str, data: str, value: float) -> None:
    """Big-endian, two's complement, IEEE 754; a number is always a float."""
    (got,) = decode(data, field(type_=type_, decimals=1)).values
    assert got == value
    assert isinstance(got, float)


@pytest.mark.parametrize(
    ("order", "data"), [("ABCD", "4366 3333"), ("CDAB", "3333 4366"), ("BADC", "6643 3333"), ("DCBA", "3333 6643")]
)
def test_orders(order: str, data: str) -> None:
    """230.2 as 32-bit float in the four orders of registers and bytes."""
    assert decode(data, field(type_="f32", decimals=1, order=order)).values == (230.2,)


def test_orders_of_four_registers() -> None:
    """The same rule over more words: registers turned, bytes turned, both."""
    data = {
        "ABCD": "0102 0304 0506 0708", "CDAB": "0708 0506 0304 0102",
        "BADC": "0201 0403 0605 0807", "DCBA": "0807 0605 0403 0201",
    }  # fmt: skip
    for order, text in data.items():
        assert decode(text, field(type_="u64", order=order)).values == (float(0x0102030405060708),)


def test_a_mixed_block() -> None:
    """Fields of all orders, out of order, with holes between them, come back in the order asked for."""
    fields = (
        field("a", 9, "u16"),
        field("b", 2, "f32", decimals=1, order="CDAB"),
        field("c", 5, "i16", tens=1, decimals=1),
        field("d", 6, "u32", order="DCBA"),
    )
    data = "0000 3333 4366 0000 FFFB 0100 0000 0000 0007"
    assert decode(data, *fields, address=1).values == (7.0, 230.2, -0.5, 1.0)


@pytest.mark.parametrize(
    ("more", "raw", "value"),
    [
        ({"tens": 1, "decimals": 1}, 547, 54.7),
        ({"tens": 3, "decimals": 3}, 961, 0.961),
        ({"tens": -1}, 4409, 44090.0),
        ({"tens": 1, "raw_offset": -400.0, "decimals": 1}, 629, 22.9),
        ({"raw_offset": -40.0}, 71, 31.0),
        ({"scale": 0.254, "decimals": 3}, 3, 0.762),
        ({"scale": 0.00512, "decimals": 2}, 1000, 5.12),
        ({"scale": 2.0, "tens": 1, "decimals": 1}, 7, 1.4),
        ({"raw_offset": 0.5, "decimals": 1}, 7, 7.5),
    ],
)
def test_scales(more: dict[str, Any], raw: int, value: float) -> None:
    """(raw + raw_offset) / 10**tens * scale."""
    assert decode(f"{raw:04X}", field(**more)).values == (value,)


def test_tenths_are_exact() -> None:
    """Every register value over ten is the double nearest to the decimal that people read."""
    data = struct.pack(">125H", *range(3, 125 * 523, 523))
    block = Block([field(f"f{n}", n, tens=1, decimals=1) for n in range(125)], Table.INPUT, 0, 125)
    for raw, value in zip(range(3, 125 * 523, 523), block.decode(data).values, strict=True):
        assert repr(value) == f"{raw // 10}.{raw % 10}"


@pytest.mark.parametrize(
    ("type_", "data", "sentinels", "quality"),
    [
        ("u16", "FFFF", (0xFFFF,), Quality.NO_VALUE),
        ("i16", "8000", (0x7FFF, 0x8000), Quality.NO_VALUE),
        ("i32", "7FFF FFFF", (0x7FFFFFFF,), Quality.NO_VALUE),
        ("f32", "7FC0 0000", (), Quality.NOT_A_NUMBER),
        ("f32", "FFC0 0000", (), Quality.NOT_A_NUMBER),
        ("f32", "7F80 0000", (), Quality.NOT_A_NUMBER),
        ("f32", "FF80 0000", (), Quality.NOT_A_NUMBER),
        ("f32", "7FC0 0000", (0x7FC00000,), Quality.NO_VALUE),
        ("f32", "C61C 3C00", (0xC61C3C00,), Quality.NO_VALUE),
        ("f64", "7FF0 0000 0000 0000", (), Quality.NOT_A_NUMBER),
        ("f64", "7FEF FFFF FFFF FFFF", (), Quality.NOT_A_NUMBER),
    ],
)
def test_what_is_no_value(type_: str, data: str, sentinels: tuple[int, ...], quality: Quality) -> None:
    """A sentinel is the device's own word; a float that is no number is not."""
    good = field("good", 10, decimals=0)
    bad = field("bad", 0, type_, sentinels=sentinels, decimals=1)
    words = data.replace(" ", "").ljust(40, "0") + "0005"
    assert decode(words, good, bad) == Decoded((5.0, None), ((1, quality),))


def test_a_sentinel_in_another_order() -> None:
    """The raw word is compared as the field reads it."""
    got = decode("0000 0080", field(type_="i32", order="DCBA", sentinels=(0x80000000,)))
    assert got.quality == ((0, Quality.NO_VALUE),)


def test_range_is_not_judged_here() -> None:
    """An implausible value is decoded; the pipeline decides."""
    assert decode("FFFF", field(low=0.0, high=1.0)).values == (65535.0,)


def coils(count: int, first: int = 0) -> list[Field]:
    """Relays."""
    return [field(f"r{n}", first + n, "bit", letter="b", table=Table.COIL) for n in range(count)]


def test_bits() -> None:
    """First address in the lowest bit; more than eight go on in the next byte."""
    block = Block(coils(10, 3), Table.COIL, 3, 10)
    assert block.decode(b"\x05\x02").values == (True, False, True, *[False] * 6, True)
    assert block.encode([True, False, True, *[None] * 6, True]) == b"\x05\x02"


@pytest.mark.parametrize(
    ("fields", "address", "count"),
    [
        ([field("a", 0, "u32"), field("b", 1)], 0, 2),
        ([field("a", 1, "u32")], 0, 2),
        ([field("a", 0)], 1, 2),
        ([field("a", 0, table=Table.HOLDING)], 0, 1),
        ([replace(field("a"), address=None)], 0, 1),
    ],
)
def test_blocks_that_cannot_be(fields: list[Field], address: int, count: int) -> None:
    """Fields that overlap, stick out or stand in another table are a mistake of the caller."""
    with pytest.raises(ValueError, match=r"overlaps|not in this table"):
        Block(fields, Table.INPUT, address, count)


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0"])
def test_a_reply_of_another_length_is_refused(data: bytes) -> None:
    """A shifted reply never becomes a value."""
    with pytest.raises(ValueError, match="for a block of 2"):
        Block([field()], Table.INPUT, 0, 1).decode(data)


def encoded(value: Value | None, **more: Any) -> str:
    """One field's registers, as hex."""
    one = field(**more)
    return Block([one], Table.INPUT, 0, one.words).encode([value]).hex(" ", 2).upper()


@pytest.mark.parametrize(
    ("value", "more", "data"),
    [
        (22.9, {"tens": 1, "raw_offset": -400.0}, "0275"),
        (44090.0, {"tens": -1}, "1139"),
        (-20.5, {"type_": "i16", "tens": 1}, "FF33"),
        (0.762, {"scale": 0.254}, "0003"),
        (230.2, {"type_": "f32"}, "4366 3333"),
        (230.2, {"type_": "f32", "order": "CDAB"}, "3333 4366"),
        (None, {}, "0000"),
        (None, {"sentinels": (0xFFFF, 0)}, "FFFF"),
        (None, {"type_": "i32", "sentinels": (0x80000000,), "order": "BADC"}, "0080 0000"),
        (None, {"type_": "f32"}, "7FC0 0000"),
        (None, {"type_": "f32", "sentinels": (0xFFC00001,)}, "FFC0 0001"),
    ],
)
def test_encode(value: Value | None, more: dict[str, Any], data: str) -> None:
    """What a device with this value sends; without one: its sentinel, else NaN or zero."""
    assert encoded(value, **more) == data


@pytest.mark.parametrize(
    ("value", "more"),
    [
        (-1.0, {}),
        (65536.0, {}),
        (6553.6, {"tens": 1}),
        (65535.0, {"sentinels": (0xFFFF,)}),
        (1e39, {"type_": "f32"}),
        (math.nan, {}),
        (math.inf, {"type_": "f32"}),
        ("5", {}),
    ],
)
def test_values_that_a_device_cannot_send(value: Value, more: dict[str, Any]) -> None:
    """A simulator never sends something else than it was told."""
    with pytest.raises(ValueError, match="x: "):
        encoded(value, **more)


def part(name: str, **more: Any) -> Field:
    """A field of a serial frame."""
    return replace(Field(name, name, "1", "f", 2, part=name), **more)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("002.74", 2.74), ("-0.5", -0.5), ("+7", 7.0), (" 229 ", 229.0), (".5", 0.5), ("5.", 5.0), ("1e2", 100.0),
        ("1.005", 1.0),
    ],
)  # fmt: skip
def test_numbers_in_text(text: str, value: float) -> None:
    """Leading zeros, signs, spaces and exponents are numbers; rounded to the field's decimals."""
    assert decode_parts([part("a")], {"a": text}) == Decoded((value,), ())


@pytest.mark.parametrize(
    ("parts", "quality"),
    [
        ({"a": ""}, Quality.NO_VALUE),
        ({"a": "  "}, Quality.NO_VALUE),
        ({"a": "abc"}, Quality.BAD_REPLY),
        ({"a": "1_0"}, Quality.BAD_REPLY),
        ({"a": "nan"}, Quality.BAD_REPLY),
        ({"a": "inf"}, Quality.BAD_REPLY),
        ({"a": "0x10"}, Quality.BAD_REPLY),
        ({"a": "1,5"}, Quality.BAD_REPLY),
        ({"a": "\u0665"}, Quality.BAD_REPLY),
        ({"a": "9" * 400}, Quality.BAD_REPLY),
        ({"a": "1e999"}, Quality.NOT_A_NUMBER),
        ({"a": math.nan}, Quality.NOT_A_NUMBER),
        ({}, Quality.BAD_REPLY),
    ],
)
def test_parts_without_a_number(parts: dict[str, str | float], quality: Quality) -> None:
    """Empty is the device's word for no value; anything else that is no number is a bad reply."""
    assert decode_parts([part("a"), part("b")], {**parts, "b": "1"}) == Decoded((None, 1.0), ((0, quality),))


def test_binary_parts() -> None:
    """Scaled as registers are; sentinels are raw words."""
    fields = [part("a", type="u16", tens=1), part("b", type="i16", sentinels=(0x8000,)), part("c", type="u8")]
    got = decode_parts(fields, {"a": 255, "b": -32768, "c": 7})
    assert got == Decoded((25.5, None, 7.0), ((1, Quality.NO_VALUE),))
    assert encode_parts(fields, got.values) == {"a": 255, "b": -32768, "c": 7}


def test_text_parts_are_written_with_their_decimals() -> None:
    """2.74 is sent as 2.74; no value as an empty text."""
    fields = [part("a"), part("b"), part("c", tens=1, decimals=1), part("d", scale=0.5, decimals=1)]
    assert encode_parts(fields, [2.74, None, 25.5, 1.5]) == {"a": "2.74", "b": "", "c": "255", "d": "3.0000000"}


@pytest.mark.parametrize("decimals", range(10))
def test_the_short_way_of_rounding_is_round(decimals: int) -> None:
    """Halves go to the even decimal, as Python's round has it, for every step of an f32."""
    block = Block([field(type_="f32", decimals=decimals)], Table.INPUT, 0, 2)
    for sixteenths in (*range(-2000, 2000, 7), *range(10**7, 10**7 + 300)):
        data = struct.pack(">f", sixteenths / 16)
        assert block.decode(data).values == (round(struct.unpack(">f", data)[0], decimals),)
