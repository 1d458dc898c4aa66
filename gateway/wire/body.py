"""The body of a batch: rows, events, gaps <-> bytes (docs/specs/wire.md, section 4).

    {"g":[{"d":"meter-1","k":"energy_meter","p":"eastron/sdm630@1","f":["voltage_l1","frequency"],"t":"ff",
           "r":[[0,230.2,50.0],[1000,230.1,null]],"q":[[1,1,"no_reply"]]}],
     "e":[[1000,"meter-1","field_refused","frequency"]],
     "x":[["k3v9x2",3,9,420,1795484000000,1795484060000,"quota"]]}

The names of a group travel once, its rows are arrays: first column ms after t0, then one value a field. Invariants:
a null has exactly one code in `q` and a value has none; every row has at least one good value; times of one group
strictly increase. The writer refuses what would break them (ValueError: a bug of ours, the judge lets none through),
the reader refuses what does (Malformed). Nothing is inflated beyond its bound.

A body is written once, stored as it is and sent as it is. The writer encodes each row when it comes: it is then as
small in memory as it will be in the body, and the size of the whole is known without encoding it all twice.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Final

import orjson

from gateway.errors import Malformed
from gateway.model import BootMs, Detail, Event, Gap, Group, Quality, Row, Value
from gateway.wire import checked
from gateway.wire.body_reader import (
    MAX_DETAILS,
    MAX_EVENT_OFFSET_MS,
    MAX_GAPS,
    MAX_ROW_OFFSET_MS,
    MAX_VALUE_BYTES,
    Body,
    BodyEvent,
    GroupRows,
    decode,
    valid,
)

__all__ = ["Body", "BodyEvent", "BodyWriter", "GroupRows", "decode", "encode_gaps"]

MAX_BODY_BYTES: Final = 63 * 1024  # of JSON that we write: a message of 64 KiB even when nothing compresses
MAX_ITEM_BYTES: Final = 46 * 1024  # of JSON for one row and its group, or one event; what the judge passes is smaller

_INT64: Final = range(-(2**63), 2**63)
_OFFSET_CHARACTERS: Final = 17  # what an offset takes at most, with its bracket and commas
_QUALITY_CHARACTERS: Final = 16  # [row,field,"code"], without the code
_GROUP_CHARACTERS: Final = 32  # what rows and quality of a group are wrapped in


class BodyWriter:
    """Collects rows and events of one boot and knows about how big they are before they are encoded.

    `b0` is the time of the first item; a row that is older (another bus, a longer poll) moves it back, because rows
    never lie before t0. `last` is the latest time in it.
    """

    def __init__(self, b0: BootMs) -> None:
        self.b0 = b0
        self.last = b0
        self._groups: dict[Group, _OpenGroup] = {}
        self._events: list[tuple[BootMs, bytes]] = []
        self._rows = 0
        self._size_bytes = len('{"g":[],"e":[]}')
        self._weighed: _Weighed | None = None  # the row that `fits` was asked about last: `add` comes next

    def add(self, item: Row | Event) -> None:
        """Raises ValueError, and takes nothing, for what a reader would refuse; ask `fits` before."""
        if isinstance(item, Row):
            self._add_row(item)
        else:
            self._add_event(item)
        self.last = max(self.last, item.at)

    def fits(self, item: Row | Event) -> bool:
        """Whether the message stays under 64 KiB with this item, whatever it compresses to; raises as `add` does."""
        room = MAX_BODY_BYTES - self._size_bytes
        return room >= MAX_ITEM_BYTES or room >= self._size_of(item)

    @property
    def n(self) -> int:
        """Rows so far."""
        return self._rows

    @property
    def empty(self) -> bool:
        """Neither rows nor events."""
        return not self._groups and not self._events

    @property
    def size_bytes_estimate(self) -> int:
        """Of the JSON, before compression; an upper bound within reason, O(1)."""
        return self._size_bytes

    def encode(self) -> tuple[str, bytes]:
        """(enc, body): zlib where that is smaller, else none."""
        document: dict[str, list[object]] = {}
        if self._groups:
            document["g"] = [group.document(self.b0) for group in self._groups.values()]
        if self._events:
            document["e"] = [_timed(at - self.b0, rest) for at, rest in self._events]
        return _packed(orjson.dumps(document))

    def _add_row(self, row: Row) -> None:
        weighed = self._weigh(row)
        group = weighed.group
        if group.times and row.at <= group.times[-1]:
            raise ValueError(f"{row.group.device}: time does not rise")
        if max(self.last, row.at) - min(self.b0, row.at) > MAX_ROW_OFFSET_MS:
            raise ValueError(f"{row.group.device}: more than a day in one batch")
        if weighed.size_bytes > MAX_ITEM_BYTES:
            raise ValueError(f"{row.group.device}: a row of {weighed.size_bytes} bytes")
        group.add(row.at, weighed.piece)
        self._groups[row.group] = group
        self._weighed = None
        self._rows += 1
        self._size_bytes += weighed.size_bytes
        self.b0 = min(self.b0, row.at)

    def _add_event(self, event: Event) -> None:
        if abs(event.at - self.b0) > MAX_EVENT_OFFSET_MS - MAX_ROW_OFFSET_MS:
            raise ValueError(f"event {event.code}: too far from its batch")
        rest = _event(event)
        self._events.append((event.at, rest))
        self._size_bytes += _OFFSET_CHARACTERS + len(rest)

    def _size_of(self, item: Row | Event) -> int:
        if isinstance(item, Event):
            return _OFFSET_CHARACTERS + len(_event(item))
        return self._weigh(item).size_bytes

    def _weigh(self, row: Row) -> "_Weighed":
        if self._weighed is None or self._weighed.row is not row:
            known, piece = self._groups.get(row.group), _RowPiece.of(row)
            group = known or _OpenGroup.of(row.group)
            self._weighed = _Weighed(row, group, piece, piece.size_bytes + (0 if known else group.size_bytes))
        return self._weighed


def encode_gaps(gaps: Sequence[Gap]) -> tuple[str, bytes]:
    """A body of gap records only: what the spool writes when it gives batches up; raises ValueError above 400."""
    if len(gaps) > MAX_GAPS:
        raise ValueError(f"{len(gaps)} gap records in one batch")
    records = [(gap.epoch, gap.first, gap.last, gap.rows, gap.from_ms, gap.to_ms, gap.reason) for gap in gaps]
    return _packed(orjson.dumps({"x": records}))


@dataclass(frozen=True, slots=True)
class _RowPiece:
    """A row without its time, encoded."""

    values: bytes  # a JSON list
    codes: tuple[tuple[int, str], ...]  # (field, code) of each null
    size_bytes: int  # what it adds to the body at most

    @staticmethod
    def of(row: Row) -> "_RowPiece":
        """Raises ValueError for what a reader would refuse."""
        cells = _cells(row)
        codes = _codes(row, cells)
        values = orjson.dumps(cells)
        size_bytes = _OFFSET_CHARACTERS + len(values) + sum(_QUALITY_CHARACTERS + len(code) for _, code in codes)
        return _RowPiece(values, codes, size_bytes)


@dataclass(slots=True)
class _OpenGroup:
    """One group of an open body: its rows are JSON already, only their offsets wait for the final b0."""

    names: dict[str, object]
    size_bytes: int  # of the names and what wraps the rows
    times: list[BootMs] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    quality: list[tuple[int, int, str]] = field(default_factory=list)

    @staticmethod
    def of(group: Group) -> "_OpenGroup":
        """Raises ValueError for names that a reader would refuse."""
        try:
            valid(group)
        except Malformed as error:
            raise ValueError(f"group of {group.device!r}: {error}") from error
        names: dict[str, object] = {"d": group.device, "k": group.kind, "p": group.profile}
        names |= {"f": group.fields, "t": group.letters}
        return _OpenGroup(names, _GROUP_CHARACTERS + len(orjson.dumps(names)))

    def add(self, at: BootMs, piece: _RowPiece) -> None:
        """One more row, later than all before."""
        self.quality.extend((len(self.times), index, code) for index, code in piece.codes)
        self.times.append(at)
        self.values.append(piece.values)

    def document(self, b0: BootMs) -> dict[str, object]:
        """This group as it stands in `g`."""
        rows = [_timed(at - b0, values[1:]) for at, values in zip(self.times, self.values, strict=True)]
        return {**self.names, "r": rows} | ({"q": self.quality} if self.quality else {})


@dataclass(frozen=True, slots=True)
class _Weighed:
    """A row, where it belongs, and what it would add to the body; its group is a new one when the body has none yet."""

    row: Row
    group: _OpenGroup
    piece: _RowPiece
    size_bytes: int


def _timed(offset_ms: int, rest: bytes) -> orjson.Fragment:
    """A JSON list whose first item is the offset; `rest` is a list without its opening bracket."""
    return orjson.Fragment(b"[%d,%b" % (offset_ms, rest))


def _cells(row: Row) -> list[Value | None]:
    """What goes into the row; raises ValueError for a wrong number or type of values, or when none is good."""
    letters = row.group.letters
    if len(row.values) != len(letters):
        raise ValueError(f"{row.group.device}: {len(row.values)} values for {len(letters)} fields")
    if letters.count("f") == len(letters) and (numbers := checked.all_finite(row.values)):
        return [*numbers]
    cells = [_cell(letter, value) for letter, value in zip(letters, row.values, strict=True)]
    if all(cell is None for cell in cells):
        raise ValueError(f"{row.group.device}: a row without a good value")
    return cells


def _cell(letter: str, value: Value | None) -> Value | None:
    if value is None:
        return None
    if letter == "f" and isinstance(value, int | float) and not isinstance(value, bool):
        return checked.finite(value)
    if letter == "b" and isinstance(value, bool):
        return value
    if letter == "s" and isinstance(value, str) and checked.is_text(value, MAX_VALUE_BYTES):
        return value
    raise ValueError(f"{value!r} is no value for letter {letter}")


def _codes(row: Row, cells: list[Value | None]) -> tuple[tuple[int, str], ...]:
    """Why each null is one; raises ValueError for a null without a code and for a value with one."""
    if None not in cells and not row.quality:
        return ()
    codes = {index: Quality.NOT_A_NUMBER for index, value in enumerate(row.values) if value is not None}
    codes |= dict(row.quality)
    nulls = [index for index, cell in enumerate(cells) if cell is None]
    if not codes.keys() >= set(nulls) or any(cells[index] is not None for index, _ in row.quality):
        raise ValueError(f"{row.group.device}: not exactly one code for each null")
    return tuple((index, codes[index].value) for index in nulls)


def _event(event: Event) -> bytes:
    """An event without its time, as a JSON list without its bracket; raises ValueError for a code that is no word."""
    if checked.WORD.fullmatch(event.code) is None:
        raise ValueError(f"event code {event.code!r}")
    subject = checked.cleaned(event.subject, checked.WORD_BYTES_MAX)
    return orjson.dumps((subject, event.code, _detail(event.detail)))[1:]


def _detail(detail: Detail) -> Detail:
    """An event is never lost for its wording: texts are cleaned and cut, a list is cut, no-numbers become texts."""
    if isinstance(detail, str):
        return checked.cleaned(detail)
    return tuple(_detail_item(item) for item in detail[:MAX_DETAILS])


def _detail_item(item: float | str) -> float | str:
    if isinstance(item, str):
        return checked.cleaned(item)
    if isinstance(item, int):
        return int(item) if item in _INT64 else checked.cleaned(str(item))
    return item if isfinite(item) else str(item)


def _packed(json: bytes) -> tuple[str, bytes]:
    data = zlib.compress(json)
    return ("zlib", data) if len(data) < len(json) else ("none", json)
