"""`gateway.model`: the arithmetic of seqs, and stamps."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import BootMs, Segment, SeqRanges, Stamp, Trust, UtcMs

SEQS = st.frozensets(st.integers(1, 60), max_size=40)


def ranges(seqs: frozenset[int]) -> SeqRanges:
    """The set under test, from the set that is the oracle."""
    return SeqRanges.of_seqs(seqs)


@settings(max_examples=200)
@given(SEQS)
def test_ranges_hold_what_the_set_holds(seqs: frozenset[int]) -> None:
    """Membership, length, truth and order are those of a set."""
    found = ranges(seqs)
    assert list(found.seqs()) == sorted(seqs)
    assert len(found) == len(seqs)
    assert bool(found) == bool(seqs)
    assert {seq for seq in range(-1, 65) if seq in found} == seqs


@settings(max_examples=200)
@given(SEQS)
def test_ranges_are_canonical(seqs: frozenset[int]) -> None:
    """Sorted, disjoint, not touching: equal sets are equal values."""
    found = ranges(seqs).ranges
    assert all(first <= last for first, last in found)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(found))


@settings(max_examples=300)
@given(SEQS, SEQS)
def test_algebra_is_that_of_sets(a: frozenset[int], b: frozenset[int]) -> None:
    """Union, minus and intersection agree with frozenset, as canonical values."""
    assert ranges(a).union(ranges(b)) == ranges(a | b)
    assert ranges(a).minus(ranges(b)) == ranges(a - b)
    assert ranges(a).intersection(ranges(b)) == ranges(a & b)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), max_size=12))
def test_of_takes_ranges_in_any_order(pairs: list[tuple[int, int]]) -> None:
    """Overlapping, touching and empty ranges (last < first) become one canonical set."""
    seqs = {seq for first, last in pairs for seq in range(first, last + 1)}
    assert SeqRanges.of(pairs) == SeqRanges.of_seqs(seqs)


def test_a_huge_range_costs_nothing() -> None:
    """Two million batches are one pair, whatever is asked of them."""
    kept = SeqRanges.of([(1, 2_000_000)]).minus(SeqRanges.of([(7, 7), (900, 1000)]))
    assert kept.ranges == ((1, 6), (8, 899), (1001, 2_000_000))
    assert 7 not in kept
    assert 2_000_000 in kept


def test_a_dated_segment_stamps_its_boot_times() -> None:
    """t0 = b0 + offset, with the segment's clock word."""
    segment = Segment(3, "b1", 1_795_484_000_000, Trust.NTP)
    assert segment.stamp(BootMs(240)) == Stamp(UtcMs(1_795_484_000_240), "ntp")


def test_an_undated_segment_stamps_nothing() -> None:
    """Without an offset there is no time to claim."""
    assert Segment(3, "b1", None, Trust.UNSET).stamp(BootMs(240)) is None
