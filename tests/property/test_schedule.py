"""gateway.south.schedule under any mix of devices, failures and guests, with a fake clock; and against theory."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.counters import Counters
from gateway.model import BootMs
from gateway.site import Device, Fast, hurried
from gateway.south.outlook.feasible import Task, feasibility
from gateway.south.schedule.schedule import PROBE_SHARE, TURN_SAVED_MS, TURN_SHARE, TURN_WAIT_MS, Schedule
from gateway.south.schedule.silence import Change, News
from gateway.south.schedule.steps import Cut, Idle, Poll, Probe, Reopen, Step, Turn, Wish
from gateway.south.schedule.tasks import GRIDS_MS
from tests.support.south import a_bus, a_device, a_field

LENGTH_MS = 120_000
FAIR_MS, FAIR_TO = 300_000, 0.05
FLOOD_MS = 40_000
CAUSES = ("busy", "silent", "bus_down", "barred")
LINE_MS = 350  # of the longest request and reply at 9600, on top of a timeout

DEVICES = st.lists(
    st.tuples(
        st.lists(st.sampled_from([500, 1000, 3000, 10_000]), min_size=1, max_size=3), st.sampled_from([100, 1000])
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=80, deadline=None)
@given(
    DEVICES,
    st.sampled_from(["rtu", "tcp"]),
    st.integers(0, 2**32),
    st.floats(0, 1),
    st.integers(1, 400),
    st.booleans(),
)
def test_any_bus(
    devices: list[tuple[list[int], int]],
    transport: str,
    seed: int,
    reliability: float,
    cost_ms: int,
    guests: bool,
) -> None:
    """Whatever happens: time moves, polls keep their phase, each due poll is made or counted, shares are kept."""
    run = _Run([_device(n, *device) for n, device in enumerate(devices)], transport, seed)
    run.reliability, run.cost_ms, run.guests = reliability, cost_ms, guests
    run.play()
    run.check_phases()
    run.check_counts()
    run.check_shares()
    run.check_turns()


class _Run:
    """One bus over LENGTH_MS; what it did."""

    def __init__(self, devices: list[Device], transport: str, seed: int) -> None:
        self.chance, self.counters = Random(seed), Counters()
        self.schedule = Schedule(a_bus(*devices, transport=transport), BootMs(0), self.chance, self.counters)
        self.firsts = [task.due for task in self.schedule._tasks]
        self.reliability, self.cost_ms, self.guests = 1.0, 10, False
        self.windows: dict[int, list[int]] = defaultdict(list)  # task -> deadlines of the steps that counted
        self.given_up: dict[int, set[int]] = defaultdict(set)  # and of those that were spared too long
        self.probing_ms = self.turning_ms = 0  # taken from polls
        self.changes: dict[str, list[Change]] = defaultdict(list)
        self.now, self.wished_at = 0, 0

    def play(self) -> None:
        while self.now < LENGTH_MS:
            wish = Wish(BootMs(self.wished_at), 200, self.chance.choice([20, 200])) if self.guests else None
            step = self.schedule.step(BootMs(self.now), wish)
            if isinstance(step, Idle):
                assert step.until > self.now, step
                self.now = step.until
            else:
                self._run(step)

    def check_phases(self) -> None:
        """Deadlines of one task are whole periods after its first."""
        for task in self.schedule._tasks:
            period_ms = task.polled.period_ms
            assert {(at - self.firsts[task.number]) % period_ms for at in self.windows[task.number]} <= {0}

    def check_counts(self) -> None:
        """What was due is what was made, once a period, and what was counted as missed, and nothing else.

        But that a poll which was given up, and counted, may be made up for by a probe in the same period.
        """
        due = sum((task.due - self.firsts[task.number]) // task.polled.period_ms for task in self.schedule._tasks)
        made = sum(len(set(deadlines) - self.given_up[task]) for task, deadlines in self.windows.items())
        assert due == made + self.counters.total("polls_missed")

    def check_shares(self) -> None:
        """Time that failed probes and guests took from polls."""
        assert self.probing_ms <= PROBE_SHARE * self.now + 1000 + LINE_MS
        assert self.turning_ms <= TURN_SHARE * self.now + TURN_SAVED_MS + 200

    def check_turns(self) -> None:
        """A device goes down before it comes up, a bus is silent before it is heard, and never twice."""
        for turns in self.changes.values():
            assert set(turns[::2]) <= {Change.DOWN, Change.SILENT}
            assert set(turns[1::2]) <= {Change.UP, Change.HEARD}
        assert set(self.schedule.down) == {name for name, turns in self.changes.items() if turns[-1] is Change.DOWN}
        assert self.schedule.silent is (self.changes.get("bus-1", [Change.HEARD])[-1] is Change.SILENT)

    def _run(self, step: Step) -> None:
        if isinstance(step, Reopen):
            self.schedule.resume(BootMs(self.now), after_outage=False)
        elif isinstance(step, Turn):
            self.now += self.chance.randint(1, 200)
            self.turning_ms += max(0, self.now - step.free_until)
            self.schedule.turn_over(step, BootMs(self.now))
            self.wished_at = self.now
        elif isinstance(step, Poll | Probe):
            parts: Sequence[Poll | Probe] = (step, *step.also) if isinstance(step, Poll) else (step,)
            for part in parts:
                self._poll(part)

    def _poll(self, part: Poll | Probe) -> None:
        fate = self.chance.random()
        if fate < 0.02:
            self.schedule.unreached(part, BootMs(self.now))
            self.now += 1
        elif fate < 0.04:
            self.now += 5
            missed = self.counters.total("polls_missed")
            self.schedule.spared(part, BootMs(self.now + self.chance.randint(1, 2000)), "barred")
            if self.counters.total("polls_missed") > missed:
                self.given_up[part.task].add(part.deadline)
        elif fate < 0.06:
            self.now += 5
            self._tell(self._cut(part))
        else:
            self.windows[part.task].append(part.deadline)
            self._tell(self._answer(part, good=self.chance.random() < self.reliability))

    def _cut(self, part: Poll | Probe) -> list[News]:
        cuts = self.schedule._tasks[part.task].device.cuts
        missed = self.counters.total("polls_missed")
        cut, news = self.schedule.cut_off(part, BootMs(self.now), sent=bool(self.chance.getrandbits(1)))
        if cut is Cut.DEVICE:
            self.windows[part.task].append(part.deadline)
        elif self.counters.total("polls_missed") > missed:
            assert cuts > 0, "the first time it is made again"
            self.given_up[part.task].add(part.deadline)
        self.schedule.resume(BootMs(self.now), after_outage=False)
        return news

    def _answer(self, part: Poll | Probe, *, good: bool) -> list[News]:
        timeout_ms = 1000 if part.device.name.endswith("slow") else 100
        self.now += self.cost_ms if good else timeout_ms * (1 if isinstance(part, Probe) else 2)
        if good:
            return self.schedule.done(part, BootMs(self.now))
        if isinstance(part, Probe):
            self.probing_ms += max(0, self.now - part.free_until)
        return self.schedule.failed(part, BootMs(self.now), "no_reply")

    def _tell(self, news: Sequence[News]) -> None:
        for one in news:
            self.changes[one.subject].append(one.change)


TASKS = st.lists(
    st.tuples(st.sampled_from([100, 200, 300, 500, 700, 1000, 2500, 4000]), st.integers(1, 500)),
    min_size=1,
    max_size=9,
)


@settings(max_examples=150, deadline=None)
@given(TASKS, st.integers(0, 9), st.floats(0.3, 1))
def test_periods_are_held_whenever_the_feasibility_test_holds(
    tasks: list[tuple[int, int]], start: int, load: float
) -> None:
    """The theory's yes is our yes: each poll begins when due or later and ends before the next is due; none is lost."""
    costs, start = _scaled(tasks, load), start * GRIDS_MS[0]
    assume(feasibility([Task(cost, period) for cost, (period, _) in zip(costs, tasks, strict=True)]).holds)
    devices = [a_device(f"d{n}", ([a_field(0)], period)) for n, (period, _) in enumerate(tasks)]
    spans = _polled(Schedule(a_bus(*devices), BootMs(start), Random(1), Counters()), start, costs, 20_000)
    for (period, _), polls in zip(tasks, spans, strict=True):
        assert all(deadline - period <= began for began, _, deadline in polls)
        assert all(ended <= deadline for _, ended, deadline in polls)
        assert {later[2] - earlier[2] for earlier, later in pairwise(polls)} <= {period}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from([200, 500, 1000, 4000]), min_size=1, max_size=3), min_size=1, max_size=5),
    st.integers(1, 60),
)
def test_periods_are_held_by_groups_that_share_a_visit(groups: list[list[int]], cost: int) -> None:
    """The same, where the groups of a device may be polled in one visit: the longest poll is then the whole device."""
    periods = [period for device in groups for period in device]
    longest = [cost * len(device) for device in groups for _ in device]
    assume(_holds([cost] * len(periods), periods, longest))
    devices = [
        a_device(f"d{n}", *(([a_field(100 * at)], period) for at, period in enumerate(device)))
        for n, device in enumerate(groups)
    ]
    counters = Counters()
    spans = _polled(Schedule(a_bus(*devices), BootMs(0), Random(1), counters), 0, [cost] * len(periods), 20_000)
    assert counters.total("polls_missed") == 0
    assert all(ended <= deadline for polls in spans for _, ended, deadline in polls)


@st.composite
def floods(draw: st.DrawFn) -> tuple[Sequence[Device], int, Sequence[tuple[int, str, bool]]]:
    """Devices, some with a `fast`; what each poll takes, so that all may be hurried at once; who is, and when."""
    periods = st.lists(st.sampled_from([500, 1000, 4000, 10_000]), min_size=1, max_size=3)
    groups = draw(st.lists(st.tuples(periods, st.sampled_from([0, 200, 300, 500, 1000])), min_size=2, max_size=6))
    devices = [_fast(f"d{n}", own, fast_ms) for n, (own, fast_ms) in enumerate(groups)]
    flooded = [[polled.period_ms for polled in hurried(device).polled] for device in devices]
    most = max(1, int(1 / sum(1 / period for own in flooded for period in own)))
    cost = draw(st.integers(max(1, most // 3), most))
    tasks = [Task(cost, period, cost * len(own)) for own in flooded for period in own]
    assume(feasibility(tasks).holds)
    names = [device.name for device in devices if device.fast]
    assume(names)
    change = st.tuples(st.integers(0, FLOOD_MS), st.sampled_from(names), st.booleans())
    changes = draw(st.lists(change, min_size=1, max_size=30))
    return devices, cost, sorted(changes)


@settings(max_examples=200, deadline=None)
@given(floods())
def test_a_fast_that_fits_takes_nothing_from_others(
    flood: tuple[Sequence[Device], int, Sequence[tuple[int, str, bool]]],
) -> None:
    """Whoever is hurried, whenever, and back: no other device loses a poll, or gets one later than its period."""
    devices, cost, changes = flood
    counters, left = Counters(), deque(changes)
    schedule = Schedule(a_bus(*devices), BootMs(0), Random(1), counters)
    made: dict[tuple[str, int], list[tuple[int, int, int]]] = defaultdict(list)  # ended, was due, deadline
    now = 0
    while now < FLOOD_MS:
        while left and left[0][0] <= now:
            _, name, fast = left.popleft()
            schedule.hurry(name, fast=fast)
        step = schedule.step(BootMs(now))
        if isinstance(step, Idle):
            now = min(step.until, *(at for at, _, _ in left), FLOOD_MS) if left else step.until
            continue
        assert isinstance(step, Poll)
        for part in (step, *step.also):
            now += cost
            assert schedule.done(part, BootMs(now)) == []
            made[part.device.name, part.task].append((now, part.deadline - part.polled.period_ms, part.deadline))
    for device in devices:
        polls = {task: own for (name, task), own in made.items() if name == device.name}
        assert len(polls) == len(device.polled)
        if device.fast is None:
            assert not any(counters.get("polls_missed", bus="bus-1", device=device.name, cause=why) for why in CAUSES)
        for polled, own in zip(device.polled, (polls[task] for task in sorted(polls)), strict=True):
            if device.fast is None:
                assert all(ended <= deadline for ended, _, deadline in own)
                assert {later[1] - earlier[1] for earlier, later in pairwise(own)} <= {polled.period_ms}
            else:
                shortest = min(polled.period_ms, device.fast.period_ms)
                assert all(later[0] - earlier[0] <= 2 * polled.period_ms for earlier, later in pairwise(own))
                assert all(later[1] - earlier[1] >= shortest for earlier, later in pairwise(own))


@settings(max_examples=60, deadline=None)
@given(TASKS, st.floats(1, 6))
def test_nobody_starves_on_a_bus_with_too_much_to_do(tasks: list[tuple[int, int]], load: float) -> None:
    """Late for all, dead for none: a task waits for what is due in two periods of its own, and a poll of each."""
    costs = _scaled(tasks, load)
    devices = [a_device(f"d{n}", ([a_field(0)], period)) for n, (period, _) in enumerate(tasks)]
    spans = _polled(Schedule(a_bus(*devices), BootMs(0), Random(1), Counters()), 0, costs, 30_000)
    longest = 2 * max(1.0, sum(cost / period for cost, (period, _) in zip(costs, tasks, strict=True)))
    for (period, _), polls in zip(tasks, spans, strict=True):
        assert polls
        assert all(
            later[0] - earlier[0] <= longest * period + max(costs) + sum(costs) for earlier, later in pairwise(polls)
        )


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from([1000, 2000]), st.integers(50, 100)), min_size=8, max_size=16),
    st.floats(1.02, 1.5),
)
def test_a_bus_with_too_much_to_do_takes_as_much_from_everybody(tasks: list[tuple[int, int]], load: float) -> None:
    """The same part of each one's polls is lost, however their turns fall. No poll here is longer than a period."""
    costs = [int(load * share * period / sum(part for _, part in tasks)) for period, share in tasks]
    devices = [a_device(f"d{n}", ([a_field(0)], period)) for n, (period, _) in enumerate(tasks)]
    spans = _polled(Schedule(a_bus(*devices), BootMs(0), Random(1), Counters()), 0, costs, FAIR_MS)
    kept = [len(polls) * period / FAIR_MS for polls, (period, _) in zip(spans, tasks, strict=True)]
    assert max(kept) - min(kept) < FAIR_TO


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 1000), st.integers(20, 400), st.integers(1, 8))
def test_jobs_are_bounded_both_ways(turn_ms: int, poll_ms: int, load: int) -> None:
    """However full the bus and however long an exchange: no more than the share, no later than the share pays for."""
    devices = [a_device(f"d{n}", ([a_field(0)], poll_ms * 4)) for n in range(load)]
    schedule = Schedule(a_bus(*devices), BootMs(0), Random(1), Counters())
    now = wished_at = taken_ms = 0
    turns = [0]
    while now < LENGTH_MS:
        step = schedule.step(BootMs(now), Wish(BootMs(wished_at), turn_ms, turn_ms))
        if isinstance(step, Turn):
            turns.append(now)
            now += turn_ms
            taken_ms += max(0, now - step.free_until)
            schedule.turn_over(step, BootMs(now))
            wished_at = now
        elif isinstance(step, Poll):
            now += poll_ms
            schedule.done(step, BootMs(now))
        else:
            assert isinstance(step, Idle)
            now = step.until
    assert taken_ms <= TURN_SHARE * now + TURN_SAVED_MS + turn_ms
    patience_ms = turn_ms + TURN_WAIT_MS + turn_ms / TURN_SHARE + 2 * poll_ms
    assert max(later - earlier for earlier, later in pairwise(turns)) <= patience_ms


def _polled(schedule: Schedule, start: int, costs: Sequence[int], length_ms: int) -> list[list[tuple[int, int, int]]]:
    """What each task got while every poll is answered: (began, ended, deadline)."""
    spans: list[list[tuple[int, int, int]]] = [[] for _ in costs]
    now = start
    while now < start + length_ms:
        step = schedule.step(BootMs(now))
        if isinstance(step, Idle):
            now = step.until
            continue
        assert isinstance(step, Poll)
        for part in (step, *step.also):
            began, now = now, now + costs[part.task]
            spans[part.task].append((began, now, part.deadline))
            assert schedule.done(part, BootMs(now)) == []
    return spans


def _scaled(tasks: Sequence[tuple[int, int]], load: float) -> list[int]:
    """Costs of this load in all, in the proportions that were drawn; at least 1 ms each."""
    weight = sum(share / 500 for _, share in tasks)
    return [max(1, int(period * load * share / 500 / weight)) for period, share in tasks]


def _holds(costs: Sequence[int], periods: Sequence[int], longest: Sequence[int]) -> bool:
    """Jeffay, Stanat and Martel (1991), theorem 4.1, word for word, but that a poll may keep the bus for `longest`."""
    if sum(cost / period for cost, period in zip(costs, periods, strict=True)) > 1:
        return False
    tasks = sorted(zip(periods, costs, longest, strict=True))
    return all(
        blocks + sum((at - 1) // shorter * cost for shorter, cost, _ in tasks[:place]) <= at
        for place, (period, _, blocks) in enumerate(tasks)
        for at in range(tasks[0][0] + 1, period)
    )


def _fast(name: str, periods: Sequence[int], fast_ms: int) -> Device:
    """A device that is hurried to `fast_ms`, where that is not 0 and less than its slowest period."""
    device = a_device(name, *(([a_field(10 * n)], period) for n, period in enumerate(periods)))
    fast = Fast("f > 1", "", "f", 1, 1.0, fast_ms, 60_000) if 0 < fast_ms < max(periods) else None
    return replace(device, fast=fast)


def _device(number: int, periods: list[int], timeout_ms: int) -> Device:
    groups = [([a_field(10 * n)], period) for n, period in enumerate(periods)]
    return a_device(f"d{number}-{'slow' if timeout_ms == 1000 else 'fast'}", *groups, timeout_ms=timeout_ms)
