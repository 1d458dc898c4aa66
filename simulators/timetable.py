"""When a fault is on. Pure.

after = "10s"    the first window begins so long after the simulators did (or after the command of `simctl`)
for = "5s"       how long a window is; without it, for ever
every = "60s"    the next window begins so long after the last one did; without it there is one
share = 0.1      which share of the exchanges of a window it takes, by seeded chance
times = 3        how many exchanges of a window it takes at most
"""

from dataclasses import dataclass

from simulators.entry import Entry

KEYS = frozenset({"after", "for", "every", "share", "times"})


@dataclass(frozen=True, slots=True)
class Timetable:
    """All times in ms since the simulators began."""

    after_ms: int = 0
    for_ms: int | None = None
    every_ms: int | None = None
    share: float = 1.0
    times: int | None = None

    @classmethod
    def of(cls, entry: Entry, now_ms: int = 0) -> "Timetable":
        """From the keys of a `[fault]` table, counted from `now_ms`; raises WrongEntry."""
        for_ms, every_ms = entry.duration_ms("for"), entry.duration_ms("every")
        if every_ms is not None and (for_ms is None or not 0 < for_ms <= every_ms):
            raise entry.wrong("every needs a for that is not longer")
        if for_ms == 0:
            raise entry.wrong("for must be longer than nothing")
        times = entry.whole("times", 1, 1, 10**9) if "times" in entry.table else None
        after_ms = now_ms + (entry.duration_ms("after") or 0)
        return cls(after_ms, for_ms, every_ms, entry.number("share", 1.0, 0.0, 1.0), times)

    def window(self, at_ms: int) -> int | None:
        """The number of the window that this moment lies in; None between windows."""
        since = at_ms - self.after_ms
        if since < 0:
            return None
        number, inside = divmod(since, self.every_ms) if self.every_ms else (0, since)
        return number if self.for_ms is None or inside < self.for_ms else None

    def over(self, at_ms: int) -> bool:
        """Whether there will be no window any more."""
        return self.every_ms is None and self.for_ms is not None and at_ms >= self.after_ms + self.for_ms
