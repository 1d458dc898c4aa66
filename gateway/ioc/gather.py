"""What goes into one request: at least 1,000 lines, or what came within 100 ms, or at once what is urgent. Pure.

Sooner, when eight messages came and then none for 5 ms: a gateway that works a backlog off sends its window at once and
then nothing until it has receipts, so the rest of the 100 ms would be waited for in vain, window after window.

Bounded in bytes too: what is there before the last message came, and that message (`check.LINES_MAX_BYTES`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from gateway.ioc.check import Accepted, DeadLetter, Document, Refuse, Verdict
from gateway.model import BootMs
from gateway.seams import Message

V = TypeVar("V", Accepted, Refuse, Document, DeadLetter)

LINES = 1000
BYTES = 4 << 20
AGE_MS = 100
RUN_MESSAGES = 8  # less than half a gateway's window: with two workers, what one of them gets of it
QUIET_MS = 5
MESSAGES_MAX = 200  # of any kind: also bounds a receipt


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message and what was decided about it."""

    message: Message
    verdict: Verdict


@dataclass(slots=True)
class Gathered:
    """The messages of the next request."""

    since: BootMs  # when the first of them came
    arrived: list[Arrived] = field(default_factory=list)
    _last: BootMs | None = None  # when the last of them came
    _lines: int = 0
    _bytes: int = 0
    _urgent: bool = False

    def add(self, arrived: Arrived, now: BootMs) -> None:
        """One more."""
        self.arrived.append(arrived)
        self._last = now
        if isinstance(verdict := arrived.verdict, Accepted):
            self._count(verdict.rows, verdict.gaps, verdict.events)
            self._urgent = self._urgent or verdict.batch.urgent
        elif isinstance(verdict, Document):
            self._count(verdict.lines)

    def due(self, now: BootMs) -> bool:
        """Whether it must be written now."""
        full = self._lines >= LINES or self._bytes >= BYTES or len(self.arrived) >= MESSAGES_MAX
        return full or self._urgent or now >= self.closes_at

    @property
    def closes_at(self) -> BootMs:
        """When it is due at the latest, if nothing more comes."""
        latest = self.since + AGE_MS
        return BootMs(latest if self._last is None or not self.is_run else min(latest, self._last + QUIET_MS))

    @property
    def is_run(self) -> bool:
        """Whether so many came that whoever sends them waits for us."""
        return len(self.arrived) >= RUN_MESSAGES

    def verdicts(self, kind: type[V]) -> Sequence[V]:
        """Those of one kind, in the order they came."""
        return [arrived.verdict for arrived in self.arrived if isinstance(arrived.verdict, kind)]

    def _count(self, *parts: Sequence[bytes]) -> None:
        for lines in parts:
            self._lines += len(lines)
            self._bytes += sum(map(len, lines))
