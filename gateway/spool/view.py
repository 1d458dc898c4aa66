"""What the file holds, in RAM: which seqs are there, settled, gone, parked, and at which id. Pure; seeded at open.

live    = every seq that was ever numbered, by stretch        id = seq + shift of its stretch
present = live - gone          gone: the batch is rightly no longer here (settled and dropped, or in a gap record)
pending = present - settled, of this gateway's epochs; a pending seq without a row is damage
waiting = pending, and, as long as a gap batch has no receipt (`naming`), what was given up: gone - settled
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.model import Segment, Seq, SeqRanges
from gateway.spool.row import Stretch
from gateway.wire.documents import EpochStatus

NONE = SeqRanges()
GONE, SETTLED, NAMING = 0, 1, -1  # `uplink` of table `settled`


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
    _pending: SeqRanges | None = None

    def pending(self) -> SeqRanges:
        """Ids, parked ones included."""
        if self._pending is None:
            ours = (s for s in self.stretches if s.gateway == self.gateway)
            self._pending = _ids(ours, lambda s: self.present(s).minus(self.settled.get(s.epoch, NONE)))
        return self._pending

    def kept_settled(self) -> SeqRanges:
        """Ids of settled batches that are still here: the archive."""
        ours = (s for s in self.stretches if s.gateway == self.gateway)
        return _ids(ours, lambda s: self.present(s).intersection(self.settled.get(s.epoch, NONE)))

    def foreign(self) -> SeqRanges:
        """Ids of batches that another gateway id wrote: kept for export, never sent."""
        return _ids((s for s in self.stretches if s.gateway != self.gateway), self.present)

    def offered(self) -> SeqRanges:
        """Ids that north may have: pending and not parked."""
        parked = [self.id_of(epoch, seq) for epoch, seqs in self.parked.items() for seq in seqs]
        return self.pending().minus(SeqRanges.of_seqs(id_ for id_ in parked if id_ is not None))

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

    def seqs(self, ids: SeqRanges) -> dict[str, SeqRanges]:
        """These ids as seqs by epoch."""
        by_epoch: dict[str, SeqRanges] = {}
        for stretch in self.stretches:
            inside = ids.intersection(SeqRanges.of([(stretch.first_id, stretch.last_id)]))
            if inside:
                seqs = SeqRanges(tuple((a - stretch.shift, b - stretch.shift) for a, b in inside.ranges))
                by_epoch[stretch.epoch] = by_epoch.get(stretch.epoch, NONE).union(seqs)
        return by_epoch

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

    def settle(self, epoch: str, seqs: SeqRanges) -> None:
        """These have their receipt; seqs that never were are not remembered."""
        self.settled[epoch] = self.settled.get(epoch, NONE).union(self.known(epoch, seqs))
        self._pending = None

    def remove(self, ids: SeqRanges) -> None:
        """These are no longer here, rightly."""
        for epoch, seqs in self.seqs(ids).items():
            self.gone[epoch] = self.gone.get(epoch, NONE).union(seqs)
            for seq in [seq for seq in self.parked.get(epoch, {}) if seq in seqs]:
                del self.parked[epoch][seq]
        self._pending = None

    def grow(self, last: int) -> None:
        """The open stretch now ends at seq `last`."""
        self.stretches[-1] = replace(self.stretches[-1], last=last)
        self._pending = None

    def open(self, stretch: Stretch) -> None:
        """A new stretch; the one before it is closed by that. An empty one leaves nothing behind."""
        if self.stretches and self.stretches[-1].last < self.stretches[-1].first:
            del self.stretches[-1]
        self.stretches.append(stretch)
        self._pending = None

    def know(self, stretches: Iterable[Stretch]) -> None:
        """Stretches found late, or longer than was known."""
        by_id = {s.first_id: s for s in [*self.stretches, *stretches]}
        self.stretches = [by_id[first_id] for first_id in sorted(by_id)]
        self._pending = None

    def load(self, ranges: Mapping[tuple[int, str], SeqRanges]) -> None:
        """What table `settled` holds, by (uplink, epoch)."""
        tables = {GONE: self.gone, SETTLED: self.settled, NAMING: self.naming}
        for (uplink, epoch), seqs in ranges.items():
            tables.get(uplink, {})[epoch] = seqs
        self._pending = None

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
        return {
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
