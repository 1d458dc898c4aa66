"""What a row may claim: rising times, values that can be true, a word about each that cannot.

After the judge a row can be packed, sent and stored: whatever south hands over, what comes out keeps every rule of
docs/specs/wire.md, section 4. Nothing goes quietly: a value that is taken away leaves a code in its place, a row that
is taken away has its reason in `Judged.dropped` for the caller to count, and a group that has no value at all says so
by an event when that begins and when it ends, instead of a row at every poll.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from operator import le
from typing import Final, TypeAlias

from gateway.model import BootMs, Event, Group, Quality, Row, Value
from gateway.pipeline.apart import Apart
from gateway.profile.profile import Field
from gateway.site import Site
from gateway.wire.body_reader import MAX_VALUE_BYTES
from gateway.wire.checked import all_finite, finite, is_text

MAX_ROW_TEXT_BYTES: Final = 8 * 1024  # of all texts of one row: it must fit a message with its group

NOT_RISING: Final = "not_rising"
NO_VALUES: Final = "no_values"
WRONG_SHAPE: Final = "wrong_shape"

_Range: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Judged:
    """A row as it may be believed, or why there is none: not_rising, no_values or wrong_shape, to be counted.

    Events are of this poll's time: `no_values` [field, code], `values_back` [field, polls without]; `field` is the
    first of the group and names the group to people.
    """

    row: Row | None
    events: tuple[Event, ...] = ()
    dropped: str = ""


@dataclass(slots=True)
class _Seen:
    """What is remembered of one group."""

    last: BootMs
    polls_without: int = 0


class Judge:
    """The rows of one site in one boot, one after another."""

    def __init__(self, site: Site) -> None:
        polled = (polled for device in site.devices for polled in device.polled)
        self._limits = {each.group: _Limits.of(each.group, each.fields) for each in polled}
        self._seen: dict[Group, _Seen] = {}
        self._apart = Apart()

    def judge(self, row: Row) -> Judged:
        """Never raises; whatever the row is, the outcome says what became of it."""
        group, seen = row.group, self._seen.get(row.group)
        if not 0 < len(row.values) == len(group.fields) == len(group.letters):
            return Judged(None, dropped=WRONG_SHAPE)
        if seen is not None and row.at <= seen.last:
            return Judged(None, dropped=NOT_RISING)
        if seen is None:
            seen = self._seen[group] = _Seen(row.at)
        believed = self.believed(row)
        seen.last = row.at
        if len(believed.quality) == len(believed.values):
            return _without(row, seen, believed.quality[0][1])
        if believed.quality:
            believed = self._apart.moved(believed)
            seen.last = believed.at
        return Judged(believed, _back(row, seen))

    def believed(self, row: Row) -> Row:
        """The row with a code for each value that cannot be true: what people may be shown. Remembers nothing."""
        return _believed(row, self._limits.get(row.group) or _Limits.of(row.group, ()))


def plausible(row: Row, fields: Sequence[Field]) -> Row:
    """As `Judge.believed`, of a row that was read on request and belongs to no group of the site."""
    return _believed(row, _Limits.of(row.group, fields))


@dataclass(frozen=True, slots=True)
class _Limits:
    """Plausible low and high of each field of a group, in its order."""

    lows: tuple[float, ...]
    highs: tuple[float, ...]

    @staticmethod
    def of(group: Group, fields: Sequence[Field]) -> "_Limits":
        lows = {field.name: field.low for field in fields if field.low is not None}
        highs = {field.name: field.high for field in fields if field.high is not None}
        return _Limits(
            tuple(lows.get(name, -inf) for name in group.fields),
            tuple(highs.get(name, inf) for name in group.fields),
        )

    def all_hold(self, values: Sequence[float]) -> bool:
        """Of finite numbers, one a field: whether each is plausible."""
        return all(map(le, self.lows, values)) and all(map(le, values, self.highs))


def _believed(row: Row, limits: _Limits) -> Row:
    numbers = all_finite(row.values) if row.group.letters.count("f") == len(row.values) else None
    if numbers is not None and not row.quality and limits.all_hold(numbers):  # as most rows are
        return row
    given, values, quality, room = dict(row.quality), list[Value | None](), [], MAX_ROW_TEXT_BYTES
    ranges = zip(limits.lows, limits.highs, strict=True)
    for index, (letter, value, plausible) in enumerate(zip(row.group.letters, row.values, ranges, strict=True)):
        code = given.get(index) or _doubt(letter, value, plausible, room)
        if isinstance(value, str) and code is None:
            room -= len(value.encode())
        values.append(value if code is None else None)
        if code is not None:
            quality.append((index, code))
    return Row(row.group, row.at, tuple(values), tuple(quality))


def _doubt(letter: str, value: Value | None, plausible: _Range, room_bytes: int) -> Quality | None:
    """Why this value cannot be believed; None when it can."""
    if value is None:
        return Quality.NO_VALUE  # south said none and no reason
    if letter == "f":
        return _doubt_number(value, plausible)
    if letter == "b":
        return None if isinstance(value, bool) else Quality.BAD_REPLY
    if not isinstance(value, str):
        return Quality.BAD_REPLY
    return None if is_text(value, min(room_bytes, MAX_VALUE_BYTES)) else Quality.OUT_OF_RANGE


def _doubt_number(value: Value, plausible: _Range) -> Quality | None:
    if isinstance(value, bool | str):
        return Quality.BAD_REPLY  # another type than the profile says: nothing that the device meant
    low, high = plausible
    if finite(value) is None:
        return Quality.NOT_A_NUMBER
    return None if low <= value <= high else Quality.OUT_OF_RANGE


def _without(row: Row, seen: _Seen, code: Quality) -> Judged:
    seen.polls_without += 1
    if seen.polls_without > 1:
        return Judged(None, dropped=NO_VALUES)
    event = Event(row.at, row.group.device, "no_values", (row.group.fields[0], code.value))
    return Judged(None, (event,), NO_VALUES)


def _back(row: Row, seen: _Seen) -> tuple[Event, ...]:
    if not seen.polls_without:
        return ()
    event = Event(row.at, row.group.device, "values_back", (row.group.fields[0], seen.polls_without))
    seen.polls_without = 0
    return (event,)
