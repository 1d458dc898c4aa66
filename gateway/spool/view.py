"""What the file holds, in RAM: which seqs are there, settled, gone, parked, and at which id. Pure; seeded at open.

live    = every seq that was ever numbered, by stretch        id = seq + shift of its stretch
present = live - gone          gone: the batch is rightly no longer here (settled and dropped, or in a gap record)
pending = present - settled, of this gateway's epochs; a pending seq without a row is damage
waiting = pending, and, as long as a gap batch has no receipt (`naming`), what was given up: gone - settled

Pending and gap are the first uplink's words. Each other uplink has settled ranges of its own, under its number, and
waits for what is present and not in them. One range of it is of no epoch and no seq: it says that this uplink is known.
An uplink that is not begins at the next seq; the ranges of one that is no longer in the site go. What leaves the log
is settled for the others too: nobody can send it any more.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from zlib import crc32

from gateway.model import Segment, Seq, SeqRanges
from gateway.spool.row import Stretch
from gateway.wire.documents import EpochStatus

NONE = SeqRanges()
GONE, SETTLED, NAMING = 0, 1, -1  # `uplink` of table `settled`
RING_LOST = "ring_lost"  # why of a stretch that a dead ring had: nothing of it is here, and the reason of its gap
KNOWN = SeqRanges(((0, 0),))  # under epoch "": this uplink was here before


class Whom(NamedTuple):
    """Who asks for batches, and what it has put aside: the first uplink's parked ones are known here."""

    uplink: int = SETTLED
    aside: frozenset[tuple[str, int]] = frozenset()  # (epoch, seq)


FIRST = Whom()


def uplink_number(name: str) -> int:
    """What another uplink than the first has in table `settled`: renamed, it is another one."""
    return SETTLED + 1 + crc32(name.encode())


@dataclass(frozen=True, slots=True)
class Kept:
    """Of some seqs of one epoch: what this box can still do for them."""

    archived: SeqRanges = NONE  # settled, and here
    parked: SeqRanges = NONE
    waiting: SeqRanges = NONE  # pending, and not parked: they go anyway
    gone: SeqRanges = NONE  # numbered once, or of an epoch nobody knows here: they will never come


@dataclass(slots=True)
class View:
    """Mutable, of one thread. Ranges in `settled` and `gone` are seqs by epoch."""

    gateway: str = ""
    stretches: list[Stretch] = field(default_factory=list)  # by first_id; the last one is open
    segments: dict[int, Segment] = field(default_factory=dict)
    settled: dict[str, SeqRanges] = field(default_factory=dict)
    gone: dict[str, SeqRanges] = field(default_factory=dict)
    parked: dict[str, dict[int, str]] = field(default_factory=dict)
    naming: dict[str, SeqRanges] = field(default_factory=dict)  # gap batches; those that are answered may be among them
    others: dict[int, dict[str, SeqRanges]] = field(default_factory=dict)  # settled for other uplinks, by number
    _pending: dict[int, SeqRanges] = field(default_factory=dict)  # by uplink, as long as nothing changes

    def pending(self, uplink: int = SETTLED) -> SeqRanges:
        """Ids, parked ones included."""
        if uplink not in self._pending:
            ours, settled = (s for s in self.stretches if s.gateway == self.gateway), self.settled_for(uplink)
            self._pending[uplink] = _ids(ours, lambda s: self.present(s).minus(settled.get(s.epoch, NONE)))
        return self._pending[uplink]

    def owed(self) -> SeqRanges:
        """Ids that are settled for the first uplink while another one waits for them."""
        waiting = SeqRanges.of(pair for uplink in self.others for pair in self.pending(uplink).ranges)
        return waiting.minus(self.pending())

    def here(self) -> int:
        """How many batches of this gateway are here."""
        return len(_ids((s for s in self.stretches if s.gateway == self.gateway), self.present))

    def settled_for(self, uplink: int) -> dict[str, SeqRanges]:
        """Seqs by epoch; of an uplink that is none, nothing, and nothing is remembered."""
        return self.settled if uplink == SETTLED else self.others.get(uplink, {})

    def told(self) -> list[tuple[int, str, SeqRanges]]:
        """All that is settled, as (uplink, epoch, seqs)."""
        others = [(uplink, epoch, seqs) for uplink, by in self.others.items() for epoch, seqs in by.items() if epoch]
        return [*((SETTLED, epoch, seqs) for epoch, seqs in self.settled.items()), *others]

    def serve(self, uplinks: Iterable[int], *, whole: bool) -> None:
        """These are the other uplinks from now on; `whole`: no range is lost, so one without any is a new one."""
        everything = {epoch: self.live(epoch) for epoch in self.epochs()} if whole else {}
        self.others = {uplink: self.others.get(uplink) or {"": KNOWN, **everything} for uplink in uplinks}
        for by_epoch in self.others.values():
            by_epoch[""] = KNOWN
        self._pending.clear()

    def kept_settled(self) -> SeqRanges:
        """Ids of settled batches that are still here: the archive."""
        ours = (s for s in self.stretches if s.gateway == self.gateway)
        return _ids(ours, lambda s: self.present(s).intersection(self.settled.get(s.epoch, NONE)))

    def foreign(self) -> SeqRanges:
        """Ids of batches that another gateway id wrote: kept for export, never sent."""
        return _ids((s for s in self.stretches if s.gateway != self.gateway), self.present)

    def offered(self, whom: Whom = FIRST) -> SeqRanges:
        """Ids that north may have: pending and not parked."""
        ours = ((epoch, seq) for epoch, seqs in self.parked.items() for seq in seqs)
        parked = [self.id_of(epoch, seq) for epoch, seq in (ours if whom.uplink == SETTLED else whom.aside)]
        return self.pending(whom.uplink).minus(SeqRanges.of_seqs(id_ for id_ in parked if id_ is not None))

    def kept(self, epoch: str, seqs: SeqRanges) -> Kept:
        """What of `seqs` is here. Seqs that the open epoch has not given out yet are in no part of the answer."""
        ours = [s for s in self.stretches if s.epoch == epoch and s.gateway == self.gateway]
        here = SeqRanges.of(pair for s in ours for pair in self.present(s).ranges).intersection(seqs)
        gone, last = seqs.minus(here), self.stretches[-1] if self.stretches else None
        if last is not None and last.epoch == epoch:
            gone = gone.intersection(SeqRanges.of([(1, last.last)]))
        pending = here.minus(self.settled.get(epoch, NONE))
        parked = SeqRanges.of_seqs(seq for seq in self.parked.get(epoch, {}) if seq in pending)
        return Kept(here.minus(pending), parked, pending.minus(parked), gone)

    def epochs(self) -> list[str]:
        """Of this gateway, in the order they began."""
        return list(dict.fromkeys(s.epoch for s in self.stretches if s.gateway == self.gateway))

    def status(self) -> tuple[EpochStatus, ...]:
        """Of each of these epochs. What was given up is pending until the store can have its gap record."""
        waiting = self._gaps_wait()
        return tuple(self._epoch_status(epoch, waiting=waiting) for epoch in self.epochs())

    def over(self) -> list[Stretch]:
        """Closed ones of which nothing is left, and nothing waits for its gap record to be stored."""
        waiting = self._gaps_wait()
        empty = [s for s in self.stretches[:-1] if not self.present(s)]
        return [s for s in empty if not (waiting and self.live(s.epoch).minus(self.settled.get(s.epoch, NONE)))]

    def id_of(self, epoch: str, seq: int) -> int | None:
        """None for a seq that never was."""
        found = (s for s in self.stretches if s.epoch == epoch and s.first <= seq <= s.last)
        return next((seq + s.shift for s in found), None)

    def place(self, id_: int) -> tuple[str, int]:
        """(epoch, seq) of an id; raises KeyError for one that never was."""
        for stretch in self.stretches:
            if stretch.first_id <= id_ <= stretch.last_id:
                return stretch.epoch, id_ - stretch.shift
        raise KeyError(id_)

    def gateway_at(self, id_: int) -> str:
        """Who wrote it; raises KeyError for one that never was."""
        for stretch in self.stretches:
            if stretch.first_id <= id_ <= stretch.last_id:
                return stretch.gateway
        raise KeyError(id_)

    def seqs(self, ids: SeqRanges) -> dict[str, SeqRanges]:
        """These ids as seqs by epoch."""
        by_epoch: dict[str, SeqRanges] = {}
        for stretch in self.stretches:
            inside = ids.intersection(SeqRanges.of([(stretch.first_id, stretch.last_id)]))
            if inside:
                seqs = SeqRanges(tuple((a - stretch.shift, b - stretch.shift) for a, b in inside.ranges))
                by_epoch[stretch.epoch] = by_epoch.get(stretch.epoch, NONE).union(seqs)
        return by_epoch

    def buried(self) -> SeqRanges:
        """Ids of rings that ended with their process: they never had a row here."""
        return _ids((s for s in self.stretches if s.why == RING_LOST), self.present)

    def reason(self, epoch: str) -> str:
        """Why a pending seq of this epoch has no row."""
        return RING_LOST if any(s.why == RING_LOST for s in self.stretches if s.epoch == epoch) else "corrupt"

    def unanswered(self, ids: SeqRanges, silent: SeqRanges) -> list[tuple[str, Seq, Seq]]:
        """These, as (epoch, first, last); and if a gap batch is among the `silent` ones, all that it may have named."""
        lost = self.seqs(ids)
        if any(seqs.intersection(self.naming.get(epoch, NONE)) for epoch, seqs in self.seqs(silent).items()):
            for epoch, gone in self.gone.items():
                given_up = gone.minus(self.settled.get(epoch, NONE))
                lost[epoch] = lost.get(epoch, NONE).union(given_up)
        return [(epoch, first, last) for epoch, seqs in lost.items() for first, last in seqs.ranges]

    def known(self, epoch: str, seqs: SeqRanges) -> SeqRanges:
        """Those of `seqs` that were ever numbered."""
        return seqs.intersection(self.live(epoch))

    def live(self, epoch: str) -> SeqRanges:
        """Every seq of an epoch."""
        return SeqRanges.of((s.first, s.last) for s in self.stretches if s.epoch == epoch)

    def settle(self, epoch: str, seqs: SeqRanges, uplink: int = SETTLED) -> None:
        """These have their receipt, or what is one there; seqs that never were are not remembered."""
        by_epoch = self.settled_for(uplink)
        by_epoch[epoch] = by_epoch.get(epoch, NONE).union(self.known(epoch, seqs))
        self._pending.clear()

    def remove(self, ids: SeqRanges) -> None:
        """These are no longer here, rightly."""
        for epoch, seqs in self.seqs(ids).items():
            self.gone[epoch] = self.gone.get(epoch, NONE).union(seqs)
            for settled in self.others.values():
                settled[epoch] = settled.get(epoch, NONE).union(seqs)
            for seq in [seq for seq in self.parked.get(epoch, {}) if seq in seqs]:
                del self.parked[epoch][seq]
        self._pending.clear()

    def grow(self, last: int) -> None:
        """The open stretch now ends at seq `last`."""
        self.stretches[-1] = replace(self.stretches[-1], last=last)
        self._pending.clear()

    def open(self, stretch: Stretch) -> None:
        """A new stretch; the one before it is closed by that. An empty one leaves nothing behind."""
        if self.stretches and self.stretches[-1].last < self.stretches[-1].first:
            del self.stretches[-1]
        self.stretches.append(stretch)
        self._pending.clear()

    def know(self, stretches: Iterable[Stretch]) -> None:
        """Stretches found late, or longer than was known."""
        by_id = {s.first_id: s for s in [*self.stretches, *stretches]}
        self.stretches = [by_id[first_id] for first_id in sorted(by_id)]
        self._pending.clear()

    def load(self, ranges: Mapping[tuple[int, str], SeqRanges]) -> None:
        """What table `settled` holds, by (uplink, epoch)."""
        tables = {GONE: self.gone, SETTLED: self.settled, NAMING: self.naming}
        for (uplink, epoch), seqs in ranges.items():
            table = tables[uplink] if uplink in tables else self.others.setdefault(uplink, {})
            table[epoch] = seqs
        self._pending.clear()

    def name(self, seqs: SeqRanges) -> None:
        """These of the open epoch are gap batches."""
        if seqs:
            epoch = self.stretches[-1].epoch
            self.naming[epoch] = self._waiting_gaps(epoch).union(seqs)

    def ranges(self) -> dict[tuple[int, str], SeqRanges]:
        """What table `settled` should hold, by (uplink, epoch)."""
        return self.ranges_without(NONE)

    def ranges_without(self, ids: SeqRanges, named: SeqRanges = NONE) -> dict[tuple[int, str], SeqRanges]:
        """The same, once these ids are gone too, and `named` of the open epoch are gap batches."""
        leaving = self.seqs(ids) if ids else {}
        gone = {epoch: self.gone.get(epoch, NONE).union(leaving.get(epoch, NONE)) for epoch in {**self.gone, **leaving}}
        naming = {epoch: self._waiting_gaps(epoch).minus(leaving.get(epoch, NONE)) for epoch in self.naming}
        if named:
            epoch = self.stretches[-1].epoch
            naming[epoch] = naming.get(epoch, NONE).union(named)
        others = {
            (uplink, epoch): settled.get(epoch, NONE).union(leaving.get(epoch, NONE))
            for uplink, settled in self.others.items()
            for epoch in {**settled, **leaving}
        }
        return {
            **{key: ranges for key, ranges in others.items() if ranges},
            **{(GONE, epoch): ranges for epoch, ranges in gone.items() if ranges},
            **{(SETTLED, epoch): ranges for epoch, ranges in self.settled.items() if ranges},
            **{(NAMING, epoch): ranges for epoch, ranges in naming.items() if ranges},
        }

    def present(self, stretch: Stretch) -> SeqRanges:
        """Seqs of a stretch that are not gone."""
        return SeqRanges.of([(stretch.first, stretch.last)]).minus(self.gone.get(stretch.epoch, NONE))

    def _gaps_wait(self) -> bool:
        return any(map(self._waiting_gaps, self.naming))

    def _waiting_gaps(self, epoch: str) -> SeqRanges:
        answered = self.settled.get(epoch, NONE).union(self.gone.get(epoch, NONE))
        return self.naming.get(epoch, NONE).minus(answered)

    def _epoch_status(self, epoch: str, *, waiting: bool) -> EpochStatus:
        live, settled = self.live(epoch), self.settled.get(epoch, NONE)
        present = live.minus(self.gone.get(epoch, NONE))
        last = live.ranges[-1][1] if live else 0
        pending = present.minus(settled)
        parked = SeqRanges.of_seqs(self.parked.get(epoch, {})).intersection(pending)
        first_kept = present.ranges[0][0] if present else last + 1
        return EpochStatus(epoch, first_kept, last, live.minus(settled) if waiting else pending, parked)


def _ids(stretches: Iterable[Stretch], seqs: Callable[[Stretch], SeqRanges]) -> SeqRanges:
    return SeqRanges.of((a + s.shift, b + s.shift) for s in stretches for a, b in seqs(s).ranges)
