"""What a transaction is about to make true; RAM follows when it is committed."""

from dataclasses import replace
from typing import TypeAlias

from gateway.model import Draft, Segment, SeqRanges
from gateway.spool.database import Database, Ranges
from gateway.spool.meta import Meta, risen
from gateway.spool.row import record_of

Filing: TypeAlias = tuple[Draft, Segment | None]  # without a segment the draft brings its own stamp


class Change:
    """The counters as they will be, new segments, and ids that leave the log."""

    def __init__(self, meta: Meta, known: dict[int, Segment], segments: dict[int, Segment], gone: SeqRanges) -> None:
        self.meta, self.known, self.segments, self.gone = meta, known, segments, gone
        self.ranges: Ranges = {}
        self.naming = SeqRanges()  # seqs of gap batches in it

    def file(self, db: Database, draft: Draft, segment: Segment | None) -> None:
        """Give a draft its number and write it."""
        meta = self.meta
        db.put_record(record_of(draft, segment, (meta.next_id, meta.epoch, meta.next_seq)))
        meta = replace(meta, next_id=meta.next_id + 1, next_seq=meta.next_seq + 1)
        if segment is not None:
            last = max(draft.last, meta.last if meta.boot == draft.boot else 0)
            meta = risen(replace(meta, boot=draft.boot, last=last), self.known[segment.number], draft.last)
        self.meta = meta
