"""What a spool file holds, for the loop's side: taken after each step, from RAM and the file's header.

At most one row of the log is read for it, the oldest pending batch when that is another; the outlook of days is only
looked at with `look_ahead`. Of the disk's thread, like the file.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.model import BootMs, Segment, UtcMs
from gateway.spool.database import Damaged
from gateway.spool.file import SpoolFile
from gateway.spool.outlook import NO_OUTLOOK, Fill, Outlook, kept_per_ms, outage_left_ms
from gateway.spool.retention import PAGE_BYTES, Room
from gateway.spool.row import Record
from gateway.spool.view import SETTLED
from gateway.wire.documents import EpochStatus

Oldest: TypeAlias = tuple[str, int, int | None] | None
"""(boot or "", b0, offset or None) of the oldest pending batch."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """As of one moment."""

    epoch: str
    last_order: int
    epochs: tuple[EpochStatus, ...]
    oldest: Oldest
    size_bytes: int
    gaps: int
    unsaved: bool
    salvaging: bool
    kept: int = 0  # batches
    waiting: Mapping[int, int] = field(default_factory=dict)  # batches, by uplink
    outlook: Outlook = NO_OUTLOOK


NO_SNAPSHOT = Snapshot("", 0, (), None, 0, 0, unsaved=False, salvaging=False)


class Survey:
    """Of one file; `others` are the numbers of the uplinks behind the first."""

    def __init__(self, file: SpoolFile, others: Iterable[int]) -> None:
        self._file, self._uplinks = file, (SETTLED, *others)
        self._oldest: Record | None = None
        self._fill, self._outlook = Fill(), NO_OUTLOOK

    def take(self, *, salvaging: bool) -> Snapshot:
        """Cheap."""
        view, meta, pending = self._file.view, self._file.meta, self._file.view.pending()
        pages, free = self._file.db.pages()
        return Snapshot(
            epoch=meta.epoch,
            last_order=meta.next_id - 1,
            epochs=view.status(),
            oldest=self._when(pending.ranges[0][0]) if pending else None,
            size_bytes=(pages - free) * PAGE_BYTES,
            gaps=meta.gaps,
            unsaved=self._file.unsaved,
            salvaging=salvaging,
            kept=view.here(),
            waiting={uplink: len(view.pending(uplink)) for uplink in self._uplinks},
            outlook=self._outlook,
        )

    def look_ahead(self, at: BootMs, utc: UtcMs, room: Room) -> None:
        """Reckon the outlook anew; reads the oldest and the newest row."""
        next_id, db, view = self._file.meta.next_id, self._file.db, self._file.view
        self._fill.seen(at, next_id)
        archive = view.kept_settled()
        kept = len(archive) + len(view.pending())
        per_ms = self._fill.batches_per_ms(at, next_id)
        if per_ms is None:
            lowest, _ = self._span(db.lowest())
            per_ms = kept_per_ms(kept, lowest, self._span(db.highest())[1])
        since, _ = self._span(archive.ranges[0][0] if archive else None)
        age_ms = None if since is None else max(0, utc - since)
        self._outlook = Outlook(outage_left_ms(room, kept, len(archive), per_ms), age_ms)

    def _span(self, id_: int | None) -> tuple[UtcMs | None, UtcMs | None]:
        """From when to when a batch reaches; (None, None) when it is undated, or not there."""
        record = None if id_ is None else self._file.db.record(id_)
        return (record and record.span(self._segment(record))) or (None, None)

    def _when(self, id_: int) -> Oldest:
        if self._oldest is None or self._oldest.id != id_:
            try:
                self._oldest = self._file.db.record(id_)
            except Damaged:  # an age is no reason to stop: whoever reads the batch itself meets it, and mends
                return None
        record = self._oldest
        if record is None:
            return None
        segment = self._segment(record)
        return (segment.boot, record.b0, segment.offset_ms) if segment else ("", record.b0, 0)

    def _segment(self, record: Record) -> Segment | None:
        return self._file.view.segments.get(record.segment)
