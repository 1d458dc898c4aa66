"""Curves: which one a field gets by what it means."""

import pytest

from gateway.profile.profile import Field
from simulators.curves import Asked, band, curve, flow
from simulators.waves import START_MS


def asked(unit: str, name: str = "x", low: float | None = None, high: float | None = None) -> Asked:
    """Which curve?"""
    return Asked("device-1", Field(name, name, unit, "f", 2, low, high), 1)


@pytest.mark.parametrize(
    ("unit", "name", "mean"),
    [
        ("V", "voltage_l1", 230.0),
        ("V", "battery_voltage", 12.6),
        ("Hz", "frequency", 50.0),
        ("1", "power_factor", 0.95),
        ("Cel", "temperature", 27.0),
        ("%", "humidity", 75.0),
        ("%", "soil", 100.0),
        ("m", "level", 1.2),
        ("cm", "level", 120.0),
        ("deg", "wind_direction", 180.0),
        ("ug/m3", "pm2_5", 35.0),
        ("ug/m3", "pm10", 56.0),
        ("furlong", "x", 100.0),
    ],
)
def test_the_first_rule_that_fits(unit: str, name: str, mean: float) -> None:
    """By unit, then by a word of the name; what no rule knows is somewhere in the middle."""
    assert curve(asked(unit, name)).mean == pytest.approx(mean)


def test_a_rule_must_fit_the_range() -> None:
    """A supply of 12 V is no mains."""
    assert curve(asked("V", "supply", 0, 30)).mean == 15.0


def test_phases_share_a_load() -> None:
    """The three of them are the whole."""
    whole = curve(asked("W", "power")).at(START_MS)
    assert sum(curve(asked("W", f"power_l{n}")).at(START_MS) for n in (1, 2, 3)) == pytest.approx(whole)


def test_what_counters_count() -> None:
    """Energy: power in the counter's unit; rain: intensity; anything else: a rate."""
    assert flow(asked("kW.h")).at(START_MS) == pytest.approx(curve(asked("W")).at(START_MS) / 1000)
    assert flow(asked("mm")).at(START_MS) == pytest.approx(curve(asked("mm/h")).at(START_MS))
    assert flow(asked("1")).mean == 60.0


def test_a_band() -> None:
    """Well inside a range that is given, else what is said."""
    assert band(asked("m", low=0, high=10).field, 1.0, 2.0) == (5.0, 1.0)
    assert band(asked("m", low=0).field, 1.0, 2.0) == (1.0, 2.0)
