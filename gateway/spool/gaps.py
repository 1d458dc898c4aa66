"""Gap records: what was given up, put as few words as possible and no fewer. Pure.

    batches given up --records_of--> records --join--> at most about 64 --encode_gaps--> one batch of its own

A gap batch that is given up itself passes its records on, so a record can only be replaced by one that says as much.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gateway.errors import Malformed
from gateway.model import Gap, SeqRanges, UtcMs
from gateway.spool.row import Record
from gateway.wire.body import decode

RECORDS_MAX = 64  # above it records are joined across settled seqs too: stored beats explained


def records_of(record: Record, span: tuple[UtcMs, UtcMs] | None, reason: str) -> list[Gap]:
    """One for its own seq, and all that it carries if it is a gap batch."""
    from_ms, to_ms = span or (None, None)
    own = Gap(record.epoch, record.seq, record.seq, record.n, from_ms, to_ms, reason)
    return [own, *carried(record)]


def carried(record: Record) -> tuple[Gap, ...]:
    """The gap records in a batch; only batches without rows have any."""
    if record.n:
        return ()
    try:
        return decode(record.enc, record.body).gaps
    except Malformed:
        return ()  # its row_crc holds, so it was written so: a batch without rows of some other kind


def unreadable(epoch: str, first: int, last: int, reason: str = "corrupt") -> Gap:
    """Nothing is known of these but that they were there."""
    return Gap(epoch, first, last, None, None, None, reason)


def join(gaps: Iterable[Gap], settled: Mapping[str, SeqRanges]) -> list[Gap]:
    """Records of one epoch and reason that touch, as one; if that leaves too many, across settled seqs as well."""
    joined = _join(gaps, {})
    return joined if len(joined) <= RECORDS_MAX else _join(joined, settled)


def _join(gaps: Iterable[Gap], bridges: Mapping[str, SeqRanges]) -> list[Gap]:
    out: list[Gap] = []
    for gap in sorted(gaps, key=lambda gap: (gap.epoch, gap.reason, gap.first, gap.last)):
        before = out[-1] if out else None
        if before and (before.epoch, before.reason) == (gap.epoch, gap.reason) and _meet(before, gap, bridges):
            out[-1] = _both(before, gap)
        else:
            out.append(gap)
    return out


def _meet(before: Gap, after: Gap, bridges: Mapping[str, SeqRanges]) -> bool:
    between = SeqRanges.of([(before.last + 1, after.first - 1)])
    return not between or not between.minus(bridges.get(before.epoch, SeqRanges()))


def _both(before: Gap, after: Gap) -> Gap:
    rows = None if before.rows is None or after.rows is None else before.rows + after.rows
    return replace(
        before,
        last=max(before.last, after.last),
        rows=rows,
        from_ms=_least(before.from_ms, after.from_ms),
        to_ms=_most(before.to_ms, after.to_ms),
    )


def _least(a: UtcMs | None, b: UtcMs | None) -> UtcMs | None:
    return None if a is None or b is None else min(a, b)


def _most(a: UtcMs | None, b: UtcMs | None) -> UtcMs | None:
    return None if a is None or b is None else max(a, b)
