"""`gateway.pipeline.judge`: what a row may claim."""

import math

import pytest

from gateway.model import BootMs, Event, Group, Quality, Row, Value
from gateway.pipeline.judge import MAX_ROW_TEXT_BYTES, Judge, Judged
from gateway.profile.profile import Field, Line, ModbusSource, Profile
from gateway.site import Bus, Device, Polled, Site, SpoolSettings

GROUP = Group("level-1", "water_level", "qdy/qdy30a@1", ("level", "temperature"), "ff")
OTHER = Group("level-1", "water_level", "qdy/qdy30a@1", ("ok", "text"), "bs")
FIELDS = (
    Field("level", "water_level", "m", "f", 3, low=-0.5, high=5.0),
    Field("temperature", "temperature", "Cel", "f", 1, low=-40.0),
    Field("ok", "", "", "b", 0),
    Field("text", "", "", "s", 0),
)
NO_REPLY, RANGE, NAN = Quality.NO_REPLY, Quality.OUT_OF_RANGE, Quality.NOT_A_NUMBER


def a_judge() -> Judge:
    """A judge of one device with two groups."""
    profile = Profile("qdy/qdy30a@1", "water_level", (), "two sources", FIELDS, ModbusSource(Line(), 1))
    device = Device("level-1", profile, 1, (Polled(GROUP, FIELDS[:2], 1000), Polled(OTHER, FIELDS[2:], 1000)))
    bus = Bus("rs485-1", "rtu", "own", "/dev/ttyUSB0", Line(), (device,))
    return Judge(Site("hc-0001", "dn", None, None, "system", SpoolSettings("/x", 1, 1), (), (bus,), ()))


def row(at: int, *values: Value | None, group: Group = GROUP, quality: tuple[tuple[int, Quality], ...] = ()) -> Row:
    """A row of the level sensor."""
    return Row(group, BootMs(at), values, quality)


def judged(*values: Value | None, group: Group = GROUP, quality: tuple[tuple[int, Quality], ...] = ()) -> Row:
    """The row that is left of one with these values."""
    found = a_judge().judge(row(1000, *values, group=group, quality=quality))
    assert found.row is not None
    assert found.dropped == ""
    return found.row


def test_a_good_row_stays_as_it_is() -> None:
    """Nothing is doubted without a reason; the limits themselves are plausible."""
    assert judged(5.0, -40.0) == row(1000, 5.0, -40.0)
    assert judged(-0.5, 1e9) == row(1000, -0.5, 1e9)
    assert judged(1, 2) == row(1000, 1, 2)


@pytest.mark.parametrize("value", [5.0001, -0.51, 10**400 - 1])
def test_what_cannot_be_true_is_null(value: float) -> None:
    """A level outside its plausible range is out_of_range; an integer beyond all floats is no number at all."""
    found = judged(value, 20.0)
    assert found.values == (None, 20.0)
    assert found.quality == ((0, NAN if value > 1e300 else RANGE),)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_number_is_null(value: float) -> None:
    """W-44: infinities too, whatever the range."""
    assert judged(1.0, value) == row(1000, 1.0, None, quality=((1, NAN),))


def test_souths_own_codes_stay() -> None:
    """A null keeps the code that south gave, and a value under a code is not believed."""
    assert judged(1.0, None, quality=((1, NO_REPLY),)) == row(1000, 1.0, None, quality=((1, NO_REPLY),))
    assert judged(1.0, 20.0, quality=((1, Quality.STUCK),)) == row(1000, 1.0, None, quality=((1, Quality.STUCK),))


def test_a_null_without_a_code_gets_one() -> None:
    """W-40: south said none and not why."""
    assert judged(1.0, None).quality == ((1, Quality.NO_VALUE),)


@pytest.mark.parametrize(
    ("values", "quality"),
    [
        ((1, "a"), ((0, Quality.BAD_REPLY),)),
        ((True, 5.0), ((1, Quality.BAD_REPLY),)),
        ((True, "a\nb"), ((1, RANGE),)),
        ((True, "a" * 256), ((1, RANGE),)),
        ((True, "\ud800"), ((1, RANGE),)),
        ((True, "mưa rào"), ()),
        ((False, ""), ()),
    ],
)
def test_other_types_are_judged_by_their_letter(
    values: tuple[Value, ...], quality: tuple[tuple[int, Quality], ...]
) -> None:
    """W-38, W-39: a value of another type than the profile says is nothing that the device meant."""
    found = judged(*values, group=OTHER)
    assert found.quality == quality
    assert [value is None for value in found.values] == [index in dict(quality) for index in range(2)]


@pytest.mark.parametrize("value", [True, "1.5"])
def test_a_number_is_a_number(value: Value) -> None:
    """W-37: neither a boolean nor a text is one."""
    assert judged(value, 20.0).quality == ((0, Quality.BAD_REPLY),)


def test_the_texts_of_one_row_have_a_bound_together() -> None:
    """W-1: a row fits its message, however many texts it has; those beyond are told, not cut."""
    group = Group("s", "k", "a/b@1", tuple(f"t{index}" for index in range(64)), "s" * 64)
    found = a_judge().judge(row(0, *["x" * 200] * 64, group=group)).row
    assert found is not None
    kept = [value for value in found.values if value is not None]
    assert len(kept) == MAX_ROW_TEXT_BYTES // 200
    assert {code for _, code in found.quality} == {RANGE}


@pytest.mark.parametrize("at", [1000, 999, 0])
def test_a_time_that_does_not_rise_is_dropped(at: int) -> None:
    """W-35: it would overwrite a row that is stored; dropped, told, and nothing remembered of it."""
    judge = a_judge()
    judge.judge(row(1000, 1.0, 20.0))
    assert judge.judge(row(at, 2.0, 20.0)) == Judged(None, dropped="not_rising")
    assert judge.judge(row(1001, 2.0, 20.0)).row == row(1001, 2.0, 20.0)


def test_each_group_has_its_own_time() -> None:
    """Two groups of one device may be read at one time, or out of turn."""
    judge = a_judge()
    judge.judge(row(1000, 1.0, 20.0))
    assert judge.judge(row(900, True, "x", group=OTHER)).row is not None


@pytest.mark.parametrize(
    "wrong", [row(0, 1.0), row(0, 1.0, 2.0, 3.0), row(0), Row(Group("a", "k", "a/b@1", (), ""), BootMs(0), ())]
)
def test_a_row_of_another_shape_is_dropped(wrong: Row) -> None:
    """No guess which value is whose; the daemon goes on and counts."""
    assert a_judge().judge(wrong) == Judged(None, dropped="wrong_shape")


def test_a_group_without_values_is_an_event_at_the_change() -> None:
    """W-42: one event when it begins, a count for each poll, one event with that count when it ends."""
    judge = a_judge()
    silent = [judge.judge(row(at, None, 1e3, quality=((0, NO_REPLY), (1, RANGE)))) for at in (1000, 2000, 3000)]
    back = judge.judge(row(4000, 1.0, 20.0))
    after = judge.judge(row(5000, 1.0, 20.0))
    assert [each.dropped for each in silent] == ["no_values"] * 3
    assert [each.row for each in silent] == [None] * 3
    assert silent[0].events == (Event(BootMs(1000), "level-1", "no_values", ("level", "no_reply")),)
    assert silent[1].events == silent[2].events == ()
    assert back.row is not None
    assert back.events == (Event(BootMs(4000), "level-1", "values_back", ("level", 3)),)
    assert after.events == ()


def test_no_values_again_is_an_event_again() -> None:
    """The count starts anew each time."""
    judge = a_judge()
    for start in (1000, 3000):
        assert judge.judge(row(start, 99.0, None)).events[0].code == "no_values"
        assert judge.judge(row(start + 1000, 1.0, 20.0)).events[0].detail == ("level", 1)


def test_what_people_are_shown_is_judged_and_nothing_is_remembered() -> None:
    """The same row twice, out of order, and one without a good value: each as it may be believed."""
    judge = a_judge()
    believed = judge.believed(row(2000, 9.0, math.nan))
    assert believed == row(2000, None, None, quality=((0, RANGE), (1, NAN)))
    assert judge.believed(row(2000, 9.0, math.nan)) == believed
    assert judge.judge(row(1000, 1.0, 2.0)) == Judged(row(1000, 1.0, 2.0))


def test_a_group_that_the_site_does_not_know_is_judged_without_limits() -> None:
    """A row that a reload overtook is still a row."""
    stranger = Group("gone-1", "water_level", "qdy/qdy30a@1", ("level",), "f")
    assert a_judge().judge(row(0, 1e6, group=stranger)).row == row(0, 1e6, group=stranger)


def test_codes_of_two_groups_never_share_a_time() -> None:
    """Rows of one device at one time are one point with one `qc`: with nulls in both, the later row is 1 ms later."""
    judge = a_judge()
    judge.judge(row(1000, 1.0, None, quality=((1, Quality.REFUSED),)))
    second = judge.judge(row(1000, True, None, group=OTHER, quality=((1, NO_REPLY),))).row
    assert second == row(1001, True, None, group=OTHER, quality=((1, NO_REPLY),))
    assert judge.judge(row(1001, True, "b", group=OTHER)).dropped == "not_rising"
    assert judge.judge(row(1002, True, "b", group=OTHER)).row == row(1002, True, "b", group=OTHER)


def test_a_group_without_nulls_keeps_its_time() -> None:
    """What has no `qc` overwrites none: both rows are one point at their own time."""
    judge = a_judge()
    judge.judge(row(1000, 1.0, None, quality=((1, Quality.REFUSED),)))
    assert judge.judge(row(1000, True, "a", group=OTHER)).row == row(1000, True, "a", group=OTHER)
