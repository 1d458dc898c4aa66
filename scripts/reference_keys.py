"""The keys of files that people write, read off the models that check them: where each stands, what may stand there."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from gateway.config import gateway as site_file
from gateway.config import values
from gateway.profile import types
from gateway.profile.literals import (
    BUILT_TYPES,
    NUMBER_TYPES,
    SCALE_MAX,
    SCALE_MIN,
    RisingRange,
    bit_number,
    bit_span,
    factor,
    label_numbers,
    model_id,
    number_type,
    register_type,
    sentinel,
)
from gateway.toml_file import Strict

KINDS = {  # how people write what a check of ours looks at
    types.identifier: "id",
    types.field_name: "name",
    types.kind_name: "name",
    model_id: "`vendor/model`",
    register_type: " ".join(f"`{name}`" for name in BUILT_TYPES),
    number_type: " ".join(f"`{name}`" for name in NUMBER_TYPES),
    factor: f"number, {SCALE_MIN:g} to {SCALE_MAX:g}, or the same below 0",
    bit_number: "whole number, 0 to 15",
    bit_span: "`[lowest, how many]`",
    label_numbers: "`{ number = text }`",
    sentinel: 'hex word, `"0xFFFF"`',
    get_args(types.Duration)[1].func: 'duration, `"10s"`',
    get_args(types.LineText)[1].func: '`"9600 8N1"`',
    get_args(types.HexText)[1].func: 'hex bytes, `"42 4D"`',
    get_args(site_file.Size)[1].func: 'size, `"4 GB"`',
    get_args(values.FormulaText)[1].func: 'formula, `"level * 2"`',
    get_args(site_file.Url)[1].func: "URL",
    get_args(site_file.Port)[1].func: "port",
    get_args(site_file.Host)[1].func: "host",
    get_args(RisingRange)[1].func: "`[low, high]`",
}
PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", date: "date, `2026-11-24`"}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a file: where it stands, what may stand there."""

    path: str
    name: str
    info: FieldInfo


@dataclass(frozen=True, slots=True)
class Section:
    """One table of a file."""

    head: str  # as people write it: "[[uplink.server]]"; "" at the top
    model: type[Strict]
    keys: tuple[Key, ...]


def sections(
    model: type[Strict], path: str = "", head: str = "", seen: set[type[Strict]] | None = None
) -> Iterator[Section]:
    """The tables of a file, outermost first; one that may stand in two places is told at the first."""
    seen = set() if seen is None else seen
    seen.add(model)
    written = ((info.alias or name, info) for name, info in model.model_fields.items())
    keys = tuple(Key(f"{path}{name}", name, info) for name, info in written)
    yield Section(head, model, keys)
    for key in keys:
        below = _model_in(key.info.annotation)
        if below is None or below in seen:
            continue
        many, named = _is_a(key.info.annotation, tuple), _is_a(key.info.annotation, dict)
        inner = f"{key.path}.NAME" if named else key.path
        yield from sections(below, f"{inner}.", f"[[{inner}]]" if many else f"[{inner}]", seen)


def kind(info: FieldInfo) -> str:
    """What may be written, in words."""
    if _model_in(info.annotation) is None:
        return _words(info.annotation, info.metadata)
    return "tables" if _is_a(info.annotation, tuple) else "tables by name" if _is_a(info.annotation, dict) else "table"


def default(info: FieldInfo, needed: str) -> str:
    """What holds when the key is not there."""
    if info.is_required():
        return needed
    value = info.get_default(call_default_factory=True)
    if value in (None, (), {}, "") or isinstance(value, Strict):
        return "-"
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def _words(annotation: Any, metadata: Iterable[Any] = ()) -> str:  # noqa: ANN401 - any type
    if get_origin(annotation) in (Union, UnionType):
        return " or ".join(_words(part, metadata) for part in get_args(annotation) if part is not NoneType)
    if hasattr(annotation, "__metadata__"):
        return _words(annotation.__origin__, annotation.__metadata__)
    marks = list(chain.from_iterable(mark.metadata if isinstance(mark, FieldInfo) else [mark] for mark in metadata))
    ours = next((KINDS[mark.func] for mark in marks if getattr(mark, "func", None) in KINDS), "")
    return ours or _shape(annotation) + _bounds(marks)


def _shape(annotation: Any) -> str:  # noqa: ANN401 - any type
    origin, inside = get_origin(annotation), get_args(annotation)
    if annotation is types.Words:
        return "`{ en, vi }`"
    if origin is Literal:
        return ", ".join(f"`{json.dumps(word)}`" for word in inside)
    if origin is tuple:
        return f"list of {_words(inside[0])}"
    if origin is dict:
        return f"table of {_words(inside[1])}"
    return PLAIN[annotation]


def _bounds(marks: Sequence[Any]) -> str:
    told = [f"from {_plain(mark.ge)}" for mark in marks if hasattr(mark, "ge")]
    told += [f"to {_plain(mark.le)}" for mark in marks if hasattr(mark, "le")]
    return f", {' '.join(told)}" if told else ""


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _model_in(annotation: Any) -> type[Strict] | None:  # noqa: ANN401 - any type
    """The table that is read there; texts in two languages are values."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation if issubclass(annotation, Strict) and annotation is not types.Words else None
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _is_a(annotation: Any, container: type) -> bool:  # noqa: ANN401 - any type
    return get_origin(annotation) is container or any(_is_a(part, container) for part in get_args(annotation))
