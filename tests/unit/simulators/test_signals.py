"""Signals: what each quantity looks like, and what a `[signal]` table changes."""

from dataclasses import replace
from itertools import pairwise

import pytest

from gateway.model import UtcMs, Value
from gateway.profile.profile import Field, Writable
from gateway.protocols.modbus_pdu import Table
from simulators.signals import Moment, Signal, UnknownSignal, powers, signal_for
from simulators.waves import START_MS

HOUR_MS = 3_600_000


def field(unit: str, name: str = "x", **more: object) -> Field:
    """A number of that unit."""
    return replace(Field(name, name, unit, "f", 2), **more)  # type: ignore[arg-type]


def hours(signal: Signal, count: int) -> list[float]:
    """Its value every hour from a summer morning on."""
    start = START_MS + 200 * 24 * HOUR_MS
    return [float(signal(Moment(UtcMs(start + hour * HOUR_MS), hour))) for hour in range(count)]


def test_tide_goes_in_and_out_twice_a_day() -> None:
    """Between two and five turns in two days, inside its band."""
    level = hours(signal_for("level-1", field("m", "level", low=0, high=5), 1), 48)
    turns = sum((b - a) * (c - b) < 0 for a, b, c in zip(level, level[1:], level[2:], strict=False))
    assert 4 <= turns <= 9
    assert min(level) >= 0.2
    assert max(level) <= 2.2
    assert max(level) - min(level) > 0.5


def test_warm_hours_are_dry() -> None:
    """Temperature and humidity of one station go against each other."""
    temperature = hours(signal_for("air-1", field("Cel", "temperature"), 1), 24)
    humidity = hours(signal_for("air-1", field("%", "humidity", low=0, high=100), 1), 24)
    assert temperature.index(max(temperature)) == pytest.approx(humidity.index(min(humidity)), abs=1)
    assert humidity[temperature.index(max(temperature))] < humidity[temperature.index(min(temperature))]


def test_voltage_stays_near_230() -> None:
    """Noise, no drift."""
    assert all(226.9 <= value <= 233.1 for value in hours(signal_for("m", field("V", "voltage_l1"), 1), 1000))


def test_energy_is_the_integral_of_power() -> None:
    """A day of power, summed by the minute, is what the counter rose by."""
    power = signal_for("meter-1", field("W", "power", decimals=6), 1)
    energy = signal_for("meter-1", field("kW.h", "energy", counter=True, decimals=6), 1)
    start = START_MS + 100 * 24 * HOUR_MS
    minutes = [float(power(Moment(UtcMs(start + n * 60_000 + 30_000)))) for n in range(24 * 60)]
    rise = float(energy(Moment(UtcMs(start + 24 * HOUR_MS)))) - float(energy(Moment(UtcMs(start))))
    assert rise == pytest.approx(sum(minutes) / 60_000, rel=1e-3)


def test_current_goes_with_power() -> None:
    """Of the same meter and phase."""
    power = hours(signal_for("meter-1", field("W", "power_l1", decimals=6), 1), 10)
    current = hours(signal_for("meter-1", field("A", "current_l1", decimals=6), 1), 10)
    assert [p / a for p, a in zip(power, current, strict=True)] == pytest.approx([230] * 10, rel=1e-3)


def test_rain_only_rises_and_starts_again_at_its_end() -> None:
    """A counter of 16 bits in steps of 0.1 mm."""
    rain = field("mm", "rain", counter=True, decimals=1, tens=1, type="u16", table=Table.INPUT, address=0)
    totals = hours(signal_for("rain-1", rain, 1), 2000)
    falls = [(a, b) for a, b in pairwise(totals) if b < a]
    assert len(falls) <= 1
    assert all(a > 6500 and b < 100 for a, b in falls)
    assert all(0 <= total <= 6553.5 for total in totals)


def test_nothing_falls_below_zero() -> None:
    """Wind, light, dust."""
    for unit in ("m/s", "lx", "W/m2", "ug/m3", "mm/h"):
        assert min(hours(signal_for("x", field(unit), 1), 500)) >= 0


def test_a_quantity_without_a_rule_stays_inside_its_range() -> None:
    """The sensible default."""
    values = hours(signal_for("x", field("mol", low=10, high=20), 1), 500)
    assert 13 <= min(values) < max(values) <= 17


def test_a_rule_that_does_not_fit_the_range_is_not_used() -> None:
    """A 12 V supply is no mains."""
    values = hours(signal_for("x", field("V", "supply", low=0, high=30), 1), 100)
    assert all(12 <= value <= 18 for value in values)


def test_booleans_and_texts() -> None:
    """A relay that switches, a status that says ok."""
    relay = signal_for("relay-1", Field("relay_1", "relay", "1", "b", 0), 1)
    states = {relay(Moment(UtcMs(START_MS + n * 60_000))) for n in range(60)}
    assert states == {True, False}
    assert signal_for("x", Field("status", "status", "1", "s", 0), 1)(Moment(UtcMs(0))) == "ok"


def test_labels_come_in_turn() -> None:
    """Every state of a device is seen sooner or later, and no other."""
    state = Field("state", "state", "1", "s", 0, labels=((0, "off"), (1, "on"), (9, "fault")))
    signal = signal_for("x", state, 1)
    assert {signal(Moment(UtcMs(START_MS + n * 60_000))) for n in range(60)} == {"off", "on", "fault"}
    assert signal_for("x", state, 1, {"kind": "constant", "value": "on"})(Moment(UtcMs(0))) == "on"
    with pytest.raises(UnknownSignal, match="none of off, on, fault"):
        signal_for("x", state, 1, {"kind": "constant", "value": "of"})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        (field("Cel", write=Writable(-10, 10)), -10.0),
        (field("1", write=Writable(values=(4, 2))), 4.0),
        (field("1", low=3), 3.0),
        (field("1"), 0.0),
        (field("1", letter="b"), False),
        (field("1", letter="s"), "ok"),
        (field("1", letter="s", labels=((7, "auto"),)), "auto"),
    ],
)
def test_a_setting_stays_as_it_was_set(setting: Field, value: Value) -> None:
    """What nobody has set does not wander."""
    signal = signal_for("x", replace(setting, parameter=True), 1)
    assert {signal(Moment(UtcMs(START_MS + n * HOUR_MS))) for n in range(50)} == {value}


def test_powers_of_ten() -> None:
    """A scale register says enough for the decimals of all that it scales; no more than it can."""
    scale = field("1", "scale", type="i16", hidden=True, decimals=0)
    one, other = (
        field("W", "a", scale_from="scale", decimals=1),
        field("W", "b", scale_from="scale", decimals=3, tens=1),
    )
    assert powers([scale, one, other]) == {"scale": -2, "a": -2, "b": -2}
    assert powers([replace(scale, type="u16"), one]) == {"scale": 0, "a": 0}
    assert signal_for("x", scale, 1, power=-2)(Moment(UtcMs(0))) == -2.0


def test_a_scaled_value_stays_inside_its_registers() -> None:
    """What a u16 can say in hundredths."""
    one = field("W", "a", type="u16", scale_from="scale", table=Table.INPUT, address=0)
    ramp = signal_for("x", one, 1, {"kind": "ramp", "start": 655.3, "step": 0.05}, power=-2)
    assert [ramp(Moment(UtcMs(0), n)) for n in range(3)] == [655.3, 655.35, 655.3]


def test_two_seeds_are_two_worlds() -> None:
    """And one seed is one, in every process."""
    values = [hours(signal_for("x", field("V"), seed), 5) for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]


def test_a_ramp_never_says_the_same_twice() -> None:
    """One step a reply, by number and not by time, from end to end of the range."""
    ramp = signal_for("x", field("m", low=0, high=5), 1, {"kind": "ramp"})
    values = [ramp(Moment(UtcMs(0), n)) for n in range(1, 501)]
    assert len(set(values)) == 500
    assert values[:2] == [0.01, 0.02]
    assert ramp(Moment(UtcMs(0), 500)) == 5.0
    assert ramp(Moment(UtcMs(0), 501)) == 0.0


def test_a_ramp_stays_inside_its_registers() -> None:
    """Where the field has no range, what the type can say is one."""
    register = field("m", type="u16", tens=2, table=Table.INPUT, address=0)
    ramp = signal_for("x", register, 1, {"kind": "ramp", "start": 655.3, "step": 0.05})
    assert [ramp(Moment(UtcMs(0), n)) for n in range(3)] == [655.3, 655.35, 655.3]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"kind": "constant", "value": 3}, 3.0),
        ({"kind": "constant", "value": 99.0}, 5.0),
        ({"kind": "noise", "mean": 2.0, "amplitude": 0.0}, 2.0),
        ({"kind": "tide", "mean": 2.0, "amplitude": 0.0}, 2.0),
        ({"kind": "day", "mean": 2.0, "amplitude": 0.0}, 2.0),
        ({"kind": "counter", "start": 4.0, "rate_per_h": 0.0}, 4.0),
    ],
)
def test_a_table_says_what_a_field_says(table: dict[str, object], expected: float) -> None:
    """Each kind, at rest; always inside the field's range."""
    assert signal_for("x", field("m", low=0, high=5), 1, table)(Moment(UtcMs(START_MS))) == expected


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"kind": "wobble"},
        {"kind": ["ramp"]},
        {"kind": "constant"},
        {"kind": "constant", "value": True},
        {"kind": "constant", "value": "wet"},
        {"kind": "ramp", "step": 0},
        {"kind": "ramp", "step": 9},
        {"kind": "ramp", "start": -1},
        {"kind": "ramp", "stop": 1},
        {"kind": "tide", "mean": "high"},
        {"kind": "counter", "rate_per_h": -1},
        {"kind": "switch"},
    ],
)
def test_a_table_that_means_nothing_is_refused(table: dict[str, object]) -> None:
    """By name, not ignored."""
    with pytest.raises(UnknownSignal, match=r"^x\.x: "):
        signal_for("x", field("m", low=0, high=5), 1, table)


def test_a_switch_takes_a_period() -> None:
    """For a boolean field only."""
    relay = Field("relay_1", "relay", "1", "b", 0)
    switch = signal_for("r", relay, 1, {"kind": "switch", "period_s": 1})
    assert {switch(Moment(UtcMs(n * 1000))) for n in range(4)} == {True, False}
    with pytest.raises(UnknownSignal):
        signal_for("r", relay, 1, {"kind": "switch", "period_s": 0})
    with pytest.raises(UnknownSignal):
        signal_for("r", relay, 1, {"kind": "ramp"})
