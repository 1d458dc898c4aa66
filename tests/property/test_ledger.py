"""The five classes are a partition; a growing set of seqs is a set."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ioc.ledger import DAY_MS, Evidence, SeqSet, account
from gateway.ioc.store.base import EpochStatusRow, Stored
from gateway.model import Gap, SeqRanges, UtcMs

SEQS = st.sets(st.integers(1, 40), max_size=40)
RANGE = st.tuples(st.integers(1, 40), st.integers(0, 6)).map(lambda pair: (pair[0], pair[0] + pair[1]))
NOW = UtcMs(1_795_521_600_000)


@settings(max_examples=300)
@given(SEQS, st.lists(RANGE, max_size=4), st.none() | st.tuples(st.integers(0, 45), SEQS, SEQS), st.booleans())
def test_a_partition(
    stored: set[int], gaps: list[tuple[int, int]], status: tuple[int, set[int], set[int]] | None, old: bool
) -> None:
    """Every seq up to the highest is in exactly one class, and in the first that fits."""
    seen = Evidence(
        Stored(SeqRanges.of_seqs(stored), UtcMs(NOW - (400 if old else 1) * DAY_MS) if stored else None),
        [Gap("e", first, last, None, None, None, "quota") for first, last in gaps],
        None
        if status is None
        else EpochStatusRow("e", status[0], SeqRanges.of_seqs(status[1]), SeqRanges.of_seqs(status[2])),
    )
    one = account("g", "e", seen, NOW, 365)
    classes = (one.stored, one.explained, one.pending, one.expired, one.unexplained)
    assert one.highest == max([0, *stored, *(last for _, last in gaps), *([] if status is None else [status[0]])])
    explained = {seq for first, last in gaps for seq in range(first, last + 1)}
    for seq in range(1, one.highest + 1):
        fits = (
            seq in stored,
            seq in explained,
            status is not None and (seq in status[1] | status[2] or seq > status[0]),
            old and bool(stored) and seq < min(stored),
            True,
        )
        assert [seq in seqs for seqs in classes].index(True) == fits.index(True)
    assert sum(len(seqs) for seqs in classes) == one.highest


@settings(max_examples=300)
@given(st.lists(st.integers(1, 30), max_size=60))
def test_a_growing_set(seqs: list[int]) -> None:
    """Whatever comes in whatever order, it is the set of it, as small as its ranges."""
    growing, known = SeqSet(), set[int]()
    for seq in seqs:
        assert growing.add(seq) == (seq not in known)
        known.add(seq)
        assert growing.ranges() == SeqRanges.of_seqs(known)
