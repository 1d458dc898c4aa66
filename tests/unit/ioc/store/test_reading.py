"""Stored fields become values again."""

from gateway.ioc.store import reading
from gateway.ioc.store.base import EpochStatusRow
from gateway.model import Gap, SeqRanges, UtcMs


def test_a_gap() -> None:
    """Absent numbers are None, not 0."""
    fields: dict[str, object] = {"first": 1.0, "last": 9.0, "rows": 0.0}
    assert reading.gap("e", "quota", fields) == Gap("e", 1, 9, 0, None, None, "quota")


def test_epochs_of_a_status() -> None:
    """What it says of each epoch, and when it came."""
    text = '[{"epoch":"e","first_kept":2,"last":9,"pending":[[3,4],[9,9]],"parked":[[4,4]]}]'
    expected = EpochStatusRow("e", 9, SeqRanges(((3, 4), (9, 9))), SeqRanges(((4, 4),)), UtcMs(5), 60)
    assert reading.epochs({"epochs": text, "oldest_age_ms": 60.0}, UtcMs(5)) == [expected]
    assert reading.epochs({"epochs": text, "replayed": True}, UtcMs(5))[0].replayed


def test_a_will_says_nothing_of_epochs() -> None:
    """So it is no evidence of what is pending."""
    assert reading.epochs({"online": False}, UtcMs(5)) == []


def test_differing() -> None:
    """Only a seq with two contents."""
    assert reading.differing([(1, 5.0), (2, 6.0), (1, 5.0), (2, 7.0), (2, 6.0)]) == SeqRanges(((2, 2),))
