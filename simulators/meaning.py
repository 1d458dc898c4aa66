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


def value_of(field: Field, raw: bytes) -> Value | None:
    """The value of a field whose registers, as they stand in the reply, are `raw`; None where it has none."""
    if field.type == "bit":
        return raw != b"\x00"
    number = struct.unpack(">" + _CODES[field.type], _straight(field, raw))[0]
    if int.from_bytes(_straight(field, raw)) in field.sentinels or not math.isfinite(number):
        return None
    if field.letter == "b":
        return bool(number)
    return round(_scaled(field, number), field.decimals)


def limits(field: Field) -> tuple[float, float]:
    """The lowest and the highest value the registers can say; infinite for floats and text."""
    code = _CODES.get(field.type, "d")
    if code in "fd":
        return -math.inf, math.inf
    bits = 8 * struct.calcsize(code)
    lowest, highest = (0, 2**bits - 1) if code.isupper() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    ends = sorted((_scaled(field, lowest), _scaled(field, highest)))
    return ends[0], ends[1]


def _scaled(field: Field, number: float) -> float:
    """The scaling that `Field` defines: (raw + raw_offset) * 10**-tens * scale."""
    moved = number + (int(field.raw_offset) if field.raw_offset.is_integer() else field.raw_offset)
    return float((moved / 10**field.tens if field.tens >= 0 else moved * 10**-field.tens) * field.scale)


def _straight(field: Field, raw: bytes) -> bytes:
    """Words and bytes in big-endian order: `order` names the place of each byte of a 32-bit value, A the highest."""
    words = [raw[at : at + 2] for at in range(0, len(raw), 2)]
    if field.order in {"CDAB", "DCBA"}:
        words.reverse()
    if field.order in {"BADC", "DCBA"}:
        words = [word[::-1] for word in words]
    return b"".join(words)
