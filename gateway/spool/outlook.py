"""How long an outage may still last until something unsent is given up, and how far back the archive reaches. Pure.

    left = (room that the file may still take + what settled batches take) / (bytes a batch x batches a ms)

Bytes a batch: what the file takes, by how many it holds. Batches a ms: counted in this run, over a day at most; until
it has run for 10 minutes, from the times of the oldest and the newest batch that is kept.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from gateway.model import BootMs, UtcMs
from gateway.spool.retention import MARGIN_PAGES, PAGE_BYTES, Room

SAMPLE_MS = 600_000
SAMPLES = 145  # a day
EMPTY_PAGES = 11  # of a file without a batch
LEFT_MAX_MS = 3650 * 86_400_000  # of a box that hardly writes


@dataclass(frozen=True, slots=True)
class Outlook:
    """None where it is not known, or nothing is filled."""

    outage_left_ms: int | None = None
    archive_ms: int | None = None  # age of the oldest settled batch; None when none is kept


NO_OUTLOOK: Final = Outlook()


@dataclass(slots=True)
class Fill:
    """How fast batches are appended, by samples of the next id."""

    _samples: deque[tuple[BootMs, int]] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def seen(self, at: BootMs, next_id: int) -> None:
        """As often as one likes."""
        if not self._samples or at - self._samples[-1][0] >= SAMPLE_MS:
            self._samples.append((at, next_id))

    def batches_per_ms(self, at: BootMs, next_id: int) -> float | None:
        """None until it has been watched for SAMPLE_MS."""
        if not self._samples or at - self._samples[0][0] < SAMPLE_MS:
            return None
        since, id_then = self._samples[0]
        return (next_id - id_then) / (at - since)


def kept_per_ms(batches: int, oldest: UtcMs | None, newest: UtcMs | None) -> float | None:
    """The same, of what is kept; None when its times say nothing."""
    if oldest is None or newest is None or newest <= oldest or batches <= 1:
        return None
    return (batches - 1) / (newest - oldest)


def outage_left_ms(room: Room, batches: int, archived: int, per_ms: float | None) -> int | None:
    """`batches` are kept, `archived` of them settled. None when nothing is kept or nothing comes."""
    if not per_ms or not batches:
        return None
    batch_bytes = max(room.pages - room.free_pages - EMPTY_PAGES, 1) * PAGE_BYTES / batches
    return min(round((_free_bytes(room) / batch_bytes + archived) / per_ms), LEFT_MAX_MS)


def _free_bytes(room: Room) -> int:
    """What may be filled before anything has to go."""
    grow = room.max_pages - room.pages
    if room.free_bytes is not None:
        grow = min(grow, (room.free_bytes - room.reserve_bytes) // PAGE_BYTES)
    return max(0, grow + room.free_pages - MARGIN_PAGES) * PAGE_BYTES
