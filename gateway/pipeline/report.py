"""Which rows of a group are passed on: one a window, and of these, or of all that are read, those that are news. Pure.

A window ends at a multiple of `every` of boot time and has what was read after the end of the one before, its own end
included: `(end - every, end]`. Its row has the time of its end. It is closed a little later (a grace of about a
poll), because a row's time is that of its first byte and a poll takes longer; so up to two windows of a group are open.
What comes even later is counted in the next window, and told as late. At a stop the open window ends there and then.
Windows of one group touch each other and their times rise strictly, also over a restart in the same boot.

A window into which nothing came, or no row with a good value, makes no row: a device that is dead is silent here, and
its events say so. With `change` a steady one is silent too, but never longer than `at_least`, and only what was read
counts for that.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.model import BootMs, Group, Quality, Row, Value
from gateway.pipeline.correct import CIRCLE
from gateway.pipeline.fold import FieldFold, columns, letters
from gateway.profile.profile import Field
from gateway.site import Report

GRACE_MS_MIN, GRACE_MS_MAX = 500, 10_000
EXACTNESS: Final = 1 - 1e-9  # 0.30 - 0.28 is a change of 0.02, whatever floats say


class Windows:
    """The open windows of one group; `group` is that of their rows."""

    def __init__(self, group: Group, fields: Sequence[Field], period_ms: int, every_ms: int) -> None:
        names = tuple(name for one in fields for name, _ in columns(one))
        self.group = replace(group, fields=names, letters=letters(fields))
        self._fields = tuple(fields)
        self._every_ms = every_ms
        self._grace_ms = min(max(period_ms, GRACE_MS_MIN), GRACE_MS_MAX, every_ms // 2)
        self._open: dict[BootMs, _Window] = {}  # by their ends, which rise
        self._ended = BootMs(0)

    def add(self, row: Row) -> bool:
        """Whether its own window was closed already; `due` was asked for the row's time before."""
        own = BootMs(-(-row.at // self._every_ms) * self._every_ms)
        late = own <= self._ended
        end = BootMs(self._ended + self._every_ms) if late else own
        if end not in self._open:
            self._open[end] = _Window([FieldFold(one) for one in self._fields])
            self._open = dict(sorted(self._open.items()))
        self._open[end].add(row)
        return late

    @property
    def closes_at(self) -> BootMs | None:
        """When `due` will have something; None while nothing is open."""
        first = next(iter(self._open), None)
        return None if first is None else BootMs(first + self._grace_ms)

    def due(self, now: BootMs) -> list[Row]:
        """Of the windows that are over and had their grace."""
        return [self._closed(end, end) for end in list(self._open) if end + self._grace_ms <= now]

    def flush(self, now: BootMs) -> list[Row]:
        """Of all windows, for a stop: one that is not over ends now."""
        return [self._closed(end, self._cut(end, now)) for end in list(self._open)]

    def _cut(self, end: BootMs, now: BootMs) -> BootMs:
        began = end - self._every_ms
        return BootMs(min(end, max(now, self._open[end].last, began + 1)))

    def _closed(self, end: BootMs, at: BootMs) -> Row:
        self._ended = end
        return self._open.pop(end).row(self.group, at)


@dataclass(slots=True)
class _Window:
    """What was read in one window."""

    folds: list[FieldFold]
    last: BootMs = field(default=BootMs(0))

    def add(self, row: Row) -> None:
        codes = dict(row.quality)
        for at, (fold, value) in enumerate(zip(self.folds, row.values, strict=True)):
            fold.add(value, codes.get(at))
        self.last = max(self.last, row.at)

    def row(self, group: Group, at: BootMs) -> Row:
        cells = [cell for fold in self.folds for cell in fold.cells()]
        values = tuple(None if isinstance(cell, Quality) else cell for cell in cells)
        return Row(group, at, values, tuple((n, cell) for n, cell in enumerate(cells) if isinstance(cell, Quality)))


class Deadband:
    """Which rows of one group are news: compared, column by column, with the last one that was passed on.

    So whoever holds that one knows each column to within `change`, until the next row or for `at_least_ms`.
    """

    def __init__(self, fields: Sequence[Field], step_ms: int, report: Report) -> None:
        """`step_ms` is what lies between two rows."""
        self._circles = {name for one in fields if one.aggregate == "vector_mean" for name in (one.name,)}
        self._counts = {f"{one.name}_n" for one in fields} if report.every_ms else set[str]()
        self._change = (report.change or 0.0) * EXACTNESS
        self._longest_ms = report.at_least_ms - step_ms // 2  # the next row would be later than half a step
        self._passed: Row | None = None

    def passes(self, row: Row) -> bool:
        """Whether it is news, or time for one; it is then what the next are compared with."""
        last = self._passed
        if last is not None and row.at - last.at < self._longest_ms and not self._differs(last, row):
            return False
        self._passed = row
        return True

    def _differs(self, last: Row, row: Row) -> bool:
        if last.quality != row.quality:
            return True
        pairs = zip(row.group.fields, last.values, row.values, strict=True)
        return any(self._moved(name, before, now) for name, before, now in pairs)

    def _moved(self, name: str, before: Value | None, now: Value | None) -> bool:
        if name in self._counts or now is None or before is None:
            return False  # both null, for one reason
        if isinstance(before, bool | str) or isinstance(now, bool | str):
            return before != now
        apart = abs(now - before)
        if name in self._circles:
            apart = min(apart % CIRCLE, CIRCLE - apart % CIRCLE)
        return apart >= self._change


class Reporter:
    """One group's policy."""

    def __init__(self, group: Group, fields: Sequence[Field], period_ms: int, report: Report) -> None:
        every_ms = report.every_ms
        self.windows = Windows(group, fields, period_ms, every_ms) if every_ms else None
        step_ms = every_ms or period_ms
        self._deadband = Deadband(fields, step_ms, report) if report.change is not None else None

    def news(self, rows: Iterable[Row]) -> Iterator[tuple[Row, bool]]:
        """Each, and whether it is passed on."""
        for row in rows:
            yield row, self._deadband is None or self._deadband.passes(row)
