"""When many rows are refused for one reason, the database is ill, not the rows. Pure.

More than 100 rows and 1 % of what was written within a minute: that reason is an outage. From then on nothing that is
refused for it counts as a dead letter and no batch with such a row gets a receipt, so the gateways keep it all; until
an operator says that the reason is right (`gateway ioc ingest --accept`) or a new start finds it gone.
"""

from collections import Counter, deque
from collections.abc import Set as AbstractSet

from gateway.model import BootMs

ROWS_MAX = 100
SHARE_MAX = 0.01
WINDOW_MS = 60_000
STEP_MS = 1_000  # the window moves in steps: at most 61 are kept


class Breaker:
    """`wrote` and `refused` tell it; `outages` is what it says."""

    def __init__(self, accept: AbstractSet[str] = frozenset()) -> None:
        self._accept = accept
        self._steps: deque[tuple[int, Counter[str]]] = deque()
        self._outages: set[str] = set()

    def wrote(self, now: BootMs, rows: int) -> None:
        """So many rows were offered to the database."""
        self._step(now)[""] += rows

    def refused(self, now: BootMs, reason: str, rows: int) -> bool:
        """So many of them will never be taken; True when this makes it an outage."""
        self._step(now)[reason] += rows
        if reason in self._accept or reason in self._outages or not self._too_many(reason):
            return False
        self._outages.add(reason)
        return True

    @property
    def outages(self) -> AbstractSet[str]:
        """The reasons that cost no row any more."""
        return self._outages

    def _too_many(self, reason: str) -> bool:
        bad = sum(counts[reason] for _, counts in self._steps)
        return bad > ROWS_MAX and bad > SHARE_MAX * sum(counts[""] for _, counts in self._steps)

    def _step(self, now: BootMs) -> Counter[str]:
        at = now // STEP_MS
        while self._steps and self._steps[0][0] <= at - WINDOW_MS // STEP_MS:
            self._steps.popleft()
        if not self._steps or self._steps[-1][0] != at:
            self._steps.append((at, Counter()))
        return self._steps[-1][1]
