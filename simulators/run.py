"""What all servers of one run share: where they write what was said, which faults are on, and since when it runs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gateway.profile.profile import Line
from simulators.exchange import Outcome
from simulators.in_force import InForce
from simulators.line import SerialLine
from simulators.moments import Instant, boot_ns
from simulators.truth import TruthLog

NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Run:
    """One."""

    truth: TruthLog
    in_force: InForce = field(default_factory=lambda: InForce(1))
    began_ns: int = field(default_factory=boot_ns)
    line: Callable[[Path, Line], SerialLine] = SerialLine  # or one that is a real port

    def now_ms(self) -> int:
        """Since it began: what timetables count."""
        return (boot_ns() - self.began_ns) // NS_PER_MS

    def said(self, outcome: Outcome, at: Instant | None, via: str) -> None:
        """Note what became of one exchange: what has left at `at`, its first byte; None when it was not all heard."""
        if outcome.fault:
            self.truth.fault(outcome.name, outcome.fault, outcome.answer.n, via)
        if at is not None and outcome.delivered:
            self.truth.left(outcome.name, outcome.kind, outcome.answer, at, via, outcome.fault)
