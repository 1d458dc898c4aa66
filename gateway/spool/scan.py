"""Rows in order, past whatever cannot be read: one bad page costs its own rows, and no look at a file ends at it."""

from collections.abc import Iterator

from gateway.errors import SpoolError
from gateway.model import SeqRanges
from gateway.spool.database import Database
from gateway.spool.row import Record

ROWS = 16  # of one statement: each may be 64 KiB


def scan(db: Database, ids: SeqRanges, after: int) -> Iterator[tuple[int, Record | None]]:
    """Of every id of `ids` above `after`, rising, its intact row, or None. Reads as far as it is asked."""
    for first, last in ids.minus(SeqRanges.of([(0, after)])).ranges:
        for start in range(first, last + 1, ROWS):
            end = min(start + ROWS - 1, last)
            found = _found(db, start, end)
            yield from ((id_, found.get(id_)) for id_ in range(start, end + 1))


def _found(db: Database, first: int, last: int) -> dict[int, Record | None]:
    try:
        return dict(db.rows(first, last, ROWS))
    except SpoolError:
        return {id_: _one(db, id_) for id_ in range(first, last + 1)}


def _one(db: Database, id_: int) -> Record | None:
    try:
        return db.record(id_)
    except SpoolError:
        return None  # whoever scans tells what has no row
