"""Waves: values and integrals worked by hand."""

import math

import pytest

from simulators.waves import HOUR_S, START_MS, TIDE_S, Waves, day, load, noise, tide

HOUR_MS = 3_600_000


def test_a_wave_by_hand() -> None:
    """A quarter of a period after the start it is at its top; its integral is that of a sine."""
    wave = Waves(10.0, ((2.0, 4 * HOUR_S, 0.0),))
    assert wave.at(START_MS) == 10.0
    assert wave.at(START_MS + HOUR_MS) == pytest.approx(12.0)
    assert wave.hours(START_MS) == 0.0
    assert wave.hours(START_MS + HOUR_MS) == pytest.approx(10.0 + 2.0 * 4 / math.tau)
    assert wave.hours(START_MS + 4 * HOUR_MS) == pytest.approx(40.0)


def test_waves_add_and_stretch() -> None:
    """Value by value."""
    one, other = Waves(1.0, ((1.0, 60.0, 0.5),)), Waves(2.0, ((3.0, 90.0, 1.0),))
    at = START_MS + 12_345
    assert one.plus(other).at(at) == pytest.approx(one.at(at) + other.at(at))
    assert one.times(-3).at(at) == pytest.approx(-3 * one.at(at))


def test_a_day_is_highest_at_its_hour() -> None:
    """14:00 in Da Nang is 07:00 UTC."""
    curve = day(20.0, 5.0)
    assert curve.at(START_MS + 7 * HOUR_MS) == pytest.approx(25.0)
    assert curve.at(START_MS + 19 * HOUR_MS) == pytest.approx(15.0)


def test_noise_stays_in_its_band() -> None:
    """And is another one for another name."""
    values = [noise(2.0, "a", 1).at(START_MS + n * 777) for n in range(2000)]
    assert max(map(abs, values)) <= 2.0
    assert max(map(abs, values)) > 1.0
    assert noise(2.0, "b", 1).at(START_MS) != values[0]


def test_a_tide_has_its_four_constituents() -> None:
    """Their shares make up the whole amplitude."""
    sea = tide(1.0, 0.5, 1)
    assert [period for _, period, _ in sea.parts] == list(TIDE_S)
    assert sum(amplitude for amplitude, _, _ in sea.parts) == pytest.approx(0.5)


def test_a_load_never_feeds_back() -> None:
    """A counter that is its integral can only rise."""
    for seed in range(20):
        parts = load("meter", seed)
        assert parts.mean > sum(abs(amplitude) for amplitude, _, _ in parts.parts)
