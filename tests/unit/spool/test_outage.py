"""gateway.spool.outage: which segments of a disk that comes late nobody else will date."""

import pytest

from gateway.model import BootMs, Segment, Trust
from gateway.spool.outage import Outage


def segment(number: int, boot: str, offset_ms: int | None = None) -> Segment:
    """Dated when it has an offset."""
    return Segment(number, boot, offset_ms, Trust.NTP)


@pytest.mark.parametrize(("blind", "numbers"), [(False, [1]), (True, [1, 2, 10])])
def test_this_boot_is_strange_only_if_its_disk_was_never_seen(blind: bool, numbers: list[int]) -> None:
    """TIME-3, RING-4: earlier boots always; this boot's own, with its clock, when the disk was away at the start."""
    outage = Outage("gone", BootMs(0), blind=blind)
    there = [segment(1, "before"), segment(2, "now"), segment(9, "now")]
    here = {9: segment(9, "now"), 10: segment(10, "now", 5)}
    assert [s.number for s in outage.strange(there, here, "now")] == numbers


def test_the_later_dating_stands() -> None:
    """RING-4: what is told to the disk is the segment as it was dated last."""
    outage = Outage("gone", BootMs(0))
    outage.date([segment(1, "now")])
    outage.date([segment(1, "now", 7), segment(2, "now", 7)])
    assert outage.dated == {1: segment(1, "now", 7), 2: segment(2, "now", 7)}
