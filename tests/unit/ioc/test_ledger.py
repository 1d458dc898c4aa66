"""Each seq falls into the first class that fits."""

from gateway.ioc.ledger import DAY_MS, Account, Evidence, LedgerSum, account
from gateway.ioc.store.base import EpochStatusRow, Stored
from gateway.model import Gap, Seq, SeqRanges, UtcMs

NOW = UtcMs(1_795_521_600_000)
NONE = SeqRanges()


def ranges(*pairs: tuple[Seq, Seq]) -> SeqRanges:
    """A set of seqs."""
    return SeqRanges.of(pairs)


def gap(first: Seq, last: Seq, rows: int | None = None) -> Gap:
    """A gap record."""
    return Gap("e", first, last, rows, None, None, "quota")


def status(last: Seq, pending: SeqRanges = NONE, parked: SeqRanges = NONE, age_ms: int = 0) -> EpochStatusRow:
    """What the newest status says."""
    return EpochStatusRow("e", last, pending, parked, NOW, age_ms)


def judged(seen: Evidence, retention_days: int | None = None) -> Account:
    """The account of this evidence."""
    return account("hc-0001", "e", seen, NOW, retention_days)


def test_all_stored() -> None:
    """Nothing to say."""
    one = judged(Evidence(Stored(ranges((1, 9))), [], status(9)))
    assert (one.highest, one.stored) == (9, ranges((1, 9)))
    assert not one.explained
    assert not one.pending
    assert not one.unexplained


def test_stored_beats_explained() -> None:
    """A gap that was joined over settled seqs does not take them away."""
    one = judged(Evidence(Stored(ranges((1, 3), (6, 9))), [gap(2, 7)], None))
    assert one.explained == ranges((4, 5))
    assert not one.unexplained


def test_explained_beats_pending() -> None:
    """A seq that was given up is not pending, whatever an older status says."""
    one = judged(Evidence(Stored(ranges((3, 3))), [gap(1, 2)], status(3, ranges((1, 2)))))
    assert one.explained == ranges((1, 2))
    assert not one.pending


def test_pending_and_parked() -> None:
    """What the newest status says is waiting."""
    one = judged(Evidence(Stored(ranges((1, 1))), [], status(5, ranges((2, 3)), ranges((5, 5)))))
    assert one.pending == ranges((2, 3), (5, 5))
    assert one.unexplained == ranges((4, 4))


def test_above_last_is_pending() -> None:
    """A status is older than what came after it."""
    one = judged(Evidence(Stored(ranges((1, 5), (9, 9))), [], status(6)))
    assert one.pending == ranges((7, 8))
    assert one.unexplained == ranges((6, 6))


def test_without_a_status_nothing_is_pending() -> None:
    """An epoch that the newest status does not name is gone from the box."""
    one = judged(Evidence(Stored(ranges((1, 1), (4, 4))), [], None))
    assert one.unexplained == ranges((2, 3))
    assert one.status_at_ms is None


def test_the_highest_may_be_known_by_status_alone() -> None:
    """Seqs that only the gateway has ever named are not forgotten."""
    one = judged(Evidence(Stored(NONE), [], status(4, ranges((3, 4)))))
    assert (one.highest, one.pending, one.unexplained) == (4, ranges((3, 4)), ranges((1, 2)))


def test_the_highest_may_be_known_by_a_gap_alone() -> None:
    """So may those that a gap names."""
    assert judged(Evidence(Stored(NONE), [gap(1, 7)], None)).highest == 7


def test_expired() -> None:
    """Below the lowest stored seq, when that is about to leave the store."""
    lowest = UtcMs(NOW - 29 * DAY_MS)
    seen = Evidence(Stored(ranges((10, 12), (14, 14)), lowest), [], None)
    one = judged(seen, 30)
    assert one.expired == ranges((1, 9))
    assert one.unexplained == ranges((13, 13))
    assert judged(seen, 31).unexplained == ranges((1, 9), (13, 13))
    assert judged(seen).unexplained == ranges((1, 9), (13, 13))


def test_amnesia_is_not_expiry() -> None:
    """A store that lost everything shows no lowest seq: nothing is expired."""
    assert judged(Evidence(Stored(NONE), [], status(3)), 30).unexplained == ranges((1, 3))


def test_used_twice() -> None:
    """One seq with two contents; or `last` going down: those seqs were issued again."""
    one = judged(Evidence(Stored(ranges((1, 9)), None, ranges((4, 4))), [], status(9), lasts=[5, 9, 7, 9]))
    assert one.used_twice == ranges((4, 4), (8, 9))
    assert not judged(Evidence(Stored(ranges((1, 9))), [], status(9), lasts=[1, 5, 5, 9])).used_twice


def test_pending_for_more_than_a_day() -> None:
    """Is told by name."""
    old = Evidence(Stored(ranges((1, 1))), [], status(2, ranges((2, 2)), age_ms=DAY_MS + 1))
    assert judged(old).pending_old
    new = Evidence(Stored(ranges((1, 1))), [], status(2, ranges((2, 2)), age_ms=DAY_MS))
    assert not judged(new).pending_old


def test_rows_given_up() -> None:
    """A record that came twice counts once."""
    one = judged(Evidence(Stored(NONE), [gap(1, 2, 30), gap(1, 2, 30), gap(3, 3), gap(4, 4, 5)], None))
    assert one.rows_given_up == 35


def test_the_sum_of_a_ledger() -> None:
    """In any order; a seq seen twice is told, its crcs are for others to compare."""
    total = LedgerSum()
    for seq, at_ms in ((3, 30), (2, 25), (2, 20), (5, 10)):
        total.add(seq, at_ms)
    assert total.doubles == {2}
    assert total.total(NONE) == Stored(ranges((2, 3), (5, 5)), UtcMs(20), NONE)
