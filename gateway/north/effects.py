"""What the window asks for: values; the session does them, in order."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from gateway.model import Batch, BatchId, BootMs, Detail, SeqRanges, UtcMs


class Rank(IntEnum):
    """In the order of sending."""

    URGENT = 0
    FRESH = 1
    BACKLOG = 2
    RECALL = 3  # settled before, and asked for again: never fetched, see `recalls`


@dataclass(frozen=True, slots=True)
class Send:
    """Publish it; tell `published`."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class Settle:
    """The store has these."""

    epoch: str
    seqs: SeqRanges


@dataclass(frozen=True, slots=True)
class Fetch:
    """Read pending batches with after < order (<= until); tell `offered`, also when there are none."""

    rank: Rank
    after: int
    until: int | None
    limit: int


@dataclass(frozen=True, slots=True)
class Reread:
    """Read this one from disk again; tell `reread`."""

    id: BatchId


@dataclass(frozen=True, slots=True)
class ReadKept:
    """Read this one from the archive; tell `recalled`."""

    id: BatchId


@dataclass(frozen=True, slots=True)
class Park:
    """Keep it, do not offer it."""

    id: BatchId
    why: str  # refused:WHY | unanswered


@dataclass(frozen=True, slots=True)
class Unpark:
    """Offer it again."""

    id: BatchId


@dataclass(frozen=True, slots=True)
class Complain:
    """Becomes an event."""

    code: str
    detail: Detail = ""


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """The IOC's `now` was taken between these two times of ours."""

    sent: BootMs
    arrived: BootMs
    now: UtcMs


Effect: TypeAlias = Send | Settle | Fetch | Reread | ReadKept | Park | Unpark | Complain | TimeOfDay
