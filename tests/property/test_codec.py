"""Property tests of gateway.profile.codec: both directions agree, and the generated code with an obvious reading."""

import math
import struct

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Quality, Value
from gateway.profile.codec import CODES, ORDERS, Block, decode_parts, encode_parts
from gateway.profile.profile import Field
from gateway.protocols.modbus_pdu import Table

REGISTER_TYPES = ("u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64")


@st.composite
def fields(draw: st.DrawFn, address: int) -> Field:
    """Any field of input registers."""
    kind = draw(st.sampled_from(REGISTER_TYPES))
    bits = 8 * struct.calcsize(CODES[kind])
    return Field(
        name=f"f{address}",
        quantity="x",
        unit="1",
        letter="f",
        decimals=draw(st.integers(0, 6)),
        table=Table.INPUT,
        address=address,
        type=kind,
        order=draw(st.sampled_from(sorted(ORDERS))) if bits > 16 else "ABCD",
        raw_offset=draw(st.sampled_from([0.0, -400.0, 40.0, 0.5])),
        tens=draw(st.integers(-3, 6)),
        scale=draw(st.sampled_from([1.0, 1.0, 0.254, 2.0])),
        sentinels=tuple(draw(st.lists(st.integers(0, 2**bits - 1), max_size=2))),
    )


@st.composite
def maps(draw: st.DrawFn) -> tuple[list[Field], int]:
    """Some fields with holes between them, in any order, and how many registers they span."""
    made, at = [], 0
    for _ in range(draw(st.integers(1, 12))):
        at += draw(st.integers(0, 3))
        made.append(draw(fields(at)))
        at += made[-1].words
    return draw(st.permutations(made)), at


def reading(field: Field, data: bytes) -> float | Quality:
    """What a field says, read as plainly as possible: turn its bytes to ABCD, unpack, scale."""
    at = 2 * (field.address or 0)
    words = [data[n : n + 2] for n in range(at, at + 2 * field.words, 2)]
    if field.order in ("CDAB", "DCBA"):
        words.reverse()
    if field.order in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    word = b"".join(words)
    if int.from_bytes(word) in field.sentinels:
        return Quality.NO_VALUE
    raw = struct.unpack(">" + CODES[field.type], word)[0]
    if not math.isfinite(raw) or abs(raw) >= 1e290:
        return Quality.NOT_A_NUMBER
    shifted = raw + (int(field.raw_offset) if field.raw_offset.is_integer() else field.raw_offset)
    scaled = shifted / 10**field.tens if field.tens > 0 else shifted * 10**-field.tens
    exact = field.scale == 1.0 and field.raw_offset.is_integer() and field.type not in ("f32", "f64")
    return float(scaled) if exact else round(float(scaled * field.scale), field.decimals)


@settings(max_examples=200)
@given(st.data())
def test_the_generated_code_reads_what_a_plain_reading_reads(data: st.DataObject) -> None:
    """Any registers, any fields: the same values and the same reasons for none."""
    made, count = data.draw(maps())
    raw = data.draw(st.binary(min_size=2 * count, max_size=2 * count))
    decoded = Block(made, Table.INPUT, 0, count).decode(raw)
    why = dict(decoded.quality)
    for n, field in enumerate(made):
        assert (why[n] if decoded.values[n] is None else decoded.values[n]) == reading(field, raw)
    assert list(why) == [n for n, value in enumerate(decoded.values) if value is None]


@settings(max_examples=200)
@given(st.data())
def test_registers_survive_the_way_there_and_back(data: st.DataObject) -> None:
    """Whole numbers of up to 32 bits that are not rounded: values encode to the very registers they came from."""
    made, count = data.draw(maps())
    exact = [
        f for f in made if f.type[1:] in ("16", "32") and f.type[0] != "f" and f.scale == 1.0 and f.raw_offset != 0.5
    ]
    raw = data.draw(st.binary(min_size=2 * count, max_size=2 * count))
    block = Block(exact, Table.INPUT, 0, count)
    values = block.decode(raw).values
    again = block.encode(values)
    for field, value in zip(exact, values, strict=True):
        at = 2 * (field.address or 0)
        if value is not None:
            assert again[at : at + 2 * field.words] == raw[at : at + 2 * field.words]
    assert block.decode(again).values == values


@settings(max_examples=200)
@given(st.sampled_from(REGISTER_TYPES), st.sampled_from(sorted(ORDERS)), st.data())
def test_values_survive_every_type_and_order(kind: str, order: str, data: st.DataObject) -> None:
    """What a simulator is told to send is what a gateway reads."""
    field = Field("x", "x", "1", "f", 1, table=Table.INPUT, address=0, type=kind, order=order, tens=1)
    if kind[0] == "f":
        tenths = data.draw(st.integers(-99_999, 99_999))
    else:
        tenths = data.draw(st.integers(-(2**15) if kind[0] == "i" else 0, 2**15 - 1))
    block = Block([field], Table.INPUT, 0, field.words)
    assert block.decode(block.encode([tenths / 10])).values == (tenths / 10,)


@settings(max_examples=100)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 100))
def test_bits_survive(values: list[Value], first: int) -> None:
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
