"""What raw registers mean: the definition in `gateway.profile.profile.Field`, written a second time.

The gateway decodes with compiled blocks (`gateway.profile.codec`). A ground truth that used them too would agree with
any mistake in them, so the simulators say for themselves what their registers mean: one field at a time, the slow and
plain way.
"""

import math
import struct

from gateway.model import Value
from gateway.profile.profile import Field

_CODES = {
    "u8": "B",
    "i8": "b",
    "u16": "H",
    "i16": "h",
    "u32": "I",
    "i32": "i",
    "f32": "f",
    "u64": "Q",
    "i64": "q",
    "f64": "d",
}
_BCD_DIGITS = {"bcd16": 4, "bcd32": 8}
_POWERS = range(-10, 11)


def value_of(field: Field, raw: bytes, power: Value | None = None) -> Value | None:
    """The value of a field whose registers, as they stand in the reply, are `raw`; None where it has none.

    `power` is the value of the field that its `scale_from` names.
    """
    if field.type == "bit":
        return raw != b"\x00"
    if field.type == "text":
        return _text(field, _straight(field, raw))
    number = _number(field, _straight(field, raw))
    if number is None or not math.isfinite(number) or _is_none(field, _straight(field, raw), number):
        return None
    if field.labels:
        return next((label for raw_number, label in field.labels if raw_number == number), None)
    return bool(number) if field.letter == "b" else _quantity(field, number, power if field.scale_from else 0)


def limits(field: Field, power: int = 0) -> tuple[float, float]:
    """The lowest and the highest value the registers can say; infinite for floats and text."""
    whole = _whole_limits(field)
    if whole is None:
        return -math.inf, math.inf
    ends = sorted(_times_ten(_scaled(field, number), power) for number in whole)
    return ends[0], ends[1]


def _whole_limits(field: Field) -> tuple[int, int] | None:
    if field.type in _BCD_DIGITS:
        return 0, 10 ** _BCD_DIGITS[field.type] - 1
    code = _CODES.get(field.type, "d")
    if code in "fd":
        return None
    bits = field.bits[1] if field.bits else 8 * struct.calcsize(code)
    return (0, 2**bits - 1) if code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _number(field: Field, straight: bytes) -> float | None:
    """What is written in the registers, before any scaling; None where it is no number."""
    if field.type in _BCD_DIGITS:
        digits = straight.hex()
        return int(digits) if set(digits) <= set("0123456789") else None
    if not field.bits:
        number: float = struct.unpack(">" + _CODES[field.type], straight)[0]
        return number
    lowest, count = field.bits
    written = f"{int.from_bytes(straight):016b}"[16 - lowest - count : 16 - lowest]
    negative = field.type[0] == "i" and written[0] == "1"
    return int(written, 2) - (2**count if negative else 0)


def _quantity(field: Field, number: float, power: Value | None) -> float | None:
    if power is None or power not in _POWERS:
        return None
    return round(_times_ten(_scaled(field, number), int(power)), field.decimals)


def _is_none(field: Field, straight: bytes, number: float) -> bool:
    """Whether the device says so itself: a sentinel of a byte or a whole word; or 0 where nothing is connected."""
    if field.type in {"u8", "i8"} and field.bits:
        straight = straight[:1] if field.bits[0] else straight[1:]
    return int.from_bytes(straight) in field.sentinels or (field.not_fitted and number == 0)


def _text(field: Field, straight: bytes) -> str | None:
    try:
        text = straight.decode(field.encoding)
    except UnicodeDecodeError:
        return None
    while text and text[-1] in "\x00 \t\r\n":
        text = text[:-1]
    return text if text and all(letter.isprintable() for letter in text) else None


def _scaled(field: Field, number: float) -> float:
    """The scaling that `Field` defines: (raw + raw_offset) * 10**-tens * scale."""
    moved = number + (int(field.raw_offset) if field.raw_offset.is_integer() else field.raw_offset)
    return float(_times_ten(moved, -field.tens) * field.scale)


def _times_ten(number: float, power: int) -> float:
    """A division where it makes the number smaller: 0.1 is no exact number, 10 is."""
    moved: float = number / 10**-power if power < 0 else number * 10**power
    return moved


def _straight(field: Field, raw: bytes) -> bytes:
    """Words and bytes in big-endian order: `order` names the place of each byte of a 32-bit value, A the highest."""
    words = [raw[at : at + 2] for at in range(0, len(raw), 2)]
    if field.order in {"CDAB", "DCBA"}:
        words.reverse()
    if field.order in {"BADC", "DCBA"}:
        words = [word[::-1] for word in words]
    return b"".join(words)
