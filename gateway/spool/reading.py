"""Batches out of the log, each row checked; what should be there and is not intact is told, and changes nothing here.

A row is whole when its row_crc fits and its segment is known. One whose segment is lost has no time and is not offered,
but what a gap batch names can still be read of it (`timeless`). Blocking.
"""

from collections.abc import Iterator

from gateway.model import Batch, SeqRanges
from gateway.spool.database import Database
from gateway.spool.row import OWN, Record, batch_of
from gateway.spool.view import FIRST, View, Whom


def read(
    db: Database, view: View, within: SeqRanges, limit: int, *, urgent: bool = False, whom: Whom = FIRST
) -> tuple[list[Batch], SeqRanges]:
    """Offered, dated batches of `within`, rising, and ids found damaged; `Spool.read` says where it stops."""
    out: list[Batch] = []
    damaged = SeqRanges()
    for first, last in view.offered(whom).intersection(within).ranges:
        at = first
        while at <= last and len(out) < limit:
            found, bad, at = _page(db, view, (at, last), limit - len(out), urgent=urgent)
            damaged = damaged.union(bad)
            for record in found:
                batch = batch_of(view.gateway, record, view.segments.get(record.segment))
                if batch is not None:
                    out.append(batch)
                elif urgent or not record.pri:
                    return out, damaged
    return out, damaged


def records(db: Database, view: View, ids: SeqRanges) -> tuple[list[Record], SeqRanges]:
    """Whole rows, and the ids without one."""
    found = [record for record in _intact(db, ids) if _whole(view, record)]
    return found, ids.minus(SeqRanges.of_seqs(record.id for record in found))


def timeless(db: Database, ids: SeqRanges) -> list[Record]:
    """Intact rows, of ids that have no whole one: their segment is lost."""
    return list(_intact(db, ids))


def _page(
    db: Database, view: View, within: tuple[int, int], limit: int, *, urgent: bool
) -> tuple[list[Record], SeqRanges, int]:
    """Whole rows within closed bounds, ids that should be there and are not, and where to go on."""
    first, last = within
    rows = db.rows(first, last, limit, urgent=urgent)
    whole = [record for _, record in rows if record and _whole(view, record)]
    at = rows[-1][0] + 1 if len(rows) == limit else last + 1
    expected = SeqRanges.of_seqs(id_ for id_, _ in rows) if urgent else SeqRanges.of([(first, at - 1)])
    return whole, expected.minus(SeqRanges.of_seqs(record.id for record in whole)), at


def _intact(db: Database, ids: SeqRanges) -> Iterator[Record]:
    for first, last in ids.ranges:
        for _, record in db.rows(first, last, last - first + 1):
            if record:
                yield record


def _whole(view: View, record: Record) -> bool:
    return record.segment == OWN or record.segment in view.segments
