"""The value of a field as Python source, for the one function that a `codec.Block` is made of.

What is written is indices, operators and checked numbers, never a profile's text: labels, digits and texts go through
a helper of their own, which the source only knows by its number. A decimal scale is a division by a power of ten
(i / 10**d is the double nearest to the decimal, i * 0.1 often is not); only f32, f64 and odd scales are rounded. Pure.
"""

import math
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from gateway.profile.profile import Field
from gateway.profile.word import BCD, FLOATS, MOST, code, digits, is_byte, is_exact, signed, size_bytes, text

EXACT_TENS = 12


def helper(field: Field) -> Callable[[Any], Any] | None:
    """What the source of this field calls with the raw number (of a text, its bytes); None when it calls nothing."""
    if field.type == "text":
        return partial(text, encoding=field.encoding)
    if field.labels:
        return dict(field.labels).get
    return digits if field.type in BCD else None


def source(field: Field, word: str, helped: str) -> str:
    """The value, or None, from `word`, the name of its unpacked word; `helped` is the name of its helper."""
    if field.type == "text":
        return f"{helped}({word})"
    raw = _bits(field, word)
    found, more = _value(field, raw, helped)
    unless = [*more, *(f"{word if _is_whole(field) else raw}!={one!r}" for one in sentinels(field))]
    unless += [f"{raw}!=0"] if field.not_fitted else []
    return f"{found} if {' and '.join(unless)} else None" if unless else found


def sentinels(field: Field) -> list[float]:
    """As the word is unpacked. One that reads as NaN never comes here as a number: it is not_a_number anyway."""
    if field.type in FLOATS:
        read = (struct.unpack(f">{code(field)}", raw.to_bytes(size_bytes(field)))[0] for raw in field.sentinels)
        return [raw for raw in read if math.isfinite(raw)]
    return (
        list(field.sentinels) if field.bits and not is_byte(field) else [signed(field, raw) for raw in field.sentinels]
    )


def _is_whole(field: Field) -> bool:
    """Whether its sentinels are words of the whole register, though it has only bits of it."""
    return field.bits is not None and not is_byte(field)


def _value(field: Field, raw: str, helped: str) -> tuple[str, list[str]]:
    """The source of the value, and of what must be true besides."""
    if field.labels:
        return f"{helped}({raw})", []
    if field.letter == "b":
        return f"{raw}!=0", []
    if field.type in BCD:
        return _number(field, "n"), [f"(n:={helped}({raw})) is not None"]
    if field.type in FLOATS:
        return _rounded(field, raw), [f"{-MOST}<{raw}<{MOST}"]
    return _number(field, raw), []


def _bits(field: Field, word: str) -> str:
    """The raw number: of bits, taken out of their register, which is unpacked as an unsigned number."""
    if not field.bits:
        return word
    lowest, count = field.bits
    number = f"({word}>>{lowest:d}&{(1 << count) - 1:d})"
    sign = 1 << (count - 1)
    return f"(({number}^{sign:d})-{sign:d})" if field.type.startswith("i") else number


def _number(field: Field, raw: str) -> str:
    """A whole number, scaled."""
    scaled = _scaled(field, raw)
    if not is_exact(field):
        return f"round({scaled},{field.decimals:d})" + ("+0.0" if field.scale < 0 else "")  # 0, not -0
    return scaled if field.tens > 0 else f"{scaled}*1.0"  # a number is a float in every store


def _scaled(field: Field, raw: str) -> str:
    shifted = f"({raw}+{_plain(field.raw_offset)})" if field.raw_offset else raw
    scaled = shifted + (f"/{10**field.tens}" if field.tens > 0 else f"*{10**-field.tens}" if field.tens < 0 else "")
    return scaled if field.scale == 1.0 else f"{scaled}*{field.scale!r}"


def _rounded(field: Field, raw: str) -> str:
    """A float at its decimals.

    The short way, a quarter of the time: an f32 has 24 bits and 5**12 has 28, so its product with a power of ten up to
    12 is exact in a double, and rounding that to a whole number is rounding the decimal.
    """
    steps = field.decimals - field.tens
    if field.type == "f32" and is_exact(field) and not field.raw_offset and field.tens <= 0 and steps <= EXACT_TENS:
        return f"round({raw}*{10**steps})/{10**field.decimals}"
    return f"round({_scaled(field, raw)},{field.decimals:d})"


def _plain(value: float) -> str:
    return repr(int(value)) if float(value).is_integer() else repr(float(value))
