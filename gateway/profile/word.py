"""One raw word of a field: what the number, digits or text in it are, why it gives no value, and the word of a value.

A word is what stands in a field's registers (or is its part of a serial frame), turned to big-endian and read as one
unsigned number; a text's is its bytes. `codec` and `parts` put words in their places. Pure.
"""

import math
import struct
from typing import TypeAlias

from gateway.model import Quality, Value
from gateway.profile.profile import Field

Word: TypeAlias = int | bytes

CODES = {  # struct codes
    "u8": "B", "i8": "b", "u16": "H", "i16": "h", "u32": "I", "i32": "i", "u64": "Q", "i64": "q",
    "f32": "f", "f64": "d",
}  # fmt: skip
BCD = {"bcd16": "H", "bcd32": "I"}  # four and eight decimal digits, a nibble each
BYTES = frozenset({"u8", "i8"})
FLOATS = frozenset({"f32", "f64"})
PAD = "\0 \t\r\n"  # behind a text
MOST = 1e290  # a number beyond it is none: scaled, it might become infinite


def code(field: Field) -> str:
    """The struct code of its word, as a number; a text has none."""
    return CODES.get(field.type) or BCD[field.type]


def size_bytes(field: Field) -> int:
    """Of its word, without the rest of a register that it has only bits of."""
    return 2 * field.length if field.type == "text" else struct.calcsize(f">{code(field)}")


def signed(field: Field, word: int) -> int:
    """A raw word as the field's type reads it: 0xFFFF is -1 in an i16."""
    return int.from_bytes(word.to_bytes(size_bytes(field)), signed=field.type.startswith("i"))


def is_exact(field: Field) -> bool:
    """Whether whole numbers over a power of ten say it all, so that nothing needs rounding."""
    return field.scale == 1.0 and float(field.raw_offset).is_integer()


def is_byte(field: Field) -> bool:
    """Whether it is a byte of a register, and its sentinels are bytes."""
    return field.table is not None and field.type in BYTES


def raw_number(field: Field, word: int) -> int:
    """The whole number in a word: its bits, where it has some."""
    if not field.bits:
        return signed(field, word)
    lowest, count = field.bits
    number = word >> lowest & ((1 << count) - 1)
    return number - (1 << count) if field.type.startswith("i") and number >> (count - 1) else number


def digits(word: int) -> int | None:
    """The number that is written in BCD; None when a nibble is no decimal digit."""
    text = f"{word:x}"
    return int(text) if text.isdecimal() else None


def text(raw: bytes, encoding: str) -> str | None:
    """Without what pads it; None when nothing is left, and for what is no text: undecodable, or control characters."""
    try:
        found = raw.decode(encoding).rstrip(PAD)
    except UnicodeDecodeError:
        return None
    return found if found and found.isprintable() else None


def why_none(field: Field, raw: bytes) -> Quality:
    """Why this word gave no value; its bytes are big-endian, for bits those of the whole register."""
    if field.type == "text":
        return Quality.OUT_OF_RANGE if raw.rstrip(PAD.encode()) else Quality.NO_VALUE
    word = int.from_bytes(raw)
    if (word >> _shift(field) & 0xFF if is_byte(field) else word) in field.sentinels:
        return Quality.NO_VALUE
    if field.not_fitted and not word & field_mask(field) >> (field.type in FLOATS):  # -0.0 is 0 too
        return Quality.NOT_FITTED
    return Quality.OUT_OF_RANGE if field.labels else Quality.NOT_A_NUMBER


def word_of(field: Field, value: Value | None) -> Word:
    """The word of a value; of None its sentinel, else NaN, no digits, no text, a number without a label, or zero.

    The bits of a field that has some are where they stand in their register. Raises ValueError for a value that does
    not fit, or that could not be told from "no value".
    """
    if field.type == "text":
        return _text(field, value)
    if value is None:
        return _none(field)
    word = _word(field, value)
    own = word >> _shift(field)
    whole = not field.bits or is_byte(field)  # a sentinel of a register that is shared is for who knows all of it
    if (whole and own in field.sentinels) or (field.not_fitted and own == 0):
        raise ValueError(f"{field.name}: {value} would read as no value")
    return word


def unscaled(field: Field, value: Value) -> float:
    """The raw number of a value, not yet rounded; raises ValueError."""
    if isinstance(value, str | bool) or not math.isfinite(value):
        raise ValueError(f"{field.name}: {value!r} is not a number")
    scaled = value * 10**field.tens if field.tens >= 0 else value / 10**-field.tens
    return float(scaled / field.scale - field.raw_offset)


def raw_of(field: Field, value: Value) -> float:
    """The raw number of a value: of a label, of yes and no, of a number; raises ValueError."""
    if field.labels:
        found = [raw for raw, label in field.labels if label == value]
        if not found:
            raise ValueError(f"{field.name}: {value!r} is none of its labels")
        return found[0]
    if field.letter == "b":
        if not isinstance(value, bool):
            raise ValueError(f"{field.name}: {value!r} is neither true nor false")
        return int(value)
    return unscaled(field, value)


def _word(field: Field, value: Value) -> int:
    raw = raw_of(field, value)
    try:
        if field.bits:
            return _bits(field, round(raw), *field.bits)
        if field.type in BCD:
            return _bcd(round(raw), size_bytes(field))
        return int.from_bytes(struct.pack(f">{code(field)}", raw if field.type in FLOATS else round(raw)))
    except (struct.error, OverflowError):
        raise ValueError(f"{field.name}: {value} does not fit into {field.type}") from None


def _bits(field: Field, number: int, lowest: int, count: int) -> int:
    least = -(1 << (count - 1)) if field.type.startswith("i") else 0
    if not least <= number < least + (1 << count):
        raise OverflowError
    return (number & ((1 << count) - 1)) << lowest


def _bcd(number: int, size: int) -> int:
    if not 0 <= number < 100**size:
        raise OverflowError
    return int(str(number), 16)


def _none(field: Field) -> int:
    if field.sentinels:
        return field.sentinels[0] << _shift(field) if is_byte(field) else field.sentinels[0] & field_mask(field)
    if field.labels:
        return _unnamed(field) << _shift(field)
    if field.not_fitted or field.bits:
        return 0
    if field.type in BCD:
        return (1 << 8 * size_bytes(field)) - 1
    return int.from_bytes(struct.pack(f">{code(field)}", math.nan)) if field.type in FLOATS else 0


def _unnamed(field: Field) -> int:
    """The least number that no label is for; 0 when there is none."""
    named = {raw for raw, _ in field.labels}
    most = field_mask(field) >> _shift(field) >> field.type.startswith("i")
    return next((raw for raw in range(min(most, len(named)) + 1) if raw not in named), 0)


def _text(field: Field, value: Value | None) -> bytes:
    raw = b""
    if value is not None:
        try:
            raw = value.encode(field.encoding) if isinstance(value, str) else b""
        except UnicodeEncodeError:
            raw = b""
        if len(raw) > size_bytes(field) or text(raw, field.encoding) != value:
            raise ValueError(f"{field.name}: {value!r} is no text of {size_bytes(field)} bytes in {field.encoding}")
    return raw.ljust(size_bytes(field), b"\0")


def field_mask(field: Field) -> int:
    """The bits that count in its word."""
    return field.mask if field.bits else (1 << 8 * size_bytes(field)) - 1


def _shift(field: Field) -> int:
    return field.bits[0] if field.bits else 0
