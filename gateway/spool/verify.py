"""A look at every row: is each what was written, and do the tables agree? Changes nothing; a page at a time.

row_crc     of every row of every table; a batch that should be here and is not
row         a batch is here that should not
place       its epoch and seq are those of its id
segment     the stretch of time that it names is known
body        it can be opened, and has as many rows as its row says: the centre will take it
sums        numbers of meta, epochs, settled and parked fit each other
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

from gateway.errors import Malformed, SpoolError
from gateway.model import SeqRanges
from gateway.spool.database import Database
from gateway.spool.row import OWN, Record
from gateway.spool.scan import scan
from gateway.spool.view import View
from gateway.wire import body_reader

PAGE_ROWS = 32  # each is inflated and parsed: between two pages appends and alarms have their turn
PAGE_BYTES = 256 << 10
ID_MAX = 2**63 - 1

SMALL = {"meta": "get_meta", "epoch": "all_epochs", "segment": "all_segments", "settled": "all_settled",
         "parked": "all_parked"}  # fmt: skip

Finding: TypeAlias = tuple[str, str, str]
"""(table, which row, what is wrong)."""


@dataclass(frozen=True, slots=True)
class Verified:
    """One page; `after` asks for the next, None = that was all."""

    rows: int
    findings: tuple[Finding, ...]
    after: int | None
    left: int  # ids that are not looked at yet


def page(db: Database, view: View, unfetched: SeqRanges, after: int) -> Verified:
    """The small tables come with the first page (`after` 0). `unfetched`: still in the file that is being salvaged."""
    present = SeqRanges.of((a + s.shift, b + s.shift) for s in view.stretches for a, b in view.present(s).ranges)
    present = present.minus(view.buried())  # of a ring that died no row ever came here
    findings = [] if after else [*_small(db, view), *_strangers(db, present)]
    ids = present.minus(unfetched)
    rows = size_bytes = 0
    for looked, (id_, record) in enumerate(scan(db, ids, after), 1):
        after = id_
        rows += record is not None
        size_bytes += len(record.body) if record else 0
        if wrong := _wrong(view, id_, record):
            findings.append(("batch", _named(view, id_), wrong))
        if looked >= PAGE_ROWS or size_bytes >= PAGE_BYTES:
            break
    left = len(ids.minus(SeqRanges.of([(0, after)])))
    return Verified(rows, tuple(findings), after if left else None, left)


def _small(db: Database, view: View) -> Iterator[Finding]:
    for table, statement in SMALL.items():
        try:
            bad = db.bad_rows(statement)
        except SpoolError as error:
            yield table, "", str(error)
        else:
            yield from ((table, "", "row_crc") for _ in range(bad))
    for epoch, seqs in view.settled.items():
        if seqs.minus(view.live(epoch)):
            yield "settled", epoch, "sums"
    for epoch, parked in view.parked.items():
        if SeqRanges.of_seqs(parked).minus(view.live(epoch)):
            yield "parked", epoch, "sums"
    for before, behind in pairwise(view.stretches):
        if behind.first_id <= before.last_id:
            yield "epoch", behind.epoch, "sums"


def _strangers(db: Database, present: SeqRanges) -> Iterator[Finding]:
    """Rows that should not be there: one look into each hole between those that should."""
    for first, last in SeqRanges.of([(1, ID_MAX)]).minus(present).ranges:
        try:
            found = db.rows(first, last, 1)
        except SpoolError as error:
            yield "batch", f"ids {first}-{last}", str(error)
        else:
            if found:
                yield "batch", f"id {found[0][0]}", "row"


def _wrong(view: View, id_: int, record: Record | None) -> str:
    if record is None:
        return "row_crc"  # damaged, or missing: nothing tells which
    if (record.epoch, record.seq) != view.place(id_):
        return "place"
    if record.segment != OWN and record.segment not in view.segments:
        return "segment"
    try:
        return "" if body_reader.decode(record.enc, record.body).n == record.n else "body"
    except Malformed:
        return "body"


def _named(view: View, id_: int) -> str:
    epoch, seq = view.place(id_)
    return f"{epoch} {seq}"
