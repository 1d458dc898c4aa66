"""Registers <-> values, both ways: one function per block, generated when a plan is made and run at every poll.

A block is `count` registers from `address`. A value of two or four registers stands in one of four orders; with "the
bytes of each register swapped" as the only rearrangement, each order is a plain struct byte order:

    ABCD  big-endian in the bytes as they came      CDAB  little-endian in the swapped bytes
    DCBA  little-endian in the bytes as they came   BADC  big-endian in the swapped bytes

So a block is at most four `struct.Struct`s, with pad bytes over what the others read, and one function of all their
words (`expression`). Fields that have only bits of a register share its word. Coils and discrete inputs are bits, first
address in the lowest bit (Modbus V1.1b3 section 6.1).

A range is not judged here: that is the pipeline's. Pure.
"""

import struct
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from gateway.model import Quality, Value
from gateway.profile import expression
from gateway.profile.profile import Field
from gateway.profile.word import BCD, FLOATS, Word, code, is_byte, why_none, word_of
from gateway.protocols.modbus_pdu import Table

Values: TypeAlias = tuple[Value | None, ...]

UNSIGNED = {1: "H", 2: "I", 4: "Q"}  # by registers
ORDERS = {"ABCD": (">", False), "DCBA": ("<", False), "CDAB": ("<", True), "BADC": (">", True)}  # endian, swapped
TABLES_OF_BITS = frozenset({Table.COIL, Table.DISCRETE})
POWER_MAX = 10  # of ten, either way, in a scale register
TENS = {float(tens): tens for tens in range(-POWER_MAX, POWER_MAX + 1)}


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
        self._bits = table in TABLES_OF_BITS
        self._size_bytes = (count + 7) // 8 if self._bits else 2 * count
        self._layers = () if self._bits else _layers(self._fields, self._offsets, count)
        self._evaluate = _generated(self._fields, [places for layer in self._layers for places in layer.places])
        self._never_null = not any(_may_be_null(field) for field in fields)

    def decode(self, data: bytes) -> Decoded:
        """Values of the data of one checked reply; raises ValueError when its length is not this block's.

        Those with a `scale_from` are still without their power of ten: see `finish`.
        """
        if len(data) != self._size_bytes:
            raise ValueError(f"{len(data)} bytes for a block of {self._size_bytes}")
        if self._bits:
            return Decoded(tuple(bool(data[at >> 3] >> (at & 7) & 1) for at in self._offsets), ())
        values = self._evaluate(*self._words(data))
        if self._never_null or None not in values:
            return Decoded(values, ())
        return Decoded(values, self._why_null(values, data))

    def encode(self, values: Sequence[Value | None]) -> bytes:
        """The registers a device with these values would send; None as `word_of` says.

        Raises ValueError for a value that does not fit, or that the device could not tell from "no value".
        """
        if self._bits:
            return _packed_bits(self._offsets, values, self._size_bytes)
        words = [word_of(field, value) for field, value in zip(self._fields, values, strict=True)]
        data = sum(int.from_bytes(layer.pack(words)) for layer in self._layers).to_bytes(self._size_bytes)
        for field, value, offset in zip(self._fields, values, self._offsets, strict=True):
            register = int.from_bytes(data[2 * offset : 2 * offset + 2])
            if field.bits and value is not None and not is_byte(field) and register in field.sentinels:
                raise ValueError(f"{field.name}: with what shares its register, {value} would read as no value")
        return data

    def _words(self, data: bytes) -> Sequence[float | bytes]:
        if len(self._layers) == 1:
            return self._layers[0].unpack(data)
        words: list[float | bytes] = []
        for layer in self._layers:
            words += layer.unpack(data)
        return words

    def _why_null(self, values: Values, data: bytes) -> tuple[tuple[int, Quality], ...]:
        return tuple(
            (n, why_none(self._fields[n], self._straight(n, data))) for n, value in enumerate(values) if value is None
        )

    def _straight(self, n: int, data: bytes) -> bytes:
        """The registers of field `n`, in the order ABCD."""
        field, at = self._fields[n], 2 * self._offsets[n]
        endian, swapped = ORDERS[field.order]
        registers = data[at : at + 2 * field.words]
        registers = _swapped(registers) if swapped else registers
        return registers if endian == ">" else registers[::-1]


def finish(fields: Sequence[Field], values: list[Value | None], null: dict[int, Quality]) -> None:
    """Multiply each value by the power of ten that another field holds (`scale_from`), in place.

    For the fields of one row, hidden ones included, once all of its reads are in. `null` says why a place has no value.
    Without its power a number means nothing: it is null for the power's reason; out_of_range when that is no power.
    """
    for place, field in enumerate(fields):
        value = values[place]
        if not field.scale_from or value is None:
            continue
        at = next(n for n, other in enumerate(fields) if other.name == field.scale_from)
        powered = _powered(field, value, values[at])
        values[place] = powered
        if powered is None:
            null[place] = Quality.OUT_OF_RANGE if values[at] is not None else null.get(at, Quality.NO_VALUE)


def encode_value(field: Field, value: Value) -> tuple[int, ...] | bool:
    """What to write to a field: the words of its registers, or the state of its coil.

    Raises ValueError for a value that would not read back as it is: of another kind, finer than the field's steps, too
    big, a sentinel. Also for a field that is not written by itself: bits, because writing the register would write what
    shares it (only function 22, mask write, does not, and it is not used), and a number whose scale is elsewhere.
    """
    if field.table is None or field.address is None:
        raise ValueError(f"{field.name} stands in no table")
    if field.table in TABLES_OF_BITS:
        if not isinstance(value, bool):
            raise ValueError(f"{field.name}: {value!r} is neither true nor false")
        return value
    if field.bits or field.scale_from:
        why = "its register is shared" if field.bits else f"its scale is in {field.scale_from}"
        raise ValueError(f"{field.name} cannot be written: {why}")
    block = Block((field,), field.table, field.address, field.words)
    data = block.encode((value,))
    (read,) = block.decode(data).values
    if read != value:
        raise ValueError(f"{field.name}: {value!r} would read back as {read!r}")
    return tuple(int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2))


def _may_be_null(field: Field) -> bool:
    shape = field.type in FLOATS or field.type in BCD or field.type == "text"
    return shape or bool(field.sentinels or field.labels or field.not_fitted)


def _powered(field: Field, value: Value, power: Value | None) -> Value | None:
    tens = None if isinstance(power, str) or power is None else TENS.get(power)
    if tens is None or isinstance(value, str):
        return None
    scaled = value / 10**-tens if tens < 0 else value * 10**tens
    return round(float(scaled), field.decimals)


# --- layout -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Layer:
    """The fields of one order in a block."""

    read: struct.Struct
    written: struct.Struct  # the same places, as unsigned numbers
    swapped: bool
    places: tuple[tuple[int, ...], ...]  # of the fields, by address: several share a register when they are bits of it

    def unpack(self, data: bytes) -> tuple[float | bytes, ...]:
        return self.read.unpack(_swapped(data) if self.swapped else data)

    def pack(self, words: Sequence[Word]) -> bytes:
        data = self.written.pack(*(_joined([words[place] for place in places]) for places in self.places))
        return _swapped(data) if self.swapped else data


def _joined(words: Sequence[Word]) -> Word:
    """The bits of a register that several fields share; any other word is alone."""
    return words[0] if len(words) == 1 else sum(word for word in words if isinstance(word, int))


def _swapped(data: bytes) -> bytes:
    words = array("H", data)
    words.byteswap()
    return words.tobytes()


def _offsets(fields: Sequence[Field], table: Table, address: int, count: int) -> tuple[int, ...]:
    """Where each field starts, in registers or bits; checks that they fit and are apart."""
    taken: dict[int, int] = {}
    offsets = []
    for field in fields:
        if field.address is None or field.table is not table:
            raise ValueError(f"{field.name} is not in this table")
        offset = field.address - address
        places = range(offset, offset + field.words)
        if offset < 0 or offset + field.words > count or any(taken.get(place, 0) & field.mask for place in places):
            raise ValueError(f"{field.name} overlaps or lies outside")
        taken.update((place, taken.get(place, 0) | field.mask) for place in places)
        offsets.append(offset)
    return tuple(offsets)


def _layers(fields: Sequence[Field], offsets: Sequence[int], count: int) -> tuple[_Layer, ...]:
    orders: dict[tuple[str, bool], dict[int, list[int]]] = {}
    for place in sorted(range(len(fields)), key=lambda place: offsets[place]):
        orders.setdefault(ORDERS[fields[place].order], {}).setdefault(offsets[place], []).append(place)
    return tuple(
        _Layer(
            _struct(endian, [(offset, _read_code(fields[shared[0]])) for offset, shared in places.items()], count),
            _struct(endian, [(offset, _written_code(fields[shared[0]])) for offset, shared in places.items()], count),
            swapped,
            tuple(map(tuple, places.values())),
        )
        for (endian, swapped), places in orders.items()
    )


def _read_code(field: Field) -> str:
    return _written_code(field) if field.bits or field.type == "text" else code(field)


def _written_code(field: Field) -> str:
    return f"{2 * field.length}s" if field.type == "text" else UNSIGNED[field.words]


def _struct(endian: str, codes: Sequence[tuple[int, str]], count: int) -> struct.Struct:
    """These codes at these registers, pad bytes over the rest."""
    text, at = endian, 0
    for offset, one in codes:
        text += f"{2 * offset - at}x{one}"
        at = 2 * offset + struct.calcsize(f">{one}")
    return struct.Struct(f"{text}{2 * count - at}x")


def _generated(fields: Sequence[Field], words: Sequence[Sequence[int]]) -> Callable[..., Values]:
    """A function of the words as they are unpacked, each of one or more fields; its values are in the fields' order."""
    named = {place: f"r{n}" for n, places in enumerate(words) for place in places}
    items = "".join(f"{expression.source(fields[n], named[n], f'h{n}')}," for n in sorted(named))
    helpers = {f"h{n}": helper for n in named if (helper := expression.helper(fields[n]))}
    source = f"lambda {','.join(f'r{n}' for n in range(len(words)))}: ({items})"
    names = {"__builtins__": {}, "round": round, **helpers}
    made: Callable[..., Values] = eval(source, names)  # noqa: S307 - numbers and our own names only
    return made


def _packed_bits(offsets: Sequence[int], values: Sequence[Value | None], size_bytes: int) -> bytes:
    number = sum(1 << at for at, value in zip(offsets, values, strict=True) if value)
    return number.to_bytes(size_bytes, "little")
