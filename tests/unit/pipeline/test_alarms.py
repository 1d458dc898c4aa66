"""`gateway.pipeline.alarms`: limits with levels, hysteresis and delay; rates; values that do not move."""

import pytest

from gateway.model import BootMs, Event, Group, Quality, Row, Value
from gateway.pipeline.alarms import Alarms, Key
from gateway.profile.profile import Field, Line, ModbusSource, Profile
from gateway.site import Alarm, Bus, Device, Polled, Site, SpoolSettings

FIELDS = (Field("level", "water_level", "m", "f", 3), Field("ok", "", "", "b", 0))
GROUP = Group("level-1", "water_level", "qdy/qdy30a@1", ("level", "ok"), "fb")
BD1 = Alarm("level", "bd1", "above", 1.0, 0.9, for_ms=30_000)
BD2 = Alarm("level", "bd2", "above", 2.0, 2.0)


def a_site(*alarms: Alarm) -> Site:
    """One level sensor with these alarms."""
    profile = Profile("qdy/qdy30a@1", "water_level", (), "two sources", FIELDS, ModbusSource(Line(), 1))
    device = Device("level-1", profile, 1, (Polled(GROUP, FIELDS, 1000),), alarms=alarms)
    bus = Bus("rs485-1", "rtu", "own", "/dev/ttyUSB0", Line(), (device,))
    return Site("hc-0001", "dn", None, None, "system", SpoolSettings("/x", 1, 1), (), (bus,), ())


def row(at_s: float, level: Value | None, *, ok: bool = True) -> Row:
    """A reading of the level sensor."""
    quality = ((0, Quality.NO_REPLY),) if level is None else ()
    return Row(GROUP, BootMs(round(1000 * at_s)), (level, ok), quality)


def told(alarms: Alarms, *readings: tuple[float, Value | None]) -> list[tuple[float, str, str, object]]:
    """(time in s, code, level, measured) of what these set off."""
    events = [event for at_s, value in readings for event in alarms.watch(row(at_s, value))]
    assert all(event.urgent and event.subject == "level-1" for event in events)
    return [(event.at / 1000, event.code, str(event.detail[1]), event.detail[3]) for event in events]


def test_levels_are_told_one_by_one() -> None:
    """Each with its own limit, in the detail that docs/specs/wire.md fixes."""
    alarms = Alarms(a_site(Alarm("level", "bd1", "above", 1.0, 0.9), BD2))
    assert told(alarms, (0, 0.5), (1, 1.0), (2, 2.5), (3, 1.5), (4, 0.9), (5, 0.89)) == [
        (1, "alarm_on", "bd1", 1.0),
        (2, "alarm_on", "bd2", 2.5),
        (3, "alarm_off", "bd2", 1.5),
        (5, "alarm_off", "bd1", 0.89),
    ]
    detail = ("level", "bd2", "above", 2.5, 2.0)
    assert alarms.watch(row(6, 2.5))[1] == Event(BootMs(6000), "level-1", "alarm_on", detail, urgent=True)


def test_a_delay_is_of_every_reading() -> None:
    """One reading below the limit begins it anew; the first one at its end sets the alarm."""
    alarms = Alarms(a_site(BD1))
    assert told(alarms, (0, 1.2), (20, 0.99), (21, 1.2), (50.999, 1.2), (51, 1.2)) == [(51, "alarm_on", "bd1", 1.2)]


def test_a_null_neither_sets_nor_clears() -> None:
    """A device that falls silent keeps what is on, and a delay that runs."""
    alarms = Alarms(a_site(BD1, BD2))
    assert told(alarms, (0, 1.2), (10, None), (30, 1.2), (31, None)) == [(30, "alarm_on", "bd1", 1.2)]
    assert alarms.on == (("level-1", "level", "bd1"),)


def test_below_is_the_same_upside_down() -> None:
    """A well that runs dry."""
    alarms = Alarms(a_site(Alarm("level", "dry", "below", 0.2, 0.3)))
    assert told(alarms, (0, 0.21), (1, 0.2), (2, 0.3), (3, 0.31)) == [
        (1, "alarm_on", "dry", 0.2),
        (3, "alarm_off", "dry", 0.31),
    ]


@pytest.mark.parametrize(("kind", "sign"), [("rise", 1), ("fall", -1)])
def test_a_change_counts_within_its_time(kind: str, sign: int) -> None:
    """0.3 m in 10 min is told, the same in 11 is not; the decimals of a difference do not count."""
    alarms = Alarms(a_site(Alarm("level", "surge", kind, 0.3, 0.3, per_ms=600_000)))
    slow = [(60 * n, sign * round(0.027 * n, 3)) for n in range(12)]
    assert told(alarms, *slow) == []
    quick = Alarms(a_site(Alarm("level", "surge", kind, 0.3, 0.3, per_ms=600_000)))
    assert told(quick, (0, sign * 1.0), (600, sign * 1.3), (601, sign * 1.3)) == [
        (600, "alarm_on", "surge", 0.3),
        (601, "alarm_off", "surge", 0.0),
    ]


def test_nothing_is_known_of_a_change_across_a_hole() -> None:
    """The device was away for longer than the window: neither set nor cleared."""
    alarms = Alarms(a_site(Alarm("level", "surge", "rise", 0.3, 0.3, per_ms=600_000)))
    assert told(alarms, (0, 0.0), (300, 0.4), (1000, 0.4))[0][1] == "alarm_on"
    assert alarms.on == (("level-1", "level", "surge"),)
    assert told(alarms, (1300, 0.4)) == [(1300, "alarm_off", "surge", 0.0)]


def test_a_value_that_does_not_move() -> None:
    """Within `within` for the whole time; it is off when it moves."""
    alarms = Alarms(a_site(Alarm("level", "frozen", "stuck", 60.0, 60.0, within=0.01)))
    assert told(alarms, (0, 1.0), (30, 1.01), (59, 0.99), (60, 1.0), (61, 1.02)) == [
        (60, "alarm_on", "frozen", 60.0),
        (61, "alarm_off", "frozen", 0.0),
    ]


def test_a_switch_has_alarms_too() -> None:
    """True is 1: a float switch in a pump pit."""
    alarms = Alarms(a_site(Alarm("ok", "wet", "above", 1.0, 1.0)))
    rows = [row(at, 0.0, ok=ok) for at, ok in enumerate((False, True, False))]
    codes = [[event.code for event in alarms.watch(one)] for one in rows]
    assert codes == [[], ["alarm_on"], ["alarm_off"]]


def test_what_was_on_before_a_restart_is_not_raised_again() -> None:
    """Nor lost: it ends by an event; a key that the site has not is nobody's."""
    on: list[Key] = [("level-1", "level", "bd2"), ("gone", "level", "x")]
    alarms = Alarms(a_site(BD1, BD2), on)
    assert alarms.on == (("level-1", "level", "bd2"),)
    assert told(alarms, (0, 2.5), (1, 1.9)) == [(1, "alarm_off", "bd2", 1.9)]


def test_forgetting_keeps_what_is_on() -> None:
    """After maintenance delays begin anew."""
    alarms = Alarms(a_site(BD1, BD2))
    told(alarms, (0, 2.5))
    alarms.forget("level-1")
    assert alarms.on == (("level-1", "level", "bd2"),)
    assert told(alarms, (40, 2.5)) == []
    assert alarms.holds("level-1", "bd2")
    assert not alarms.holds("level-1", "bd1")
