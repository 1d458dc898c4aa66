"""`gateway.pipeline.tally`: what was due, and what of it was good."""

from collections.abc import Iterable
from random import Random

import pytest

from gateway.model import BootMs, Event, Group, Quality, Row
from gateway.pipeline.tally import DEVICES_MAX, EVERY_MS, Tally
from gateway.profile.profile import Line, ModbusSource, Profile
from gateway.site import Bus, Device, Polled, Site, SpoolSettings


def group(device: str) -> Group:
    """Of two fields."""
    return Group(device, "water_level", "qdy/qdy30a@1", ("level", "temperature"), "ff")


def tally(*devices: str, period_ms: int = 1000, since: int = 0) -> Tally:
    """Of a site with these devices, two fields each."""
    profile = Profile("qdy/qdy30a@1", "water_level", (), "two", (), ModbusSource(Line(), 1))
    made = tuple(Device(name, profile, 1, (Polled(group(name), (), period_ms),)) for name in devices)
    bus = Bus("rs485-1", "rtu", "own", "/dev/ttyUSB0", Line(), made)
    site = Site("hc-0001", "dn", None, None, "system", SpoolSettings("/x", 1, 1), (), (bus,), ())
    return Tally(site, BootMs(since))


def rows(counted: Tally, device: str, times: Iterable[int], *, nulls: int = 0) -> None:
    """Rows at these times, with so many nulls each."""
    values = (*(None for _ in range(nulls)), *(1.0 for _ in range(2 - nulls)))
    for at in times:
        counted.add(Row(group(device), BootMs(at), values, tuple((n, Quality.NO_REPLY) for n in range(nulls))))


def told(counted: Tally, now: int) -> dict[str, object]:
    """Detail by subject."""
    return {event.subject: event.detail for event in counted.tell(BootMs(now))}


@pytest.mark.parametrize("phase", [0, 1, 400, 500, 700, 999])
def test_a_device_that_answers_every_poll_is_whole(phase: int) -> None:
    """W-49: whatever its phase, however its polls jitter, and wherever the hours end; nobody is named."""
    counted, random = tally("level-1"), Random(phase)
    for hour in range(3):
        begin = hour * 100_000
        rows(counted, "level-1", (begin + phase + 1000 * n + random.randrange(100) for n in range(100)))
        span_ms = 100_000 + (0 if hour else phase // 2)
        assert told(counted, begin + 100_000 + phase // 2) == {"": (200, 200, span_ms)}


def test_a_dead_device_owes_by_its_period() -> None:
    """W-49: however rarely it is asked; it is named beside the sum."""
    counted = tally("level-1", "level-2")
    rows(counted, "level-2", range(300, 60_000, 1000))
    assert told(counted, 60_000) == {"": (240, 120, 60_000), "level-1": (120, 0, 60_000)}


def test_nulls_are_due_and_not_good() -> None:
    """A row counts for the values that it has."""
    counted = tally("level-1")
    rows(counted, "level-1", range(0, 10_000, 1000), nulls=1)
    assert told(counted, 10_000)[""] == (20, 10, 10_000)


@pytest.mark.parametrize("every_ms", [100, 333, 500, 800])
def test_zeal_does_not_hide_what_is_missing(every_ms: int) -> None:
    """A stream that sends more often than its period counts once a period, and makes up for no silence."""
    counted = tally("level-1")
    rows(counted, "level-1", range(0, 20_000, every_ms))
    rows(counted, "level-1", range(40_000, 60_000, every_ms))
    assert told(counted, 60_000)[""] in [(120, good, 60_000) for good in (80, 82, 84)]  # an edge may give one more


def test_a_bus_without_time_for_all_is_seen() -> None:
    """Polled every 1.3 periods: 77 % is what comes."""
    counted = tally("level-1")
    rows(counted, "level-1", range(0, 130_000, 1300))
    assert told(counted, 130_000)[""] == (260, 200, 130_000)


def test_a_telling_is_of_the_time_since_the_one_before() -> None:
    """W-49: what was told is not told again; a recovered device is named no more."""
    counted = tally("level-1")
    assert counted.tells_at == EVERY_MS
    assert told(counted, 10_000) == {"": (20, 0, 10_000), "level-1": (20, 0, 10_000)}
    rows(counted, "level-1", range(10_000, 20_000, 1000))
    assert told(counted, 20_000) == {"": (20, 20, 10_000)}
    assert (counted.told_at, counted.tells_at) == (20_000, 20_000 + EVERY_MS)


def test_a_row_before_the_end_of_its_period_is_told_with_it_also_after_a_miss() -> None:
    """W-49: good <= due in every telling, or the centre takes none of it; what was missed before is no credit."""
    counted = tally("level-1")
    rows(counted, "level-1", range(5_100, 10_000, 1000))
    assert told(counted, 10_000)[""] == (20, 10, 10_000)
    rows(counted, "level-1", range(10_100, 21_000, 1000))
    assert told(counted, 20_900) == {"": (20, 20, 10_900)}
    rows(counted, "level-1", range(21_100, 30_000, 1000))
    assert told(counted, 30_000) == {"": (20, 20, 9_100)}


def test_where_nothing_was_due_nothing_is_told() -> None:
    """Nor is anybody woken for it."""
    assert tally().tells_at is None
    assert tally().tell(BootMs(5)) == []
    assert tally("level-1", since=100).tell(BootMs(900)) == []


def test_the_time_since_an_orderly_stop_was_due() -> None:
    """W-49: the daemon was off, the box was not."""
    counted = tally("level-1", since=5_000)
    rows(counted, "level-1", range(15_200, 20_000, 1000))
    assert told(counted, 20_000)[""] == (30, 10, 15_000)


def test_a_row_of_nobody_counts_for_nobody() -> None:
    """A group that the site does not have."""
    counted = tally("level-1")
    rows(counted, "other", [0])
    assert told(counted, 1000)[""] == (2, 0, 1000)


def test_named_devices_are_bounded() -> None:
    """Those that missed most; the sum is of all."""
    counted = tally(*(f"level-{n}" for n in range(DEVICES_MAX + 9)))
    events = counted.tell(BootMs(1000))
    assert len(events) == 1 + DEVICES_MAX
    assert events[0] == Event(BootMs(1000), "", "measured", (2 * (DEVICES_MAX + 9), 0, 1000))
