"""gateway.south.schedule with plain integers for time: periods, misses, probes, who goes down and when."""

from collections.abc import Callable
from itertools import pairwise
from random import Random

from gateway.counters import Counters
from gateway.model import BootMs
from gateway.site import Device
from gateway.south.schedule import MISSES_DOWN, RETRY_MS_MAX, Idle, Poll, Probe, Schedule, Turn
from tests.support.south import a_bus, a_device, a_field

START = 1_000_000


class Play:
    """Drives a schedule through virtual time; `took` says how long a step keeps the bus and whether it was answered."""

    def __init__(self, *devices: Device, took: Callable[[Poll | Probe, int], tuple[int, bool]]) -> None:
        self.counters = Counters()
        self.schedule = Schedule(a_bus(*devices), BootMs(START), Random(1), self.counters)
        self.now = START
        self.steps: list[tuple[int, Poll | Probe]] = []
        self.turns: list[tuple[int, str, Turn]] = []
        self._took = took

    def until(self, end: int) -> "Play":
        """Let the bus run until `end` ms after the start."""
        while self.now < START + end:
            step = self.schedule.step(BootMs(self.now))
            if isinstance(step, Idle):
                assert step.until > self.now, "an idle step that does not move time would spin"
                self.now = min(step.until, START + end)
            else:
                self._run(step)
        return self

    def times(self, device: str, kind: type = object) -> list[int]:
        """When a device was asked, in ms after the start."""
        return [at - START for at, step in self.steps if step.device.name == device and isinstance(step, kind)]

    def missed(self, device: str, cause: str) -> float:
        """Polls that were dropped."""
        return self.counters.get("polls_missed", bus="bus-1", device=device, cause=cause)

    def _run(self, step: Poll | Probe) -> None:
        self.steps.append((self.now, step))
        took, answered = self._took(step, self.now - START)
        self.now += took
        turn = self.schedule.done(step) if answered else self.schedule.failed(step, BootMs(self.now))
        if turn:
            self.turns.append((self.now - START, step.device.name, turn))


def _meter(name: str, period_ms: int = 1000, timeout_ms: int = 200) -> Device:
    return a_device(name, ([a_field(0)], period_ms), timeout_ms=timeout_ms)


def _answers(
    took: int = 20, *, dead: Callable[[str, int], bool] = lambda _name, _at: False
) -> Callable[[Poll | Probe, int], tuple[int, bool]]:
    """Each step takes `took`; a dead device costs its timeout, and a poll of it two."""

    def answer(step: Poll | Probe, at: int) -> tuple[int, bool]:
        if dead(step.device.name, at):
            return (200 if isinstance(step, Probe) else 400), False
        return took, True

    return answer


def test_polls_do_not_drift() -> None:
    """Whatever a poll takes, polls start at multiples of the period from the first one."""
    play = Play(_meter("m"), took=_answers(137)).until(100_000)
    assert play.times("m") == list(range(0, 100_000, 1000))
    assert play.counters.total("polls_missed") == 0


def test_first_polls_are_staggered_within_a_second() -> None:
    """Ten devices of ten seconds start 100 ms apart, and stay so; none waits for its whole period."""
    play = Play(*(_meter(f"m{n}", 10_000) for n in range(10)), took=_answers()).until(25_000)
    assert [play.times(f"m{n}") for n in (0, 9)] == [[0, 10_000, 20_000], [900, 10_900, 20_900]]


def test_the_earliest_deadline_goes_first() -> None:
    """While a slow poll kept the bus, a fast device became due later than a slow one, and is still served first."""
    play = Play(
        _meter("slow", 10_000),
        _meter("fast", 500),
        took=lambda step, _: (450 if step.device.name == "slow" else 10, True),
    ).until(1500)
    assert [step.device.name for _, step in play.steps][:3] == ["slow", "fast", "fast"]


def test_a_poll_that_cannot_begin_in_its_period_is_dropped_and_counted() -> None:
    """A poll of 2.5 periods costs the next ones, which are counted and never made up for."""
    play = Play(_meter("m"), took=lambda _step, at: (2500 if at == 3000 else 10, True)).until(10_000)
    assert play.times("m") == [0, 1000, 2000, 3000, 5500, 6000, 7000, 8000, 9000]
    assert play.missed("m", "busy") == 1


def test_a_bus_with_too_much_to_do_is_late_for_all_and_dead_for_none() -> None:
    """Twice the work that fits: everyone gets about half of its polls, and the rest is counted."""
    play = Play(*(_meter(f"m{n}") for n in range(10)), took=_answers(200)).until(60_000)
    polls = [len(play.times(f"m{n}")) for n in range(10)]
    assert min(polls) >= 25
    assert max(polls) <= 35
    assert 600 - 12 <= sum(polls) + play.counters.total("polls_missed") <= 600


def test_one_lost_reply_is_asked_for_again_and_is_no_news() -> None:
    """The retry comes well within the period of ten seconds; afterwards the device is polled as before."""
    lost = iter([False, True])
    play = Play(_meter("m", 10_000), took=lambda _step, _at: (20, not next(lost, False))).until(60_000)
    first, second, retry, *rest = play.times("m")
    assert (first, second) == (0, 10_000)
    assert 11_000 < retry < 13_000
    assert rest == [20_000, 30_000, 40_000, 50_000]
    assert play.turns == []


def test_a_dead_device_goes_down_after_three_misses_and_comes_up_at_the_first_good_reply() -> None:
    """Down and up are told once each."""
    play = Play(_meter("m"), took=_answers(dead=lambda _name, at: 10_000 <= at < 100_000)).until(300_000)
    (down_at, _, down), (up_at, _, up) = play.turns
    assert (down, up) == (Turn.DOWN, Turn.UP)
    assert len([at for at in play.times("m") if 10_000 <= at <= down_at]) == MISSES_DOWN
    assert down_at < 17_000
    assert 100_000 <= up_at <= 100_000 + RETRY_MS_MAX * 1.3
    assert play.times("m", Poll)[-1] == 299_000
    assert play.schedule.down == ()


def test_probes_widen_with_jitter_up_to_a_minute() -> None:
    """Each interval about doubles; the last ones are a minute, give or take a quarter."""
    play = Play(_meter("m", 10_000), took=_answers(dead=lambda _name, _at: True)).until(1_000_000)
    times = play.times("m", Probe)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert 3000 <= gaps[0] <= 5500
    assert all(45_000 <= gap <= 76_000 for gap in gaps[5:])
    assert len(set(gaps[5:])) > 5


def test_probes_use_idle_time_that_fits_before_the_next_poll() -> None:
    """A bus with room never lets a living device wait for a dead one."""
    play = Play(_meter("alive"), _meter("dead"), took=_answers(dead=lambda name, _at: name == "dead")).until(120_000)
    assert len(play.times("dead", Probe)) >= 5
    late = [at % 1000 for at in play.times("alive")]
    assert max(late) == 0


def test_on_a_full_bus_probes_take_no_more_than_their_share() -> None:
    """Nothing idle at all, three dead devices with long timeouts: 5 % of the time, and one probe to begin with."""

    def took(step: Poll | Probe, _at: int) -> tuple[int, bool]:
        return (1000, False) if step.device.name.startswith("dead") else (99, True)

    alive = [_meter(f"m{n}") for n in range(10)]
    dead = [_meter(f"dead{n}", timeout_ms=1000) for n in range(3)]
    play = Play(*alive, *dead, took=took).until(600_000)
    probing = 1000 * sum(len(play.times(f"dead{n}", Probe)) for n in range(3))
    assert 0.02 * 600_000 < probing <= 0.05 * 600_000 + 1000
    assert len(play.schedule.down) == 3
    assert min(len(play.times(f"m{n}")) for n in range(10)) >= 540


def test_nothing_but_dead_devices_is_probed_at_leisure() -> None:
    """A bus without a living device idles between probes."""
    play = Play(_meter("m0"), _meter("m1"), took=_answers(dead=lambda _name, _at: True)).until(600_000)
    assert len(play.steps) < 60
    assert play.schedule.down == ("m0", "m1")


def test_a_silent_group_does_not_take_its_device_down() -> None:
    """The other group answers: it is polled as ever, the silent one costs probes only, and nobody is told anything."""
    device = a_device("m", ([a_field(0)], 1000), ([a_field(100)], 60_000))
    play = Play(device, took=lambda step, _at: (200, step.polled.period_ms == 60_000)).until(600_000)
    assert play.turns == []
    kept = [at for at, step in play.steps if step.polled.period_ms == 60_000]
    assert 10 <= len(kept) <= 12
    assert len([step for _, step in play.steps if isinstance(step, Probe)]) < 60


def test_a_device_is_down_only_when_every_group_of_it_was_asked() -> None:
    """Four groups: the fast one does not decide alone; all together take it down, once."""
    device = a_device("m", *(([a_field(100 * n)], period) for n, period in enumerate([1000, 60_000, 60_000, 60_000])))
    play = Play(device, took=_answers(dead=lambda _name, at: at >= 10_000)).until(300_000)
    ((at, _, turn),) = play.turns
    assert turn is Turn.DOWN
    asked = {step.task for when, step in play.steps if 10_000 <= when - START <= at}
    assert asked == {0, 1, 2, 3}


def test_a_device_that_comes_up_is_polled_as_before_in_all_its_groups() -> None:
    """One good reply is enough for every group of it: from then on there are no probes."""
    device = a_device("m", ([a_field(0)], 1000), ([a_field(100)], 2000))
    play = Play(device, took=_answers(dead=lambda _name, at: 10_000 <= at < 100_000)).until(300_000)
    (_, (up_at, _, up)) = play.turns
    assert up is Turn.UP
    after = [step for at, step in play.steps if at - START >= up_at]
    assert after
    assert all(isinstance(step, Poll) for step in after)


def test_after_an_outage_of_the_bus_no_device_is_blamed() -> None:
    """What was due meanwhile is dropped under its own cause, and the rhythm is the old one."""
    play = Play(_meter("m"), took=_answers()).until(5000)
    play.now += 10_500
    play.schedule.resume(BootMs(play.now), after_outage=True)
    play.until(20_000)
    assert play.missed("m", "bus_down") == 10
    assert play.counters.total("polls_missed") == 10
    assert play.times("m")[-5:] == [15_500, 16_000, 17_000, 18_000, 19_000]
    assert play.turns == []


def test_after_an_outage_of_the_bus_the_silent_are_asked_at_once() -> None:
    """They may have been silent because of it; a mere reconnection changes nothing."""
    for after_outage in (True, False):
        play = Play(_meter("m"), took=_answers(dead=lambda _name, _at: True)).until(200_000)
        asked = len(play.steps)
        play.schedule.resume(BootMs(play.now), after_outage=after_outage)
        play.until(200_100)
        assert (len(play.steps) > asked) is after_outage


def test_a_spared_step_is_not_repeated_at_once() -> None:
    """Neither a poll nor a probe can spin; a poll that may still begin in its period is not lost."""
    schedule = Schedule(a_bus(_meter("m")), BootMs(START), Random(1), Counters())
    poll = schedule.step(BootMs(START))
    assert isinstance(poll, Poll)
    assert not schedule.spared(poll, BootMs(START + 500))
    assert schedule.step(BootMs(START)) == Idle(BootMs(START + 500))
    assert schedule.step(BootMs(START + 500)) == poll
    assert schedule.spared(poll, BootMs(START + 1000))
    poll = schedule.step(BootMs(START + 1000))
    assert isinstance(poll, Poll)
    schedule.failed(poll, BootMs(START + 1200))
    probe = schedule.step(BootMs(START + 5000))
    assert isinstance(probe, Probe)
    assert not schedule.spared(probe, BootMs(START + 7777))
    assert schedule.step(BootMs(START + 5000)) == Idle(BootMs(START + 7777))


def test_a_bus_without_devices_idles() -> None:
    """Nothing to do is no error."""
    step = Schedule(a_bus(), BootMs(START), Random(1), Counters()).step(BootMs(START))
    assert isinstance(step, Idle)
    assert step.until > START
