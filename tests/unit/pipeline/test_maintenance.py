"""`gateway.pipeline.maintenance`: somebody works on a device, for a while."""

from gateway.model import BootMs, UtcMs
from gateway.pipeline.maintenance import Maintenance, Work

WORK = Work("level-1", "calibration", "LVH", 7_200_000, UtcMs(10_000_000))


def test_it_ends_by_itself() -> None:
    """With the detail of docs/specs/wire.md."""
    works = Maintenance()
    event = works.begin(WORK, "dip test", BootMs(1))
    assert (event.code, event.detail) == ("maintenance_on", (7_200_000, "calibration", "LVH", "dip test"))
    assert "level-1" in works
    assert works.over(UtcMs(9_999_999), BootMs(2)) == []
    (over,) = works.over(UtcMs(10_000_000), BootMs(3))
    assert (over.code, over.subject, over.detail) == ("maintenance_off", "level-1", ("calibration", "LVH", "over"))
    assert "level-1" not in works


def test_by_hand() -> None:
    """Of one that is not in it nothing is told."""
    works = Maintenance([WORK])
    event = works.end("level-1", BootMs(1))
    assert event is not None
    assert event.detail == ("calibration", "LVH", "by_hand")
    assert works.end("level-1", BootMs(2)) is None


def test_a_clock_that_goes_back_does_not_make_it_endless() -> None:
    """At most as long again as it was asked for."""
    works = Maintenance([WORK])
    assert works.over(UtcMs(0), BootMs(1)) == []
    assert works.works()[0].ends == 7_200_000
    assert len(works.over(UtcMs(7_200_000), BootMs(2))) == 1
