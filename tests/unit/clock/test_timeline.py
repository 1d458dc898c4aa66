"""The rules of design section 8, one by one; docs/specs/spool.md names them TIME-n."""

import pytest

from gateway.clock.timeline import (
    BUILT,
    OPEN_BATCH_MS,
    PATIENCE_MS,
    UNDATED_SEGMENT_MS,
    UNDATED_STEPS_MAX,
    Timeline,
    estimate,
)
from gateway.model import BootMs, Event, Given, Segment, Trust, UtcMs

TRUE = 1_795_521_600_000  # the true offset: this boot began at noon
MIN = 60_000


def begun(at: int = MIN, *kept: Segment, given: Given | None = None, word: Trust = Trust.NTP) -> Timeline:
    """A timeline that has gone on from `kept`."""
    timeline = Timeline("b1", word)
    timeline.resume(BootMs(at), kept, given or Given())
    return timeline


def see(
    timeline: Timeline, at: int, offset: int = TRUE, *, synchronised: bool = True
) -> tuple[list[Segment], list[str]]:
    """(dated, codes) of one observation."""
    changes = timeline.observe(BootMs(at), UtcMs(at + offset), synchronised=synchronised)
    return list(changes.dated), [event.code for event in changes.events]


def now(timeline: Timeline, at: int) -> tuple[int | None, str]:
    """(offset, word) of rows taken at `at`."""
    segment = timeline.segment_of(BootMs(at), urgent=False)
    return segment.offset_ms, segment.clock.value


def test_the_clock_dates_what_this_boot_has_undated() -> None:
    """Rows from before the clock get the true offset, with the segment's own number."""
    timeline = begun()
    early = timeline.segment_of(BootMs(MIN), urgent=False)
    assert early.offset_ms is None
    see(timeline, MIN, -5000, synchronised=False)
    dated, codes = see(timeline, 2 * MIN)
    assert [(s.number, s.offset_ms, s.clock) for s in dated] == [(early.number, TRUE, Trust.NTP)]
    assert codes == []
    assert now(timeline, 3 * MIN) == (TRUE, "ntp")


def test_the_word_is_the_sites() -> None:
    """System and rtc are called by their names."""
    for word in (Trust.SYSTEM, Trust.RTC):
        timeline = begun(word=word)
        see(timeline, MIN)
        assert now(timeline, MIN) == (TRUE, word.value)


def test_undated_segments_last_an_hour() -> None:
    """So that patience runs out piece by piece."""
    timeline = begun()
    first = timeline.segment_of(BootMs(MIN), urgent=False)
    see(timeline, MIN + UNDATED_SEGMENT_MS, 0, synchronised=False)
    second = timeline.segment_of(BootMs(MIN + UNDATED_SEGMENT_MS), urgent=False)
    assert second.number == first.number + 1
    assert timeline.segment_of(BootMs(2 * MIN), urgent=False) == first


def test_an_undated_segment_starts_at_a_wall_step() -> None:
    """Though nobody believes that clock yet."""
    timeline = begun()
    see(timeline, MIN, 0, synchronised=False)
    first = timeline.segment_of(BootMs(MIN), urgent=False)
    see(timeline, MIN + 10_000, 101, synchronised=False)
    assert timeline.segment_of(BootMs(MIN + 10_000), urgent=False) != first


def test_a_wall_clock_that_never_stops_stepping_is_bounded() -> None:
    """A broken script that sets it every second, for a day (P6)."""
    timeline = begun()
    for second in range(86_000):
        see(timeline, MIN + second * 1_000, second * 1_000, synchronised=False)
    assert len(timeline._segments) <= UNDATED_STEPS_MAX + 24
    assert len(see(timeline, MIN + 86_000_000)[0]) <= UNDATED_STEPS_MAX + 24


def test_urgent_batches_wait_five_seconds() -> None:
    """Each by itself, the rows around them not at all."""
    timeline = begun()
    see(timeline, MIN, 0, synchronised=False)
    urgent = timeline.segment_of(BootMs(MIN), urgent=True)
    other = timeline.segment_of(BootMs(MIN), urgent=True)
    assert urgent.number != other.number
    assert see(timeline, MIN + 4_999, 0, synchronised=False)[0] == []
    dated, _ = see(timeline, MIN + 5_000, 0, synchronised=False)
    assert [s.number for s in dated] == [urgent.number, other.number]
    assert {s.clock for s in dated} == {Trust.UNSET}
    assert timeline.segment_of(BootMs(MIN), urgent=False).offset_ms is None


def test_unset_after_a_day_has_one_offset_a_boot() -> None:
    """The first use fixes it, and clock_set tells what it was."""
    timeline = begun()
    see(timeline, MIN, 2 * BUILT, synchronised=False)
    dated, _ = see(timeline, MIN + PATIENCE_MS, 2 * BUILT + 50, synchronised=False)
    assert [(s.offset_ms, s.clock) for s in dated] == [(2 * BUILT + 50, Trust.UNSET)]
    timeline.segment_of(BootMs(MIN + PATIENCE_MS), urgent=True)
    later, _ = see(timeline, MIN + PATIENCE_MS + 9_000, 2 * BUILT + 90, synchronised=False)
    assert {s.offset_ms for s in later} == {2 * BUILT + 50}
    changes = timeline.observe(BootMs(2 * PATIENCE_MS), UtcMs(2 * PATIENCE_MS + TRUE), synchronised=True)
    assert changes.events == (Event(BootMs(2 * PATIENCE_MS), "", "clock_set", (2 * BUILT + 50, TRUE)),)


def test_an_unset_boot_starts_after_the_build_and_what_was_given_out() -> None:
    """A wall clock at 1970 is not passed on."""
    for given, offset in ((Given(), BUILT), (Given(trusted=UtcMs(2 * BUILT)), 2 * BUILT + 1)):
        timeline = begun(given=given)
        timeline.segment_of(BootMs(MIN), urgent=True)
        dated, _ = see(timeline, MIN + 5_000, 0, synchronised=False)
        assert [s.offset_ms for s in dated] == [offset]


def test_small_steps_are_followed_at_once() -> None:
    """More than 100 ms is a new segment and an event; 100 ms is not."""
    timeline = begun()
    see(timeline, MIN)
    assert see(timeline, 2 * MIN, TRUE + 100) == ([], [])
    assert now(timeline, 2 * MIN) == (TRUE, "ntp")
    assert see(timeline, 3 * MIN, TRUE + 101) == ([], ["clock_step"])
    assert now(timeline, 3 * MIN) == (TRUE + 101, "ntp")
    assert now(timeline, 3 * MIN - 1) == (TRUE, "ntp")


def test_holdover_when_the_kernel_lets_go() -> None:
    """The same offset, another word; and back."""
    timeline = begun()
    see(timeline, MIN)
    see(timeline, 2 * MIN, synchronised=False)
    assert now(timeline, 2 * MIN) == (TRUE, "holdover")
    see(timeline, 3 * MIN)
    assert now(timeline, 3 * MIN) == (TRUE, "ntp")


def test_a_clock_set_back_is_stepped_until_that_time_has_passed() -> None:
    """What was given out as trusted is not overwritten, an open batch included."""
    timeline = begun()
    see(timeline, MIN)
    assert see(timeline, 2 * MIN, TRUE - 3_000)[1] == ["clock_step"]
    assert now(timeline, 2 * MIN) == (TRUE - 3_000, "stepped")
    assert not timeline.trusted
    passed = 2 * MIN + OPEN_BATCH_MS + 3_000
    see(timeline, passed, TRUE - 3_000)
    assert now(timeline, passed) == (TRUE - 3_000, "stepped")
    see(timeline, passed + 1, TRUE - 3_000)
    assert now(timeline, passed + 1) == (TRUE - 3_000, "ntp")


def test_a_clock_set_back_over_a_boot_is_stepped() -> None:
    """The highest trusted time comes from the disk."""
    timeline = begun(given=Given(trusted=UtcMs(TRUE + 10 * MIN)))
    dated, _ = see(timeline, 2 * MIN)
    assert [s.clock for s in dated] == [Trust.STEPPED]
    see(timeline, 10 * MIN + 1)
    assert now(timeline, 10 * MIN + 1) == (TRUE, "ntp")


def test_a_large_step_waits_for_a_receipt() -> None:
    """Held, with an event, until the IOC's now agrees with it."""
    timeline = begun()
    see(timeline, MIN)
    assert see(timeline, 2 * MIN, TRUE + 3_600_000)[1] == ["clock_step_held"]
    assert see(timeline, 3 * MIN, TRUE + 3_600_000)[1] == []
    assert now(timeline, 3 * MIN) == (TRUE, "holdover")
    agreed = timeline.told_by_ioc(BootMs(3 * MIN), BootMs(3 * MIN + 500), UtcMs(3 * MIN + TRUE + 3_600_000 + 200))
    assert [e.code for e in agreed.events] == ["clock_step"]
    assert now(timeline, 4 * MIN) == (TRUE + 3_600_000, "ntp")


def test_a_large_step_is_refused_by_a_receipt_that_agrees_with_the_old_time() -> None:
    """And each receipt puts off the day after which it is followed unseen."""
    timeline = begun()
    see(timeline, MIN)
    see(timeline, 2 * MIN, 0)
    day = 2 * MIN + PATIENCE_MS
    assert timeline.told_by_ioc(BootMs(day - MIN), BootMs(day - MIN), UtcMs(day - MIN + TRUE)).events == ()
    assert see(timeline, day, 0)[1] == []
    assert now(timeline, day) == (TRUE, "holdover")
    assert see(timeline, day - MIN + PATIENCE_MS, 0)[1] == ["clock_step"]
    assert now(timeline, 2 * day)[0] == 0


def test_a_step_that_goes_back_is_over() -> None:
    """The old time, its old word."""
    timeline = begun()
    see(timeline, MIN)
    see(timeline, 2 * MIN, 0)
    assert see(timeline, 3 * MIN) == ([], [])
    assert now(timeline, 3 * MIN) == (TRUE, "ntp")


def test_the_ioc_disagrees_once() -> None:
    """More than 5 s outside of [sent, arrived] is an alarm, told once until it agrees again."""
    timeline = begun()
    see(timeline, MIN)
    sent, arrived = BootMs(MIN), BootMs(MIN + 1_000)

    def told(now_ms: int) -> list[str]:
        return [e.code for e in timeline.told_by_ioc(sent, arrived, UtcMs(now_ms)).events]

    assert told(MIN + TRUE - 5_000) == []
    assert told(MIN + TRUE + 6_000) == []
    assert told(MIN + TRUE + 6_001) == ["clock_disagrees"]
    assert told(MIN + TRUE - 5_001) == []
    assert told(MIN + TRUE) == []
    assert told(MIN + TRUE - 5_001) == ["clock_disagrees"]


def test_without_a_clock_the_ioc_is_not_compared() -> None:
    """There is nothing to compare its time with."""
    timeline = begun()
    assert timeline.told_by_ioc(BootMs(MIN), BootMs(MIN), UtcMs(TRUE)).events == ()


def test_a_restart_goes_on_with_the_old_segment() -> None:
    """If it still fits within 100 ms; else a new one begins, and it is held like any step."""
    kept = Segment(7, "b1", TRUE, Trust.NTP, BootMs(MIN))
    given = Given(trusted=UtcMs(TRUE + MIN), segment=7)
    timeline = begun(5 * MIN, kept, given=given)
    assert see(timeline, 5 * MIN, TRUE + 60) == ([], [])
    assert timeline.segment_of(BootMs(5 * MIN), urgent=False) == kept
    timeline = begun(5 * MIN, kept, given=given)
    see(timeline, 5 * MIN, TRUE + 101)
    assert timeline.segment_of(BootMs(5 * MIN), urgent=False).number == 8
    timeline = begun(5 * MIN, kept, given=given)
    assert see(timeline, 5 * MIN, TRUE + 10_000)[1] == ["clock_step_held"]


def test_a_restart_dates_what_it_left_undated() -> None:
    """Undated segments of this boot, urgent ones too, are still waiting."""
    kept = (
        Segment(3, "b1", None, Trust.UNSET, BootMs(MIN)),
        Segment(4, "b1", None, Trust.UNSET, BootMs(MIN), urgent=True),
        Segment(5, "b1", 50, Trust.UNSET, BootMs(MIN), urgent=True),
    )
    timeline = begun(2 * MIN, *kept, given=Given(segment=5))
    assert timeline.segment_of(BootMs(2 * MIN), urgent=False).number == 3
    dated, codes = see(timeline, 2 * MIN)
    assert {(s.number, s.offset_ms) for s in dated} == {(3, TRUE), (4, TRUE)}
    assert codes == ["clock_set"]


def test_a_crash_between_clock_and_disk_leaves_nothing_undated() -> None:
    """A boot with a dated and an undated segment: the next observation dates the latter."""
    kept = (
        Segment(1, "b1", None, Trust.UNSET, BootMs(MIN)),
        Segment(2, "b1", TRUE, Trust.NTP, BootMs(2 * MIN)),
    )
    timeline = begun(3 * MIN, *kept, given=Given(segment=2))
    assert [(s.number, s.offset_ms) for s in see(timeline, 3 * MIN)[0]] == [(1, TRUE)]
    assert not timeline.undated


def test_estimated_is_right_after_what_was_given_out() -> None:
    """One offset a boot; several boots, one after the other."""
    earlier = [
        Segment(1, "a", None, Trust.UNSET, BootMs(1_000)),
        Segment(2, "a", None, Trust.UNSET, BootMs(3_601_000)),
        Segment(3, "b", None, Trust.UNSET, BootMs(1_000)),
    ]
    given = Given(trusted=UtcMs(500), estimated=UtcMs(900), boot="b", last=BootMs(70_000), segment=3)
    first, second, third = estimate(earlier, given, built=UtcMs(0))
    assert {s.clock for s in (first, second, third)} == {Trust.ESTIMATED}
    assert first.offset_ms == second.offset_ms == 901
    assert third.offset_ms == 901 + 3_601_000 + UNDATED_SEGMENT_MS + 1


def test_estimated_uses_the_boots_own_clock_if_it_had_one() -> None:
    """A power cut came between the clock and the disk."""
    earlier = [
        Segment(1, "a", None, Trust.UNSET, BootMs(1_000)),
        Segment(2, "a", TRUE, Trust.NTP, BootMs(9_000)),
    ]
    (dated,) = estimate(earlier, Given(trusted=UtcMs(TRUE + 9_000)))
    assert (dated.number, dated.offset_ms, dated.clock) == (1, TRUE, Trust.ESTIMATED)


def test_estimated_never_begins_before_the_build() -> None:
    """A new box that never had a clock: 1970 would be beyond any store's retention."""
    (dated,) = estimate([Segment(1, "a", None, Trust.UNSET, BootMs(1_000))], Given())
    assert dated.offset_ms == BUILT + 1


def test_numbers_rise_over_all_boots() -> None:
    """From the highest that was ever used."""
    timeline = begun(given=Given(segment=41))
    assert timeline.segment_of(BootMs(MIN), urgent=False).number == 42


def test_stamp_and_trust_are_those_of_now() -> None:
    """For status, commands and certificates."""
    timeline = begun()
    assert timeline.stamp(BootMs(MIN)) is None
    assert timeline.trust is Trust.UNSET
    see(timeline, MIN)
    stamp = timeline.stamp(BootMs(2 * MIN))
    assert stamp is not None
    assert stamp.t0 == TRUE + 2 * MIN
    assert timeline.trusted
    assert timeline.floor == TRUE + MIN
    assert timeline.trusted_utc(BootMs(2 * MIN)) == TRUE + 2 * MIN


STEPS = {"+1 h": 3_600_000, "-1 day": -86_400_000, "+10 years": 315_576_000_000}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_large_step_is_not_believed_unseen(step: int) -> None:
    """Nobody confirms it: the old time goes on, marked, for a day; certificates and commands do without a clock."""
    timeline = begun()
    see(timeline, MIN)
    assert see(timeline, 2 * MIN, TRUE + step)[1] == ["clock_step_held"]
    assert now(timeline, 2 * MIN) == (TRUE, "holdover")
    assert timeline.trusted_utc(BootMs(2 * MIN)) is None
    assert timeline.floor == TRUE + MIN
    assert see(timeline, 2 * MIN + PATIENCE_MS - 1, TRUE + step)[1] == []
    assert see(timeline, 2 * MIN + PATIENCE_MS, TRUE + step)[1] == ["clock_step"]
    word = "ntp" if step > 0 else "stepped"
    assert now(timeline, 2 * MIN + PATIENCE_MS) == (TRUE + step, word)
    assert now(timeline, 2 * MIN + PATIENCE_MS - 1) == (TRUE, "holdover")


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_large_step_is_followed_when_the_ioc_has_the_same_time(step: int) -> None:
    """Back it is `stepped`, forward it is trusted; rows from before keep what they have."""
    timeline = begun()
    see(timeline, MIN)
    see(timeline, 2 * MIN, TRUE + step)
    changes = timeline.told_by_ioc(BootMs(3 * MIN), BootMs(3 * MIN + 100), UtcMs(3 * MIN + TRUE + step))
    assert changes.events == (Event(BootMs(3 * MIN + 100), "", "clock_step", (step,)),)
    assert now(timeline, 3 * MIN + 100) == (TRUE + step, "ntp" if step > 0 else "stepped")
    assert now(timeline, MIN) == (TRUE, "ntp")


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_large_step_that_the_ioc_contradicts_is_never_followed(step: int) -> None:
    """However long it lasts, as long as there are receipts."""
    timeline = begun()
    see(timeline, MIN)
    for hour in range(1, 50):
        at = hour * 3_600_000
        see(timeline, at, TRUE + step)
        assert timeline.told_by_ioc(BootMs(at), BootMs(at + 100), UtcMs(at + TRUE)).events == ()
        assert now(timeline, at + 100) == (TRUE, "holdover")


@pytest.mark.parametrize("off", [0, 150, -150])
def test_a_slow_receipt_confirms_nothing(off: int) -> None:
    """A batch that was out for an hour allows for both times: neither is followed, and the day does not begin anew.

    Nor if the old time is a little off, so that the new one seems a little better.
    """
    timeline = begun()
    see(timeline, MIN, TRUE + off)
    see(timeline, 2 * MIN, TRUE + 30 * MIN)
    sent, arrived = BootMs(2 * MIN), BootMs(62 * MIN)
    assert timeline.told_by_ioc(sent, arrived, UtcMs(arrived + TRUE)).events == ()
    assert now(timeline, arrived) == (TRUE + off, "holdover")
    assert see(timeline, 2 * MIN + PATIENCE_MS, TRUE + 30 * MIN)[1] == ["clock_step"]


def test_a_receipt_agrees_with_the_nearer_time() -> None:
    """Of a step just over 5 s both times may lie within the slack."""
    for away, followed in ((500, False), (5_500, True)):
        timeline = begun()
        see(timeline, MIN)
        see(timeline, 2 * MIN, TRUE + 6_000)
        changes = timeline.told_by_ioc(BootMs(3 * MIN), BootMs(3 * MIN + 10), UtcMs(3 * MIN + TRUE + away))
        assert [e.code for e in changes.events] == (["clock_step"] if followed else [])


def test_the_floor_is_never_below_the_build() -> None:
    """A new box at 1970 refuses a certificate that ran out before this software was made."""
    assert begun().floor == BUILT
    assert begun(given=Given(trusted=UtcMs(BUILT + 5))).floor == BUILT + 5


def test_synchronised_after_ten_minutes() -> None:
    """Everything since boot gets the true offset: nothing is guessed, and nothing is told but the news of a step."""
    timeline = begun(1_000)
    for at in range(1_000, 600_000, 1_000):
        assert see(timeline, at, 0, synchronised=False) == ([], [])
    waiting = timeline.segment_of(BootMs(300_000), urgent=False)
    assert [(s.number, s.offset_ms, s.clock) for s in see(timeline, 600_000)[0]] == [(waiting.number, TRUE, Trust.NTP)]
    assert now(timeline, 1_000) == now(timeline, 600_001) == (TRUE, "ntp")


def test_two_boots_with_the_same_fake_clock_never_share_a_time() -> None:
    """Each boot's `unset` begins after what the last one gave out."""
    first = begun()
    first.segment_of(BootMs(MIN), urgent=True)
    ((one,), _) = see(first, 2 * MIN, 5, synchronised=False)
    assert one.offset_ms is not None
    second = Timeline("b2")
    second.resume(BootMs(MIN), (), Given(unset=UtcMs(one.offset_ms + 2 * MIN), segment=one.number))
    second.segment_of(BootMs(MIN), urgent=True)
    ((two,), _) = see(second, 2 * MIN, 5, synchronised=False)
    assert (one.clock, two.clock) == (Trust.UNSET, Trust.UNSET)
    assert two.offset_ms == one.offset_ms + 2 * MIN + 1
