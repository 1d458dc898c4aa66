"""The parts of one serial frame <-> values, both ways. A part is a text, or a number of a binary layout. Pure."""

import re
import struct
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from gateway.model import Quality, Value
from gateway.profile.codec import Decoded
from gateway.profile.expression import sentinels
from gateway.profile.profile import Field
from gateway.profile.word import MOST, PAD, code, raw_number, raw_of, size_bytes, unscaled, word_of

Part: TypeAlias = str | int | float

NUMBER = re.compile(r"[+-]?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][+-]?[0-9]{1,3})?")


def decode_parts(fields: Sequence[Field], parts: Mapping[str, Part]) -> Decoded:
    """Values of one parsed serial frame: an empty text is no value; one that is no number, or no part, a bad reply."""
    values: list[Value | None] = []
    quality = []
    for n, field in enumerate(fields):
        value = _value(field, parts.get(field.part))
        values.append(None if isinstance(value, Quality) else value)
        if isinstance(value, Quality):
            quality.append((n, value))
    return Decoded(tuple(values), tuple(quality))


def encode_parts(fields: Sequence[Field], values: Sequence[Value | None]) -> dict[str, Part]:
    """The parts of a serial frame with these values: numbers where the field has a type, else text. For simulators."""
    parts: dict[str, Part] = {}
    for field, value in zip(fields, values, strict=True):
        if field.bits:
            parts[field.part] = int(parts.get(field.part, 0)) | _word(field, value)
        else:
            parts[field.part] = _part(field, value)
    return parts


def _value(field: Field, part: Part | None) -> Value | Quality:
    if isinstance(part, str):
        text = part.strip(PAD)
        if not text:
            return Quality.NO_VALUE
        if field.type == "text":
            return text if text.isprintable() else Quality.OUT_OF_RANGE
        part = float(text) if NUMBER.fullmatch(text) else None
    return Quality.BAD_REPLY if part is None or field.type == "text" else _number(field, part)


def _number(field: Field, part: float) -> Value | Quality:
    if not -MOST < part < MOST:
        return Quality.NOT_A_NUMBER
    if part in (sentinels(field) if field.type and not field.bits else field.sentinels):
        return Quality.NO_VALUE
    number = _bits(field, int(part)) if field.bits else part
    if field.not_fitted and not number:
        return Quality.NOT_FITTED
    return _meaning(field, number)


def _meaning(field: Field, number: float) -> Value | Quality:
    if field.labels:
        return dict(field.labels).get(int(number), Quality.OUT_OF_RANGE) if number == int(number) else Quality.BAD_REPLY
    if field.letter == "b":
        return bool(number)
    shifted = number + field.raw_offset
    scaled = shifted / 10**field.tens if field.tens >= 0 else shifted * 10**-field.tens
    return round(float(scaled * field.scale), field.decimals)


def _bits(field: Field, part: int) -> int:
    return raw_number(field, part & ((1 << 8 * size_bytes(field)) - 1))


def _word(field: Field, value: Value | None) -> int:
    word = word_of(field, value)
    if isinstance(word, bytes):
        raise TypeError(f"{field.name}: a text has no number")
    return word


def _part(field: Field, value: Value | None) -> Part:
    if field.type == "text":
        return _text(field, value)
    if field.type:
        raw = _word(field, value).to_bytes(size_bytes(field))
        part: int | float = struct.unpack(f">{code(field)}", raw)[0]
        return part
    if value is None:
        return ""
    if field.letter == "b":
        return "1" if value else "0"
    if field.labels:
        return str(int(raw_of(field, value)))
    digits = max(0, field.decimals - field.tens) if field.scale == 1.0 else field.decimals + 6
    return f"{unscaled(field, value):.{digits}f}"


def _text(field: Field, value: Value | None) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not value.isprintable() or value.strip(PAD) != value or not value:
        raise ValueError(f"{field.name}: {value!r} is no text")
    return value
