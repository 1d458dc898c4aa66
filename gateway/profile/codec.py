"""Registers <-> values, both ways: one function per block, generated when a plan is made and run at every poll.

A block is `count` registers from `address`. A value of two or four registers stands in one of four orders; with "the
bytes of each register swapped" as the only rearrangement, each order is a plain struct byte order:

    ABCD  big-endian in the bytes as they came      CDAB  little-endian in the swapped bytes
    DCBA  little-endian in the bytes as they came   BADC  big-endian in the swapped bytes

So a block is at most four `struct.Struct`s, with pad bytes over what the others read, and one function of all their
numbers. Its source is made of indices and of checked numbers only, never of a profile's text. A decimal scale is a
division by a power of ten (i / 10**d is the double nearest to the decimal, i * 0.1 often is not); only f32, f64 and
odd scales are rounded. Coils and discrete inputs are bits, first address in the lowest bit (Modbus V1.1b3 section 6.1).

A range is not judged here: that is the pipeline's. Pure.
"""

import math
import re
import struct
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gateway.model import Quality, Value
from gateway.profile.profile import Field
from gateway.protocols.modbus_pdu import Table

Part: TypeAlias = str | int | float
Values: TypeAlias = tuple[Value | None, ...]

CODES = {  # struct codes; u8 and i8 are for serial frames
    "u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "i64": "q",
    "f32": "f", "f64": "d",
}  # fmt: skip
WORDS = {1: "H", 2: "I", 4: "Q"}  # by registers
FLOATS = frozenset({"f32", "f64"})
ORDERS = {"ABCD": (">", False), "DCBA": ("<", False), "CDAB": ("<", True), "BADC": (">", True)}  # endian, swapped
BITS = frozenset({Table.COIL, Table.DISCRETE})
EXACT_TENS = 12
MOST = 1e290  # a number beyond it is none: scaled, it might become infinite
NUMBER = re.compile(r"[+-]?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Values in the order of the fields; why one is null."""

    values: Values
    quality: tuple[tuple[int, Quality], ...]


class Block:
    """Some fields laid out in `count` registers (or bits) from `address`: compiled once, used for every poll.

    Raises ValueError for fields that overlap or lie outside.
    """

    def __init__(self, fields: Sequence[Field], table: Table, address: int, count: int) -> None:
        self._fields = tuple(fields)
        self._offsets = _offsets(self._fields, table, address, count)
        self._bits = table in BITS
        self._size_bytes = (count + 7) // 8 if self._bits else 2 * count
        self._layers = () if self._bits else _layers(self._fields, self._offsets, count)
        self._scale = _generated(self._fields, [place for layer in self._layers for place in layer.places])
        self._never_null = not any(field.sentinels or field.type in FLOATS for field in fields)

    def decode(self, data: bytes) -> Decoded:
        """Values of the data of one checked reply; raises ValueError when its length is not this block's."""
        if len(data) != self._size_bytes:
            raise ValueError(f"{len(data)} bytes for a block of {self._size_bytes}")
        if self._bits:
            return Decoded(tuple(bool(data[at >> 3] >> (at & 7) & 1) for at in self._offsets), ())
        values = self._scale(*self._raw(data))
        if self._never_null or None not in values:
            return Decoded(values, ())
        return Decoded(values, self._why_null(values, data))

    def encode(self, values: Sequence[Value | None]) -> bytes:
        """The registers a device with these values would send; None is its sentinel, else NaN or zero. For simulators.

        Raises ValueError for a value that does not fit, or that the device could not tell from "no value".
        """
        if self._bits:
            return _packed_bits(self._offsets, values, self._size_bytes)
        bits = [_bits_of(field, value) for field, value in zip(self._fields, values, strict=True)]
        packed = (layer.pack([bits[place] for place in layer.places]) for layer in self._layers)
        return sum(int.from_bytes(part) for part in packed).to_bytes(self._size_bytes)

    def _raw(self, data: bytes) -> Sequence[float]:
        if len(self._layers) == 1:
            return self._layers[0].unpack(data)
        numbers: list[float] = []
        for layer in self._layers:
            numbers += layer.unpack(data)
        return numbers

    def _why_null(self, values: Values, data: bytes) -> tuple[tuple[int, Quality], ...]:
        return tuple(
            (n, Quality.NO_VALUE if self._bits_at(n, data) in self._fields[n].sentinels else Quality.NOT_A_NUMBER)
            for n, value in enumerate(values)
            if value is None
        )

    def _bits_at(self, n: int, data: bytes) -> int:
        """The raw word of field `n`, as an unsigned number."""
        field, at = self._fields[n], 2 * self._offsets[n]
        endian, swapped = ORDERS[field.order]
        word = data[at : at + 2 * field.words]
        return int.from_bytes(_swapped(word) if swapped else word, "big" if endian == ">" else "little")


def decode_parts(fields: Sequence[Field], parts: Mapping[str, Part]) -> Decoded:
    """Values of one parsed serial frame: an empty text is no value; one that is no number, or no part, a bad reply."""
    values: list[Value | None] = []
    quality = []
    for n, field in enumerate(fields):
        value = _part_value(field, parts.get(field.part))
        values.append(None if isinstance(value, Quality) else value)
        if isinstance(value, Quality):
            quality.append((n, value))
    return Decoded(tuple(values), tuple(quality))


def encode_parts(fields: Sequence[Field], values: Sequence[Value | None]) -> dict[str, Part]:
    """The parts of a serial frame with these values: numbers where the field has a type, else text. For simulators."""
    return {field.part: _part(field, value) for field, value in zip(fields, values, strict=True)}


def signed(field: Field, sentinel: int) -> int:
    """A raw word as the field's type reads it: 0xFFFF is -1 in an i16."""
    size_bytes = struct.calcsize(f">{CODES[field.type]}")
    return int.from_bytes(sentinel.to_bytes(size_bytes), signed=field.type.startswith("i"))


# --- layout -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layer:
    """The fields of one order in a block."""

    numbers: struct.Struct
    words: struct.Struct  # the same places, as unsigned numbers
    swapped: bool
    places: tuple[int, ...]  # of the fields, by address

    def unpack(self, data: bytes) -> tuple[float, ...]:
        return self.numbers.unpack(_swapped(data) if self.swapped else data)

    def pack(self, bits: Sequence[int]) -> bytes:
        data = self.words.pack(*bits)
        return _swapped(data) if self.swapped else data


def _swapped(data: bytes) -> bytes:
    words = array("H", data)
    words.byteswap()
    return words.tobytes()


def _offsets(fields: Sequence[Field], table: Table, address: int, count: int) -> tuple[int, ...]:
    """Where each field starts, in registers or bits; checks that they fit and are apart."""
    taken: set[int] = set()
    offsets = []
    for field in fields:
        if field.address is None or field.table is not table:
            raise ValueError(f"{field.name} is not in this table")
        offset = field.address - address
        places = set(range(offset, offset + field.words))
        if offset < 0 or offset + field.words > count or places & taken:
            raise ValueError(f"{field.name} overlaps or lies outside")
        taken |= places
        offsets.append(offset)
    return tuple(offsets)


def _layers(fields: Sequence[Field], offsets: Sequence[int], count: int) -> tuple[_Layer, ...]:
    orders: dict[tuple[str, bool], list[int]] = {}
    for place in sorted(range(len(fields)), key=lambda place: offsets[place]):
        orders.setdefault(ORDERS[fields[place].order], []).append(place)
    return tuple(
        _Layer(
            _struct(endian, [(offsets[place], CODES[fields[place].type]) for place in places], count),
            _struct(endian, [(offsets[place], WORDS[fields[place].words]) for place in places], count),
            swapped,
            tuple(places),
        )
        for (endian, swapped), places in orders.items()
    )


def _struct(endian: str, codes: Sequence[tuple[int, str]], count: int) -> struct.Struct:
    """These codes at these registers, pad bytes over the rest."""
    text, at = endian, 0
    for offset, code in codes:
        text += f"{2 * offset - at}x{code}"
        at = 2 * offset + struct.calcsize(f">{code}")
    return struct.Struct(f"{text}{2 * count - at}x")


# --- numbers ----------------------------------------------------------------------------------------------------------


def _generated(fields: Sequence[Field], places: Sequence[int]) -> Callable[..., Values]:
    """A function of the raw numbers of `places`, in that order; it returns the values in the order of the fields."""
    names = {place: f"r{n}" for n, place in enumerate(places)}
    items = "".join(f"{_expression(fields[place], names[place])}," for place in sorted(names))
    source = f"lambda {','.join(names.values())}: ({items})"
    made: Callable[..., Values] = eval(source, {"__builtins__": {}, "round": round})  # noqa: S307 - numbers only
    return made


def _expression(field: Field, name: str) -> str:
    """The value of one raw number, as source."""
    shifted = f"({name}+{_number(field.raw_offset)})" if field.raw_offset else name
    scaled = shifted + (f"/{10**field.tens}" if field.tens > 0 else f"*{10**-field.tens}" if field.tens < 0 else "")
    if field.scale != 1.0:
        scaled += f"*{field.scale!r}"
    if field.type in FLOATS:
        return f"{_rounded(field, name, scaled)} if {-MOST}<{name}<{MOST}{_unless(field, name)} else None"
    if not is_exact(field):
        scaled = f"round({scaled},{field.decimals:d})"
    elif field.tens <= 0:
        scaled = f"{scaled}*1.0"  # a number is a float in every store
    unless = _unless(field, name)
    return f"{scaled} if {unless.removeprefix(' and ')} else None" if unless else scaled


def _rounded(field: Field, name: str, scaled: str) -> str:
    """A float at its decimals, as source.

    The short way, a quarter of the time: an f32 has 24 bits and 5**12 has 28, so its product with a power of ten up to
    12 is exact in a double, and rounding that to a whole number is rounding the decimal.
    """
    steps = field.decimals - field.tens
    if field.type == "f32" and is_exact(field) and not field.raw_offset and field.tens <= 0 and steps <= EXACT_TENS:
        return f"round({name}*{10**steps})/{10**field.decimals}"
    return f"round({scaled},{field.decimals:d})"


def _unless(field: Field, name: str) -> str:
    """Text for "and it is none of the sentinels"."""
    return "".join(f" and {name}!={raw!r}" for raw in _sentinels(field))


def _sentinels(field: Field) -> list[float]:
    """As the struct code reads them. One that reads as NaN never comes here as a number: it is not_a_number anyway."""
    if field.type in FLOATS:
        code = CODES[field.type]
        read = (struct.unpack(f">{code}", raw.to_bytes(struct.calcsize(f">{code}")))[0] for raw in field.sentinels)
        return [raw for raw in read if math.isfinite(raw)]
    return [signed(field, raw) for raw in field.sentinels]


def is_exact(field: Field) -> bool:
    """Whether whole numbers over a power of ten say it all, so that nothing needs rounding."""
    return field.scale == 1.0 and float(field.raw_offset).is_integer()


def _number(value: float) -> str:
    return repr(int(value)) if float(value).is_integer() else repr(float(value))


# --- the way back -----------------------------------------------------------------------------------------------------


def _bits_of(field: Field, value: Value | None) -> int:
    """The raw word of a value, as an unsigned number."""
    if value is None:
        empty = int.from_bytes(struct.pack(f">{CODES[field.type]}", math.nan)) if field.type in FLOATS else 0
        return field.sentinels[0] if field.sentinels else empty
    raw = _unscaled(field, value)
    try:
        bits = int.from_bytes(struct.pack(f">{CODES[field.type]}", raw if field.type in FLOATS else round(raw)))
    except (struct.error, OverflowError):
        raise ValueError(f"{field.name}: {value} does not fit into {field.type}") from None
    if bits in field.sentinels:
        raise ValueError(f"{field.name}: {value} would read as no value")
    return bits


def _unscaled(field: Field, value: Value) -> float:
    if isinstance(value, str) or not math.isfinite(value):
        raise ValueError(f"{field.name}: {value!r} is not a number")
    scaled = value * 10**field.tens if field.tens >= 0 else value / 10**-field.tens
    return float(scaled / field.scale - field.raw_offset)


def _packed_bits(offsets: Sequence[int], values: Sequence[Value | None], size_bytes: int) -> bytes:
    number = sum(1 << at for at, value in zip(offsets, values, strict=True) if value)
    return number.to_bytes(size_bytes, "little")


# --- parts of serial frames -------------------------------------------------------------------------------------------


def _part_value(field: Field, part: Part | None) -> float | Quality:
    if isinstance(part, str):
        if not part.strip():
            return Quality.NO_VALUE
        part = float(part) if NUMBER.fullmatch(part.strip()) else None
    if part is None:
        return Quality.BAD_REPLY
    if not -MOST < part < MOST:
        return Quality.NOT_A_NUMBER
    if part in (_sentinels(field) if field.type else field.sentinels):
        return Quality.NO_VALUE
    shifted = part + field.raw_offset
    scaled = shifted / 10**field.tens if field.tens >= 0 else shifted * 10**-field.tens
    return round(float(scaled * field.scale), field.decimals)


def _part(field: Field, value: Value | None) -> Part:
    if field.type:
        bits = _bits_of(field, value).to_bytes(struct.calcsize(f">{CODES[field.type]}"))
        part: int | float = struct.unpack(f">{CODES[field.type]}", bits)[0]
        return part
    if value is None:
        return ""
    digits = max(0, field.decimals - field.tens) if field.scale == 1.0 else field.decimals + 6
    return f"{_unscaled(field, value):.{digits}f}"
