"""A spool file with its surroundings: makes room before it appends, gets out of a full disk, mends what is damaged.

The same keeper runs the file on disk and the ring in RAM: a ring is a spool file in memory, with a small quota, an
epoch of its own and no folder. What it gives up is `ring_full`; when the disk is back, its content moves there whole.
Blocking; of the worker's thread, as is all it holds. `relief` makes the room, `snapshot` shows the loop what is there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from gateway.errors import SpoolFailed, SpoolFull
from gateway.model import Batch, Given, Segment, Seq, SeqRanges
from gateway.spool import moving
from gateway.spool.change import Filing
from gateway.spool.file import SpoolFile
from gateway.spool.folder import Folder
from gateway.spool.moment import Moment, Notes
from gateway.spool.relief import RELIEFS_MAX, Relief
from gateway.spool.retention import pages_of
from gateway.spool.ring_mark import RingMark, waiting
from gateway.spool.salvage import Salvage
from gateway.spool.snapshot import Snapshot, Survey
from gateway.spool.view import FIRST, SETTLED, Whom

T = TypeVar("T")

RING_PAGES = 1024  # 4 MB at most
NO_OTHERS: Mapping[int, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Place:
    """Where numbering stands: what a ring goes on from."""

    epoch: str = ""
    last: Seq = 0
    next_id: int = 1
    segment: int = 0


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
        ring_mark: RingMark | None = None,
    ) -> None:
        self.file, self._folder, self._ring_mark = file, folder, ring_mark
        self.relief = Relief(file, folder, archive_days=archive_days, ring_pages=ring_pages, others=others)
        self._survey = Survey(file, others)

    def now(self, moment: Moment) -> None:
        """The step that follows happens now."""
        self.relief.moment = moment
        for uplink, epoch, seqs in moment.settled:
            self.file.settle(epoch, seqs, uplink)

    @property
    def unfetched(self) -> SeqRanges:
        """Ids that salvage has not tried yet."""
        return self.relief.unfetched

    # -- steps

    def do(self, act: Callable[["Keeper"], T]) -> T:
        """Any step; if it finds no page, the ballast makes room for the whole of it once. Raises SpoolFull."""
        try:
            result = act(self)
        except SpoolFull:
            if not self.relief.drop_ballast():
                raise
            result = act(self)
        self._tell_ring()
        return result

    def append(self, filings: list[Filing]) -> int:
        """Room first, then one transaction; the seq of the last one. A new epoch's first batch is its `epoch_start`."""
        self.relief.ensure(sum(pages_of(len(draft.body)) for draft, _ in [*self.relief.start(), *filings]))
        for _ in range(RELIEFS_MAX):
            try:
                return self.file.append([*self.relief.start(), *filings])[-1]
            except SpoolFull:
                self.relief.relieve()
        raise SpoolFull("no end of giving up")

    def read(
        self, after: int, until: int | None, limit: int, *, urgent: bool = False, whom: Whom = FIRST
    ) -> list[Batch]:
        """See `Spool.read`; what turns out damaged is given up."""
        last = self.file.meta.next_id - 1 if until is None else until
        blocked = self.unfetched.intersection(SeqRanges.of([(after + 1, last)]))
        if blocked:
            last = blocked.ranges[0][0] - 1
        within = SeqRanges.of([(after + 1, last)])
        batches, damaged = self.file.read(within, limit, urgent=urgent, whom=whom)
        self.relief.lose(damaged)
        return batches

    def reread(self, epoch: str, seq: int, uplink: int = SETTLED) -> Batch | None:
        """From disk again; None when it is no longer pending."""
        id_ = self.file.view.id_of(epoch, seq)
        if id_ is None or id_ not in self.file.view.pending(uplink) or id_ in self.unfetched:
            return None
        records, damaged = self.file.records(SeqRanges.of_seqs([id_]))
        self.relief.lose(damaged)
        return self.file.batch_of(records[0]) if records else None

    def recall(self, epoch: str, seq: int) -> Batch | None:
        """A settled one that is still here. One that turns out damaged needs no gap: it is just no longer kept."""
        id_ = self.file.view.id_of(epoch, seq)
        if id_ is None or id_ not in self.file.view.kept_settled() or id_ in self.unfetched:
            return None
        records, damaged = self.file.records(SeqRanges.of_seqs([id_]))
        if damaged:
            self.file.drop(damaged)
            self.relief.notes.counts["spool_archive_damaged", "corrupt"] += len(damaged)
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

    def take_in(self, ring: "Keeper", dated: list[Segment]) -> None:
        """All that a ring holds, and the offsets that were found meanwhile; in one transaction each."""
        self.file.date(dated)
        if ring.file.meta.next_seq > 1:
            pages, free = ring.file.db.pages()
            self.relief.ensure(pages - free)
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
        if self.relief.salvage is not None:
            self._fetch(self.relief.salvage, self._folder)
        self._name_dead_rings()
        if not self._folder.make_ballast():
            self.relief.notes.counts["spool_ballast_missing", "disk"] += 1
        moment = self.relief.moment
        self._survey.look_ahead(moment.at, moment.utc, self.relief.room)

    def bury(self) -> bool:
        """Take over that rings died, those that are not known here; whether there was room to write it."""
        rings = self._ring_mark.ended(self.file.gateway) if self._ring_mark else []
        if not rings:
            return True
        known = set(self.file.view.epochs())
        strange = [ring for ring in rings if ring.epoch not in known]
        try:
            if strange:
                moving.bury(self.file, strange)
        except SpoolFull:
            return False
        if self._ring_mark:
            self._ring_mark.forget({ring.epoch for ring in rings})
        return True

    def start_salvage(self, salvage: Salvage) -> None:
        """From now on a part at each `tick`."""
        self.relief.salvage = salvage

    def close(self) -> None:
        """The file, and one that is being fetched from; never raises."""
        if self.relief.salvage is not None:
            self.relief.salvage.close()
        self.file.close()

    def take_notes(self) -> Notes:
        """What is to be told; once."""
        notes, self.relief.notes = self.relief.notes, Notes()
        return notes

    # -- what it holds

    @property
    def given(self) -> Given:
        """For the clock, at start."""
        return self.file.given

    def snapshot(self) -> Snapshot:
        """For the loop's side, after each step."""
        return self._survey.take(salvaging=self.relief.salvage is not None)

    def _tell_ring(self) -> None:
        """On the disk that fails, if it takes that: what will be lost if the process ends now."""
        if self._folder is None and self._ring_mark is not None:
            view = self.file.view
            ring = waiting(view.stretches[-1], view.status()[-1].pending)
            self._ring_mark.tell(ring, self.relief.moment.at)

    def _name_dead_rings(self) -> None:
        """With a gap; what finds no room now is tried again at the next tick."""
        try:
            buried = self.bury()
            self.relief.lose(self.file.view.buried().intersection(self.file.view.pending()).minus(self.unfetched))
        except SpoolFull:
            buried = False
        if not buried:
            self.relief.notes.counts["spool_ring_unnamed", "disk_full"] += 1

    def _fetch(self, salvage: Salvage, folder: Folder) -> None:
        records = salvage.fetch()
        if records:
            self.relief.ensure(sum(pages_of(len(record.body)) for record in records))
            moving.replant(self.file, records)
        self.relief.give_up(salvage.done(records), "corrupt")
        if not salvage.todo:
            salvage.close()
            self.relief.salvage = None
            folder.finish_salvage()
            self.relief.limit()
            self.relief.notes.events.append(("spool_salvaged", (salvage.found, salvage.lost), False))
