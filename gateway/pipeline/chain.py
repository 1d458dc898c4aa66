"""The stages between a row that was read and a row that is packed, in one place. Pure: items in, items out.

    row -> judge -> correct -> derive -> [alarms] -> report -> apart -> the packer
                    raw*a+b    columns   every row   windows,  no two nulls
                               added     is watched  news      at one ms

Whatever is taken comes out, is open in a window (`closes_at`, `flush`), or is named in `Passed.dropped` for the caller
to count: not_rising, no_values, wrong_shape (the judge's words), unchanged (a report policy's). Events pass unchanged.

Windows are closed by time, and the time that counts is that of the items: what waits in the inbox has been read before.
So an item closes what was over at its own time; only when nothing waits `due` does it by the clock.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from gateway.model import BootMs, Event, Group, Row
from gateway.pipeline.apart import Apart
from gateway.pipeline.correct import Corrector
from gateway.pipeline.derive import Deriver, Newest
from gateway.pipeline.judge import NO_VALUES, NOT_RISING, Judge
from gateway.pipeline.report import Reporter
from gateway.profile.profile import Field
from gateway.site import Device, Polled, Report, Site

UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Passed:
    """What goes on to the packer, in order, and what does not."""

    items: tuple[Row | Event, ...] = ()
    dropped: tuple[tuple[str, str], ...] = ()  # (device, why), one for each row
    judged: Row | None = None  # as the judge believed it: its nulls are counted
    late: int = 0  # rows that came after their window was closed, and count in the next


@dataclass(frozen=True, slots=True)
class Shape:
    """A group as it leaves the gateway's own computing, before any report policy."""

    group: Group
    fields: tuple[Field, ...]
    period_ms: int
    report: Report | None


def shapes(device: Device) -> Iterator[Shape]:
    """Of each group of a device: corrected ranges, raw and derived fields included."""
    for polled in device.polled:
        stages = _Stages.of(device, polled)
        yield Shape(stages.deriver.group, stages.deriver.fields, polled.period_ms, polled.report)


class Chain:
    """Of one site in one boot; `watch` sees every computed row, whatever a report policy makes of it."""

    def __init__(self, site: Site, watch: Callable[[Row], Sequence[Event]] = lambda _: ()) -> None:
        self._watch = watch
        devices = [device for bus in site.buses for device in bus.devices]
        self._judge = Judge(site)
        self._stages = {polled.group: _Stages.of(device, polled) for device in devices for polled in device.polled}
        self._newest = Newest(name for stages in self._stages.values() for name in stages.deriver.names)
        reporters = [stages.reporter for stages in self._stages.values() if stages.reporter]
        self._folding = [(reporter, reporter.windows) for reporter in reporters if reporter.windows]
        self._apart = Apart()
        self._left: dict[Group, BootMs] = {}  # the latest time of each group that left
        self._closes_at: BootMs | None = None

    def take(self, item: Row | Event) -> Passed:
        """Never raises. Windows that were over at its time come before it."""
        over = self._closed(item.at)
        if isinstance(item, Event):
            return Passed((*over.items, item), over.dropped)
        judged = self._judge.judge(item)
        if judged.row is None:
            return Passed((*over.items, *judged.events), (*over.dropped, (item.group.device, judged.dropped)))
        told = [*over.items, *judged.events]
        computed = self._computed(judged.row)
        told += self._watch(computed)
        passed = self._reported(item.group, computed)
        return Passed((*told, *passed.items), (*over.dropped, *passed.dropped), judged.row, passed.late)

    def due(self, now: BootMs) -> Passed:
        """What is over by the clock; to be asked when nothing waits to be taken."""
        return self._closed(now)

    @property
    def closes_at(self) -> BootMs | None:
        """When `due` may have something; None while no window is open."""
        return self._closes_at

    def flush(self, now: BootMs) -> Passed:
        """Every open window as it stands, for a stop."""
        self._closes_at = None
        return _joined([self._out(reporter.news(windows.flush(now))) for reporter, windows in self._folding])

    def believed(self, row: Row) -> Row:
        """As it would leave, without its report policy: what people may be shown. Remembers nothing."""
        believed = self._judge.believed(row)
        stages = self._stages.get(row.group)
        return believed if stages is None else stages.computed(believed, self._newest)

    def _computed(self, row: Row) -> Row:
        stages = self._stages.get(row.group)
        if stages is None:
            return row
        row = stages.computed(row, self._newest)
        self._newest.note(row, stages.period_ms)
        return row

    def _reported(self, group: Group, row: Row) -> Passed:
        reporter = self._stages[group].reporter if group in self._stages else None
        if len(row.quality) == len(row.values):  # a correction went beyond all numbers
            return Passed(dropped=((row.group.device, NO_VALUES),))
        if reporter is None:
            return self._out([(row, True)])
        if reporter.windows is None:
            return self._out(reporter.news([row]))
        late = reporter.windows.add(row)
        self._closes_at = _earlier(self._closes_at, reporter.windows.closes_at)
        return Passed(late=int(late))

    def _closed(self, now: BootMs) -> Passed:
        if self._closes_at is None or now < self._closes_at:
            return Passed()
        closed = _joined([self._out(reporter.news(windows.due(now))) for reporter, windows in self._folding])
        self._closes_at = None
        for _, windows in self._folding:
            self._closes_at = _earlier(self._closes_at, windows.closes_at)
        return closed

    def _out(self, news: Iterable[tuple[Row, bool]]) -> Passed:
        items, dropped = list[Row](), list[tuple[str, str]]()
        for row, passes in news:
            leaving = self._apart.moved(row) if passes and row.quality else row
            if not passes:
                dropped.append((row.group.device, UNCHANGED))
            elif leaving.at <= self._left.get(row.group, -1):
                dropped.append((row.group.device, NOT_RISING))
            else:
                self._left[row.group] = leaving.at
                items.append(leaving)
        return Passed(tuple(items), tuple(dropped))


@dataclass(frozen=True, slots=True)
class _Stages:
    """What one group goes through."""

    corrector: Corrector
    deriver: Deriver
    reporter: Reporter | None
    period_ms: int

    @staticmethod
    def of(device: Device, polled: Polled) -> "_Stages":
        corrector = Corrector(polled, device.corrections)
        deriver = Deriver(corrector.group, corrector.fields, device.derived)
        report = polled.report
        reporter = Reporter(deriver.group, deriver.fields, polled.period_ms, report) if report else None
        return _Stages(corrector, deriver, reporter, polled.period_ms)

    def computed(self, row: Row, newest: Newest) -> Row:
        return self.deriver.derived(self.corrector.corrected(row), newest)


def _joined(parts: Sequence[Passed]) -> Passed:
    return Passed(
        tuple(item for part in parts for item in part.items), tuple(drop for part in parts for drop in part.dropped)
    )


def _earlier(one: BootMs | None, other: BootMs | None) -> BootMs | None:
    return other if one is None else one if other is None else min(one, other)
