"""A TOML file whose every value knows its line; profiles and configs are read through it.

What a value means is said by `tomllib` alone; where it stands, by `toml_lines`.

This is also the one door of pydantic for files. What it finds becomes `errors.Problem`s: all of them, each with file,
line and path, with our own stable codes.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from gateway.errors import Invalid, Problem
from gateway.toml_lines import Step, Steps, Walk

FILE_MAX_BYTES = 1 << 20


class Strict(BaseModel):
    """Base of everything people write: unknown keys are problems, numbers are not text, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    not_built: ClassVar[frozenset[str]] = frozenset()  # keys that the design names and a later version will read


M = TypeVar("M", bound=Strict)


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything in one file stands."""

    file: str
    lines: Mapping[Steps, int]

    def problem(self, code: str, detail: str, *steps: Step) -> Problem:
        """A problem at `steps`, or at the nearest thing around it that is in the file."""
        return Problem(self.file, self.line(steps), path_text(steps), code, detail)

    def line(self, steps: Steps) -> int:
        """The line of a value; of what holds it, when it is not there itself; 1 at the top."""
        return next((self.lines[steps[:n]] for n in range(len(steps), 0, -1) if steps[:n] in self.lines), 1)


@dataclass(frozen=True, slots=True)
class Located(Generic[M]):
    """What a file says, and where it says it."""

    value: M
    places: Places


@dataclass(frozen=True, slots=True)
class Examined(Generic[M]):
    """What a file says: `value` without its unknown keys, or None where the others are wrong too."""

    value: M | None
    places: Places
    problems: tuple[Problem, ...]


def read(path: Path, model: type[M]) -> M:
    """Parse and validate; raises Invalid with all problems, each with file, line and path."""
    return read_located(path, model).value


def read_located(path: Path, model: type[M]) -> Located[M]:
    """As `read`, with the lines, for checks that look at more than one value."""
    found = examine(path, model)
    if found.problems or found.value is None:
        raise Invalid(found.problems)
    return Located(found.value, found.places)


def examine(path: Path, model: type[M]) -> Examined[M]:
    """As `read_located`, for who goes on and looks for more problems; raises Invalid for what is no TOML at all."""
    data, places = _parse(path)
    value, errors = _validate(data, model)
    problems = tuple(dict.fromkeys(_problem(error, model, data, places) for error in errors))
    unknown = [_steps_in(error["loc"], data) for error in errors if error["type"] == UNKNOWN_KEY]
    if unknown and len(unknown) == len(errors):
        value, _ = _validate(_without(data, unknown), model)
    return Examined(value, places, problems)


def path_text(steps: Sequence[Step]) -> str:
    """("device", 2, "unit_id") as people read it: device[2].unit_id."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def nearest(word: str, known: Sequence[str]) -> str:
    """A hint that ends a sentence: the known word that looks most like this one, or what there is."""
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; the nearest is {close[0]}" if close else ""


# --- the text ---------------------------------------------------------------------------------------------------------


def _parse(path: Path) -> tuple[dict[str, Any], Places]:
    text = _text(path)
    try:
        data = tomllib.loads(text)
        return data, Places(str(path), Walk(text.replace("\r\n", "\n")).lines())
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"at line (\d+)", str(error))
        line = int(at[1]) if at else text.count("\n") + 1
        raise _refused(path, line, "toml_syntax", str(error)) from None
    except RecursionError:
        raise _refused(path, 1, "toml_syntax", "nested too deeply") from None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_MAX_BYTES + 1)
    except OSError as error:
        raise _refused(path, 1, "file_unreadable", error.strerror or str(error)) from None
    if len(raw) > FILE_MAX_BYTES:
        raise _refused(path, 1, "file_too_big", f"more than {FILE_MAX_BYTES} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _refused(path, raw[: error.start].count(b"\n") + 1, "toml_syntax", "not UTF-8") from None


def _validate(data: Mapping[str, Any], model: type[M]) -> tuple[M | None, list[ErrorDetails]]:
    try:
        return model.model_validate(_tuples(data)), []
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=True)
        locs = [one["loc"] for one in errors]
        return None, [one for one in errors if not _is_echo(one, locs)]


def _is_echo(error: ErrorDetails, locs: Sequence[Steps]) -> bool:
    """An array is also called too short when its items were refused one by one."""
    loc = error["loc"]
    return error["type"] == "too_short" and any(other != loc and other[: len(loc)] == loc for other in locs)


def _without(value: Any, unknown: Sequence[Steps]) -> Any:  # noqa: ANN401 - any TOML value
    """A copy without these keys."""
    below: dict[Step, list[Steps]] = {}
    for steps in unknown:
        below.setdefault(steps[0], []).append(steps[1:])
    if isinstance(value, list):
        return [_without(item, below[n]) if n in below else item for n, item in enumerate(value)]
    kept = {key: item for key, item in value.items() if () not in below.get(key, [])}
    return {key: _without(item, below[key]) if key in below else item for key, item in kept.items()}


def _refused(path: Path, line: int, code: str, detail: str) -> Invalid:
    return Invalid((Problem(str(path), line, "", code, detail),))


def _tuples(value: Any) -> Any:  # noqa: ANN401 - any TOML value
    """Arrays as tuples: strict models are frozen all the way down."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


# --- pydantic's findings in our words ---------------------------------------------------------------------------------

_CODES = {
    "missing": "missing_key",
    "literal_error": "not_one_of",
    "enum": "not_one_of",
    "string_too_short": "out_of_bounds",
    "string_too_long": "out_of_bounds",
    "too_short": "out_of_bounds",
    "too_long": "out_of_bounds",
    "greater_than": "out_of_bounds",
    "greater_than_equal": "out_of_bounds",
    "less_than": "out_of_bounds",
    "less_than_equal": "out_of_bounds",
    "finite_number": "out_of_bounds",
}
UNKNOWN_KEY = "extra_forbidden"
OUR_ERROR = "our"  # a check of ours that pydantic ran: a PydanticCustomError with code and detail as its context


def _problem(error: ErrorDetails, model: type[Strict], data: Mapping[str, Any], places: Places) -> Problem:
    steps = _steps_in(error["loc"], data)
    context = error.get("ctx", {})
    if error["type"] == UNKNOWN_KEY:
        return _unknown_key(steps, _model_at(model, steps[:-1]), places)
    if error["type"] == "missing":
        return places.problem("missing_key", f"{error['loc'][-1]} is needed here", *steps, error["loc"][-1])
    if error["type"] == OUR_ERROR:
        return places.problem(str(context["code"]), str(context["detail"]), *steps)
    kind = error["type"]
    if kind == "string_too_short" and error["input"] == "":
        return places.problem("empty", "", *steps)
    if kind == "model_type" and (wanted := _model_at(model, steps)):
        keys = ", ".join(f"{key} = ..." for key in wanted.model_fields)
        return places.problem(
            "wrong_type", f"a table is needed here, {{ {keys:.80} }}, not {error['input']!r:.80}", *steps
        )
    code = _CODES.get(kind, "wrong_type" if kind.endswith(("_type", "_parsing")) else "bad_value")
    return places.problem(code, f"{error['msg']}, not {error['input']!r:.80}", *steps)


def _steps_in(loc: Sequence[Step], data: object) -> Steps:
    """The part of pydantic's location that is in the file, without what pydantic made up for a branch or a key."""
    steps: list[Step] = []
    for step in loc:
        if _holds(data, step):
            data = data[step]  # type: ignore[index] # _holds says so
            steps.append(step)
    return tuple(steps)


def _holds(data: object, step: Step) -> bool:
    if isinstance(data, dict):
        return step in data
    return isinstance(data, list) and isinstance(step, int) and step < len(data)


def _unknown_key(steps: Steps, model: type[Strict] | None, places: Places) -> Problem:
    key = str(steps[-1])
    if model is None:
        return places.problem("unknown_key", key, *steps)
    if key in model.not_built:
        return places.problem("not_built_yet", f"{key} is planned, but this version does not do it", *steps)
    known = [info.alias or name for name, info in model.model_fields.items()]
    return places.problem("unknown_key", f"{key} means nothing here{nearest(key, known)}", *steps)


def _model_at(model: type[Strict] | None, steps: Steps) -> type[Strict] | None:
    """The model that reads the table at `steps`."""
    for step in steps:
        if isinstance(step, int) or model is None:
            continue
        if step in model.model_fields:
            model = _model_in(model.model_fields[step].annotation) or model
    return model


def _model_in(annotation: object) -> type[Strict] | None:
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
