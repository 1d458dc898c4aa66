"""Line protocol -> points: the embedded store's reading of what `line_protocol` writes. Pure.

The grammar of InfluxDB's line protocol, as strict as influxd 1.6: no NaN, no unsigned numbers; a time always.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

FACTORS = {"ms": 1_000_000, "ns": 1}  # precision -> ns
TIME_MAX_NS = (1 << 63) - 1


Field = float | bool | str | int  # an int is `7i`: a type of its own; nothing of ours writes one


@dataclass(frozen=True, slots=True)
class Point:
    """One line: tags sorted by name, time in ns."""

    measurement: str
    tags: tuple[tuple[str, str], ...]
    fields: dict[str, Field]
    time_ns: int


def parse(line: bytes, precision: str) -> Point:
    """Raises ValueError."""
    text = line.decode()
    key = _KEY.match(text)
    if key is None:
        raise ValueError("no measurement and tags")
    measurement, tags = _parse_key(key[1])
    fields, at = _parse_fields(text, key.end())
    time = _TIME.fullmatch(text, at)
    if time is None:
        raise ValueError("no time, or more after it")
    time_ns = int(time[1]) * FACTORS[precision]
    if abs(time_ns) > TIME_MAX_NS:
        raise ValueError("time out of range")
    return Point(measurement, tags, fields, time_ns)


_WORD = r"(?:[^,= \\\n]|\\[^\n])+"
_KEY = re.compile(r"((?:[^ \\\n]|\\[^\n])+) ")
_TAG = re.compile(rf",({_WORD})=({_WORD})(?=,|$)")
_FIELD = re.compile(r'((?:[^,= \\\n]|\\[^\n])+)=(?:"((?:[^"\\]|\\.)*)"|([^,\s"]+))([, ])', re.DOTALL)
_MEASUREMENT = re.compile(r"(?:[^,\\]|\\.)+")
_TIME = re.compile(r"(-?[0-9]{1,19})\s*")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_INTEGER = re.compile(r"[-+]?[0-9]{1,19}i")
_ESCAPE = re.compile(r"\\([,= ])")
_QUOTED_ESCAPE = re.compile(r'\\(["\\])')
_BOOLEANS = dict.fromkeys(("t", "T", "true", "True", "TRUE"), True) | dict.fromkeys(
    ("f", "F", "false", "False", "FALSE"), False
)


@lru_cache(maxsize=4096)
def _parse_key(key: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    measurement = _MEASUREMENT.match(key)
    if measurement is None:
        raise ValueError("no measurement")
    tags, at = [], measurement.end()
    while at < len(key):
        tag = _TAG.match(key, at)
        if tag is None:
            raise ValueError("a tag that is none")
        tags.append((_unescaped(tag[1]), _unescaped(tag[2])))
        at = tag.end()
    if len({name for name, _ in tags}) < len(tags):
        raise ValueError("a tag twice")
    return _unescaped(measurement[0]), tuple(sorted(tags))


def _parse_fields(text: str, at: int) -> tuple[dict[str, Field], int]:
    fields: dict[str, Field] = {}
    while True:
        field = _FIELD.match(text, at)
        if field is None:
            raise ValueError("a field that is none")
        name, quoted, bare, end = field.groups()
        fields[_unescaped(name)] = _parse_bare(bare) if quoted is None else _QUOTED_ESCAPE.sub(r"\1", quoted)
        at = field.end()
        if end == " ":
            return fields, at


def _parse_bare(word: str) -> Field:
    if _NUMBER.fullmatch(word):
        number = float(word)
        if number in {float("inf"), float("-inf")}:
            raise ValueError("a number out of range")
        return number
    if _INTEGER.fullmatch(word):
        return int(word[:-1])
    if word not in _BOOLEANS:
        raise ValueError("neither number, boolean nor quoted text")
    return _BOOLEANS[word]


def _unescaped(word: str) -> str:
    return _ESCAPE.sub(r"\1", word) if "\\" in word else word
