"""What strangers send, checked by hand: every message of docs/specs/wire.md is opened with these few functions.

Each returns its value with a type mypy believes, or raises Malformed: `schema` for a wrong shape, `limit` for a bound
that is passed, `version` for another `v`. No other exception leaves them, whatever the bytes are. The writers share
the patterns and `cleaned`, so that what we send is what we would accept.
"""

import re
from collections.abc import Sequence
from math import isfinite
from typing import Any, Final

import orjson

from gateway.errors import Malformed

VERSION: Final = 1
MESSAGE_BYTES_MAX: Final = 64 * 1024  # W-1
SEQ_MAX: Final = 2**53 - 1  # what every JSON reader keeps exact
UTC_MS_MAX: Final = 8_000_000_000_000  # the year 2223; event offsets included, nanoseconds still fit 64 bits
COUNT_MAX: Final = 2**53 - 1
WORD_BYTES_MAX: Final = 64
TEXT_BYTES_MAX: Final = 256

ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")  # gateways, buses, devices, epochs
WORD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")  # clock words, quality and event codes, reasons
KIND: Final = re.compile(r"(?!gw_)[a-z][a-z0-9_]{0,63}")
FIELD: Final = re.compile(  # the endings are those of folded rows
    r"(?!(?:time|gateway|device|profile|clock|qc)\Z)[a-z][a-z0-9_]{0,63}(?:_min|_max|_n)?"
)
PROFILE: Final = re.compile(r"[a-z0-9][a-z0-9._/-]{0,95}@[1-9][0-9]{0,5}")

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def opened(message: bytes, bytes_max: int = MESSAGE_BYTES_MAX) -> dict[str, Any]:
    """A JSON object of our version (W-2, W-3); raises Malformed."""
    if len(message) > bytes_max:
        raise Malformed("limit", f"{len(message)} bytes, at most {bytes_max}")
    document = obj(parsed(message), "message")
    version(document)
    return document


def parsed(data: bytes) -> object:
    """Any JSON value; raises Malformed(schema)."""
    try:
        value: object = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Malformed("schema", f"not JSON: {error}") from None
    return value


def version(document: dict[str, Any]) -> None:
    """`v` is ours; raises Malformed: version for another number, schema for none."""
    v = document.get("v")
    if type(v) is not int:
        raise Malformed("schema", "v: not a number")
    if v != VERSION:
        raise Malformed("version", f"v is {v}, not {VERSION}")


def obj(value: object, what: str) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise Malformed("schema", f"{what}: not an object")
    return value


def items(value: object, what: str, count_max: int, width: int | None = None) -> list[Any]:
    """A JSON array of at most `count_max` items, or of exactly `width`."""
    if not isinstance(value, list):
        raise Malformed("schema", f"{what}: not an array")
    if width is not None and len(value) != width:
        raise Malformed("schema", f"{what}: {len(value)} items, not {width}")
    if len(value) > count_max:
        raise Malformed("limit", f"{what}: {len(value)} items, at most {count_max}")
    return value


def integer(value: object, what: str, low: int = 0, high: int = COUNT_MAX) -> int:
    """An integer in low..high; true and 1.0 are none (W-4)."""
    if type(value) is not int:
        raise Malformed("schema", f"{what}: not an integer")
    if not low <= value <= high:
        raise Malformed("limit", f"{what}: {value} is outside {low}..{high}")
    return value


def seq(value: object, what: str = "seq") -> int:
    """A seq: from 1."""
    return integer(value, what, 1, SEQ_MAX)


def utc(value: object, what: str) -> int:
    """Milliseconds UTC."""
    return integer(value, what, 0, UTC_MS_MAX)


def boolean(value: object, what: str) -> bool:
    """True or false; 0 and 1 are neither."""
    if not isinstance(value, bool):
        raise Malformed("schema", f"{what}: not a boolean")
    return value


def name(value: object, what: str, pattern: re.Pattern[str] = ID) -> str:
    """A text that the whole pattern matches."""
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise Malformed("schema", f"{what}: not a name")
    return value


def text(value: object, what: str, bytes_max: int = TEXT_BYTES_MAX) -> str:
    """A text without control characters, bounded in UTF-8 bytes (W-5)."""
    if not isinstance(value, str) or _CONTROL.search(value):
        raise Malformed("schema", f"{what}: not a text without control characters")
    if len(value) * 4 > bytes_max and len(value.encode()) > bytes_max:
        raise Malformed("limit", f"{what}: more than {bytes_max} bytes")
    return value


def is_text(value: str, bytes_max: int = TEXT_BYTES_MAX) -> bool:
    """Whether a reader would take this text as it is."""
    try:
        return len(value.encode()) <= bytes_max and not _CONTROL.search(value)
    except UnicodeEncodeError:  # a lone surrogate: not Unicode text
        return False


def cleaned(value: str, bytes_max: int = TEXT_BYTES_MAX) -> str:
    """For people, not for values: control characters become spaces, what is no Unicode "?", the end is cut."""
    if is_text(value, bytes_max):
        return value
    data = _CONTROL.sub(" ", value).encode(errors="replace")
    return data[:bytes_max].decode(errors="ignore")


def finite(value: float) -> float | None:
    """A number as it travels; None for what JSON has no number for: NaN, infinities, an integer beyond all floats."""
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None


def all_finite(values: Sequence[object]) -> list[float] | None:
    """Each as `finite`, when all are numbers that have one; None when they have to be looked at one by one."""
    try:
        numbers = [float(value) for value in values if type(value) is float or type(value) is int]
    except OverflowError:
        return None
    return numbers if len(numbers) == len(values) and isfinite(sum(numbers)) else None
