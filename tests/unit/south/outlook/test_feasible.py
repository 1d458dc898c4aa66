"""gateway.south.outlook.feasible: textbook sets, and what is said of those that fail."""

import pytest

from gateway.south.outlook.feasible import Task, feasibility


def test_a_set_that_needs_more_than_all_time_fails_as_a_whole() -> None:
    """No single poll is to blame."""
    verdict = feasibility([Task(60, 100), Task(50, 100)])
    assert (verdict.holds, verdict.blocker) == (False, None)
    assert verdict.load == pytest.approx(1.1)


def test_all_of_the_time_may_be_used() -> None:
    """Two polls of half the period each, and nothing else."""
    assert feasibility([Task(50, 100), Task(50, 100)]).holds
    assert feasibility([Task(100, 100)]).holds


def test_one_long_poll_makes_a_short_period_late() -> None:
    """A quarter of the time is used, and yet: 200 ms at once are more than a period of 100 ms leaves."""
    verdict = feasibility([Task(10, 100), Task(200, 2000)])
    assert not verdict.holds
    assert (verdict.blocker, verdict.late) == (1, 0)
    assert verdict.late_ms == pytest.approx(110)  # 200 + 10 by 100
    assert verdict.load == pytest.approx(0.2)


def test_what_a_blocker_may_take() -> None:
    """What the shortest period leaves, to the millisecond."""
    assert feasibility([Task(10, 100), Task(90, 2000)]).holds
    assert not feasibility([Task(10, 100), Task(91, 2000)]).holds


def test_lateness_may_show_only_later_than_at_the_first_deadline() -> None:
    """At 10 all is well (4 + 5 <= 10), at 12 too (4 + 5 + 3), at 20 it is not (4 + 10 + 3 + 4)."""
    tasks = [Task(5, 10), Task(3, 12), Task(4, 20), Task(4, 1000)]
    assert feasibility([*tasks[:3], Task(0.5, 1000)]).holds
    assert not feasibility(tasks).holds


def test_no_tasks_hold() -> None:
    """An empty bus has all its time."""
    assert feasibility([]).holds
    assert feasibility([]).load == 0


def test_a_very_full_set_is_judged_in_bounded_time() -> None:
    """Whether it holds is not seen within the bound: it counts as failing, on the safe side."""
    verdict = feasibility([Task(49.9999, 50), Task(0.00001, 51), Task(0.5, 86_400_000)])
    assert not verdict.holds
