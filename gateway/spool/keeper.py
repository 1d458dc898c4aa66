"""A spool file with its surroundings: makes room before it appends, gets out of a full disk, mends what is damaged.

The same keeper runs the file on disk and the ring in RAM: a ring is a spool file in memory, with a small quota, an
epoch of its own and no folder. What it gives up is `ring_full`; when the disk is back, its content moves there whole.
Blocking; of the worker's thread, as is all it holds.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.errors import SpoolFull
from gateway.model import (
    Batch,
    BatchId,
    BootMs,
    Detail,
    Draft,
    Event,
    Given,
    Segment,
    Seq,
    SeqRanges,
    UtcMs,
)
from gateway.spool import moving
from gateway.spool.change import Filing
from gateway.spool.database import Damaged
from gateway.spool.file import SpoolFile
from gateway.spool.folder import Folder
from gateway.spool.retention import PAGE_BYTES, enough, max_pages, pages_of, victims
from gateway.spool.row import Record, Stretch
from gateway.spool.salvage import Salvage
from gateway.wire.body import BodyWriter
from gateway.wire.documents import EpochStatus

RELIEFS_MAX = 256  # chunks given up for one append
RING_PAGES = 1024  # 4 MB
DAY_MS = 86_400_000


Oldest: TypeAlias = tuple[str, int, int | None] | None
"""(boot or "", b0, offset or None) of the oldest pending batch."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What the loop knows and the disk needs, at each step."""

    at: BootMs
    utc: UtcMs
    segment: Segment  # of a gap batch written now
    in_flight: frozenset[BatchId]
    settled: tuple[tuple[str, SeqRanges], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where numbering stands: what a ring goes on from."""

    epoch: str = ""
    last: Seq = 0
    next_id: int = 1
    segment: int = 0


@dataclass(slots=True)
class Notes:
    """What is to be told once the step is over."""

    events: list[tuple[str, Detail, bool]] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)  # (name, reason)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the file holds, for the loop's side."""

    epoch: str
    last_order: int
    epochs: tuple[EpochStatus, ...]
    pending: int
    oldest: Oldest
    size_bytes: int
    gaps: int
    unsaved: bool
    salvaging: bool


class Keeper:
    """Of one file; `folder` None in memory. Call `now` before each step."""

    def __init__(self, file: SpoolFile, folder: Folder | None, *, archive_days: int = 0) -> None:
        self.file, self._folder = file, folder
        self._archive_ms = archive_days * DAY_MS
        self._salvage: Salvage | None = None
        self._oldest: Record | None = None
        self.notes = Notes()
        self._limit()

    def now(self, moment: Moment) -> None:
        """The step that follows happens now."""
        self._moment = moment
        for epoch, seqs in moment.settled:
            self.file.settle(epoch, seqs)

    # -- steps

    def append(self, filings: list[Filing]) -> int:
        """Room first, then one transaction; the seq of the last one. A new epoch's first batch is its `epoch_start`."""
        self._ensure(sum(pages_of(len(draft.body)) for draft, _ in [*self._start(), *filings]))
        for _ in range(RELIEFS_MAX):
            try:
                return self.file.append([*self._start(), *filings])[-1]
            except SpoolFull:
                self._relieve()
        raise SpoolFull("no end of giving up")

    def read(self, after: int, until: int | None, limit: int, *, urgent: bool = False) -> list[Batch]:
        """See `Spool.read`; what turns out damaged is given up."""
        last = self.file.meta.next_id - 1 if until is None else until
        blocked = self._unfetched().intersection(SeqRanges.of([(after + 1, last)]))
        if blocked:
            last = blocked.ranges[0][0] - 1
        batches, damaged = self.file.read(SeqRanges.of([(after + 1, last)]), limit, urgent=urgent)
        self._give_up(damaged, "corrupt")
        return batches

    def reread(self, epoch: str, seq: int) -> Batch | None:
        """From disk again; None when it is no longer pending."""
        id_ = self.file.view.id_of(epoch, seq)
        if id_ is None or id_ not in self.file.view.pending() or id_ in self._unfetched():
            return None
        records, damaged = self.file.records(SeqRanges.of_seqs([id_]))
        self._give_up(damaged, "corrupt")
        return self.file.batch_of(records[0]) if records else None

    def park(self, epoch: str, seq: int, why: str) -> None:
        """Only what is pending."""
        id_ = self.file.view.id_of(epoch, seq)
        if id_ is not None and id_ in self.file.view.pending():
            self.file.park(epoch, seq, why)

    def take_in(self, ring: "Keeper", dated: list[Segment]) -> None:
        """All that a ring holds, and the offsets that were found meanwhile; in one transaction each."""
        self.file.date(dated)
        if ring.file.meta.next_seq > 1:
            pages, free = ring.file.db.pages()
            self._ensure(pages - free)
            moving.adopt(self.file, ring.file)

    @property
    def place(self) -> Place:
        """Where numbering stands."""
        meta = self.file.meta
        return Place(meta.epoch, meta.next_seq - 1, meta.next_id, meta.segment)

    def tick(self) -> None:
        """What can be done ahead of need: the next part of a salvage, the ballast."""
        if self._folder is None:
            return
        if self._salvage is not None:
            self._fetch(self._salvage, self._folder)
        if not self._folder.make_ballast():
            self.notes.counts["spool_ballast_missing", "disk"] += 1

    def start_salvage(self, salvage: Salvage) -> None:
        """From now on a part at each `tick`."""
        self._salvage = salvage

    def close(self) -> None:
        """The file, and one that is being fetched from; never raises."""
        if self._salvage is not None:
            self._salvage.close()
        self.file.close()

    def take_notes(self) -> Notes:
        """What is to be told; once."""
        notes, self.notes = self.notes, Notes()
        return notes

    # -- what it holds

    @property
    def given(self) -> Given:
        """For the clock, at start."""
        return self.file.given

    def snapshot(self) -> Snapshot:
        """Cheap: from RAM, the file's header, and one look at the oldest batch when that is another."""
        view, meta, pending = self.file.view, self.file.meta, self.file.view.pending()
        pages, free = self.file.db.pages()
        return Snapshot(
            epoch=meta.epoch,
            last_order=meta.next_id - 1,
            epochs=view.status(),
            pending=len(pending),
            oldest=self._when(pending.ranges[0][0]) if pending else None,
            size_bytes=(pages - free) * PAGE_BYTES,
            gaps=meta.gaps,
            unsaved=self.file.unsaved,
            salvaging=self._salvage is not None,
        )

    def _when(self, id_: int) -> Oldest:
        if self._oldest is None or self._oldest.id != id_:
            try:
                self._oldest = self.file.db.record(id_)
            except Damaged:  # an age is no reason to stop: whoever reads the batch itself meets it, and mends
                return None
        record = self._oldest
        if record is None:
            return None
        segment = self.file.view.segments.get(record.segment)
        return (segment.boot, record.b0, segment.offset_ms) if segment else ("", record.b0, 0)

    # -- room

    def _ensure(self, need_pages: int) -> None:
        for _ in range(RELIEFS_MAX):
            free_bytes = self._folder.free_bytes() if self._folder else None
            reason = self.file.room(free_bytes, self._folder.reserve_bytes if self._folder else 0).short_of(need_pages)
            if not reason:
                return
            if not self._make_room(reason):
                raise SpoolFull(reason)
        raise SpoolFull("no end of giving up")

    def _relieve(self) -> None:
        """SQLite found no page in spite of `_ensure`: somebody else filled the disk."""
        if self._folder is not None and self._folder.drop_ballast():
            self.notes.events.append(("disk_full", "ballast", True))
        elif not self._make_room("disk_full"):
            raise SpoolFull("disk_full")

    def _make_room(self, reason: str) -> bool:
        """One chunk, in the order of the design; False when there is nothing left to give up."""
        if self._folder is not None and self._salvage is None and (name := self._folder.drop_aside()):
            self.notes.events.append(("spool_aside_dropped", name, False))
            self._limit()
            return True
        view, unfetched = self.file.view, self._unfetched()
        flying = [view.id_of(b.epoch, b.seq) for b in self._moment.in_flight if b.gateway == view.gateway]
        turn = victims(
            view.kept_settled().minus(unfetched),
            view.foreign().minus(unfetched),
            view.pending().minus(unfetched),
            SeqRanges.of_seqs(id_ for id_ in flying if id_ is not None),
        )
        if turn is None:
            return False
        chunk = self._chunk(turn.ids)
        if turn.kind == "pending":
            self._give_up(chunk, reason if self._folder else "ring_full")
        else:
            self._note_dropped(turn.kind, chunk)
            self.file.drop(chunk)
        return True

    def _chunk(self, ids: SeqRanges) -> SeqRanges:
        """The first of `ids` that are worth a transaction."""
        size_bytes = 0
        for batches, id_ in enumerate(ids.seqs(), 1):
            record = self.file.db.record(id_)
            size_bytes += len(record.body) if record else 0
            if enough(batches, size_bytes):
                return ids.intersection(SeqRanges.of([(0, id_)]))
        return ids

    def _give_up(self, ids: SeqRanges, reason: str) -> None:
        if ids:
            self.file.give_up(ids, reason, self._moment.at, self._moment.segment, self._start())
            self.notes.counts["spool_given_up", reason] += len(ids)

    def _start(self) -> list[Filing]:
        """The first batch of a new epoch, before anything else is written, be it a gap."""
        opening = self.file.opening
        return [] if opening is None else [(_epoch_start(opening, self._moment), self._moment.segment)]

    def _note_dropped(self, kind: str, ids: SeqRanges) -> None:
        if kind == "foreign":
            self.notes.events.append(("foreign_dropped", (len(ids),), False))
            return
        records, _ = self.file.records(ids)
        spans = (record.span(self.file.view.segments.get(record.segment)) for record in records)
        young = sum(span is not None and self._moment.utc - span[1] < self._archive_ms for span in spans)
        if young:
            self.notes.counts["spool_archive_cut", "quota"] += young

    def _limit(self) -> None:
        """The quota in pages."""
        folder = self._folder
        pages = max_pages(folder.quota_bytes, folder.beside_bytes()) if folder else RING_PAGES
        self.file.limit_pages(pages)

    # -- salvage

    def _unfetched(self) -> SeqRanges:
        return self._salvage.todo if self._salvage is not None else SeqRanges()

    def _fetch(self, salvage: Salvage, folder: Folder) -> None:
        records = salvage.fetch()
        if records:
            self._ensure(sum(pages_of(len(record.body)) for record in records))
            moving.replant(self.file, records)
        self._give_up(salvage.done(records), "corrupt")
        if not salvage.todo:
            salvage.close()
            self._salvage = None
            folder.finish_salvage()
            self._limit()
            self.notes.events.append(("spool_salvaged", (salvage.found, salvage.lost), False))


def _epoch_start(opening: Stretch, moment: Moment) -> Draft:
    """Of its own, so that it is the first whatever comes: `epoch_start [old epoch, last seq, why]`."""
    writer = BodyWriter(moment.at)
    writer.add(Event(moment.at, "", "epoch_start", (opening.old_epoch, opening.old_last, opening.why)))
    enc, body = writer.encode()
    return Draft(moment.segment.boot, moment.at, moment.at, 0, body, enc)
