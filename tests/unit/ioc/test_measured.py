"""`gateway.ioc.measured`: what tellings add up to."""

import pytest

from gateway.ioc.measured import Measured, StoredEvent, add_up
from gateway.model import UtcMs


@pytest.mark.parametrize(
    "detail", ["", "x", "1", "[1,1]", "[1,2,3]", "[1,0,-3]", "[-1,-1,3]", "[1.5,1,3]", "[true,1,3]", '["1",1,3]']
)
def test_what_is_no_telling_claims_nothing(detail: str) -> None:
    """W-49: of a gateway that may be broken; its time is then not told."""
    assert add_up("hc-0001", [StoredEvent(UtcMs(5), "", detail)]) == Measured("hc-0001")


def test_devices_are_part_of_the_sum() -> None:
    """W-49: they are not added to it again."""
    told = [StoredEvent(UtcMs(5), "", "[20,10,60]"), StoredEvent(UtcMs(5), "level-1", "[10,0,60]")]
    assert add_up("hc-0001", told) == Measured("hc-0001", 20, 10, 60, UtcMs(5), (("level-1", 10, 0),))
