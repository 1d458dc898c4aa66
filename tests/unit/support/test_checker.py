"""The checker: what is right passes, and each way of being wrong is found, named and counted."""

import asyncio
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.ioc.store.sqlite import SqliteStore
from tests.support import checker, store_points
from tests.support.checker import Limits, Outage, Refused, Report, check
from tests.support.checker_matching import Truth
from tests.support.store_points import Point

T0 = 1_795_484_390_000


def truth(at_ms: int, value: float | bool | str = 1.0, **changes: object) -> Truth:
    """A value served by meter-1, T0 + at_ms."""
    plain = Truth("meter-1", "power", "energy_meter", value, T0 + at_ms, "modbus", at_ms)
    return replace(plain, **changes)  # type: ignore[arg-type]


def point(at_ms: int, value: float | bool | str = 1.0, **changes: object) -> Point:
    """The same as a store has it."""
    plain = Point("meter-1", "power", "energy_meter", value, T0 + at_ms)
    return replace(plain, **changes)  # type: ignore[arg-type]


def ramp(count: int, step_ms: int = 1000) -> tuple[list[Truth], list[Point]]:
    """A right run: every value another one, stored a few ms off."""
    times = range(0, count * step_ms, step_ms)
    return [truth(at, float(at)) for at in times], [point(at + at % 7, float(at)) for at in times]


def offences(report: Report) -> list[tuple[str, int]]:
    """What and when, in ms after T0."""
    return [(offence.what, offence.at_ms - T0) for offence in report.offences]


def test_a_right_run_is_right() -> None:
    """Everything stored once, equal, in time: no offence, and the times are measured."""
    report = check(*ramp(100))
    assert report.ok
    assert (report.truths, report.points, report.matched) == (100, 100, 100)
    assert report.dt_ms(1.0) == 6
    assert "right" in report.text()


def test_nothing_compared_is_wrong() -> None:
    """Two empty files agree about nothing."""
    report = check([], [])
    assert not report.ok
    assert report.complaints == ("nothing was compared",)


def test_a_value_said_under_a_fault_may_be_lost() -> None:
    """Rule 6: stored or not, both are right; what it is not, nobody may store."""
    truths, points = ramp(10)
    truths[3], truths[4] = replace(truths[3], fault="garbage"), replace(truths[4], fault="garbage")
    assert check(truths, points).ok
    report = check(truths, points[:3] + points[4:])
    assert report.ok
    assert report.excused == {"fault": 1}
    assert offences(check(truths, [*points[:3], replace(points[3], value=-1.0), *points[4:]])) == [("phantom", 3004)]


def test_a_missing_value_is_found() -> None:
    """Rule 1: one value less in the store."""
    truths, points = ramp(10)
    del points[4]
    report = check(truths, points)
    assert offences(report) == [("missing", 4000)]
    assert not report.ok


def test_a_missing_one_of_many_equal_values_is_named_right() -> None:
    """A constant signal: the neighbour's point is not taken for the one that is lost."""
    truths = [truth(at) for at in range(0, 1000, 100)]
    points = [point(at) for at in range(0, 1000, 100) if at != 300]
    assert offences(check(truths, points)) == [("missing", 300)]


def test_a_wrong_value_is_found() -> None:
    """A value that differs in its last decimal is one offence, not two."""
    truths, points = ramp(10)
    points[4] = replace(points[4], value=4000.1)
    report = check(truths, points)
    assert offences(report) == [("wrong_value", 4000)]
    assert "served 4000.0, stored 4000.1" in report.text()


def test_a_shift_by_one_is_found() -> None:
    """Late replies taken for the next request: every value a period too late."""
    truths, points = ramp(10)
    shifted = [replace(old, at_ms=new.at_ms) for old, new in pairwise(points)]
    report = check(truths, shifted)
    assert report.matched == 0
    assert report.counts["wrong_time"] == 9


def test_a_wrong_time_is_found() -> None:
    """More than 200 ms off."""
    truths, points = ramp(10)
    points[4] = replace(points[4], at_ms=points[4].at_ms + 300)
    report = check(truths, points)
    assert offences(report) == [("wrong_time", 4000)]
    assert "+303 ms" in report.text()


def test_the_nearer_half_of_each_devices_rows_is_on_time() -> None:
    """Rule 4: a busy machine makes some rows late; a wrong moment makes all of a device late, among many others."""
    truths, points = ramp(40)
    busy = [replace(one, at_ms=one.at_ms + 60 * (n % 3 == 0)) for n, one in enumerate(points)]
    assert check(truths, busy, limits=Limits(p99_ms=200)).ok
    other = [replace(one, device="meter-2", at_ms=one.at_ms + 25) for one in points[:2]]
    truths += [replace(one, device="meter-2") for one in truths[:2]]
    report = check(truths, [*points, *other], limits=Limits(p99_ms=200))
    assert report.complaints == ("half of the rows of meter-2 within 25 ms, allowed are 20",)


def test_a_duplicate_is_found() -> None:
    """Rule 1: exactly once; a value stored at two times."""
    truths, points = ramp(10)
    report = check(truths, [*points, replace(points[4], at_ms=points[4].at_ms + 1)])
    assert [what for what, _ in offences(report)] == ["duplicate"]


def test_a_phantom_is_found() -> None:
    """Rule 2: a value, a field or a device that nobody served."""
    truths, points = ramp(10)
    for changes in ({"value": -5.0, "at_ms": T0 + 500_000}, {"field": "current"}, {"device": "meter-2"}):
        report = check(truths, [*points, replace(points[4], **changes)])
        assert [what for what, _ in offences(report)] == ["phantom"], changes


def test_a_boolean_is_no_number() -> None:
    """True stored as 1.0 is a wrong value."""
    report = check([truth(0, True)], [point(0, 1.0)])
    assert offences(report) == [("wrong_value", 0)]
    assert check([truth(0, True)], [point(0, True)]).ok


def test_a_whole_number_is_a_float() -> None:
    """A store may write 230.0 as 230."""
    assert check([truth(0, 230.0)], [point(0, 230)]).ok


def test_slow_rows_are_wrong_even_when_all_is_there() -> None:
    """Rule 4: 99 % of the rows within 20 ms."""
    truths, points = ramp(100)
    late = [replace(one, at_ms=one.at_ms + 30) for one in points[:2]]
    report = check(truths, late + points[2:])
    assert report.offences == ()
    assert not report.ok
    assert report.dt_ms(0.99) == 30
    assert check(truths, late[:1] + points[1:]).ok


def test_the_time_of_a_row_is_that_of_its_first_reply() -> None:
    """Rule 4: the second reply of a row comes later, and is no delay of the row."""
    truths = [truth(0, 1.0), truth(90, 2.0, field="current")]
    points = [point(0, 1.0), point(0, 2.0, field="current")]
    report = check(truths, points)
    assert report.ok
    assert report.row_dt_ms == (0,)


def test_a_later_reply_belongs_to_its_row() -> None:
    """Rule 1: equal, in a row that has begun, at most three seconds later; not alone, and not earlier."""
    truths = [truth(0, 1.0), truth(900, 2.0, field="current")]
    row = [point(0, 1.0), point(0, 2.0, field="current")]
    assert check(truths, row).ok
    assert not check(truths[1:], row[1:]).ok
    slow = [truths[0], replace(truths[1], at_ms=T0 + 4000)]
    assert not check(slow, row).ok
    assert check(slow, row, limits=Limits(row_ms=5000)).ok
    assert not check([truths[0], replace(truths[1], at_ms=T0 - 900)], row).ok


def test_a_stream_that_speaks_too_often_is_sampled() -> None:
    """Rule 3: nothing is owed before the period has passed since the last stored one; then it is."""
    truths = [truth(at, float(at), via="stream", every_ms=10_000) for at in range(0, 60_000, 1000)]
    points = [point(at, float(at)) for at in range(0, 60_000, 10_000)]
    report = check(truths, points)
    assert report.ok
    assert report.excused == {"sampled": 54}
    holed = check(truths, [one for one in points if one.at_ms != T0 + 20_000])
    assert offences(holed)[0] == ("missing", 20_000)
    as_often = [replace(one, every_ms=1000) for one in truths]
    assert check(as_often, points).counts == {"missing": 54}


@pytest.mark.parametrize(("lost_ms", "right"), [(28_000, False), (29_000, True), (31_000, True), (33_000, False)])
def test_a_kill_excuses_its_bound_and_no_more(lost_ms: int, right: bool) -> None:
    """Rule 1: lost 2 s before a kill is lost; lost within the bound or before it was back is not."""
    truths, points = ramp(60)
    kept = [one for one in points if one.value != lost_ms]
    report = check(truths, kept, [Outage(T0 + 30_000, T0 + 32_000)])
    assert report.ok is right
    assert report.excused == ({"outage": 1} if right else {})


def test_a_clean_stop_has_no_bound() -> None:
    """What was read before a stop that was asked for is stored."""
    truths, points = ramp(60)
    kept = [one for one in points if one.value != 29_000]
    assert not check(truths, kept, [Outage(T0 + 30_000, T0 + 32_000, 0)]).ok


def test_what_is_excused_may_still_not_be_wrong() -> None:
    """A wrong value in the bound of a kill was never served."""
    truths, points = ramp(60)
    points[30] = replace(points[30], value=-1.0)
    report = check(truths, points, [Outage(T0 + 30_000, T0 + 32_000)])
    assert [what for what, _ in offences(report)] == ["phantom"]


def test_a_stream_is_owed_from_the_first_stored_value_on() -> None:
    """Rule 3: before it nobody may have been ready; after it a hole is a loss; after a restart anew."""
    truths = [truth(at, float(at), via="stream") for at in range(0, 60_000, 1000)]
    points = [point(at, float(at)) for at in range(0, 60_000, 1000)]
    outage = [Outage(T0 + 30_000, T0 + 32_000)]
    late_start = [one for one in points if 3000 <= one.at_ms - T0 <= 28_000 or one.at_ms - T0 >= 36_000]
    report = check(truths, late_start, outage)
    assert report.ok
    assert report.excused == {"not_ready": 6, "outage": 4}
    holed = [one for one in late_start if one.at_ms - T0 != 40_000]
    assert offences(check(truths, holed, outage)) == [("missing", 40_000)]


def test_a_frame_that_the_gateway_refused_is_late() -> None:
    """Rule 3: as many as it counts, of that device, in that time; another hole is a loss."""
    truths = [truth(at, float(at), via="stream") for at in range(0, 60_000, 1000)]
    points = [point(at, float(at)) for at in range(0, 60_000, 1000) if at not in {30_000, 31_000, 50_000}]
    told = Refused("meter-1", T0 + 29_500, T0 + 31_500, 1)
    report = check(truths, points, refused=[told])
    assert report.excused == {"late": 1}
    assert offences(report) == [("missing", 31_000), ("missing", 50_000)]
    assert check(truths, points, refused=[replace(told, device="meter-2")]).excused == {}


def test_a_stream_that_is_never_stored_is_found() -> None:
    """Rule 3: ten seconds after a start there is no excuse left."""
    truths, points = ramp(30)
    silent = [truth(at, float(at), device="dust-1", via="stream") for at in range(0, 30_000, 1000)]
    report = check(truths + silent, points)
    assert report.counts == {"missing": 20}


def test_a_field_of_another_group_is_read_in_passing() -> None:
    """Rule 5: excused when the reply gave a row of another group; not when it gave none, or one of its own group."""
    asked = [truth(at, float(at), group=0, n=at) for at in range(0, 5000, 1000)]
    passed = [truth(at, float(-at), field="energy", group=1, n=at) for at in range(0, 5000, 1000)]
    points = [point(at, float(at)) for at in range(0, 5000, 1000)]
    report = check(asked + passed, points)
    assert report.ok
    assert report.excused == {"in_passing": 5}
    lost = check(asked + passed, points[1:])
    assert {what for what, _ in offences(lost)} == {"missing"}
    own = [replace(one, group=0) for one in passed]
    assert check(asked + own, points).counts == {"missing": 5}


def test_a_field_in_no_group_is_not_owed() -> None:
    """Rule 5: nobody asked the gateway to report it."""
    truths, points = ramp(5)
    assert check([*truths, truth(0, 9.0, field="spare", group=None)], points).ok


def test_the_limits_can_be_set() -> None:
    """A slow line needs a wider window."""
    truths, points = [truth(0)], [point(300)]
    assert not check(truths, points).ok
    assert check(truths, points, limits=Limits(within_ms=400, p99_ms=300, half_ms=300)).ok


def test_only_the_first_offences_are_shown() -> None:
    """A report that can be read."""
    truths, points = ramp(60)
    text = check(truths, points[:20]).text()
    assert text.count("missing") == 21
    assert "and 20 more" in text


def line(at_ms: int, value: float) -> str:
    """One line of a truth log."""
    entry = {
        "device": "meter-1", "field": "power", "kind": "energy_meter", "raw": "00", "value": value,
        "boot_ns": 1, "utc_ms": T0 + at_ms, "via": "modbus", "n": 1, "group": 0, "later": "ignored",
    }  # fmt: skip
    return json.dumps(entry)


def test_a_truth_log_is_read(tmp_path: Path) -> None:
    """Whole lines; one that was cut short at the end is no entry."""
    log = tmp_path / "truth"
    log.write_text(line(0, 1.5) + "\n" + line(10, 2.5) + "\n" + line(20, 3.5)[:-9])
    assert checker.read_truth(log) == [truth(0, 1.5, n=1), truth(10, 2.5, n=1)]


def test_a_broken_truth_log_is_not_overlooked(tmp_path: Path) -> None:
    """A bad line in the middle would hide a value."""
    log = tmp_path / "truth"
    log.write_text(line(0, 1.5) + "\n{broken\n" + line(10, 2.5) + "\n")
    with pytest.raises(ValueError, match="Expecting"):
        checker.read_truth(log)


async def fill(path: Path, rows: list[tuple[int, float]]) -> None:
    """An embedded store with these rows of meter-1."""
    store = SqliteStore(path)
    series = "energy_meter,gateway=hc-0001,device=meter-1,profile=x"
    lines = [f'{series} power={value},qc="a:b" {T0 + at}'.encode() for at, value in rows]
    await store.write(lines, "ms")
    await store.close()


async def test_points_of_the_embedded_store(tmp_path: Path) -> None:
    """Each field is a point; the quality text is none."""
    await fill(tmp_path / "store", [(0, 1.5)])
    store = SqliteStore(tmp_path / "store", writable=False)
    assert await store_points.from_store(store, "hc-0001", [("energy_meter", "meter-1")]) == [point(0, 1.5)]
    await store.close()


@pytest.mark.parametrize(("stored", "code"), [(1.5, 0), (1.6, 1)])
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], stored: float, code: int) -> None:
    """Exit code and report."""
    asyncio.run(fill(tmp_path / "store", [(0, stored)]))
    log = tmp_path / "truth"
    log.write_text(line(0, 1.5) + "\n")
    arguments = [str(log), "--gateway", "hc-0001", "--sqlite", str(tmp_path / "store"), "--down", f"{T0 + 5000}.."]
    assert checker.main(arguments) == code
    assert ("wrong_value" in capsys.readouterr().out) is bool(code)
