"""Gap records."""

from gateway.model import BootMs, Gap, SeqRanges, UtcMs
from gateway.spool.gaps import RECORDS_MAX, carried, join, records_of, unreadable
from gateway.spool.row import record_of
from gateway.wire.body import encode_gaps
from tests.support.spools import DATED, draft


def gap(first: int, last: int, rows: int | None = 1, reason: str = "quota", epoch: str = "k3v9x2") -> Gap:
    """Of times that follow the seqs."""
    return Gap(epoch, first, last, rows, UtcMs(first * 10), UtcMs(last * 10 + 5), reason)


def test_records_that_touch_are_joined() -> None:
    """GAP-3: in any order; rows add up, times are the outermost."""
    assert join([gap(3, 4, 5), gap(1, 2, 7), gap(6, 6)], {}) == [gap(1, 4, 12), gap(6, 6)]


def test_reasons_and_epochs_are_not_mixed() -> None:
    """GAP-3: a record says one thing."""
    kept = [gap(1, 1, epoch="aaaaaa"), gap(2, 2, reason="corrupt"), gap(3, 3, reason="quota")]
    assert sorted(join(kept, {}), key=lambda g: g.first) == kept


def test_what_is_not_known_stays_unknown() -> None:
    """GAP-3: rows and times are null when one of them is."""
    (joined,) = join([gap(1, 1, reason="corrupt"), unreadable("k3v9x2", 2, 3)], {})
    assert joined == Gap("k3v9x2", 1, 3, None, None, None, "corrupt")


def test_settled_seqs_are_a_bridge_only_when_there_are_too_many() -> None:
    """GAP-4: above 64 records, and only where everything between is settled; rows stay exact."""
    singles = [gap(2 * i, 2 * i, 1) for i in range(1, RECORDS_MAX + 1)]
    settled = {"k3v9x2": SeqRanges.of_seqs(2 * i + 1 for i in range(1, 200) if i != 10)}
    assert join(singles, settled) == singles
    joined = join([*singles, gap(2 * RECORDS_MAX + 2, 2 * RECORDS_MAX + 2, 1)], settled)
    assert [(g.first, g.last, g.rows) for g in joined] == [(2, 20, 10), (22, 130, 55)]


def test_a_gap_batch_names_itself_and_what_it_carried() -> None:
    """GAP-2: nothing it said is lost with it."""
    enc, body = encode_gaps([gap(1, 5, 50)])
    record = record_of(type(draft())("b1", BootMs(9), BootMs(9), 0, body, enc), DATED, (1, "k3v9x2", 6))
    named = records_of(record, record.span(DATED), "quota")
    assert [(g.first, g.last, g.rows) for g in named] == [(6, 6, 0), (1, 5, 50)]
    assert [(g.first, g.last, g.rows) for g in join(named, {})] == [(1, 6, 50)]


def test_a_batch_with_rows_carries_nothing() -> None:
    """Its body is not even opened; nor is one opened twice that is no body at all."""
    assert carried(record_of(draft(), DATED, (1, "k3v9x2", 6))) == ()
    assert carried(record_of(draft(n=0), DATED, (1, "k3v9x2", 6))) == ()
