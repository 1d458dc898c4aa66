"""Property tests of gateway.profile.codec, for every shape of data.

What the generated code reads is what the simulators say that it means, which is a second definition, written
independently; and both directions agree.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.model import Quality, Value
from gateway.profile.codec import ORDERS, Block, encode_value, finish
from gateway.profile.parts import decode_parts, encode_parts
from gateway.profile.profile import Field, Writable
from gateway.profile.word import BCD, CODES
from gateway.protocols.modbus_pdu import Table
from simulators.meaning import value_of

NUMBERS = ("u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64")
WHOLE = ("u16", "i16", "u32", "i32")
LETTERS = st.characters(codec="latin-1", categories=("L", "N", "P", "S"))


def at(address: int, kind: str, **more: Any) -> Field:
    """A field of input registers, a number unless `more` says otherwise."""
    field = Field(f"f{address}", "x", "1", "f", 0, table=Table.INPUT, address=address, type=kind)
    return replace(field, **more)


def scaling(draw: st.DrawFn, kind: str) -> dict[str, Any]:
    """How a number is scaled; whole numbers over a power of ten have the decimals of that power, as profiles do."""
    raw_offset = draw(st.sampled_from([0.0, -400.0, 40.0, 0.5]))
    tens, scale = draw(st.integers(-3, 6)), draw(st.sampled_from([1.0, 1.0, 0.254, 2.0, -1.0]))
    exact = kind[0] != "f" and scale == 1.0 and raw_offset != 0.5
    return {
        "decimals": max(tens, 0) if exact else draw(st.integers(0, 6)),
        "raw_offset": raw_offset,
        "tens": tens,
        "scale": scale,
        "not_fitted": draw(st.booleans()),
    }


def order(draw: st.DrawFn) -> str:
    """One of four."""
    return draw(st.sampled_from(sorted(ORDERS)))


@st.composite
def numbers(draw: st.DrawFn, address: int) -> list[Field]:
    """A number of one to four registers, in binary or in decimal digits."""
    kind = draw(st.sampled_from((*NUMBERS, *BCD)))
    bits = 8 * struct.calcsize(CODES.get(kind) or BCD[kind])
    sentinels = tuple(draw(st.lists(st.integers(0, 2**bits - 1), max_size=2)))
    return [at(address, kind, order=order(draw) if bits > 16 else "ABCD", sentinels=sentinels, **scaling(draw, kind))]


@st.composite
def bytes_of_one(draw: st.DrawFn, address: int) -> list[Field]:
    """One or both bytes of a register."""
    places = draw(st.sampled_from(((0,), (8,), (0, 8))))
    return [
        at(address, draw(st.sampled_from(("u8", "i8"))), name=f"f{address}_{lowest}", bits=(lowest, 8),
           sentinels=tuple(draw(st.lists(st.integers(0, 0xFF), max_size=2))), **scaling(draw, "u8"))
        for lowest in places
    ]  # fmt: skip


@st.composite
def bits_of_one(draw: st.DrawFn, address: int) -> list[Field]:
    """Booleans, small numbers and labels that share one register, with holes between them."""
    made: list[Field] = []
    lowest = draw(st.integers(0, 3))
    sentinels = tuple(draw(st.lists(st.sampled_from((0xFFFF, 0x8000, 0)), max_size=1)))
    while lowest < 16:
        count = draw(st.integers(1, min(5, 16 - lowest)))
        name = f"f{address}_{lowest}"
        kind = draw(st.sampled_from(("u16", "i16")))
        one = at(address, kind, name=name, bits=(lowest, count), sentinels=sentinels)
        shape = draw(st.sampled_from(("number", "boolean", "label")))
        if shape == "boolean":
            one = replace(one, bits=(lowest, 1), letter="b", type="u16")
        elif shape == "label":
            one = replace(one, letter="s", labels=draw(labels(count, signed=kind == "i16")))
        else:
            one = replace(one, **scaling(draw, kind))
        made.append(one)
        lowest += (one.bits or (0, 1))[1] + draw(st.integers(0, 4))
    return made


@st.composite
def labels(draw: st.DrawFn, bits: int, *, signed: bool) -> tuple[tuple[int, str], ...]:
    """Names of some of the numbers that these bits can be."""
    least = -(2 ** (bits - 1)) if signed else 0
    raws = draw(st.lists(st.integers(least, least + 2**bits - 1), min_size=1, max_size=4, unique=True))
    return tuple((raw, f"state {raw}") for raw in raws)


@st.composite
def enums(draw: st.DrawFn, address: int) -> list[Field]:
    """A number that stands for a text."""
    kind = draw(st.sampled_from(WHOLE))
    few = draw(labels(4, signed=kind[0] == "i"))
    wide = kind[1:] == "32"
    return [at(address, kind, letter="s", labels=few, order=order(draw) if wide else "ABCD", sentinels=(0xFFFF,))]


@st.composite
def texts(draw: st.DrawFn, address: int) -> list[Field]:
    """Some registers of text."""
    return [
        at(address, "text", letter="s", length=draw(st.integers(1, 6)), order=draw(st.sampled_from(("ABCD", "BADC"))),
           encoding=draw(st.sampled_from(("utf-8", "latin-1"))))
    ]  # fmt: skip


SHAPES = (numbers, bytes_of_one, bits_of_one, enums, texts)


@st.composite
def maps(draw: st.DrawFn) -> tuple[list[Field], int]:
    """Fields of all shapes with holes between them, in any order, and how many registers they span."""
    made: list[Field] = []
    end = 0
    for _ in range(draw(st.integers(1, 10))):
        end += draw(st.integers(0, 3))
        made += draw(draw(st.sampled_from(SHAPES))(end))
        end += made[-1].words
    return draw(st.permutations(made)), end


@st.composite
def registers(draw: st.DrawFn, fields: Sequence[Field], count: int) -> bytes:
    """Any registers, but with what a device would send in some of them: chance alone makes no digits and no text."""
    data = bytearray(draw(st.binary(min_size=2 * count, max_size=2 * count)))
    for field in fields:
        if field.bits or not draw(st.booleans()):
            continue
        where = slice(2 * (field.address or 0), 2 * ((field.address or 0) + field.words))
        word: bytes | None = None
        if field.type == "text":
            text = draw(st.text(LETTERS, max_size=field.length)).encode(field.encoding)
            word = text[: 2 * field.length].ljust(2 * field.length, draw(st.sampled_from((b"\0", b" "))))
        elif field.type in BCD:
            word = bytes.fromhex("".join(draw(st.lists(st.sampled_from("0123456789"), min_size=4 * field.words,
                                                       max_size=4 * field.words))))  # fmt: skip
        elif field.labels or field.not_fitted:
            word = draw(st.integers(0, 15)).to_bytes(2 * field.words)
        data[where] = data[where] if word is None else turned(field, word)
    return bytes(data)


def turned(field: Field, word: bytes) -> bytes:
    """Big-endian bytes in the order of the field, and back."""
    words = [word[n : n + 2] for n in range(0, len(word), 2)]
    if field.order in ("CDAB", "DCBA"):
        words.reverse()
    return b"".join(each[::-1] if field.order in ("BADC", "DCBA") else each for each in words)


def own(field: Field, data: bytes) -> bytes:
    """The registers of the field as they stand."""
    first = 2 * (field.address or 0)
    return data[first : first + 2 * field.words]


@settings(max_examples=300)
@given(st.data())
def test_the_generated_code_reads_what_the_registers_mean(data: st.DataObject) -> None:
    """Any registers, any fields of any shape: the value of the independent definition; a reason for each null."""
    made, count = data.draw(maps())
    raw = data.draw(registers(made, count))
    decoded = Block(made, Table.INPUT, 0, count).decode(raw)
    expected = [beyond(field, raw) or value_of(field, own(field, raw)) for field in made]
    values = [
        Quality.NOT_A_NUMBER if beyond(field, raw) else value for field, value in zip(made, decoded.values, strict=True)
    ]
    assert values == expected
    assert [type(value) for value in values] == [type(value) for value in expected]
    assert [n for n, _ in decoded.quality] == [n for n, value in enumerate(decoded.values) if value is None]


def beyond(field: Field, raw: bytes) -> Quality | None:
    """A double so big that the gateway takes it for none."""
    if field.type != "f64":
        return None
    number = struct.unpack(">d", turned(field, own(field, raw)))[0]
    return Quality.NOT_A_NUMBER if abs(number) >= 1e290 else None


@settings(max_examples=300)
@given(st.data())
def test_the_reason_for_no_value_is_the_devices_own(data: st.DataObject) -> None:
    """A sentinel is no_value, a 0 of nothing fitted not_fitted, an unknown label or a torn text out_of_range."""
    made, count = data.draw(maps())
    raw = data.draw(registers(made, count))
    decoded = Block(made, Table.INPUT, 0, count).decode(raw)
    for n, reason in decoded.quality:
        field = made[n]
        word = int.from_bytes(turned(field, own(field, raw)))
        if field.type in ("u8", "i8"):
            word = word >> (field.bits or (0, 8))[0] & 0xFF
        if field.type == "text":
            blank = not own(field, raw).strip(b"\0 \t\r\n")
            assert reason is (Quality.NO_VALUE if blank else Quality.OUT_OF_RANGE)
        elif word in field.sentinels:
            assert reason is Quality.NO_VALUE
        elif field.labels:
            assert reason is Quality.OUT_OF_RANGE
        else:
            assert reason in ((Quality.NOT_FITTED,) if field.not_fitted else ()) + (Quality.NOT_A_NUMBER,)
            assert (reason is Quality.NOT_A_NUMBER) == (
                field.type in ("f32", "f64", *BCD) and bool(word << 1 & 2**64 - 1)
            )


@settings(max_examples=300)
@given(st.data())
def test_registers_survive_the_way_there_and_back(data: st.DataObject) -> None:
    """What is not rounded and not wider than 32 bits: values encode to the very bits that they came from."""
    made, count = data.draw(maps())
    exact = [f for f in made if f.type not in ("u64", "i64", "f32", "f64") and f.scale == 1.0 and f.raw_offset != 0.5]
    raw = data.draw(registers(made, count))
    block = Block(exact, Table.INPUT, 0, count)
    values = block.decode(raw).values
    try:
        again = block.encode(values)
    except ValueError as error:
        assume("shares its register" not in str(error))
        raise
    shared = any(field.bits and field.sentinels for field in exact)  # a register that has become a sentinel by a hole
    for field, value in zip(exact, values, strict=True):
        if value is None or field.type == "text":
            continue
        word, before = (int.from_bytes(own(field, each)) for each in (again, raw))
        assert word & mask(field) == before & mask(field)
    if not shared:
        for value, read in zip(values, block.decode(again).values, strict=True):
            assert value is None or read == value


def mask(field: Field) -> int:
    """The bits of its registers that are its own."""
    return field.mask if field.bits else 2 ** (16 * field.words) - 1


@settings(max_examples=200)
@given(st.sampled_from(NUMBERS), st.sampled_from(sorted(ORDERS)), st.data())
def test_values_survive_every_type_and_order(kind: str, word_order: str, data: st.DataObject) -> None:
    """What a simulator is told to send is what a gateway reads, and what a technician writes reads back."""
    field = at(0, kind, decimals=1, tens=1, order=word_order, table=Table.HOLDING, write=Writable())
    if kind[0] == "f":
        tenths = data.draw(st.integers(-99_999, 99_999))
    else:
        tenths = data.draw(st.integers(-(2**15) if kind[0] == "i" else 0, 2**15 - 1))
    block = Block([field], Table.HOLDING, 0, field.words)
    written = block.encode([tenths / 10])
    assert block.decode(written).values == (tenths / 10,)
    assert encode_value(field, tenths / 10) == struct.unpack(f">{field.words}H", written)


@settings(max_examples=200)
@given(st.data())
def test_what_is_written_reads_back_or_is_refused(data: st.DataObject) -> None:
    """Any field, any value: the words of a write mean this very value, or there are no words."""
    (field, *_) = data.draw(data.draw(st.sampled_from(SHAPES))(0))
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "b": st.booleans(),
        "s": st.text(max_size=8) | st.sampled_from([text for _, text in field.labels] or [""]),
        "f": st.floats(-1e6, 1e6) | st.integers(-1000, 70_000).map(float),
    }
    value = data.draw(kinds[field.letter])
    try:
        words = encode_value(field, value)
    except ValueError:
        return
    assert not field.bits
    assert isinstance(words, tuple)
    assert value_of(field, struct.pack(f">{len(words)}H", *words)) == value


@settings(max_examples=200)
@given(
    st.sampled_from(WHOLE),
    st.integers(0, 2**32 - 1),
    st.none() | st.integers(-14, 14),
    st.sampled_from((1.0, -1.0)),
    st.integers(0, 3),
)
def test_a_scale_register_is_a_power_of_ten(
    kind: str, number: int, power: int | None, sign: float, decimals: int
) -> None:
    """As the independent definition has it; nothing without the power, or with one that is none."""
    scale = at(9, "i16", name="scale", hidden=True, scale=sign, sentinels=(0x8000,))
    field = at(0, kind, decimals=decimals, scale_from="scale", raw_offset=-400.0)
    raw = number.to_bytes(4)[-2 * field.words :]
    scale_raw = struct.pack(">h", -0x8000 if power is None else power)
    values = [*Block([field], Table.INPUT, 0, field.words).decode(raw).values,
              *Block([scale], Table.INPUT, 9, 1).decode(scale_raw).values]  # fmt: skip
    null = {} if power is not None else {1: Quality.NO_VALUE}
    finish([field, scale], values, null)
    assert values[0] == value_of(field, raw, value_of(scale, scale_raw))
    if power is None:
        assert null == {0: Quality.NO_VALUE, 1: Quality.NO_VALUE}
    elif abs(power) > 10:
        assert (values[0], null) == (None, {0: Quality.OUT_OF_RANGE})
    else:
        scaled = (struct.unpack(f">{CODES[kind]}", raw)[0] - 400) * 10.0 ** (sign * power)
        assert values[0] == pytest.approx(scaled, abs=0.5001 * 10**-decimals, rel=1e-12)
        assert null == {}


@settings(max_examples=100)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 100))
def test_coils_survive(values: list[Value], first: int) -> None:
    """Coils, both ways."""
    coils = [
        Field(f"c{n}", "x", "1", "b", 0, table=Table.COIL, address=first + n, type="bit") for n in range(len(values))
    ]
    block = Block(coils, Table.COIL, first, len(coils))
    assert block.decode(block.encode(values)).values == tuple(values)


@settings(max_examples=200)
@given(st.lists(st.one_of(st.none(), st.integers(-99_999, 99_999)), min_size=1, max_size=6), st.integers(0, 3))
def test_text_parts_survive(numbers: list[int | None], decimals: int) -> None:
    """Values of a text frame, both ways; no value is an empty part."""
    made = [Field(f"f{n}", "x", "1", "f", decimals, part=str(n)) for n in range(len(numbers))]
    values = tuple(None if number is None else number / 10**decimals for number in numbers)
    assert decode_parts(made, encode_parts(made, values)).values == values


@settings(max_examples=200)
@given(st.sampled_from(("u8", "i8", "u16", "i16", "u32", "i32", "f32")), st.data())
def test_binary_parts_survive(kind: str, data: st.DataObject) -> None:
    """Numbers of a binary frame mean what registers of the same type mean, and go back to the same number."""
    field = Field("x", "x", "1", "f", 1, type=kind, tens=1, part="p")
    code = CODES[kind]
    raw = data.draw(st.binary(min_size=struct.calcsize(f">{code}"), max_size=struct.calcsize(f">{code}")))
    (number,) = struct.unpack(f">{code}", raw)
    assume(math.isfinite(number))
    (value,) = decode_parts([field], {"p": number}).values
    assert value == round(number / 10, 1)
    if kind != "f32":
        assert encode_parts([field], [value]) == {"p": number}
