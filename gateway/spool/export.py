"""What is kept, as lines that can be carried to the centre by hand: a page at a time, so that the polling goes on.

Nothing changes by it: what was exported is still pending, and sent when there is a way. The centre stores a batch once,
however it comes. Batches of another gateway id are exported under that id. One without a time yet has no header that
could be sent, and is told as `undated`; one that cannot be read is told as `damaged`, and is for `read` to give up.
"""

from dataclasses import dataclass, field
from typing import Final

from gateway.model import SeqRanges, UtcMs
from gateway.spool.database import Database
from gateway.spool.row import OWN, Record, Stretch, batch_of
from gateway.spool.scan import scan
from gateway.spool.view import NONE, View
from gateway.wire import exported

PENDING: Final = "pending"  # without a receipt, parked ones and those of another gateway id included
PARKED: Final = "parked"
ALL: Final = "all"  # the archive too
KINDS: Final = (PENDING, PARKED, ALL)
PAGE_ROWS: Final = 256
PAGE_BYTES: Final = 256 << 10  # of bodies; in base64 and on the control socket it is half as much again


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: all that fits every condition. No seqs = all of them."""

    kind: str = PENDING
    epoch: str = ""
    seqs: SeqRanges = field(default_factory=SeqRanges)
    from_ms: UtcMs | None = None
    to_ms: UtcMs | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    """One page; `after` asks for the next, None = that was all."""

    lines: tuple[bytes, ...]
    after: int | None
    left: int  # batches that are not looked at yet
    undated: int = 0
    damaged: int = 0
    unfetched: int = 0  # told with the first page: still in the file that is being salvaged


def page(db: Database, view: View, wanted: Wanted, after: int, unfetched: SeqRanges = NONE) -> Exported:
    """The first of what is wanted above `after`, up to PAGE_ROWS or PAGE_BYTES."""
    asked = _ids(view, wanted)
    ids = asked.minus(unfetched).minus(view.buried())  # of a ring that died nothing is here
    lines: list[bytes] = []
    missing = 0 if after else len(asked.intersection(unfetched))
    size_bytes = undated = damaged = 0
    for looked, (id_, record) in enumerate(scan(db, ids, after), 1):
        after = id_
        if record is None or not (record.segment == OWN or record.segment in view.segments):
            damaged += 1
        elif (line := _line(view, record)) is None:
            undated += 1
        elif _within(view, record, wanted):
            lines.append(line)
            size_bytes += len(record.body)
        if looked >= PAGE_ROWS or size_bytes >= PAGE_BYTES:
            break
    left = len(ids.minus(SeqRanges.of([(0, after)])))
    return Exported(tuple(lines), after if left else None, left, undated, damaged, missing)


def _ids(view: View, wanted: Wanted) -> SeqRanges:
    stretches = [s for s in view.stretches if wanted.epoch in {"", s.epoch}]
    return SeqRanges.of(
        (first + s.shift, last + s.shift) for s in stretches for first, last in _seqs(view, s, wanted).ranges
    )


def _seqs(view: View, stretch: Stretch, wanted: Wanted) -> SeqRanges:
    seqs = view.present(stretch)
    if wanted.kind != ALL:
        seqs = seqs.minus(view.settled.get(stretch.epoch, NONE))
    if wanted.kind == PARKED:
        seqs = seqs.intersection(SeqRanges.of_seqs(view.parked.get(stretch.epoch, {})))
    return seqs.intersection(wanted.seqs) if wanted.seqs else seqs


def _line(view: View, record: Record) -> bytes | None:
    batch = batch_of(view.gateway_at(record.id), record, view.segments.get(record.segment))
    return None if batch is None else exported.encode(batch)


def _within(view: View, record: Record, wanted: Wanted) -> bool:
    span = record.span(view.segments.get(record.segment))
    if span is None:
        return False
    begins, ends = span
    return (wanted.from_ms is None or ends >= wanted.from_ms) and (wanted.to_ms is None or begins <= wanted.to_ms)
