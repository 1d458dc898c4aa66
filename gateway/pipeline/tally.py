"""How many values were due, and how many of them were good: what measurement completeness is made of. Pure.

Due is by period, whatever was polled: a group of n fields owes n values for each of its periods that has passed since
`since`, also while its device is dead (which is then asked more rarely), its bus away or overloaded. Good is what
passed the judge and went on to the disk. A group that sends more often than its period, a stream perhaps, is not
counted for more than one row a period, so that its zeal cannot hide what another has missed:

    next    when the next row is expected; a row counts from half a period before it on
    after a row that counts, next = the later of next + period and row + period / 2

So the rows that count are never more than one a period in the long run, and the periods in which nothing came are not
made up for. What is told as good is never more than what is told as due: the last period is not over when its row is
here, and then it is told the next time.

Told by events `measured` [due, good, span in ms], each of the time since the one before it: of the gateway every hour
and at the end, and of the devices that missed anything. As events they are batches: neither a cut nor a restart of the
centre loses them. After an orderly end the next run of the same boot goes on where it ended: that it was off is
counted. After a kill it is not known what had been good since the last telling, so that time is not told at all; and of
a box without power nothing was due.
"""

from dataclasses import dataclass
from typing import Final

from gateway.model import BootMs, Event, Row
from gateway.site import Site

MEASURED: Final = "measured"
EVERY_MS: Final = 3_600_000
DEVICES_MAX: Final = 64  # that are named in one telling: those that missed most


class Tally:
    """Of one site, from `since` on."""

    def __init__(self, site: Site, since: BootMs) -> None:
        polled = [each for bus in site.buses for device in bus.devices for each in device.polled]
        self._counts = {one.group: _Count(len(one.group.fields), one.period_ms, since, since) for one in polled}
        self._told_at = since

    @property
    def told_at(self) -> BootMs:
        """Until when all is told."""
        return self._told_at

    @property
    def tells_at(self) -> BootMs | None:
        """When to `tell` next; None where nothing is ever due."""
        return BootMs(self._told_at + EVERY_MS) if self._counts else None

    def add(self, row: Row) -> None:
        """One that was judged and is on its way to the disk."""
        count = self._counts.get(row.group)
        if count is not None:
            count.add(row.at, len(row.values) - len(row.quality))

    def tell(self, now: BootMs) -> list[Event]:
        """Of the time since the last telling; nothing where nothing was due."""
        new: dict[str, tuple[int, int]] = {}
        for group, count in self._counts.items():
            (more_due, more_good), (due, good) = count.take(now), new.get(group.device, (0, 0))
            new[group.device] = due + more_due, good + more_good
        span_ms, self._told_at = now - self._told_at, now
        due, good = (sum(counts[at] for counts in new.values()) for at in (0, 1))
        if not due:
            return []
        short = sorted((good - due, name, due, good) for name, (due, good) in new.items() if good < due)
        told = [("", due, good), *((name, due, good) for _, name, due, good in short[:DEVICES_MAX])]
        return [Event(now, subject, MEASURED, (due, good, span_ms)) for subject, due, good in told]


@dataclass(slots=True)
class _Count:
    """Of one group."""

    fields: int
    period_ms: int
    since: BootMs
    next: BootMs
    good: int = 0
    told_due: int = 0
    told_good: int = 0

    def take(self, now: BootMs) -> tuple[int, int]:
        """Due and good since the last time; a row that came before its period was over waits for the next one."""
        due = self.due(now) - self.told_due
        good = min(self.good - self.told_good, due)
        self.told_due, self.told_good = self.told_due + due, self.told_good + good
        return due, good

    def due(self, now: BootMs) -> int:
        return self.fields * max(0, (now - self.since) // self.period_ms)

    def add(self, at: BootMs, good: int) -> None:
        if at < self.next - self.period_ms // 2:
            return
        self.good += good
        self.next = BootMs(max(self.next + self.period_ms, at + self.period_ms // 2))
