"""The spool file: every method that writes is one transaction. Blocking, of one thread.

Layout (sql/schema.sql; docs/specs/spool.md)
    meta      one row: next seq and id, the epoch, the highest times given out
    epoch     stretches: which seqs of which epoch have which ids. id = seq + a constant, so there is no index on seq
    segment   offsets of boot time to UTC, named by batches; this table and `epoch` hold every row twice
    batch     the log, by id: the order of sending over all epochs. A batch is undated as long as its segment is
    settled   ranges of seqs: uplink 1 = has its receipt, uplink 0 = rightly no longer here; others: see `view`
    parked    pending, not offered

Invariants
    - seq and id come from meta in the same transaction, never from a rowid: an emptied table would begin at 1 again.
    - every seq below next_seq has its row, or is in `settled` under uplink 0. Anything else is damage: a gap.
    - what is given up and the gap batch that names it are one transaction: a record is never lost, and never early.
    - an offset of a segment is written once.
    - nothing is counted by SQL: an open reads the small tables and leaves the log alone.
    - RAM changes after the commit; a failed transaction changes nothing.

Recovery
    A power cut leaves the last transaction whole or absent (WAL, synchronous=FULL). A row that fails its row_crc:
    meta = a new epoch; batch = gap `corrupt`; settled = sent again; one copy of epoch or segment = the other one is
    used; both of a segment = its batches are `corrupt`; both of an epoch, or SQLite's own "malformed" = salvage.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gateway.errors import SpoolFailed
from gateway.model import Batch, BootMs, Draft, Gap, Given, Segment, SeqRanges, UtcMs
from gateway.spool import gaps, reading
from gateway.spool.change import Change, Filing
from gateway.spool.database import MEMORY, Damaged, Database, Ranges
from gateway.spool.mark import Mark, news
from gateway.spool.meta import VERSION, Meta, differ, is_before, merged_mark, rebuilt, risen
from gateway.spool.migrate import NewerVersion
from gateway.spool.retention import Room
from gateway.spool.row import Record, Stretch, batch_of
from gateway.spool.view import FIRST, SETTLED, View, Whom
from gateway.wire.body import encode_gaps


class SpoolFile:
    """Opens or makes the file at `path`; raises SpoolFailed, Damaged. `begin` an epoch if `new_epoch` asks for one."""

    def __init__(self, path: str, gateway: str, machine: str, others: Sequence[int] = ()) -> None:
        self.gateway, self.machine, self.others = gateway, machine, others
        self.view = View(gateway)
        self._meta: Meta | None = None
        self._max_pages = 0
        self.saved: Ranges | None = None  # what table `settled` holds; None = not known, write it all
        self._mark = Mark(Path(path).with_suffix(".mark")) if path != MEMORY else None
        self._word = self._mark.read() if self._mark else None  # before anything is written to it
        self.db = Database(path)
        try:
            self.load()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Idempotent; never raises."""
        self.db.close()
        if self._mark:
            self._mark.close()

    @property
    def told(self) -> Sequence[Stretch]:
        """The stretches that the mark knew of when this file was opened."""
        return news(self._word, ())[1]

    def catch_up(self) -> bool:
        """Whether the mark knew of more than the file: what is missing is now pending without a row, so a gap."""
        segment, ahead = news(self._word, self.view.stretches)
        if not ahead:
            return False
        with self.db.transaction():
            for stretch in ahead:
                self.db.put_stretch(stretch)
            if self._meta is not None:
                at = (ahead[-1].epoch, ahead[-1].last + 1, ahead[-1].last_id + 1)
                self.db.put_meta(merged_mark(self._meta, at, segment))
        self.load()
        return True

    # -- epochs

    def new_epoch(self) -> str:
        """Why this spool cannot go on in the epoch it is in; "" when it can."""
        if not self.view.stretches:
            return "new_spool" if self._meta is None else "epoch_damaged"
        if self._meta is None:
            return "meta_damaged"
        last = self.view.stretches[-1]
        if last.gateway != self.gateway:
            return "other_gateway"
        return "other_machine" if self.machine and last.machine and last.machine != self.machine else ""

    def begin(
        self, epoch: str, why: str, *, first_id: int = 1, segment: int = 0, after: tuple[str, int] | None = None
    ) -> None:
        """Open a new epoch; what is numbered from here is at least `first_id`, and above `segment`."""
        meta = self._meta or self._rebuilt()
        next_id = max(meta.next_id, first_id)
        meta = replace(meta, epoch=epoch, next_seq=1, next_id=next_id, segment=max(meta.segment, segment), gaps=0)
        stretch = Stretch(next_id, epoch, 1, 0, self.gateway, self.machine, *(after or self._before()), why)
        with self.db.transaction():
            self.write_open(self.view.stretches, stretch)
            self.db.put_meta(meta)
        self.view.open(stretch)
        self._meta = meta
        self.tell_mark()

    def renew(self, epoch: str) -> None:
        """Begin an epoch although this one could go on; one that is still empty leaves nothing, and is not told."""
        opening = self.opening
        self.begin(epoch, "renew", after=(opening.old_epoch, opening.old_last) if opening else None)

    def _before(self) -> tuple[str, int]:
        """The epoch there was, and where it ended; ("", 0) when there was none, or nothing is known of it."""
        if self.view.stretches:
            return self.view.stretches[-1].epoch, self.view.stretches[-1].last
        return (self._meta.epoch, self._meta.next_seq - 1) if self._meta is not None else ("", 0)

    @property
    def meta(self) -> Meta:
        """The counters; there must be an epoch."""
        if self._meta is None:
            raise SpoolFailed("no epoch was begun")
        return self._meta

    @property
    def opening(self) -> Stretch | None:
        """The epoch, while it has no batch: its first one must say `epoch_start`."""
        return self.view.stretches[-1] if self.meta.next_seq == 1 else None

    @property
    def given(self) -> Given:
        """For the clock, at start."""
        meta = self.meta
        highest = (UtcMs(meta.trusted), UtcMs(meta.unset), UtcMs(meta.estimated))
        return Given(*highest, boot=meta.boot, last=BootMs(meta.last), segment=meta.segment)

    # -- writing

    def append(self, filings: Sequence[Filing]) -> list[int]:
        """Number and write drafts, in order; returns their seqs. What is settled goes along. Raises SpoolFull."""
        with self.db.transaction():
            change = self._changing([segment for _, segment in filings if segment])
            for draft, segment in filings:
                change.file(self.db, draft, segment)
            self._write(change)
        self._done(change)
        return list(range(self.meta.next_seq - len(filings), self.meta.next_seq))

    def give_up(
        self, ids: SeqRanges, reason: str, at: BootMs, segment: Segment, before: Sequence[Filing] = ()
    ) -> list[Gap]:
        """Drop pending batches and append the one that names them, behind `before`; what has no row says why itself."""
        records, missing = self.records(ids)
        named = [gap for record in records for gap in gaps.records_of(record, self._span(record), reason)]
        timeless = reading.timeless(self.db, missing)
        silent = missing.minus(SeqRanges.of_seqs(record.id for record in timeless))
        lost = [gaps.unreadable(*seqs, self.view.reason(seqs[0])) for seqs in self.view.unanswered(missing, silent)]
        named += [gap for record in timeless for gap in gaps.carried(record)]
        joined = gaps.join([*named, *lost], self.view.settled)
        enc, body = encode_gaps(joined)
        with self.db.transaction():
            change = self._changing([segment], ids)
            for draft, own in [*before, (Draft(segment.boot, at, at, 0, body, enc), segment)]:
                change.file(self.db, draft, own)
            change.naming = SeqRanges.of_seqs([change.meta.next_seq - 1])
            change.meta = replace(change.meta, gaps=change.meta.gaps + len(joined))
            self._write(change)
        self._done(change)
        return joined

    def drop(self, ids: SeqRanges) -> None:
        """Batches that need no gap: settled ones, or another gateway's."""
        with self.db.transaction():
            change = self._changing([], ids)
            self._write(change)
        self._done(change)

    def date(self, segments: Sequence[Segment]) -> None:
        """Write offsets that are known now; one that is written already never changes."""
        with self.db.transaction():
            change = self._changing(segments)
            for segment in change.segments.values():
                last = change.meta.last if segment.boot == change.meta.boot else segment.start
                change.meta = risen(change.meta, segment, last)
            self._write(change)
        self._done(change)

    def settle(self, epoch: str, seqs: SeqRanges, uplink: int = SETTLED) -> None:
        """Remembered; written by the next transaction, or by `flush`."""
        self.view.settle(epoch, seqs, uplink)

    @property
    def unsaved(self) -> bool:
        """Whether anything settled is not on disk yet."""
        return self.saved != self.view.ranges()

    def flush(self) -> None:
        """Write what is settled, if anything is new."""
        if self.unsaved:
            self.drop(SeqRanges())

    def park(self, epoch: str, seq: int, why: str) -> None:
        """Pending, not offered."""
        with self.db.transaction():
            self.db.put_parked(epoch, seq, why)
        self.view.parked.setdefault(epoch, {})[seq] = why

    def unpark(self, epoch: str, seq: int) -> None:
        """Offered again."""
        self.unpark_seqs(epoch, SeqRanges.of_seqs([seq]))

    def unpark_seqs(self, epoch: str, seqs: SeqRanges) -> None:
        """Offered again, in one transaction."""
        gone = [seq for seq in self.view.parked.get(epoch, {}) if seq in seqs]
        with self.db.transaction():
            for seq in gone:
                self.db.drop_parked(epoch, seq)
        for seq in gone:
            del self.view.parked[epoch][seq]

    def unpark_all(self, why: str) -> int:
        """Offered again: every one parked for this reason, or for one of its kind (`why:…`); how many."""
        count = 0
        for epoch, parked in self.view.parked.items():
            seqs = SeqRanges.of_seqs(seq for seq, reason in parked.items() if why in (reason, reason.split(":")[0]))
            if seqs:
                self.unpark_seqs(epoch, seqs)
            count += len(seqs)
        return count

    # -- reading

    def read(
        self, within: SeqRanges, limit: int, *, urgent: bool = False, whom: Whom = FIRST
    ) -> tuple[list[Batch], SeqRanges]:
        """Offered, dated batches of `within`, rising, and ids found damaged; `Spool.read` says where it stops."""
        return reading.read(self.db, self.view, within, limit, urgent=urgent, whom=whom)

    def records(self, ids: SeqRanges) -> tuple[list[Record], SeqRanges]:
        """Intact rows whose segment is known, and the ids without one."""
        return reading.records(self.db, self.view, ids)

    def batch_of(self, record: Record) -> Batch | None:
        """As it is sent; None while it is undated."""
        return batch_of(self.gateway, record, self.view.segments.get(record.segment))

    def room(self, free_bytes: int | None, reserve_bytes: int) -> Room:
        """From the file's header, and what is said of the disk."""
        return Room(*self.db.pages(), self._max_pages, free_bytes, reserve_bytes)

    def limit_pages(self, pages: int) -> None:
        """The quota; SQLite never shrinks a file for it."""
        self._max_pages = pages
        self.db.limit_pages(pages)

    # -- opening

    def trim(self) -> None:
        """Forget epochs of which nothing is left, and segments that no batch can name any more; raises Damaged."""
        empty = self.view.over()
        left = {s.epoch for s in self.view.stretches if s not in empty}
        oldest = self.db.record(self.db.lowest() or 0)
        segment = self.view.segments.get(oldest.segment) if oldest else None
        boot = segment.boot if segment else self.meta.boot
        floor = min((s.number for s in self.view.segments.values() if s.boot == boot), default=0)
        with self.db.transaction():
            for stretch in empty:
                self.db.drop_stretch(stretch)
            for number in [number for number in self.view.segments if is_before(number, floor)]:
                self.db.drop_segment(number)
            self.db.put_ranges(
                self.saved, {key: r for key, r in self.view.ranges().items() if key[1] in left or not key[1]}
            )
        self.load()
        if self._meta is None:  # a tree whose order is broken takes a row, and does not find it again
            raise Damaged("meta cannot be kept")
        self.tell_mark()

    # -- inside

    def load(self) -> None:
        """Once more from disk; raises SpoolFailed, Damaged."""
        self._meta = self.db.meta()
        if self._meta is not None and self._meta.version > VERSION:
            raise NewerVersion(self._meta.version)
        if self._meta is not None:
            self._meta = replace(self._meta, version=VERSION)
        ranges, whole = self.db.ranges()
        self.saved = ranges if whole else None
        self.view = View(self.gateway, self.db.stretches(), self.db.segments(), parked=self.db.parked())
        self.view.load(ranges)
        if (
            self._meta
            and self.view.stretches
            and (why := differ(self._meta, self.view.stretches[-1], self.db.highest()))
        ):
            raise Damaged(why)
        if self.view.stretches:
            self.view.grow(self._open_last(self.view.stretches[-1]))
        self.view.serve(self.others, whole=whole)

    def _open_last(self, stretch: Stretch) -> int:
        """Where the open stretch ends: as meta says, or, when that is lost, where the log or its own row ends."""
        if self._meta is not None:
            return self._meta.next_seq - 1
        return max((self.db.highest() or 0) - stretch.shift, stretch.last, stretch.first - 1)

    def tell_mark(self) -> None:
        """What is on disk now, once more."""
        if self._mark:
            self._mark.write(self.meta.segment, self.view.stretches)

    def _rebuilt(self) -> Meta:
        """For a new epoch: what can be known without meta."""
        last_id = max(self.db.highest() or 0, *(s.last_id for s in self.view.stretches), 0)
        newest = self.db.record(last_id)
        return rebuilt(last_id, self.view.segments, (newest.segment, newest.last) if newest else None)

    def _changing(self, segments: Sequence[Segment], ids: SeqRanges | None = None) -> Change:
        """Begin a change: new segments are written, `ids` leave the log."""
        fresh = {s.number: s for s in segments if self.write_segment(s)}
        gone = ids or SeqRanges()
        self.db.drop_records(gone)
        for epoch, seqs in self.view.seqs(gone).items():
            for seq in self.view.parked.get(epoch, {}):
                if seq in seqs:
                    self.db.drop_parked(epoch, seq)
        meta = replace(self.meta, segment=max(self.meta.segment, *fresh)) if fresh else self.meta
        return Change(meta, {**self.view.segments, **fresh}, fresh, gone)

    def _write(self, change: Change) -> None:
        """Its end, still inside the transaction."""
        change.ranges = self.view.ranges_without(change.gone, change.naming)
        self.db.put_ranges(self.saved, change.ranges)
        if change.meta is not self.meta:
            self.db.put_meta(change.meta)

    def _done(self, change: Change) -> None:
        """Committed: RAM follows."""
        self._meta = change.meta
        self.saved = change.ranges
        self.view.segments.update(change.segments)
        self.view.remove(change.gone)
        self.view.name(change.naming)
        self.view.grow(self._meta.next_seq - 1)
        self.tell_mark()

    def write_segment(self, segment: Segment) -> bool:
        """Inside a transaction; whether there was anything to write: what has its offset keeps it."""
        stands = self.view.segments.get(segment.number)
        if stands is not None and (stands.offset_ms is not None or segment.offset_ms is None):
            return False
        self.db.put_segment(segment)
        return True

    def write_open(self, before: Sequence[Stretch], stretch: Stretch) -> None:
        """Close the last stretch where it ends, or forget it if it is empty, and open another."""
        if before and before[-1].last >= before[-1].first:
            self.db.put_stretch(before[-1])
        elif before:
            self.db.drop_stretch(before[-1])
        self.db.put_stretch(stretch)

    def _span(self, record: Record) -> tuple[UtcMs, UtcMs] | None:
        return record.span(self.view.segments.get(record.segment))
