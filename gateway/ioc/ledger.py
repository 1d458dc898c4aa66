"""Seq arithmetic: what of an epoch is stored, explained, pending, expired, or missing. Pure.

Every seq from 1 to the highest known falls into exactly one class, the first that fits:

    stored       has a ledger point
    explained    named by a gap record: the gateway gave it up and said so; or `not_kept`: asked for again in vain
    pending      waits on the gateway, by its newest status: in `pending`, or above its `last`
    expired      below the lowest stored seq, which itself is about to leave the store by its retention; or all of an
                 epoch of which nothing is stored any more, and whose last seq was issued before that time
    unexplained  none of these: an alarm
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from gateway.ioc.store.base import EpochStatusRow, Issued, Stored
from gateway.model import Gap, Seq, SeqRanges, UtcMs
from gateway.wire.line_protocol import NOT_KEPT

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Account:
    """One epoch of one gateway, seq by seq; the five sets are disjoint and together 1..highest."""

    gateway: str
    epoch: str
    highest: Seq
    stored: SeqRanges
    explained: SeqRanges
    pending: SeqRanges
    expired: SeqRanges
    unexplained: SeqRanges
    pending_old: SeqRanges = field(default_factory=SeqRanges)  # those of `pending` that wait for more than a day
    status_at_ms: UtcMs | None = None  # when the status behind `pending` came; None: this epoch is in none
    used_twice: SeqRanges = field(default_factory=SeqRanges)  # seqs with two contents, or issued again
    rows_given_up: int = 0  # by gap records that say so
    reasons: tuple[tuple[str, SeqRanges], ...] = ()  # `explained`, by why; disjoint

    @property
    def issued(self) -> int:
        """How many seqs are classed: all, or those that `within` left."""
        return sum(map(len, (self.stored, self.explained, self.pending, self.expired, self.unexplained)))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a store shows of one epoch."""

    stored: Stored
    gaps: Sequence[Gap]
    status: EpochStatusRow | None  # of the gateway's newest status; None when that does not name the epoch
    day_old: Seq | None = None  # its `last` a day ago or before; None = no status that old is at hand
    lasts: Sequence[Seq] = ()  # `last` of this epoch in the newest statuses, in the order they came
    issued: Issued | None = None  # by all statuses there are


def account(gateway: str, epoch: str, seen: Evidence, now: UtcMs, retention_days: int | None) -> Account:
    """Class every seq; `retention_days` None = the store keeps everything."""
    highest = _highest(seen)
    issued = SeqRanges.of([(1, highest)])
    stored = seen.stored.seqs.intersection(issued)
    explained = _explained(seen.gaps).minus(stored)
    left = issued.minus(stored).minus(explained)
    pending = _pending(seen.status, highest).intersection(left)
    left = left.minus(pending)
    expired = _expired(seen, now, retention_days).intersection(left)
    return Account(
        gateway,
        epoch,
        highest,
        stored,
        explained,
        pending,
        expired,
        left.minus(expired),
        pending_old=_old(pending, seen),
        status_at_ms=None if seen.status is None else seen.status.at_ms,
        used_twice=seen.stored.two_crcs.union(_issued_again(seen.lasts)),
        rows_given_up=sum({gap: gap.rows or 0 for gap in seen.gaps}.values()),
        reasons=_reasons(seen.gaps, explained),
    )


def within(whole: Account, seqs: SeqRanges) -> Account:
    """Only these seqs; the rows that gap records give up cannot be divided: all, where any seq of one is left."""
    reasons = ((why, some.intersection(seqs)) for why, some in whole.reasons)
    explained = whole.explained.intersection(seqs)
    return replace(
        whole,
        stored=whole.stored.intersection(seqs),
        explained=explained,
        pending=whole.pending.intersection(seqs),
        expired=whole.expired.intersection(seqs),
        unexplained=whole.unexplained.intersection(seqs),
        pending_old=whole.pending_old.intersection(seqs),
        used_twice=whole.used_twice.intersection(seqs),
        rows_given_up=whole.rows_given_up if explained else 0,
        reasons=tuple((why, some) for why, some in reasons if some),
    )


def _highest(seen: Evidence) -> Seq:
    known = [last for _, last in seen.stored.seqs.ranges[-1:]]
    known += [gap.last for gap in seen.gaps]
    known += [] if seen.status is None else [seen.status.last]
    known += [] if seen.issued is None else [seen.issued.last]  # also when no newer status names this epoch
    return max(known, default=0)


def _explained(gaps: Sequence[Gap]) -> SeqRanges:
    return SeqRanges.of((max(gap.first, 1), gap.last) for gap in gaps)


def _reasons(gaps: Sequence[Gap], explained: SeqRanges) -> tuple[tuple[str, SeqRanges], ...]:
    """What a gateway said itself goes before what it was only found to have no more."""
    found: list[tuple[str, SeqRanges]] = []
    for reason in sorted({gap.reason for gap in gaps}, key=lambda reason: (reason == NOT_KEPT, reason)):
        seqs = explained.intersection(_explained([gap for gap in gaps if gap.reason == reason]))
        if seqs:
            found.append((reason, seqs))
            explained = explained.minus(seqs)
    return tuple(found)


def _old(pending: SeqRanges, seen: Evidence) -> SeqRanges:
    """Issued a day ago, and still waiting. Without a status that old: all, when the box says that its oldest is."""
    if seen.status is None:
        return SeqRanges()
    if seen.day_old is not None:
        return pending.intersection(SeqRanges.of([(1, seen.day_old)]))
    return pending if seen.status.oldest_age_ms > DAY_MS else SeqRanges()


def _pending(status: EpochStatusRow | None, highest: Seq) -> SeqRanges:
    if status is None:
        return SeqRanges()
    return SeqRanges.of([*status.pending.ranges, *status.parked.ranges, (status.last + 1, highest)])


def _expired(seen: Evidence, now: UtcMs, retention_days: int | None) -> SeqRanges:
    """Below the lowest stored seq, when that is about to go; all, when nothing is left and all were issued before."""
    if retention_days is None:
        return SeqRanges()
    lowest_at_ms, last = seen.stored.lowest_at_ms, 0
    if lowest_at_ms is not None:
        last = seen.stored.seqs.ranges[0][0] - 1
    elif seen.issued is not None:
        lowest_at_ms, last = seen.issued.at_ms, seen.issued.last
    leaves_within_a_day = lowest_at_ms is not None and lowest_at_ms <= now - (retention_days - 1) * DAY_MS
    return SeqRanges.of([(1, last)]) if leaves_within_a_day else SeqRanges()


def _issued_again(lasts: Sequence[Seq]) -> SeqRanges:
    again: list[tuple[Seq, Seq]] = []
    highest = 0
    for last in lasts:
        if last < highest:
            again.append((last + 1, highest))
        highest = max(highest, last)
    return SeqRanges.of(again)


@dataclass(slots=True)
class SeqSet:
    """A growing set of seqs that come mostly in order: as small as its ranges are few."""

    _firsts: list[Seq] = field(default_factory=list)
    _lasts: list[Seq] = field(default_factory=list)

    def add(self, seq: Seq) -> bool:
        """False when it was there already."""
        at = bisect_right(self._firsts, seq) - 1
        if at >= 0 and seq <= self._lasts[at]:
            return False
        touches_left = at >= 0 and self._lasts[at] == seq - 1
        touches_right = at + 1 < len(self._firsts) and self._firsts[at + 1] == seq + 1
        if touches_left and touches_right:
            self._lasts[at] = self._lasts.pop(at + 1)
            del self._firsts[at + 1]
        elif touches_left:
            self._lasts[at] = seq
        elif touches_right:
            self._firsts[at + 1] = seq
        else:
            self._firsts.insert(at + 1, seq)
            self._lasts.insert(at + 1, seq)
        return True

    def ranges(self) -> SeqRanges:
        """What it holds now."""
        return SeqRanges(tuple(zip(self._firsts, self._lasts, strict=True)))


@dataclass(slots=True)
class LedgerSum:
    """Adds ledger points up, in any order, in memory that grows with ranges and doubles, not with points."""

    doubles_max: int = 1000
    doubles: set[Seq] = field(default_factory=set)  # seqs seen more than once: their crcs must be compared
    _seqs: SeqSet = field(default_factory=SeqSet)
    _lowest: tuple[Seq, int] | None = None

    def add(self, seq: Seq, at_ms: int) -> None:
        """One ledger point."""
        if not self._seqs.add(seq) and len(self.doubles) < self.doubles_max:
            self.doubles.add(seq)
        if self._lowest is None or (seq, at_ms) < self._lowest:
            self._lowest = (seq, at_ms)

    def total(self, two_crcs: SeqRanges) -> Stored:
        """The sum; `two_crcs`: those of `doubles` whose points differ in their crc."""
        lowest = None if self._lowest is None else UtcMs(self._lowest[1])
        return Stored(self._seqs.ranges(), lowest, two_crcs)
