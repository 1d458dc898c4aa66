"""What passes between the loop and the disk's thread with each step: down, what the loop knows; up, what is to be told.

Pure.
"""

from collections import Counter
from dataclasses import dataclass, field

from gateway.model import BatchId, BootMs, Detail, Segment, UtcMs
from gateway.spool.untold import Told


@dataclass(frozen=True, slots=True)
class Moment:
    """What the loop knows and the disk needs, at each step."""

    at: BootMs
    utc: UtcMs
    segment: Segment  # of a gap batch written now
    in_flight: frozenset[BatchId]
    settled: tuple[Told, ...]


@dataclass(slots=True)
class Notes:
    """What is to be told once the step is over."""

    events: list[tuple[str, Detail, bool]] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # (name, reason)
