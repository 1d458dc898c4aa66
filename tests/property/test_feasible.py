"""gateway.south.outlook.feasible against a simulated bus: earliest deadline first, no poll is interrupted."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.south.outlook.feasible import Task, feasibility

TASKS = st.lists(
    st.builds(Task, st.integers(1, 12), st.sampled_from([5, 8, 10, 12, 20, 25, 40, 60, 100])), min_size=1, max_size=6
)


@settings(max_examples=150)
@given(TASKS, st.data())
def test_no_poll_of_a_set_that_holds_is_ever_late(tasks: list[Task], data: st.DataObject) -> None:
    """Whatever the phases of its tasks."""
    if feasibility(tasks).holds:
        phases = [data.draw(st.integers(0, task.period_ms)) for task in tasks]
        assert _worst_lateness_ms(tasks, phases, 700) <= 0


@settings(max_examples=150)
@given(TASKS)
def test_a_set_that_fails_can_be_made_late(tasks: list[Task]) -> None:
    """By the blocker that is named, when it begins just before all others are due, and by as much as is said."""
    verdict = feasibility(tasks)
    if verdict.holds:
        return
    if verdict.blocker is None:
        assert verdict.load > 1
        return
    others = [task for task in tasks if task.period_ms < tasks[verdict.blocker].period_ms]
    just_before = 0.001
    late_ms = _worst_lateness_ms([tasks[verdict.blocker], *others], [0, *[just_before] * len(others)], 100)
    assert late_ms >= verdict.late_ms - 2 * just_before


def _worst_lateness_ms(tasks: Sequence[Task], phases: Sequence[float], until_ms: float) -> float:
    jobs = [
        (phase + n * task.period_ms, phase + (n + 1) * task.period_ms, task.cost_ms)
        for task, phase in zip(tasks, phases, strict=True)
        for n in range(round(until_ms / task.period_ms) + 1)
    ]
    now, worst_ms = 0.0, 0.0
    while jobs:
        released = [job for job in jobs if job[0] <= now]
        if not released:
            now = min(job[0] for job in jobs)
            continue
        job = min(released, key=lambda job: job[1])
        jobs.remove(job)
        now += job[2]
        if job[1] <= until_ms:
            worst_ms = max(worst_ms, now - job[1])
    return worst_ms
