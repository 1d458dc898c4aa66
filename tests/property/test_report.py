"""`gateway.pipeline.chain` under any polls: exact folds, rising times, every reading counted, no change hidden."""

import cmath
import math
from collections.abc import Sequence
from math import fsum, isclose

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import BootMs, Event, Group, Quality, Row, Value
from gateway.pipeline.chain import UNCHANGED, Chain, Passed
from gateway.profile.profile import Field, Line, ModbusSource, Profile
from gateway.site import Bus, Device, Polled, Report, Site, SpoolSettings

FIELDS = (
    Field("level", "water_level", "m", "f", 3),
    Field("sound", "sound_level", "dB", "f", 1, aggregate="energy_mean"),
    Field("direction", "wind_direction", "deg", "f", 0, aggregate="vector_mean"),
    Field("energy", "energy_import", "kW.h", "f", 2, aggregate="last"),
    Field("on", "relay", "", "b", 0, aggregate="last"),
)
EVERY_MS, PERIOD_MS = 60_000, 1000
GROUP = Group("d-1", "thing", "a/b@1", tuple(field.name for field in FIELDS), "ffffb")
POLLS = st.lists(
    st.tuples(
        st.sampled_from([50, 1000, 1000, 7_000, 61_000, 400_000]),
        st.one_of(st.none(), st.floats(-1e6, 1e6)),
        st.one_of(st.none(), st.floats(-20, 140)),
        st.one_of(st.none(), st.floats(0, 359)),
        st.one_of(st.none(), st.floats(0, 1e9)),
        st.booleans(),
    ),
    min_size=1,
    max_size=60,
)


def a_chain(report: Report, fields: Sequence[Field] = FIELDS, group: Group = GROUP) -> Chain:
    """Of one device with one group."""
    profile = Profile("a/b@1", "thing", (), "", tuple(fields), ModbusSource(Line(), 1))
    device = Device("d-1", profile, 1, (Polled(group, tuple(fields), PERIOD_MS, report),))
    bus = Bus("b", "rtu", "own", "/dev/x", Line(), (device,))
    return Chain(Site("hc-0001", "dn", None, None, "system", SpoolSettings("/x", 1, 1), (), (bus,), ()))


def polls(drawn: Sequence[tuple[int, *tuple[Value | None, ...]]], start: int) -> list[Row]:
    """Rows at rising times; a null has a code."""
    at, found = start, list[Row]()
    for gap, *values in drawn:
        at += gap
        quality = tuple((n, Quality.NO_REPLY) for n, value in enumerate(values) if value is None)
        found.append(Row(GROUP, BootMs(at), tuple(values), quality))
    return found


def run(chain: Chain, rows: Sequence[Row]) -> tuple[list[Row], list[str]]:
    """What leaves, and why what does not; a stop right behind the last row."""
    passed: list[Passed] = [chain.take(row) for row in rows]
    passed.append(chain.flush(BootMs(rows[-1].at + 1)))
    left = [item for one in passed for item in one.items]
    return [row for row in left if not isinstance(row, Event)], [why for one in passed for _, why in one.dropped]


def column(row: Row, name: str) -> Value | None:
    """A value of a row by its name."""
    return row.values[row.group.fields.index(name)]


@settings(max_examples=120, deadline=None)
@given(POLLS, st.integers(0, 10**9))
def test_a_window_is_what_was_read_in_it(drawn: list[tuple[int, *tuple[Value | None, ...]]], start: int) -> None:
    """Mean, Leq, direction, last and extremes against sums over all values; W-34: its time is the window's end."""
    rows = polls(drawn, start)
    left, dropped = run(a_chain(Report(EVERY_MS)), rows)
    assert dropped == []
    ends = sorted({-(-row.at // EVERY_MS) * EVERY_MS for row in rows})
    assert [-(-row.at // EVERY_MS) * EVERY_MS for row in left] == ends
    assert [row.at for row in left[:-1]] == ends[:-1]
    for end, folded in zip(ends, left, strict=True):
        inside = [row for row in rows if end - EVERY_MS < row.at <= end]
        _check_numbers(folded, inside)
        for name in ("energy", "on"):
            values = [value for row in inside if (value := column(row, name)) is not None]
            assert column(folded, name) == (values[-1] if values else None)
            assert column(folded, f"{name}_n") == len(values)
        nulls = {n for n, value in enumerate(folded.values) if value is None}
        assert nulls == {n for n, _ in folded.quality}


def _check_numbers(folded: Row, inside: Sequence[Row]) -> None:
    """The three means, as they are defined."""
    for name in ("level", "sound", "direction"):
        values = [value for row in inside if isinstance(value := column(row, name), float)]
        mean = column(folded, name)
        assert column(folded, f"{name}_n") == len(values)
        if name != "direction":
            assert column(folded, f"{name}_min") == (min(values) if values else None)
            assert column(folded, f"{name}_max") == (max(values) if values else None)
        if not values:
            assert mean is None
        elif name == "level":
            exact = round(fsum(values) / len(values), 5)
            assert mean == min(max(exact, min(values)), max(values))
        elif name == "sound":
            assert isinstance(mean, float)
            level = 10 * math.log10(fsum(10 ** (value / 10) for value in values) / len(values))
            assert isclose(mean, level, abs_tol=0.001)
        else:
            turn = sum(cmath.exp(1j * math.radians(value)) for value in values) / len(values)
            if isinstance(mean, float):
                apart = abs((mean - math.degrees(cmath.phase(turn)) + 180) % 360 - 180)
                assert apart <= 0.006 + 1e-12 / abs(turn)
                assert 0 <= mean < 360
            else:
                assert abs(turn) < 1e-6


@settings(max_examples=120, deadline=None)
@given(POLLS, st.integers(0, 10**9))
def test_every_reading_is_counted_once(drawn: list[tuple[int, *tuple[Value | None, ...]]], start: int) -> None:
    """The counts of all windows are the good values that came in, and times of the group rise strictly (W-35)."""
    rows = polls(drawn, start)
    left, _ = run(a_chain(Report(EVERY_MS)), rows)
    for field in FIELDS:
        good = sum(column(row, field.name) is not None for row in rows)
        counts = [count for row in left if isinstance(count := column(row, f"{field.name}_n"), float)]
        assert sum(counts) == good
    times = [row.at for row in left]
    assert times == sorted(set(times))
    assert all(row.at <= max(rows[-1].at + 1, row.at) for row in left)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([1000, 1001, 999]), st.integers(-50, 50)), min_size=1, max_size=120),
    st.sampled_from([1, 2, 20]),
)
def test_a_change_is_never_hidden(steps: list[tuple[int, int]], hundredths: int) -> None:
    """What is not passed on is within `change` of the last that was, and no longer than `at_least` without one."""
    change, at_least_ms = hundredths / 100, 10_000
    field = Field("level", "water_level", "m", "f", 2)
    group = Group("d-1", "thing", "a/b@1", ("level",), "f")
    chain = a_chain(Report(0, change, at_least_ms), (field,), group)
    at, value, last, passed_at = 0, 0, None, 0
    for gap, step in steps:
        at, value = at + gap, value + step
        passed = chain.take(Row(group, BootMs(at), (value / 100,)))
        if passed.items:
            last, passed_at = value, at
        else:
            assert passed.dropped == (("d-1", UNCHANGED),)
            assert last is not None
            assert abs(value - last) < hundredths
            assert at - passed_at < at_least_ms
