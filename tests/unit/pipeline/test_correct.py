"""`gateway.pipeline.correct`: what becomes of a value, and what is kept of the raw one."""

import pytest

from gateway.model import BootMs, Group, Quality, Row
from gateway.pipeline.correct import Corrector, field_of
from gateway.profile.profile import Field
from gateway.site import Correction, Polled

LEVEL = Field("level", "water_level", "m", "f", 3, low=0.0, high=5.0)
DIRECTION = Field("direction", "wind_direction", "deg", "f", 0, low=0.0, high=360.0, aggregate="vector_mean")
GROUP = Group("d-1", "thing", "a/b@1", ("level", "direction"), "ff")
POLLED = Polled(GROUP, (LEVEL, DIRECTION), 1000)


def a_row(level: float | None, direction: float = 0.0) -> Row:
    """A row; a null has a code."""
    return Row(GROUP, BootMs(5), (level, direction), () if level is not None else ((0, Quality.NO_REPLY),))


def test_slope_offset_and_datum() -> None:
    """In that order, without the tail of a binary number; other fields stay."""
    corrector = Corrector(POLLED, [Correction("level", 1.02, -0.035, 1.25)])
    assert corrector.corrected(a_row(0.5, 7.0)) == a_row(1.725, 7.0)
    assert corrector.group == GROUP


def test_the_raw_value_is_kept_on_request() -> None:
    """As one more column, null with the same code where there is none."""
    corrector = Corrector(POLLED, [Correction("level", offset=-0.5, keep_raw=True)])
    assert corrector.group.fields == ("level", "direction", "level_raw")
    assert corrector.group.letters == "fff"
    assert corrector.corrected(a_row(2.0)).values == (1.5, 0.0, 2.0)
    without = corrector.corrected(a_row(None))
    assert without.values == (None, 0.0, None)
    assert without.quality == ((0, Quality.NO_REPLY), (2, Quality.NO_REPLY))
    assert [field.name for field in corrector.fields] == ["level", "direction", "level_raw"]


def test_the_plausible_range_moves_with_the_values() -> None:
    """A sensor of 0 to 5 m, one metre above the datum, can say 1 to 6; a slope below 0 turns the range round."""
    moved = field_of(LEVEL, Correction("level", datum=1.0))
    assert (moved.low, moved.high) == (1.0, 6.0)
    turned = field_of(LEVEL, Correction("level", slope=-1.0, offset=10.0))
    assert (turned.low, turned.high) == (5.0, 10.0)


@pytest.mark.parametrize(("raw", "offset", "value"), [(350.0, 20.0, 10.0), (10.0, -20.0, 350.0), (340.0, 20.0, 0.0)])
def test_a_direction_stays_on_its_circle(raw: float, offset: float, value: float) -> None:
    """A vane that was mounted turned."""
    corrector = Corrector(POLLED, [Correction("direction", offset=offset)])
    assert corrector.corrected(a_row(1.0, raw)).values == (1.0, value)


def test_what_goes_beyond_all_numbers_is_no_value() -> None:
    """W-44: null, not_a_number; the raw one is still told."""
    corrector = Corrector(POLLED, [Correction("level", slope=1e308, keep_raw=True)])
    found = corrector.corrected(a_row(100.0))
    assert found.values == (None, 0.0, 100.0)
    assert found.quality == ((0, Quality.NOT_A_NUMBER),)
