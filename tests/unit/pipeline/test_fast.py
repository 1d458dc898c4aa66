"""`gateway.pipeline.fast`: a condition speeds a device up."""

from dataclasses import replace

from gateway.pipeline.fast import Fasts
from gateway.site import Fast, Site
from tests.unit.pipeline.test_alarms import a_site, row

FAST = Fast("level > 0.8", "", "level", 1, 0.8, 1000, 60_000)


def a_fast_site(fast: Fast) -> Site:
    """Its one device has this `fast`."""
    site = a_site()
    (bus,) = site.buses
    (device,) = bus.devices
    return replace(site, buses=(replace(bus, devices=(replace(device, fast=fast),)),))


def told(fasts: Fasts, *readings: tuple[float, float | None]) -> list[tuple[float, str]]:
    """(time in s, code)."""
    events = [fasts.watch(row(at_s, value)) for at_s, value in readings]
    return [(event.at / 1000, event.code) for event in events if event]


def test_fast_lasts_until_its_condition_has_been_false_for_the_hold() -> None:
    """Each true reading begins the hold anew; a null says nothing."""
    fasts = Fasts(a_fast_site(FAST), lambda *_: False)
    readings = [(0, 0.8), (1, 0.81), (2, 0.5), (50, 0.9), (109, 0.5), (110, None), (111, 0.5), (112, 0.5)]
    assert told(fasts, *readings) == [(1, "fast_on"), (111, "fast_off")]
    assert fasts.on == ()


def test_the_level_of_an_alarm_is_a_condition() -> None:
    """Of any field of the device."""
    on = {"bd1": False}
    fasts = Fasts(a_fast_site(replace(FAST, level="bd1", field="", sign=0)), lambda _, level: on[level])
    assert told(fasts, (0, 9.9)) == []
    on["bd1"] = True
    assert told(fasts, (1, None)) == [(1, "fast_on")]
    assert fasts.on == ("level-1",)


def test_a_bus_that_is_too_full_is_not_hurried() -> None:
    """It is told once, and nothing ends that never began."""
    fasts = Fasts(a_fast_site(FAST), lambda *_: False, frozenset({"level-1"}))
    assert told(fasts, (0, 0.9), (1, 0.9), (99, 0.1), (100, 0.9)) == [(0, "fast_refused"), (100, "fast_refused")]
    assert fasts.on == ()
