"""Room, and who goes."""

import pytest

from gateway.model import SeqRanges
from gateway.spool.retention import (
    CHUNK_BATCHES,
    CHUNK_BATCHES_MAX,
    CHUNK_BYTES,
    MARGIN_PAGES,
    PAGE_BYTES,
    PAGES_MIN,
    WAL_BYTES,
    Room,
    Victims,
    enough,
    max_pages,
    pages_of,
    victims,
)

NONE = SeqRanges()


@pytest.mark.parametrize(
    ("room", "need", "reason"),
    [
        (Room(100, 50, 100, 0, 0), 50 - MARGIN_PAGES, ""),
        (Room(100, 50, 100, 0, 0), 51 - MARGIN_PAGES, "quota"),
        (Room(100, 0, 200, None, 0), 100 - MARGIN_PAGES, ""),
        (Room(100, 0, 200, 1 << 30, 0), 101 - MARGIN_PAGES, "quota"),
        (Room(100, 0, 200, 10 * PAGE_BYTES, 0), 10, "disk_full"),
        (Room(100, 0, 200, 1 << 30, 1 << 30), 1, "disk_full"),
        (Room(300, 100, 200, 1 << 30, 0), 1, ""),
        (Room(300, 10, 200, 1 << 30, 0), 1, "quota"),
    ],
)
def test_what_binds(room: Room, need: int, reason: str) -> None:
    """ROOM-4: free pages first, then the quota, then the reserve; a file above a new quota shrinks by use."""
    assert room.short_of(need) == reason


def test_the_order_of_giving_up() -> None:
    """ROOM-1..3: settled, another gateway's, pending, in flight."""
    settled, foreign, pending = SeqRanges.of([(1, 5)]), SeqRanges.of([(6, 7)]), SeqRanges.of([(8, 20)])
    flying = SeqRanges.of([(8, 10)])
    assert victims(settled, foreign, pending, flying) == Victims("settled", settled)
    assert victims(NONE, foreign, pending, flying) == Victims("foreign", foreign)
    assert victims(NONE, NONE, pending, flying) == Victims("pending", SeqRanges.of([(11, 20)]))
    assert victims(NONE, NONE, flying, flying) == Victims("pending", flying)


def test_a_lone_batch_is_not_given_up() -> None:
    """ROOM-5: its gap batch would take its place, for ever."""
    assert victims(NONE, NONE, SeqRanges.of([(8, 8)]), NONE) is None
    assert victims(NONE, NONE, NONE, NONE) is None


def test_a_chunk_is_worth_a_transaction() -> None:
    """ROOM-6: at least 16 batches and 256 KiB; never without end."""
    assert not enough(CHUNK_BATCHES - 1, 10 * CHUNK_BYTES)
    assert not enough(10 * CHUNK_BATCHES, CHUNK_BYTES - 1)
    assert enough(CHUNK_BATCHES, CHUNK_BYTES)
    assert enough(CHUNK_BATCHES_MAX, 0)


def test_pages() -> None:
    """Never fewer than a row takes."""
    assert pages_of(0) == 2
    assert pages_of(64 * 1024) >= 17


def test_the_files_share_of_the_quota() -> None:
    """ROOM-4: all but what lies beside it; never under half, never nothing."""
    assert max_pages(1 << 30, 5 << 20) == ((1 << 30) - WAL_BYTES - (5 << 20)) // PAGE_BYTES
    assert max_pages(16 << 20, 16 << 20) == (8 << 20) // PAGE_BYTES
    assert max_pages(0, 0) == PAGES_MIN
