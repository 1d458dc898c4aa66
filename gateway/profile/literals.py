"""The words and numbers of a profile's TOML, each with its check; `profile.schema` puts them together."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints

from gateway.profile.types import refused
from gateway.protocols.framing import CHECKSUMS
from gateway.protocols.template import fill

NUMBER_TYPES = ("u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64")
BUILT_TYPES = (*NUMBER_TYPES, "u8", "i8", "bcd16", "bcd32", "text", "bit")
REGISTER_BITS = 16

TableName: TypeAlias = Literal["coil", "discrete", "input", "holding"]
Order: TypeAlias = Literal["ABCD", "CDAB", "BADC", "DCBA"]
Every: TypeAlias = Literal["fast", "normal", "slow"]
Range: TypeAlias = tuple[float, float]
Label: TypeAlias = Annotated[str, StringConstraints(min_length=1, max_length=63)]
SCALE_MIN, SCALE_MAX = 1e-9, 1e9
REF = r"^[^@\s]+@[1-9][0-9]{0,3}$"  # vendor/model@version


def register_type(text: str) -> str:
    """How a value is written in registers."""
    return _one_of(text, BUILT_TYPES)


def checksum_name(name: str) -> str:
    """One that `protocols.framing` knows."""
    return _one_of(name, tuple(CHECKSUMS))


def template_text(text: str) -> str:
    """Hex bytes with holes; what is in them is told later."""
    try:
        fill(text, {"address": "1", "channel": "1"})
    except ValueError as error:
        raise refused("bad_template", str(error)) from None
    return text


def number_type(text: str) -> str:
    """How a number that is not a measurement is written in registers."""
    return _one_of(text, NUMBER_TYPES)


def _one_of(text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise refused("not_one_of", f"{text!r} is none of {', '.join(known)}")
    return text


def model_id(text: str) -> str:
    """VENDOR/MODEL."""
    vendor, slash, model = text.partition("/")
    if not slash or not all(part.replace("-", "").isalnum() and part == part.lower() for part in (vendor, model)):
        raise refused("bad_id", f"{text!r}: vendor/model, of a-z, 0-9 and -")
    return text


def sentinel(text: str) -> str:
    """A raw word that means no value, as hex text."""
    try:
        int(text, 16)
    except ValueError:
        raise refused("bad_hex", f"{text!r}: a raw word in hex, as in 0xFFFF") from None
    return text


def factor(number: float) -> float:
    """A scale: not 0, and not so small or big that it must be a slip."""
    if not SCALE_MIN <= abs(number) <= SCALE_MAX:
        raise refused("out_of_bounds", f"{number}: from {SCALE_MIN:g} to {SCALE_MAX:g}, or the same below 0")
    return number


def bit_span(span: tuple[int, int]) -> tuple[int, int]:
    """The lowest bit, and how many, of one register."""
    lowest, count = span
    if lowest < 0 or count < 1 or lowest + count > REGISTER_BITS:
        raise refused("bad_bits", f"{count} bits from bit {lowest}: a register has bits 0 to {REGISTER_BITS - 1}")
    return span


def bit_number(bit: int) -> int:
    """One bit of a register."""
    return bit_span((bit, 1))[0]


def label_numbers(written: dict[str, str]) -> dict[str, str]:
    """Raw numbers, decimal or 0x, and what each is called: no number and no text twice."""
    numbers = []
    for key in written:
        try:
            numbers.append(int(key, 0))
        except ValueError:
            raise refused("bad_labels", f"{key!r} is no whole number") from None
    if len(set(numbers)) < len(numbers) or len(set(written.values())) < len(written):
        raise refused("bad_labels", "a number or a text stands there twice")
    if any(text != text.strip() or not text.isprintable() for text in written.values()):
        raise refused("bad_labels", "a text begins or ends with a space, or has control characters")
    return written


def parity_words(written: dict[str, int]) -> dict[str, int]:
    """What stands for each parity: N, E, O; N2, E2, O2 where it says two stop bits as well."""
    if strange := [key for key in written if key not in ("N", "E", "O", "N2", "E2", "O2")]:
        raise refused("bad_setup", f"{strange[0]!r} is no parity: N, E, O, or N2, E2, O2 with two stop bits")
    return written


def baud_words(written: dict[str, int]) -> dict[str, int]:
    """What stands for each speed."""
    if strange := [key for key in written if not key.isdecimal() or not 300 <= int(key) <= 4_000_000]:  # noqa: PLR2004
        raise refused("bad_setup", f"{strange[0]!r} is no speed")
    return written


def no_limits(value: Any) -> Any:  # noqa: ANN401 - what pydantic hands over
    """`writable = true` has no limits of its own."""
    return {} if value is True else value


def rising(pair: Range) -> Range:
    """Low, then high."""
    if not pair[0] < pair[1]:
        raise refused("out_of_bounds", f"{pair[0]} is not below {pair[1]}")
    return pair


RisingRange: TypeAlias = Annotated[Range, AfterValidator(rising)]
Scale: TypeAlias = Annotated[float, AfterValidator(factor)]
Bit: TypeAlias = Annotated[int, AfterValidator(bit_number)]
BitSpan: TypeAlias = Annotated[tuple[int, int], AfterValidator(bit_span)]
Labels: TypeAlias = Annotated[dict[str, Label], Field(min_length=1, max_length=256), AfterValidator(label_numbers)]
NumberType: TypeAlias = Annotated[str, AfterValidator(number_type)]
