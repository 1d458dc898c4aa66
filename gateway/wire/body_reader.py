"""The reading half of `wire.body`: bytes of strangers -> Body, checked by hand (docs/specs/wire.md, section 4).

Bounded before it is believed: at most 1 MiB is ever inflated, and every list, name and number has its limit. Columns
are looked at as a whole, because rows are many and types are few: a row of 20 fields costs a few microseconds.
"""

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, Final, NamedTuple

from gateway.errors import Malformed
from gateway.model import Detail, Gap, Group, UtcMs, Value
from gateway.wire import checked

MAX_INFLATED_BYTES: Final = 1024 * 1024
MAX_GROUPS: Final = 4096
MAX_FIELDS: Final = 256
MAX_VALUE_BYTES: Final = 255  # of one text value
MAX_ROWS: Final = 65_535
MAX_EVENTS: Final = 4096
MAX_DETAILS: Final = 16
MAX_GAPS: Final = 400  # uncompressed they still fit one message
MAX_ROW_OFFSET_MS: Final = 86_400_000
MAX_EVENT_OFFSET_MS: Final = 1_000_000_000_000

_TYPES: Final[dict[str, set[type]]] = {"f": {float, int}, "b": {bool}, "s": {str}}
_FLOAT: Final = {float}
_LETTERS: Final = re.compile("[fbs]+")


class GroupRows(NamedTuple):
    """The rows of one group; offsets in ms after the batch's t0. A tuple: a batch of ten rows may have ten of these."""

    group: Group
    rows: tuple[tuple[int, tuple[Value | None, ...]], ...]
    quality: tuple[tuple[int, int, str], ...]  # (row, field, code); readers keep codes they do not know


@dataclass(frozen=True, slots=True)
class BodyEvent:
    """An event as it travels; its offset may be negative."""

    offset_ms: int
    subject: str
    code: str
    detail: Detail


@dataclass(frozen=True, slots=True)
class Body:
    """A batch, opened."""

    groups: tuple[GroupRows, ...]
    events: tuple[BodyEvent, ...] = ()
    gaps: tuple[Gap, ...] = ()

    @property
    def n(self) -> int:
        """Rows in all groups."""
        return sum(len(rows.rows) for rows in self.groups)


def decode(enc: str, data: bytes) -> Body:
    """Raises Malformed(schema|limit); bounded in size, depth, rows, names."""
    document = checked.obj(checked.parsed(_inflated(enc, data)), "body")
    groups = tuple(_group_rows(entry) for entry in checked.items(document.get("g", []), "g", MAX_GROUPS))
    if _twice(groups):
        raise Malformed("schema", "g: one group twice")
    body = Body(
        groups=groups,
        events=tuple(_body_event(entry) for entry in checked.items(document.get("e", []), "e", MAX_EVENTS)),
        gaps=tuple(_gap(entry) for entry in checked.items(document.get("x", []), "x", MAX_GAPS)),
    )
    if body.n > MAX_ROWS:
        raise Malformed("limit", f"{body.n} rows, at most {MAX_ROWS}")
    return body


@lru_cache(maxsize=1024)
def valid(group: Group) -> Group:
    """The same group, its names checked: once for many batches, because they rarely change; raises Malformed."""
    if len(group.fields) > MAX_FIELDS:
        raise Malformed("limit", f"f of {len(group.fields)} names, at most {MAX_FIELDS}")
    checked.name(group.device, "d")
    checked.name(group.kind, "k", checked.KIND)
    checked.name(group.profile, "p", checked.PROFILE)
    checked.name(group.letters, "t", _LETTERS)
    for field in group.fields:
        checked.name(field, "f", checked.FIELD)
    if len(group.letters) != len(group.fields) or len(set(group.fields)) != len(group.fields):
        raise Malformed("schema", f"f and t of {group.device}: not one letter for each of different fields")
    return group


def _inflated(enc: str, data: bytes) -> bytes:
    """At most 1 MiB is ever made: a bomb is told by one byte more."""
    if enc == "none":
        out = data
    elif enc == "zlib":
        stream = zlib.decompressobj()
        try:
            out = stream.decompress(data, MAX_INFLATED_BYTES + 1)
        except zlib.error as error:
            raise Malformed("schema", f"body: {error}") from None
        if len(out) <= MAX_INFLATED_BYTES and (not stream.eof or stream.unused_data):
            raise Malformed("schema", "body: not one whole zlib stream")
    else:
        raise Malformed("schema", "enc: neither zlib nor none")
    if len(out) > MAX_INFLATED_BYTES:
        raise Malformed("limit", f"body: more than {MAX_INFLATED_BYTES} bytes")
    return out


def _twice(groups: Sequence[GroupRows]) -> bool:
    """Whether a group comes twice; that all are of different devices is told sooner."""
    count = len(groups)
    return len({rows.group.device for rows in groups}) < count and len({rows.group for rows in groups}) < count


def _group_rows(value: object) -> GroupRows:
    entry = checked.obj(value, "group")
    group = _group(entry)
    rows = checked.items(entry.get("r"), "r", MAX_ROWS)
    if not rows or set(map(type, rows)) != {list} or set(map(len, rows)) != {1 + len(group.fields)}:
        raise Malformed("schema", f"r of {group.device}: not rows of {1 + len(group.fields)} values")
    times = [row[0] for row in rows]
    _check_times(times)
    cells: list[tuple[Value | None, ...]] = [tuple(row[1:]) for row in rows]
    codes = checked.items(entry.get("q", []), "q", len(rows) * len(group.fields))
    quality: tuple[tuple[int, int, str], ...] = ()
    if codes or not _all_floats(group, cells):
        columns = [
            _column(letter, column) for letter, column in zip(group.letters, zip(*cells, strict=True), strict=True)
        ]
        quality = tuple(map(_quality, codes))
        _check_nulls(columns, quality)
        cells = list(zip(*columns, strict=True))
    return GroupRows(group, tuple(zip(times, cells, strict=True)), quality)


def _all_floats(group: Group, cells: Sequence[tuple[Value | None, ...]]) -> bool:
    """What nearly all rows are, told without a look at each column."""
    return set(map(type, chain.from_iterable(cells))) == _FLOAT and not group.letters.strip("f")


def _group(entry: dict[str, Any]) -> Group:
    fields = checked.items(entry.get("f"), "f", MAX_FIELDS)
    try:
        return _named(entry.get("d"), entry.get("k"), entry.get("p"), entry.get("t"), *fields)
    except TypeError:  # lists and objects have no hash
        raise Malformed("schema", "g: a name that is no text") from None


@lru_cache(maxsize=1024)
def _named(device: object, kind: object, profile: object, letters: object, *fields: object) -> Group:
    """Only texts equal texts: what is kept here was checked, type by type."""
    if set(map(type, (device, kind, profile, letters, *fields))) != {str}:
        raise Malformed("schema", "g: a name that is no text")
    return valid(Group(str(device), str(kind), str(profile), tuple(map(str, fields)), str(letters)))


def _check_times(times: Sequence[object]) -> None:
    if set(map(type, times)) != {int}:
        raise Malformed("schema", "r: a time that is no integer")
    numbers: Sequence[Any] = times
    if len(numbers) > 1 and any(later <= earlier for earlier, later in pairwise(numbers)):
        raise Malformed("schema", "r: times of one group do not rise")
    if numbers[0] < 0 or numbers[-1] > MAX_ROW_OFFSET_MS:
        raise Malformed("limit", f"r: a time outside 0..{MAX_ROW_OFFSET_MS}")


def _column(letter: str, column: Sequence[Any]) -> Sequence[Value | None]:
    """One field of all rows; types are looked at together, because rows are many and types few."""
    found = set(map(type, column)) - {type(None)}
    if not found.issubset(_TYPES[letter]):
        raise Malformed("schema", f"r: a value that is no {letter}")
    if int in found:
        return [value if value is None else float(value) for value in column]
    if letter == "s":
        for value in column:
            if value is not None:
                checked.text(value, "value", MAX_VALUE_BYTES)
    return column


def _quality(value: object) -> tuple[int, int, str]:
    row, index, code = checked.items(value, "q", 3, width=3)
    return (
        checked.integer(row, "row of q", 0, MAX_ROWS),
        checked.integer(index, "field of q", 0, MAX_FIELDS),
        checked.name(code, "code of q", checked.WORD),
    )


def _check_nulls(columns: Sequence[Sequence[Value | None]], quality: Iterable[tuple[int, int, str]]) -> None:
    nulls = {
        (row, index)
        for index, column in enumerate(columns)
        if None in column
        for row, value in enumerate(column)
        if value is None
    }
    codes = [(row, index) for row, index, _ in quality]
    if len(codes) != len(nulls) or set(codes) != nulls:
        raise Malformed("schema", "q: not exactly one code for each null")
    if len(columns) in Counter(row for row, _ in nulls).values():
        raise Malformed("schema", "r: a row without a good value")


def _body_event(value: object) -> BodyEvent:
    offset, subject, code, detail = checked.items(value, "event", 4, width=4)
    return BodyEvent(
        checked.integer(offset, "time of event", -MAX_EVENT_OFFSET_MS, MAX_EVENT_OFFSET_MS),
        checked.text(subject, "subject", checked.WORD_BYTES_MAX),
        checked.name(code, "code of event", checked.WORD),
        _read_detail(detail),
    )


def _read_detail(value: object) -> Detail:
    if isinstance(value, str):
        return checked.text(value, "detail")
    return tuple(_read_detail_item(item) for item in checked.items(value, "detail", MAX_DETAILS))


def _read_detail_item(item: object) -> float | str:
    if isinstance(item, str):
        return checked.text(item, "detail")
    if isinstance(item, bool) or not isinstance(item, int | float):
        raise Malformed("schema", "detail: neither number nor text")
    return item


def _gap(value: object) -> Gap:
    epoch, first, last, rows, from_ms, to_ms, reason = checked.items(value, "gap", 7, width=7)
    gap = Gap(
        epoch=checked.name(epoch, "gap epoch"),
        first=checked.seq(first, "gap first"),
        last=checked.seq(last, "gap last"),
        rows=None if rows is None else checked.integer(rows, "gap rows"),
        from_ms=None if from_ms is None else UtcMs(checked.utc(from_ms, "gap from")),
        to_ms=None if to_ms is None else UtcMs(checked.utc(to_ms, "gap to")),
        reason=checked.name(reason, "gap reason", checked.WORD),
    )
    if gap.last < gap.first:
        raise Malformed("schema", "gap: last before first")
    return gap
