"""gateway.profile.codec: registers to values and back."""

import math
import struct
from dataclasses import replace
from typing import Any

import pytest

from gateway.model import Quality, Value
from gateway.profile.codec import Block, Decoded, encode_value, finish
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


def test_coils() -> None:
    """First address in the lowest bit; more than eight go on in the next byte."""
    block = Block(coils(10, 3), Table.COIL, 3, 10)
    assert block.decode(b"\x05\x02").values == (True, False, True, *[False] * 6, True)
    assert block.encode([True, False, True, *[None] * 6, True]) == b"\x05\x02"


@pytest.mark.parametrize(
    ("fields", "address", "count"),
    [
        ([field("a", 0, "u32"), field("b", 1)], 0, 2),
        ([field("a", bits=(0, 4)), field("b", bits=(3, 1))], 0, 1),
        ([field("a", bits=(0, 4)), field("b")], 0, 1),
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


@pytest.mark.parametrize("decimals", range(10))
def test_the_short_way_of_rounding_is_round(decimals: int) -> None:
    """Halves go to the even decimal, as Python's round has it, for every step of an f32."""
    block = Block([field(type_="f32", decimals=decimals)], Table.INPUT, 0, 2)
    for sixteenths in (*range(-2000, 2000, 7), *range(10**7, 10**7 + 300)):
        data = struct.pack(">f", sixteenths / 16)
        assert block.decode(data).values == (round(struct.unpack(">f", data)[0], decimals),)


# --- shapes -----------------------------------------------------------------------------------------------------------


def bits(lowest: int, count: int = 1, **more: Any) -> Field:
    """Bits of register 0."""
    return field(f"b{lowest}", 0, bits=(lowest, count), **more)


def test_bits_of_one_register() -> None:
    """A boolean, a small number, a signed one and a label share a register: its word is unpacked once."""
    fields = (
        bits(15, letter="b"),
        bits(8, 4),
        bits(4, 3, type_="i16"),
        bits(0, 2, letter="s", labels=((0, "off"), (1, "on"))),
        field("next", 1),
    )
    assert decode("8A51 0007", *fields).values == (True, 10.0, -3.0, "on", 7.0)
    assert decode("7502 0007", *fields) == Decoded((False, 5.0, 0.0, None, 7.0), ((3, Quality.OUT_OF_RANGE),))
    block = Block(fields, Table.INPUT, 0, 2)
    assert block.encode([True, 10.0, -3.0, "on", 7.0]) == bytes.fromhex("8A51 0007")


def test_a_sentinel_of_a_shared_register_is_all_of_it() -> None:
    """0xFFFF says nothing of any bit in it; a bit that is set in another word does."""
    fields = (bits(0, letter="b", sentinels=(0xFFFF,)), bits(1, 15, sentinels=(0xFFFF,)))
    assert decode("FFFF", *fields).quality == ((0, Quality.NO_VALUE), (1, Quality.NO_VALUE))
    assert decode("0001", *fields).values == (True, 0.0)
    with pytest.raises(ValueError, match="b0: with what shares its register"):
        Block(fields, Table.INPUT, 0, 1).encode([True, 32767.0])


def test_the_bytes_of_a_register() -> None:
    """High and low byte, signed or not; a sentinel of a byte is a byte."""
    fields = (field("high", type_="i8", bits=(8, 8), sentinels=(0x80,)), field("low", type_="u8", bits=(0, 8), tens=1))
    assert decode("FFFE", *fields).values == (-1.0, 25.4)
    assert decode("80FF", *fields) == Decoded((None, 25.5), ((0, Quality.NO_VALUE),))
    assert Block(fields, Table.INPUT, 0, 1).encode([None, 25.5]) == bytes.fromhex("80FF")


@pytest.mark.parametrize(
    ("type_", "data", "value", "quality"),
    [
        ("bcd16", "2305", 230.5, None),
        ("bcd32", "0012 3456", 12345.6, None),
        ("bcd16", "230A", None, Quality.NOT_A_NUMBER),
        ("bcd32", "FFFF FFFF", None, Quality.NOT_A_NUMBER),
        ("bcd16", "EEEE", None, Quality.NO_VALUE),
    ],
)
def test_decimal_digits(type_: str, data: str, value: float | None, quality: Quality | None) -> None:
    """A nibble is a digit; one that is none makes no number."""
    one = field(type_=type_, tens=1, decimals=1, sentinels=(0xEEEE,))
    assert decode(data, one) == Decoded((value,), () if quality is None else ((0, quality),))
    if value is not None:
        assert Block((one,), Table.INPUT, 0, one.words).encode((value,)) == bytes.fromhex(data)


def test_decimal_digits_in_another_order() -> None:
    """The low four digits first."""
    assert decode("3456 0012", field(type_="bcd32", order="CDAB")).values == (123456.0,)


def text_field(length: int, **more: Any) -> Field:
    """Registers of text."""
    return field(type_="text", length=length, letter="s", **more)


@pytest.mark.parametrize(
    ("data", "more", "value", "quality"),
    [
        ("5756 5041 2120 0000", {}, "WVPA!", None),
        ("5657 4150 2021", {"order": "BADC"}, "WVPA!", None),
        ("4DC3 BC20", {}, "M\u00fc", None),
        ("4DFC 2000", {"encoding": "latin-1"}, "M\u00fc", None),
        ("4DFC 2000", {}, None, Quality.OUT_OF_RANGE),
        ("4100 4200", {}, None, Quality.OUT_OF_RANGE),
        ("2000 0000", {}, None, Quality.NO_VALUE),
    ],
)
def test_texts(data: str, more: dict[str, Any], value: str | None, quality: Quality | None) -> None:
    """Without its padding; what is no text in its encoding, or holds control characters, is no value."""
    one = text_field(len(bytes.fromhex(data)) // 2, **more)
    assert decode(data, one) == Decoded((value,), () if quality is None else ((0, quality),))


def test_a_text_between_numbers() -> None:
    """It has its place in the block as any field, in the order of its own."""
    fields = (field("a", 3), text_field(2), field("b", 2))
    assert decode("4142 4300 0005 0006", *fields).values == (6.0, "ABC", 5.0)
    assert Block(fields, Table.INPUT, 0, 4).encode([6.0, "ABC", 5.0]) == bytes.fromhex("4142 4300 0005 0006")


@pytest.mark.parametrize("value", ["ABCDE", "A ", "", "A\n", "A\0B", 5.0, "\ud800"])
def test_texts_that_do_not_fit(value: Value) -> None:
    """What would read as another text, or as none, is not sent."""
    with pytest.raises(ValueError, match="x: "):
        Block((text_field(2),), Table.INPUT, 0, 2).encode((value,))


def test_labels() -> None:
    """A number stands for a text; another one for nothing that is known."""
    one = field(type_="i16", letter="s", labels=((-1, "falling"), (0, "still"), (1, "rising")))
    assert decode("FFFF", one).values == ("falling",)
    assert decode("0002", one).quality == ((0, Quality.OUT_OF_RANGE),)
    block = Block((one,), Table.INPUT, 0, 1)
    assert block.encode(("falling",)) == b"\xff\xff"
    assert block.decode(block.encode((None,))).values == (None,)
    with pytest.raises(ValueError, match="none of its labels"):
        block.encode(("flying",))


@pytest.mark.parametrize("data", ["0000 0000", "8000 0000"])
def test_nothing_fitted(data: str) -> None:
    """0 is no reading of a sensor that is not there; of a float, -0 as well."""
    one = field(type_="f32", not_fitted=True, decimals=1)
    assert decode(data, one) == Decoded((None,), ((0, Quality.NOT_FITTED),))
    assert decode("0000", field(not_fitted=True, raw_offset=-40.0)).quality == ((0, Quality.NOT_FITTED),)
    with pytest.raises(ValueError, match="no value"):
        Block((one,), Table.INPUT, 0, 2).encode((0.0,))


def test_a_negative_scale_gives_no_negative_zero() -> None:
    """0 decimals are the power 0, not -0."""
    (value,) = decode("0000", field(scale=-1.0)).values
    assert math.copysign(1, float(value or 0.0)) == 1


POWER = field("power", 1, "i16", hidden=True, sentinels=(0x8000,))
SCALED = field("scaled", 0, "u16", scale_from="power", decimals=2)


@pytest.mark.parametrize(
    ("data", "value", "null"),
    [
        ("04D2 FFFE", 12.34, {}),
        ("04D2 FFFD", 1.23, {}),
        ("04D2 0002", 123400.0, {}),
        ("04D2 0000", 1234.0, {}),
        ("04D2 8000", None, {0: Quality.NO_VALUE, 1: Quality.NO_VALUE}),
        ("04D2 000B", None, {0: Quality.OUT_OF_RANGE}),
    ],
)
def test_the_power_of_ten_of_another_register(data: str, value: float | None, null: dict[int, Quality]) -> None:
    """Applied once all reads of the row are in."""
    decoded = decode(data, SCALED, POWER)
    values, quality = list(decoded.values), dict(decoded.quality)
    finish((SCALED, POWER), values, quality)
    assert (values[0], quality) == (value, null)


def test_a_power_that_was_not_read_takes_its_value_with_it() -> None:
    """With the reason of the power; a value that has none already keeps its own."""
    values: list[Value | None] = [1234.0, None]
    null = {1: Quality.NO_REPLY}
    finish((SCALED, POWER), values, null)
    assert (values, null) == ([None, None], {0: Quality.NO_REPLY, 1: Quality.NO_REPLY})
    null = {0: Quality.REFUSED, 1: Quality.NO_REPLY}
    finish((SCALED, POWER), [None, None], null)
    assert null == {0: Quality.REFUSED, 1: Quality.NO_REPLY}


def test_rows_without_such_a_field_are_left_alone() -> None:
    """Nothing is rounded or changed."""
    values: list[Value | None] = [0.123456, "on", None]
    finish((field("a"), field("b"), field("c")), values, {})
    assert values == [0.123456, "on", None]


@pytest.mark.parametrize(
    ("value", "more", "words"),
    [
        (22.9, {"tens": 1, "decimals": 1}, (229,)),
        (7, {}, (7,)),
        (230.2, {"type_": "f32", "decimals": 1, "order": "CDAB"}, (0x3333, 0x4366)),
        ("on", {"letter": "s", "labels": ((3, "on"),)}, (3,)),
        (2305.0, {"type_": "bcd16"}, (0x2305,)),
        ("AB", {"type_": "text", "letter": "s", "length": 2}, (0x4142, 0)),
    ],
)
def test_the_words_of_a_write(value: Value, more: dict[str, Any], words: tuple[int, ...]) -> None:
    """Those that read back as the value."""
    assert encode_value(field(table=Table.HOLDING, **more), value) == words


@pytest.mark.parametrize(
    ("value", "more"),
    [
        (22.95, {"tens": 1, "decimals": 1}),
        (230.21, {"type_": "f32", "decimals": 1}),
        (70000.0, {}),
        (True, {}),
        ("5", {}),
        (65535.0, {"sentinels": (0xFFFF,)}),
        (0.0, {"not_fitted": True}),
        (1.0, {"bits": (0, 4)}),
        (1.0, {"scale_from": "power"}),
        ("off", {"letter": "s", "labels": ((3, "on"),)}),
        (1.0, {"address": None}),
    ],
)
def test_what_is_not_written(value: Value, more: dict[str, Any]) -> None:
    """A value that would read back as another; a part of a register; a number without its scale."""
    with pytest.raises(ValueError, match="x"):
        encode_value(replace(field(table=Table.HOLDING), **{k.rstrip("_"): v for k, v in more.items()}), value)


def test_the_state_of_a_coil() -> None:
    """True or false, nothing that is taken for it."""
    (coil,) = coils(1)
    assert encode_value(coil, True) is True
    with pytest.raises(ValueError, match="neither true nor false"):
        encode_value(coil, 1.0)
