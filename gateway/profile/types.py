"""The small types of what people write: names, durations, line settings, texts in two languages."""

import re
from collections.abc import Callable
from typing import Annotated, TypeAlias, TypeVar

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from gateway.profile.profile import Line
from gateway.toml_file import OUR_ERROR, Strict

RESERVED_NAMES = frozenset({"time", "gateway", "device", "profile", "clock", "qc"})
RESERVED_ENDINGS = ("_min", "_max", "_n")  # folded rows use them
UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

T = TypeVar("T")


def refused(code: str, detail: str) -> PydanticCustomError:
    """An error of ours for pydantic to carry: its code and detail come out as the Problem's."""
    return PydanticCustomError(OUR_ERROR, "{code}: {detail}", {"code": code, "detail": detail})


def identifier(text: str) -> str:
    """The id of a gateway, bus or device."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", text):
        raise refused("bad_id", f"{text!r}: 1 to 32 of a-z, 0-9 and -, not - first")
    return text


def field_name(text: str) -> str:
    """The name of a field or a quantity."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", text):
        raise refused("bad_name", f"{text!r}: 1 to 64 of a-z, 0-9 and _, a letter first")
    if text in RESERVED_NAMES or text.endswith(RESERVED_ENDINGS):
        raise refused("reserved_name", f"{text!r}: the store uses this name itself")
    return text


def kind_name(text: str) -> str:
    """A kind is the store's measurement; those of the ledger are not for devices."""
    if text.startswith("gw_"):
        raise refused("reserved_name", f"{text!r}: measurements that start with gw_ are the ledger's")
    return field_name(text)


def duration_ms(text: str) -> int:
    """Text like 500ms, 10s, 1m, 2h or 1d, in milliseconds."""
    found = re.fullmatch(r"([0-9]{1,9})\s?(ms|s|m|h|d)", text)
    if not found:
        raise refused("bad_duration", f"{text!r}: a whole number with ms, s, m, h or d")
    return int(found[1]) * UNITS_MS[found[2]]


def serial_line(text: str) -> Line:
    """Text like 9600 8N1."""
    found = re.fullmatch(r"([0-9]{3,7}) ([78])([NEO])([12])", text)
    if not found:
        raise refused("bad_line", f"{text!r}: speed, then data bits, parity and stop bits, as in 9600 8N1")
    return Line(int(found[1]), int(found[2]), found[3], int(found[4]))


def hex_bytes(text: str) -> bytes:
    """Text like 42 4D as bytes."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise refused("bad_hex", f"{text!r}: pairs of hex digits, as in 42 4D") from None


def _parsed(parse: Callable[[str], T]) -> Callable[[str], str]:
    """Check that `text` can be parsed, and keep it as it was written; `parse` is called again where it is used."""

    def check(text: str) -> str:
        parse(text)
        return text

    return check


Id: TypeAlias = Annotated[str, AfterValidator(identifier)]
FieldName: TypeAlias = Annotated[str, AfterValidator(field_name)]
KindName: TypeAlias = Annotated[str, AfterValidator(kind_name)]
Duration: TypeAlias = Annotated[str, AfterValidator(_parsed(duration_ms))]
LineText: TypeAlias = Annotated[str, AfterValidator(_parsed(serial_line))]
HexText: TypeAlias = Annotated[str, AfterValidator(_parsed(hex_bytes))]
Text: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=400)]
Address: TypeAlias = Annotated[int, Field(ge=0, le=0xFFFF)]


class Words(Strict):
    """One text in both languages."""

    en: Text
    vi: Text

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """As compiled values carry it."""
        return (("en", self.en), ("vi", self.vi))
