"""How much room there is, and who goes when there is none. Pure.

A full disk is SQLite's weak spot: INSERT and DELETE both fail (facts: buffer, 2.4). So the file never grows to where
the disk ends: it has a quota, leaves a reserve free, and gives up its oldest before it would pass either.
"""

from dataclasses import dataclass

from gateway.model import SeqRanges

NONE = SeqRanges()
PAGE_BYTES = 4096
WAL_BYTES = 8 << 20  # twice the checkpoint distance: it is never truncated
BALLAST_BYTES = 8 << 20
PAGES_MIN = 128  # whatever the quota: room for a ring of half of it, and for giving up
MARGIN_PAGES = 24  # for the trees above the rows, and for giving up itself
TABLE_PAGES = 12  # at least one for each tree, with or without rows
ROW_OVERHEAD_BYTES = 256
CHUNK_BATCHES = 16
CHUNK_BYTES = 256 << 10
CHUNK_BATCHES_MAX = 4096  # of tiny ones: a transaction has an end


@dataclass(frozen=True, slots=True)
class Room:
    """What the file and the disk under it say, in pages and bytes; `free_bytes` None in memory."""

    pages: int
    free_pages: int
    max_pages: int
    free_bytes: int | None
    reserve_bytes: int

    def short_of(self, need_pages: int) -> str:
        """Why `need_pages` more do not fit: "quota", "disk_full", or "" when they do."""
        need = need_pages + MARGIN_PAGES - self.free_pages
        if need <= 0:
            return ""
        if self.pages + need > self.max_pages:
            return "quota"
        if self.free_bytes is not None and self.free_bytes - self.reserve_bytes < need * PAGE_BYTES:
            return "disk_full"
        return ""

    def too_small_for(self, need_pages: int) -> bool:
        """Whether a file that cannot grow has no room even with an empty log: giving up would be in vain."""
        return self.pages - TABLE_PAGES < need_pages + MARGIN_PAGES


@dataclass(frozen=True, slots=True)
class Victims:
    """Whose turn it is, as ids, oldest first: settled, owed (settled, but another uplink waits), foreign or pending.

    Foreign batches are another gateway's and never sent: nobody has them, so they go behind what the IOC has.
    """

    kind: str
    ids: SeqRanges


def victims(
    settled: SeqRanges, foreign: SeqRanges, pending: SeqRanges, in_flight: SeqRanges, owed: SeqRanges = NONE
) -> Victims | None:
    """The next to go; None when giving up would free nothing (a lone batch makes room for its own gap batch only)."""
    if settled:
        return Victims("settled", settled)
    if owed:
        return Victims("owed", owed)
    if foreign:
        return Victims("foreign", foreign)
    waiting = pending.minus(in_flight)
    if len(waiting) > 1:
        return Victims("pending", waiting)
    return Victims("pending", pending) if len(pending) > 1 else None


def enough(batches: int, size_bytes: int) -> bool:
    """Whether a chunk is worth its transaction."""
    return (batches >= CHUNK_BATCHES and size_bytes >= CHUNK_BYTES) or batches >= CHUNK_BATCHES_MAX


def pages_of(size_bytes: int) -> int:
    """What a row of this size may take, at most."""
    return -(-(size_bytes + ROW_OVERHEAD_BYTES) // PAGE_BYTES) + 1


def max_pages(quota_bytes: int, beside_bytes: int) -> int:
    """The file's share of the quota: all but its WAL and what lies beside it; never under half."""
    left = max(quota_bytes - WAL_BYTES - beside_bytes, quota_bytes // 2)
    return max(left // PAGE_BYTES, PAGES_MIN)
