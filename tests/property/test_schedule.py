"""gateway.south.schedule under any mix of devices and failures: no drift, no spinning, probes within their share."""

from collections import defaultdict
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.counters import Counters
from gateway.model import BootMs
from gateway.site import Device
from gateway.south.schedule import PROBE_SHARE, Idle, Poll, Probe, Schedule, Turn
from tests.support.south import a_bus, a_device, a_field

LENGTH_MS = 120_000
MARGIN_MS = 50

DEVICES = st.lists(
    st.tuples(
        st.lists(st.sampled_from([500, 1000, 3000, 10_000]), min_size=1, max_size=3), st.sampled_from([100, 1000])
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=60, deadline=None)
@given(DEVICES, st.integers(0, 2**32), st.floats(0, 1), st.integers(1, 400))
def test_any_bus(devices: list[tuple[list[int], int]], seed: int, reliability: float, cost_ms: int) -> None:
    """Whatever fails: time moves, polls keep their phase, every due poll is made or counted, the living keep 95 %."""
    run = _Run([_device(n, *device) for n, device in enumerate(devices)], seed, reliability, cost_ms)
    run.play()
    run.check_phases()
    run.check_counts()
    run.check_share()
    run.check_turns()


class _Run:
    """One bus over LENGTH_MS; what it did."""

    def __init__(self, devices: list[Device], seed: int, reliability: float, cost_ms: int) -> None:
        self.chance, self.counters = Random(seed), Counters()
        self.schedule = Schedule(a_bus(*devices), BootMs(0), self.chance, self.counters)
        self.devices, self.reliability, self.cost_ms = devices, reliability, cost_ms
        self.windows: dict[int, list[int]] = defaultdict(list)  # task -> deadlines of its steps
        self.periods: dict[int, int] = {}
        self.stolen_ms = 0
        self.turns: dict[str, list[Turn]] = defaultdict(list)
        self.now = 0

    def play(self) -> None:
        while self.now < LENGTH_MS:
            step = self.schedule.step(BootMs(self.now))
            if isinstance(step, Idle):
                assert step.until > self.now
                self.now = step.until
            else:
                self._run(step)

    def check_phases(self) -> None:
        """Deadlines of one task differ by whole periods."""
        for task, deadlines in self.windows.items():
            assert len({deadline % self.periods[task] for deadline in deadlines}) == 1

    def check_counts(self) -> None:
        """Made (once a period) plus dropped is what was due."""
        made = sum(len(set(deadlines)) for deadlines in self.windows.values())
        due = sum((deadlines[-1] - deadlines[0]) // self.periods[task] + 1 for task, deadlines in self.windows.items())
        tasks = sum(len(device.polled) for device in self.devices)
        assert made + self.counters.total("polls_missed") >= due
        assert made <= due
        assert len(self.windows) == tasks or self.counters.total("polls_missed") > 0

    def check_share(self) -> None:
        """Time that failed probes took from polls."""
        assert self.stolen_ms <= PROBE_SHARE * self.now + 1000 + MARGIN_MS

    def check_turns(self) -> None:
        """A device goes down before it comes up, and never twice."""
        for turns in self.turns.values():
            assert turns[::2] == [Turn.DOWN] * len(turns[::2])
            assert turns[1::2] == [Turn.UP] * len(turns[1::2])

    def _run(self, step: Poll | Probe) -> None:
        self.windows[step.task].append(step.deadline)
        self.periods[step.task] = step.polled.period_ms
        good = self.chance.random() < self.reliability
        timeout_ms = 1000 if step.device.name.endswith("slow") else 100
        self.now += self.cost_ms if good else timeout_ms * (1 if isinstance(step, Probe) else 2)
        if not good and isinstance(step, Probe):
            self.stolen_ms += max(0, self.now - step.free_until)
        turn = self.schedule.done(step) if good else self.schedule.failed(step, BootMs(self.now))
        if turn:
            self.turns[step.device.name].append(turn)


def _device(number: int, periods: list[int], timeout_ms: int) -> Device:
    groups = [([a_field(10 * n)], period) for n, period in enumerate(periods)]
    return a_device(f"d{number}-{'slow' if timeout_ms == 1000 else 'fast'}", *groups, timeout_ms=timeout_ms)
