"""Whether a bus can hold its periods: the test for earliest deadline first without preemption. Pure.

A task is a poll of `cost_ms` every `period_ms`; its deadline is the next one. Jeffay, Stanat and Martel (1991): such
tasks, whenever each of them begins, meet every deadline if and only if

    1. they need no more than all the time:             sum of cost / period <= 1
    2. no poll, once begun, keeps the others too long:  cost i + sum of floor(t / period j) * cost j <= t
       for each task i and every t from the shortest period up to period i; j are the tasks of shorter periods than i

The left side of 2 only rises at multiples of the shorter periods, and it can't exceed t any more from
cost i / (1 - the load of the shorter ones) on; so few points are looked at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby

EPSILON = 1e-9
POINTS_MAX = 100_000  # a set that is so full that more are needed counts as failing


@dataclass(frozen=True, slots=True)
class Task:
    """A poll and how often it is due."""

    cost_ms: float
    period_ms: int
    at_once_ms: float = 0.0  # of the visit that it may be part of, where that is longer than the poll


@dataclass(frozen=True, slots=True)
class Verdict:
    """`blocker` and `late` are places in the tasks: the poll that takes too long at once, and one that waits for it."""

    load: float  # 1.0 = all of the time
    holds: bool
    blocker: int | None = None  # None when it is the sum that is too much
    late: int | None = None
    late_ms: float = 0.0  # at worst


@dataclass(frozen=True, slots=True)
class _Class:
    """All tasks of one period."""

    period_ms: int
    cost_ms: float  # of all
    longest_ms: float  # of one
    longest: int


def feasibility(tasks: Sequence[Task]) -> Verdict:
    """Whether every poll ends before the next one of its task is due, and if not, which fails and by how much."""
    load = sum(task.cost_ms / task.period_ms for task in tasks)
    if load > 1 + EPSILON:
        return Verdict(load, holds=False)
    classes = list(_classes(tasks))
    worst = Verdict(load, holds=True)
    for at in range(1, len(classes)):
        late_ms, late = _lateness(classes[at], classes[:at])
        if late is not None and late_ms > worst.late_ms:
            worst = Verdict(load, holds=False, blocker=classes[at].longest, late=late, late_ms=late_ms)
    return worst


def _classes(tasks: Sequence[Task]) -> Iterator[_Class]:
    numbered = sorted(enumerate(tasks), key=lambda item: item[1].period_ms)
    for period_ms, same in groupby(numbered, key=lambda item: item[1].period_ms):
        members = list(same)
        longest, task = max(members, key=lambda item: _at_once_ms(item[1]))
        yield _Class(period_ms, sum(task.cost_ms for _, task in members), _at_once_ms(task), longest)


def _at_once_ms(task: Task) -> float:
    return max(task.cost_ms, task.at_once_ms)


def _lateness(blocker: _Class, shorter: Sequence[_Class]) -> tuple[float, int | None]:
    """By how much a poll of the shorter ones is late at most when one of `blocker` has just begun, and which."""
    load = sum(one.cost_ms / one.period_ms for one in shorter)
    end = blocker.period_ms if load >= 1 else min(blocker.period_ms, blocker.longest_ms / (1 - load))
    demand_ms = blocker.longest_ms
    worst: tuple[float, int | None] = (EPSILON, None)
    points = merge(*(_multiples(one, end) for one in shorter), key=lambda point: point[0])
    for n, (at, due) in enumerate(groupby(points, key=lambda point: point[0])):
        if n == POINTS_MAX:
            return (EPSILON * 2, shorter[0].longest) if worst[1] is None else worst
        ending = [one for _, one in due]
        demand_ms += sum(one.cost_ms for one in ending)
        worst = max(worst, (demand_ms - at, ending[0].longest), key=lambda late: late[0])
    return worst


def _multiples(one: _Class, end: float) -> Iterator[tuple[int, _Class]]:
    """When polls of this class have to be over, before `end`."""
    at = one.period_ms
    while at < end:
        yield at, one
        at += one.period_ms
