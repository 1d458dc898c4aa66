"""What the file holds, in RAM: which seqs are there, settled, gone, parked, and at which id. Pure; seeded at open.

live    = every seq that was ever numbered, by stretch        id = seq + shift of its stretch
present = live - gone          gone: the batch is rightly no longer here (settled and dropped, or in a gap record)
pending = present - settled, of this gateway's epochs; a pending seq without a row is damage
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from gateway.model import Segment, SeqRanges
from gateway.spool.row import Stretch

NONE = SeqRanges()


@dataclass(slots=True)
class View:
    """Mutable, of one thread. Ranges in `settled` and `gone` are seqs by epoch."""

    gateway: str = ""
    stretches: list[Stretch] = field(default_factory=list)  # by first_id; the last one is open
    segments: dict[int, Segment] = field(default_factory=dict)
    settled: dict[str, SeqRanges] = field(default_factory=dict)
    gone: dict[str, SeqRanges] = field(default_factory=dict)
    parked: dict[str, dict[int, str]] = field(default_factory=dict)
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

    def ranges(self) -> dict[tuple[int, str], SeqRanges]:
        """What table `settled` should hold, by (uplink, epoch)."""
        return self.ranges_without(NONE)

    def ranges_without(self, ids: SeqRanges) -> dict[tuple[int, str], SeqRanges]:
        """The same, once these ids are gone too."""
        leaving = self.seqs(ids) if ids else {}
        gone = {epoch: self.gone.get(epoch, NONE).union(leaving.get(epoch, NONE)) for epoch in {**self.gone, **leaving}}
        return {
            **{(0, epoch): ranges for epoch, ranges in gone.items() if ranges},
            **{(1, epoch): ranges for epoch, ranges in self.settled.items() if ranges},
        }

    def present(self, stretch: Stretch) -> SeqRanges:
        """Seqs of a stretch that are not gone."""
        return SeqRanges.of([(stretch.first, stretch.last)]).minus(self.gone.get(stretch.epoch, NONE))


def _ids(stretches: Iterable[Stretch], seqs: Callable[[Stretch], SeqRanges]) -> SeqRanges:
    return SeqRanges.of((a + s.shift, b + s.shift) for s in stretches for a, b in seqs(s).ranges)
