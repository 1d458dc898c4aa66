"""Makes room in a spool file: before an append, and when SQLite finds no page all the same. What it gives up is named.

`retention` says whose turn it is; here it goes, a chunk a transaction, and its loss is noted. Without a folder the file
is a ring in memory. Blocking, of the disk's thread.
"""

from collections.abc import Mapping

from gateway.errors import SpoolFull
from gateway.model import Draft, Event, SeqRanges
from gateway.spool.change import Filing
from gateway.spool.file import SpoolFile
from gateway.spool.folder import Folder
from gateway.spool.moment import Moment, Notes
from gateway.spool.retention import NONE, Room, enough, max_pages, victims
from gateway.spool.row import Stretch
from gateway.spool.salvage import Salvage
from gateway.spool.view import RING_LOST
from gateway.wire.body import BodyWriter

RELIEFS_MAX = 256  # chunks given up for one append
DAY_MS = 86_400_000


class Relief:
    """Of one file; `moment` is set before each step, `salvage` while rows are fetched."""

    moment: Moment

    def __init__(
        self, file: SpoolFile, folder: Folder | None, *, archive_days: int, ring_pages: int, others: Mapping[int, str]
    ) -> None:
        self._file, self._folder, self._ring_pages, self._others = file, folder, ring_pages, others
        self._archive_ms = archive_days * DAY_MS
        self.salvage: Salvage | None = None
        self.notes = Notes()
        self.limit()

    @property
    def unfetched(self) -> SeqRanges:
        """Ids that are still in the old file: neither here nor lost."""
        return self.salvage.todo if self.salvage is not None else NONE

    @property
    def room(self) -> Room:
        """As file and disk are now."""
        free_bytes = self._folder.free_bytes() if self._folder else None
        return self._file.room(free_bytes, self._folder.reserve_bytes if self._folder else 0)

    def limit(self) -> None:
        """The quota in pages, whenever what lies beside the file is another."""
        folder = self._folder
        pages = max_pages(folder.quota_bytes, folder.beside_bytes()) if folder else self._ring_pages
        self._file.limit_pages(pages)

    def ensure(self, need_pages: int) -> None:
        """Give up what it takes; raises SpoolFull."""
        for _ in range(RELIEFS_MAX):
            room = self.room
            reason = room.short_of(need_pages)
            if not reason:
                return
            if not self._make_room(reason, in_vain=reason == "disk_full" and room.too_small_for(need_pages)):
                raise SpoolFull(reason)
        raise SpoolFull("no end of giving up")

    def relieve(self) -> None:
        """SQLite found no page in spite of `ensure`: somebody else filled the disk. Raises SpoolFull."""
        if not self.drop_ballast() and not self._make_room("disk_full"):
            raise SpoolFull("disk_full")

    def drop_ballast(self) -> bool:
        """Whether there was any; told."""
        if self._folder is None or not self._folder.drop_ballast():
            return False
        self.notes.events.append(("disk_full", "ballast", True))
        return True

    def give_up(self, ids: SeqRanges, reason: str) -> None:
        """Pending ones, and the gap that names them; nothing for none."""
        if ids:
            self._file.give_up(ids, reason, self.moment.at, self.moment.segment, self.start())
            self.notes.counts["spool_given_up", reason] += len(ids)

    def lose(self, damaged: SeqRanges) -> None:
        """Found unreadable: a gap where it was pending; what the first uplink has, only another one can miss."""
        view = self._file.view
        owed, buried = damaged.minus(view.pending()), damaged.intersection(view.buried()).intersection(view.pending())
        self.give_up(buried, RING_LOST)
        self.give_up(damaged.minus(owed).minus(buried), "corrupt")
        if owed:
            self._note_owed(owed, "corrupt")
            self._file.drop(owed)

    def start(self) -> list[Filing]:
        """The first batch of a new epoch, before anything else is written, be it a gap."""
        opening = self._file.opening
        return [] if opening is None else [(_epoch_start(opening, self.moment), self.moment.segment)]

    def _make_room(self, reason: str, *, in_vain: bool = False) -> bool:
        """One chunk, in the order of the design; False when nothing is left to give up, or it would be in vain."""
        if self._folder is not None and self.salvage is None and (name := self._folder.drop_aside()):
            self.notes.events.append(("spool_aside_dropped", name, False))
            self.limit()
            return True
        view, unfetched = self._file.view, self.unfetched
        owed = view.owed()
        flying = [view.id_of(b.epoch, b.seq) for b in self.moment.in_flight if b.gateway == view.gateway]
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
            self.give_up(chunk, reason if self._folder else "ring_full")
        else:
            self._note_dropped(turn.kind, chunk)
            self._note_owed(chunk, reason)
            self._file.drop(chunk)
        return True

    def _chunk(self, ids: SeqRanges) -> SeqRanges:
        """The first of `ids` that are worth a transaction."""
        size_bytes = 0
        for batches, id_ in enumerate(ids.seqs(), 1):
            record = self._file.db.record(id_)
            size_bytes += len(record.body) if record else 0
            if enough(batches, size_bytes):
                return ids.intersection(SeqRanges.of([(0, id_)]))
        return ids

    def _note_owed(self, ids: SeqRanges, reason: str) -> None:
        """No gap: the first uplink has them, or they are in a gap of its own."""
        for uplink, name in self._others.items():
            missed = len(ids.intersection(self._file.view.pending(uplink)))
            if missed:
                self.notes.events.append(("uplink_missed", (name, missed, reason), False))
                self.notes.counts["uplink_missed", name] += missed

    def _note_dropped(self, kind: str, ids: SeqRanges) -> None:
        if kind == "foreign":
            self.notes.events.append(("foreign_dropped", (len(ids),), False))
            return
        records, _ = self._file.records(ids)
        spans = (record.span(self._file.view.segments.get(record.segment)) for record in records)
        young = sum(span is not None and self.moment.utc - span[1] < self._archive_ms for span in spans)
        if young:
            self.notes.counts["spool_archive_cut", "quota"] += young


def _epoch_start(opening: Stretch, moment: Moment) -> Draft:
    """Of its own, so that it is the first whatever comes: `epoch_start [old epoch, last seq, why]`."""
    writer = BodyWriter(moment.at)
    writer.add(Event(moment.at, "", "epoch_start", (opening.old_epoch, opening.old_last, opening.why)))
    enc, body = writer.encode()
    return Draft(moment.segment.boot, moment.at, moment.at, 0, body, enc)
