"""Alarms against oracles that look at the whole history at every reading."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import BootMs, Row
from gateway.pipeline.alarms import Alarms
from gateway.site import Alarm
from tests.unit.pipeline.test_alarms import GROUP, a_site

STEPS = st.lists(st.tuples(st.integers(1, 5000), st.none() | st.integers(-30, 30)), max_size=60)
Reading = tuple[int, float | None]


def history(steps: list[tuple[int, int | None]]) -> list[Reading]:
    """(time, value), rising in time."""
    at, made = 0, list[Reading]()
    for step, value in steps:
        at += step
        made.append((at, None if value is None else value / 10))
    return made


def turns(alarm: Alarm, readings: list[Reading]) -> list[tuple[int, bool]]:
    """(time, on) of each event; on and off alternate."""
    alarms = Alarms(a_site(alarm))
    rows = [Row(GROUP, BootMs(at), (value, True)) for at, value in readings]
    found = [(event.at, event.code == "alarm_on") for row in rows for event in alarms.watch(row)]
    assert [on for _, on in found] == [n % 2 == 0 for n in range(len(found))]
    return [(int(at), on) for at, on in found]


def expected(alarm: Alarm, measured: list[Reading]) -> list[tuple[int, bool]]:
    """As the site file's words say it: looks back at every reading."""
    sign = -1 if alarm.kind == "below" else 1
    on, off_at, found = False, -1, list[tuple[int, bool]]()
    known = [(at, value) for at, value in measured if value is not None]
    for n, (at, value) in enumerate(known):
        if on and sign * value < sign * alarm.clear:
            on, off_at = False, n
            found.append((at, False))
        elif not on:
            reached = [known[n][0]] if sign * value >= sign * alarm.at else []
            back = n - 1
            while reached and back > off_at and sign * known[back][1] >= sign * alarm.at:
                reached.append(known[back][0])
                back -= 1
            if reached and at - reached[-1] >= alarm.for_ms:
                on = True
                found.append((at, True))
    return found


@settings(max_examples=200, deadline=None)
@given(STEPS, st.sampled_from(["above", "below"]), st.integers(0, 10), st.sampled_from([0, 1, 3000, 9000]))
def test_limits(steps: list[tuple[int, int | None]], kind: str, gap: int, for_ms: int) -> None:
    """On and off as the history says, the delay to the reading; nothing within clear..at."""
    clear = gap / 10 if kind == "below" else -gap / 10
    alarm = Alarm("level", "x", kind, 0.0, clear, for_ms)
    readings = history(steps)
    assert turns(alarm, readings) == expected(alarm, readings)


@settings(max_examples=200, deadline=None)
@given(STEPS, st.sampled_from(["rise", "fall"]), st.integers(1, 12))
def test_rates(steps: list[tuple[int, int | None]], kind: str, at: int) -> None:
    """Every reading of the window is compared; slices are of 10 ms here, and steps fall on them."""
    per_ms, sign = 6000, 1 if kind == "rise" else -1
    readings = [(10 * time, value) for time, value in history(steps)]
    alarm = Alarm("level", "x", kind, at / 10, at / 10, per_ms=per_ms)
    known = [(time, sign * value) for time, value in readings if value is not None]
    changes: list[Reading] = []
    for time, value in known:
        window = [was for then, was in known if then < time and time - then <= per_ms]
        changes.append((time, max(0.0, round(value - min(window), 9)) if window else None))
    assert turns(alarm, readings) == expected(alarm, changes)
