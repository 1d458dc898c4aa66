"""Rows and their check."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import BootMs, Draft, Origin, Segment, Stamp, Trust, UtcMs
from gateway.spool.row import (
    OWN,
    Column,
    Record,
    intact,
    record_of,
    row_crc,
    sealed,
    segment_columns,
    segment_of_row,
)
from tests.support.spools import DATED, OFFSET_MS, draft, stamped

COLUMNS = st.lists(
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=9), st.binary(max_size=9)), max_size=6
).map(tuple)


@given(columns=COLUMNS)
def test_what_is_written_is_intact(columns: tuple[Column, ...]) -> None:
    """CRC-1: any row of any columns."""
    assert intact(sealed(columns))


@given(columns=COLUMNS, other=COLUMNS)
def test_other_columns_have_another_crc(columns: tuple[Column, ...], other: tuple[Column, ...]) -> None:
    """CRC-1: types and lengths count, so no two short rows share a text."""
    if [(type(c), c) for c in columns] != [(type(c), c) for c in other]:
        assert row_crc(columns) != row_crc(other)


def test_types_and_borders_count() -> None:
    """CRC-1: 1 is not "1" is not b"1"; "ab", "" is not "a", "b"."""
    rows: list[tuple[Column, ...]] = [(1,), ("1",), (b"1",), ("ab", ""), ("a", "b"), (None,), ("None",), ()]
    assert len({row_crc(row) for row in rows}) == len(rows)


def test_a_draft_keeps_all_it_has() -> None:
    """A record is the draft at its place."""
    made = draft(7, 3, 50, urgent=True)
    record = record_of(made, DATED, (9, "k3v9x2", 4))
    assert (record.id, record.epoch, record.seq, record.segment) == (9, "k3v9x2", 4, DATED.number)
    assert (record.b0, record.last, record.n, record.pri, record.enc, record.body) == (7, 17, 3, 1, "none", made.body)
    assert record.origin is None
    assert Record(*sealed(record.columns())[:-1]) == record  # type: ignore[arg-type]


def test_an_origin_survives() -> None:
    """The header's `of`, through one text column."""
    origin = Origin("hc-0007", "aaaaaa", 5, 9, 2)
    made = Draft("", BootMs(0), BootMs(1), 1, b"", "none", stamp=Stamp(UtcMs(5), "ntp"), origin=origin)
    assert record_of(made, None, (1, "k3v9x2", 1)).origin == origin


def test_spans_and_stamps() -> None:
    """Of a dated, an undated and an unknown segment, and of a batch that knows its time."""
    record = record_of(draft(7), DATED, (9, "k3v9x2", 4))
    undated = Segment(1, "b1", None, Trust.UNSET)
    assert record.span(DATED) == (OFFSET_MS + 7, OFFSET_MS + 17)
    assert record.stamp(DATED) == Stamp(UtcMs(OFFSET_MS + 7), "ntp")
    for segment in (undated, None):
        assert record.span(segment) is None
        assert record.stamp(segment) is None
    own = record_of(stamped(1_000, "later-word"), None, (1, "k3v9x2", 1))
    assert own.segment == OWN
    assert own.span(None) == (1_000, 1_005)
    assert own.stamp(None) == Stamp(UtcMs(1_000), "later-word")


def test_a_draft_needs_a_time() -> None:
    """Neither segment nor stamp is a mistake of the caller."""
    with pytest.raises(ValueError, match="stamp"):
        record_of(draft(), None, (1, "k3v9x2", 1))


@pytest.mark.parametrize(
    "segment", [DATED, Segment(3, "b2", None, Trust.UNSET, BootMs(5), urgent=True), Segment(4, "b2", -1, Trust.IOC)]
)
def test_segments_survive(segment: Segment) -> None:
    """Both copies, None offsets too."""
    assert segment_of_row(segment_columns(segment, 1)[1:]) == segment


def test_a_segment_row_of_the_wrong_type_is_refused() -> None:
    """A row of the wrong shape is a mistake of ours."""
    with pytest.raises(TypeError):
        segment_of_row(("x", "b1", 0, None, "ntp", 0))
