"""A spool file with its surroundings: makes room before it appends, gets out of a full disk, mends what is damaged.

The same keeper runs the file on disk and the ring in RAM: a ring is a spool file in memory, with a small quota, an
epoch of its own and no folder. What it gives up is `ring_full`; when the disk is back, its content moves there whole.
Blocking; of the worker's thread, as is all it holds.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from gateway.errors import SpoolFailed, SpoolFull
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
from gateway.spool import export, moving, verify
from gateway.spool.change import Filing
from gateway.spool.database import Damaged
from gateway.spool.export import Exported, Wanted
from gateway.spool.file import SpoolFile
from gateway.spool.folder import Folder
from gateway.spool.outlook import NO_OUTLOOK, Fill, Outlook, kept_per_ms, outage_left_ms
from gateway.spool.retention import PAGE_BYTES, enough, max_pages, pages_of, victims
from gateway.spool.row import Record, Stretch
from gateway.spool.salvage import Salvage
from gateway.spool.verify import Verified
from gateway.spool.view import FIRST, SETTLED, Whom
from gateway.wire.body import BodyWriter
from gateway.wire.documents import EpochStatus

T = TypeVar("T")

RELIEFS_MAX = 256  # chunks given up for one append
RING_PAGES = 1024  # 4 MB at most
DAY_MS = 86_400_000
NO_OTHERS: Mapping[int, str] = MappingProxyType({})


Oldest: TypeAlias = tuple[str, int, int | None] | None
"""(boot or "", b0, offset or None) of the oldest pending batch."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What the loop knows and the disk needs, at each step."""

    at: BootMs
    utc: UtcMs
    segment: Segment  # of a gap batch written now
    in_flight: frozenset[BatchId]
    settled: tuple[tuple[int, str, SeqRanges], ...]  # (uplink, epoch, seqs)


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
    oldest: Oldest
    size_bytes: int
    gaps: int
    unsaved: bool
    salvaging: bool
    kept: int = 0  # batches
    waiting: Mapping[int, int] = field(default_factory=dict)  # batches, by uplink
    outlook: Outlook = NO_OUTLOOK


class Keeper:
    """Of one file; `folder` None in memory. Call `now` before each step."""

    def __init__(
        self,
        file: SpoolFile,
        folder: Folder | None,
        *,
        archive_days: int = 0,
        ring_pages: int = RING_PAGES,
        others: Mapping[int, str] = NO_OTHERS,
    ) -> None:
        self.file, self._folder, self._ring_pages, self._others = file, folder, ring_pages, others
        self._archive_ms = archive_days * DAY_MS
        self._salvage: Salvage | None = None
        self._oldest: Record | None = None
        self._fill, self._outlook = Fill(), NO_OUTLOOK
        self.notes = Notes()
        self._limit()

    def now(self, moment: Moment) -> None:
        """The step that follows happens now."""
        self._moment = moment
        for uplink, epoch, seqs in moment.settled:
            self.file.settle(epoch, seqs, uplink)

    # -- steps

    def do(self, act: Callable[["Keeper"], T]) -> T:
        """Any step; if it finds no page, the ballast makes room for the whole of it once. Raises SpoolFull."""
        try:
            return act(self)
        except SpoolFull:
            if self._folder is None or not self._folder.drop_ballast():
                raise
            self.notes.events.append(("disk_full", "ballast", True))
            return act(self)

    def append(self, filings: list[Filing]) -> int:
        """Room first, then one transaction; the seq of the last one. A new epoch's first batch is its `epoch_start`."""
        self._ensure(sum(pages_of(len(draft.body)) for draft, _ in [*self._start(), *filings]))
        for _ in range(RELIEFS_MAX):
            try:
                return self.file.append([*self._start(), *filings])[-1]
            except SpoolFull:
                self._relieve()
        raise SpoolFull("no end of giving up")

    def read(
        self, after: int, until: int | None, limit: int, *, urgent: bool = False, whom: Whom = FIRST
    ) -> list[Batch]:
        """See `Spool.read`; what turns out damaged is given up."""
        last = self.file.meta.next_id - 1 if until is None else until
        blocked = self._unfetched().intersection(SeqRanges.of([(after + 1, last)]))
        if blocked:
            last = blocked.ranges[0][0] - 1
        within = SeqRanges.of([(after + 1, last)])
        batches, damaged = self.file.read(within, limit, urgent=urgent, whom=whom)
        self._lose(damaged)
        return batches

    def reread(self, epoch: str, seq: int, uplink: int = SETTLED) -> Batch | None:
        """From disk again; None when it is no longer pending."""
        id_ = self.file.view.id_of(epoch, seq)
        if id_ is None or id_ not in self.file.view.pending(uplink) or id_ in self._unfetched():
            return None
        records, damaged = self.file.records(SeqRanges.of_seqs([id_]))
        self._lose(damaged)
        return self.file.batch_of(records[0]) if records else None

    def recall(self, epoch: str, seq: int) -> Batch | None:
        """A settled one that is still here. One that turns out damaged needs no gap: it is just no longer kept."""
        id_ = self.file.view.id_of(epoch, seq)
        if id_ is None or id_ not in self.file.view.kept_settled() or id_ in self._unfetched():
            return None
        records, damaged = self.file.records(SeqRanges.of_seqs([id_]))
        if damaged:
            self.file.drop(damaged)
            self.notes.counts["spool_archive_damaged", "corrupt"] += len(damaged)
        return self.file.batch_of(records[0]) if records else None

    def park(self, epoch: str, seq: int, why: str) -> None:
        """Only what is pending."""
        id_ = self.file.view.id_of(epoch, seq)
        if id_ is not None and id_ in self.file.view.pending():
            self.file.park(epoch, seq, why)

    def renew(self, epoch: str) -> None:
        """From here on in this epoch: no number of the old one is used again, whoever else may use them."""
        if self._folder is None:
            raise SpoolFailed("the disk fails")
        self.file.renew(epoch)

    def export(self, wanted: Wanted, after: int) -> Exported:
        """One page; nothing changes, whatever is found."""
        return export.page(self.file.db, self.file.view, wanted, after, self._unfetched())

    def verify(self, after: int) -> Verified:
        """One page; nothing changes, whatever is found. What salvage has not fetched yet is not missing."""
        return verify.page(self.file.db, self.file.view, self._unfetched(), after)

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
        self._outlook = self._look_ahead(self._folder)

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
            oldest=self._when(pending.ranges[0][0]) if pending else None,
            size_bytes=(pages - free) * PAGE_BYTES,
            gaps=meta.gaps,
            unsaved=self.file.unsaved,
            salvaging=self._salvage is not None,
            kept=view.here(),
            waiting={uplink: len(view.pending(uplink)) for uplink in (SETTLED, *self._others)},
            outlook=self._outlook,
        )

    def _look_ahead(self, folder: Folder) -> Outlook:
        at, next_id = self._moment.at, self.file.meta.next_id
        self._fill.seen(at, next_id)
        view = self.file.view
        archive = view.kept_settled()
        kept = len(archive) + len(view.pending())
        per_ms = self._fill.batches_per_ms(at, next_id)
        if per_ms is None:
            lowest, _ = self._span(self.file.db.lowest())
            per_ms = kept_per_ms(kept, lowest, self._span(self.file.db.highest())[1])
        room = self.file.room(folder.free_bytes(), folder.reserve_bytes)
        since, _ = self._span(archive.ranges[0][0] if archive else None)
        age_ms = None if since is None else max(0, self._moment.utc - since)
        return Outlook(outage_left_ms(room, kept, len(archive), per_ms), age_ms)

    def _span(self, id_: int | None) -> tuple[UtcMs | None, UtcMs | None]:
        """From when to when a batch reaches; (None, None) when it is undated, or not there."""
        record = None if id_ is None else self.file.db.record(id_)
        return (record and record.span(self.file.view.segments.get(record.segment))) or (None, None)

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
            room = self.file.room(free_bytes, self._folder.reserve_bytes if self._folder else 0)
            reason = room.short_of(need_pages)
            if not reason:
                return
            if not self._make_room(reason, in_vain=reason == "disk_full" and room.too_small_for(need_pages)):
                raise SpoolFull(reason)
        raise SpoolFull("no end of giving up")

    def _relieve(self) -> None:
        """SQLite found no page in spite of `_ensure`: somebody else filled the disk."""
        if self._folder is not None and self._folder.drop_ballast():
            self.notes.events.append(("disk_full", "ballast", True))
        elif not self._make_room("disk_full"):
            raise SpoolFull("disk_full")

    def _make_room(self, reason: str, *, in_vain: bool = False) -> bool:
        """One chunk, in the order of the design; False when nothing is left to give up, or it would be in vain."""
        if self._folder is not None and self._salvage is None and (name := self._folder.drop_aside()):
            self.notes.events.append(("spool_aside_dropped", name, False))
            self._limit()
            return True
        view, unfetched = self.file.view, self._unfetched()
        owed = view.owed()
        flying = [view.id_of(b.epoch, b.seq) for b in self._moment.in_flight if b.gateway == view.gateway]
        turn = victims(
            view.kept_settled().minus(owed).minus(unfetched),
            view.foreign().minus(unfetched),
            view.pending().minus(unfetched),
            SeqRanges.of_seqs(id_ for id_ in flying if id_ is not None),
            owed.minus(unfetched),
        )
        if turn is None or (in_vain and turn.kind == "pending"):
            return False
        chunk = self._chunk(turn.ids)
        if turn.kind == "pending":
            self._give_up(chunk, reason if self._folder else "ring_full")
        else:
            self._note_dropped(turn.kind, chunk)
            self._note_owed(chunk, reason)
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

    def _lose(self, damaged: SeqRanges) -> None:
        """Found unreadable: a gap where it was pending; what the first uplink has, only another one can miss."""
        owed = damaged.minus(self.file.view.pending())
        self._give_up(damaged.minus(owed), "corrupt")
        if owed:
            self._note_owed(owed, "corrupt")
            self.file.drop(owed)

    def _note_owed(self, ids: SeqRanges, reason: str) -> None:
        """No gap: the first uplink has them, or they are in a gap of its own."""
        for uplink, name in self._others.items():
            missed = len(ids.intersection(self.file.view.pending(uplink)))
            if missed:
                self.notes.events.append(("uplink_missed", (name, missed, reason), False))
                self.notes.counts["uplink_missed", name] += missed

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
        pages = max_pages(folder.quota_bytes, folder.beside_bytes()) if folder else self._ring_pages
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
