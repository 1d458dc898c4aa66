"""Stored fields -> values again: what every store does with what it reads. Pure."""

from collections.abc import Iterable, Mapping

import orjson

from gateway.ioc.store.base import EpochStatusRow
from gateway.model import Gap, Seq, SeqRanges, UtcMs


def gap(epoch: str, reason: str, fields: Mapping[str, object]) -> Gap:
    """A `gw_gap` point."""
    first, last = integer(fields.get("first")), integer(fields.get("last"))
    rows, start, end = (fields.get(name) for name in ("rows", "from", "to"))
    return Gap(
        epoch,
        first,
        last,
        None if rows is None else integer(rows),
        None if start is None else UtcMs(integer(start)),
        None if end is None else UtcMs(integer(end)),
        reason,
    )


def epochs(fields: Mapping[str, object], at_ms: UtcMs) -> list[EpochStatusRow]:
    """A `gw_status` point that is a full status, not a will."""
    text = fields.get("epochs")
    entries = orjson.loads(text) if isinstance(text, str) else []
    age_ms, replayed = integer(fields.get("oldest_age_ms")), fields.get("replayed") is True
    return [_epoch(entry, at_ms, age_ms, replayed=replayed) for entry in entries if isinstance(entry, dict)]


def differing(points: Iterable[tuple[Seq, object]]) -> SeqRanges:
    """The seqs that stand there with two crcs."""
    crcs: dict[Seq, object] = {}
    return SeqRanges.of_seqs({seq for seq, crc in points if crcs.setdefault(seq, crc) != crc})


def span(before: Iterable[object], after: Iterable[object]) -> tuple[Seq | None, Seq | None]:
    """See `Store.around`: the first is the nearest neighbour, the second of those inside; times may go back."""
    before, after = list(before), list(after)
    first = None if before[0] is None else min(integer(seq) for seq in before if seq is not None)
    last = None if after[0] is None else max(integer(seq) for seq in after if seq is not None)
    return first, last


def integer(value: object) -> int:
    """A stored number; 0 for what is none."""
    return int(value) if isinstance(value, int | float) else 0


def _epoch(entry: Mapping[str, object], at_ms: UtcMs, age_ms: int, *, replayed: bool) -> EpochStatusRow:
    pending, parked = _ranges(entry.get("pending")), _ranges(entry.get("parked"))
    last = integer(entry.get("last"))
    return EpochStatusRow(str(entry.get("epoch", "")), last, pending, parked, at_ms, age_ms, replayed)


def _ranges(value: object) -> SeqRanges:
    pairs = value if isinstance(value, list) else []
    return SeqRanges.of((integer(pair[0]), integer(pair[1])) for pair in pairs if len(pair) == 2)  # noqa: PLR2004 (a range)
