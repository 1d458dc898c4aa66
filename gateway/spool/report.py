"""What a spool keeps, for people: by epoch, another gateway's too. Pure."""

from dataclasses import dataclass

from gateway.model import SeqRanges
from gateway.spool.view import NONE, View


@dataclass(frozen=True, slots=True)
class EpochReport:
    """Counts are batches. `pending`: without a receipt; of another gateway id they are kept and never sent."""

    gateway: str
    epoch: str
    first_kept: int
    last: int
    kept: int
    pending: int
    parked: int
    ours: bool


@dataclass(frozen=True, slots=True)
class Report:
    """In the order in which the epochs began; the last one is written to."""

    epochs: tuple[EpochReport, ...]


def report_of(view: View) -> Report:
    """Of all that is kept."""
    return Report(tuple(_epoch(view, epoch) for epoch in dict.fromkeys(s.epoch for s in view.stretches)))


def _epoch(view: View, epoch: str) -> EpochReport:
    stretch = next(s for s in view.stretches if s.epoch == epoch)
    live = view.live(epoch)
    kept = live.minus(view.gone.get(epoch, NONE))
    pending = kept.minus(view.settled.get(epoch, NONE))
    parked = SeqRanges.of_seqs(view.parked.get(epoch, {})).intersection(pending)
    last = live.ranges[-1][1] if live else 0
    first = kept.ranges[0][0] if kept else last + 1
    ours = stretch.gateway == view.gateway
    return EpochReport(stretch.gateway, epoch, first, last, len(kept), len(pending), len(parked), ours)
