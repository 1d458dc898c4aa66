"""`gateway.pipeline.fold`: the columns of one field, and the edges of its sums."""

from math import fsum
from random import Random

from gateway.model import Quality
from gateway.pipeline.fold import ExactSum, FieldFold, columns
from gateway.profile.profile import Field

SOUND = Field("sound", "sound_level", "dB", "f", 1, aggregate="energy_mean")
DIRECTION = Field("direction", "wind_direction", "deg", "f", 0, aggregate="vector_mean")
STATE = Field("state", "device_state", "1", "s", 0, aggregate="last")


def folded(field: Field, *values: float | str) -> list[object]:
    """The cells of these."""
    fold = FieldFold(field)
    for value in values:
        fold.add(value, None)
    return list(fold.cells())


def test_columns() -> None:
    """Extremes only where they mean something; a count always."""
    assert columns(SOUND) == (("sound", "f"), ("sound_min", "f"), ("sound_max", "f"), ("sound_n", "f"))
    assert columns(DIRECTION) == (("direction", "f"), ("direction_n", "f"))
    assert columns(STATE) == (("state", "s"), ("state_n", "f"))


def test_a_loud_second_counts_by_its_energy() -> None:
    """One of 80 dB among nine of 50: 70.0 dB, not the mean 53."""
    assert folded(SOUND, *[50.0] * 9, 80.0)[0] == 70.039


def test_a_direction_around_north() -> None:
    """350 and 10 are north, not south; opposite ones have no direction, but were counted."""
    assert folded(DIRECTION, 350.0, 10.0) == [0.0, 2.0]
    assert folded(DIRECTION, 0.0, 180.0) == [Quality.NO_VALUE, 2.0]


def test_the_last_state() -> None:
    """Of a text there is nothing else."""
    assert folded(STATE, "on", "off") == ["off", 2.0]


def test_sums_beyond_all_numbers_are_no_number() -> None:
    """The extremes are still told."""
    big = Field("x", "", "", "f", 0)
    assert folded(big, 1.7e308, 1.7e308) == [Quality.NOT_A_NUMBER, 1.7e308, 1.7e308, 2.0]
    assert folded(big, *[1.7e308] * 70)[0] is Quality.NOT_A_NUMBER
    assert folded(SOUND, 5000.0)[0] is Quality.NOT_A_NUMBER
    assert folded(SOUND, -5000.0)[0] is Quality.NOT_A_NUMBER


def test_a_long_sum_is_exact_in_bounded_memory() -> None:
    """As fsum over all, with values that cancel each other out."""
    random = Random(1)
    values = [random.uniform(-1, 1) * 10 ** random.randrange(-8, 9) for _ in range(5000)]
    values += [-value for value in values[:4000]]
    total = ExactSum()
    for value in values:
        total.add(value)
    assert total.total() == fsum(values)
