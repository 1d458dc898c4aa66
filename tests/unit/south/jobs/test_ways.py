"""gateway.south.jobs.ways: what is tried first, and how long each is waited for."""

import pytest

from gateway.profile.profile import Line
from gateway.south.jobs.ways import (
    BEHIND_TCP,
    LIKELY_MAX,
    UNIT_IDS,
    Pace,
    Sweep,
    Way,
    exchange_ms,
    serial_ways,
    unit_ids,
)
from tests.support.south import a_field, a_profile, a_source

NINE = Way("rtu")
SLOW = Line(1200, parity="E", stop_bits=2)
PROFILES = [
    a_profile([a_field(0)], a_source(unit_id=unit_id, line=line))
    for unit_id, line in ((1, SLOW), (192, SLOW), (144, Line()), (144, Line()))
]


def test_most_likely_lines_first() -> None:
    """9600 8N1, the lines of the profiles, the usual ones, then every speed and parity; none twice."""
    ways = [str(way) for way in serial_ways(PROFILES)]
    assert ways[:4] == ["9600 8N1", "1200 8E2", "9600 8E1", "19200 8N1"]
    assert len(ways) == len(set(ways)) == 25
    assert {"115200 8O1", "57600 8E1", "2400 8N1"} <= set(ways)


def test_lines_that_rtu_cannot_have_are_not_tried() -> None:
    """Seven data bits carry no RTU frame."""
    strange = a_profile([a_field(0)], a_source(line=Line(300, bits=7)))
    assert serial_ways([strange]) == serial_ways([])


def test_likely_unit_ids_first() -> None:
    """1, those of the profiles by their number, what people set by hand; the rest in order."""
    likely, rest = unit_ids(PROFILES, UNIT_IDS, serial=True)
    assert likely == (1, 144, 192, *range(2, 11))
    assert sorted(likely + rest) == list(UNIT_IDS)
    assert list(rest) == sorted(rest)


def test_likely_ones_are_few() -> None:
    """However many profiles there are."""
    many = [a_profile([a_field(0)], a_source(unit_id=unit_id)) for unit_id in range(100, 200)]
    assert len(unit_ids(many, UNIT_IDS, serial=True)[0]) == LIKELY_MAX


def test_a_device_without_a_bus_behind_it() -> None:
    """255 and 0 are its numbers on TCP, when they are wanted."""
    wanted = (*UNIT_IDS, *BEHIND_TCP)
    assert unit_ids([], wanted, serial=False)[0][:3] == (1, 255, 0)
    assert set(BEHIND_TCP).isdisjoint(unit_ids([], UNIT_IDS, serial=False)[0])


def test_a_way_as_people_write_it() -> None:
    """A line, or the transport."""
    assert str(Way("rtu", SLOW)) == "1200 8E2"
    assert str(Way("tcp")) == "tcp"
    assert Way("rtu", Line(9600, parity="O")).medium == NINE.medium != Way("rtu", SLOW).medium
    assert Way("tcp", Line()).medium == Way("tcp", SLOW).medium != Way("rtu_over_tcp").medium


def test_what_a_sweep_costs() -> None:
    """Characters at the line's speed, and the wait; over TCP the wait alone."""
    assert exchange_ms(NINE, 60) == pytest.approx(60 + 19 * 10 / 9.6)
    assert exchange_ms(Way("rtu", SLOW), 0) == pytest.approx(19 * 12 / 1.2)
    assert exchange_ms(Way("tcp"), 60) == 60
    assert Sweep(NINE, (1, 2)).cost_ms(Pace(NINE)) == pytest.approx(2 * exchange_ms(NINE, 60))


def test_the_quick_wait_follows_what_is_seen() -> None:
    """Three times the slowest, within limits; what comes late makes it the longest."""
    pace = Pace(NINE)
    assert pace.timeout_ms(patient=False) == 60
    pace.answered(5)
    assert pace.timeout_ms(patient=False) == 40
    pace.answered(25)
    pace.answered(10)
    assert pace.timeout_ms(patient=False) == 75
    pace.came_late()
    assert pace.timeout_ms(patient=False) == 90
    pace.answered(5)
    assert pace.timeout_ms(patient=False) == 90
    assert pace.timeout_ms(patient=True) == 400


@pytest.mark.parametrize("seen_ms", [1, 30, 5000])
def test_247_silent_ones_stay_below_30_s(seen_ms: float) -> None:
    """Whatever was seen, at 9600 baud."""
    pace = Pace(NINE)
    pace.answered(seen_ms)
    assert Sweep(NINE, tuple(UNIT_IDS)).cost_ms(pace) < 30_000


def test_a_converter_is_waited_for_longer() -> None:
    """It waits by itself for each that is silent; patient or not is the same there."""
    pace = Pace(Way("tcp"))
    assert pace.timeout_ms(patient=False) == pace.timeout_ms(patient=True) == 1000
    pace.answered(20)
    assert pace.timeout_ms(patient=False) == 300
