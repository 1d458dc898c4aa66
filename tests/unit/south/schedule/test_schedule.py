"""gateway.south.schedule.schedule with plain integers for time: periods, misses, probes, who goes down and when."""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import pairwise
from random import Random

from gateway.counters import Counters
from gateway.model import BootMs
from gateway.site import Device, Fast
from gateway.south.schedule.schedule import RETRY_MS_MAX, TURN_SHARE, Schedule
from gateway.south.schedule.silence import MISSES_DOWN, Change
from gateway.south.schedule.steps import Cut, Idle, Poll, Probe, Reopen, Turn, Wish
from tests.support.south import a_bus, a_device, a_field

START = 1_000_000
FAST = Fast("bd1", "bd1", "", 0, 0.0, 1000, 600_000)


class Play:
    """Drives a schedule through virtual time; `took` says how long a step keeps the bus and whether it was answered."""

    def __init__(
        self, *devices: Device, took: Callable[[Poll | Probe, int], tuple[int, bool]], transport: str = "rtu"
    ) -> None:
        self.counters = Counters()
        self.schedule = Schedule(a_bus(*devices, transport=transport), BootMs(START), Random(1), self.counters)
        self.now = START
        self.steps: list[tuple[int, Poll | Probe]] = []
        self.changes: list[tuple[int, str, Change]] = []
        self.turns: list[int] = []
        self.reopened: list[int] = []
        self._took = took

    def until(self, end: int, wish: Callable[[int], Wish | None] = lambda _now: None, turn_ms: int = 0) -> "Play":
        """Let the bus run until `end` ms after the start; `wish` is asked before each step."""
        while self.now < START + end:
            step = self.schedule.step(BootMs(self.now), wish(self.now))
            if isinstance(step, Idle):
                assert step.until > self.now, "an idle step that does not move time would spin"
                self.now = min(step.until, START + end)
            elif isinstance(step, Reopen):
                self.reopened.append(self.now - START)
                self.schedule.resume(BootMs(self.now), after_outage=False)
            elif isinstance(step, Turn):
                self.turns.append(self.now - START)
                self.now += turn_ms
                self.schedule.turn_over(step, BootMs(self.now))
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
        for part in (step, *step.also) if isinstance(step, Poll) else (step,):
            self.steps.append((self.now, part))
            took, answered = self._took(part, self.now - START)
            self.now += took
            self._conclude(part, answered=answered)

    def _conclude(self, part: Poll | Probe, *, answered: bool) -> None:
        now = BootMs(self.now)
        news = self.schedule.done(part, now) if answered else self.schedule.failed(part, now, "no_reply")
        self.changes += [(self.now - START, one.subject, one.change) for one in news]


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
    """Eight devices of ten seconds start two by two, a quarter of a second apart, and stay so."""
    play = Play(*(_meter(f"m{n}", 10_000) for n in range(8)), took=_answers()).until(25_000)
    firsts = [play.times(f"m{n}")[0] for n in range(8)]
    assert firsts == [0, 20, 250, 270, 500, 520, 750, 770]
    assert play.times("m7") == [770, 10_770, 20_770]


def test_a_fast_group_has_a_finer_grid() -> None:
    """Four devices of 400 ms: 100 ms apart would be, on the grid of 50 ms, just that."""
    play = Play(*(_meter(f"m{n}", 400) for n in range(4)), took=_answers(1)).until(1000)
    assert [play.times(f"m{n}")[0] for n in range(4)] == [0, 100, 200, 300]


def test_the_first_poll_does_not_wait_for_the_grid() -> None:
    """Between two points of the grid: due since the last one, asked at once, and from then on at the points."""
    schedule = Schedule(a_bus(_meter("m")), BootMs(START + 249), Random(1), Counters())
    poll = schedule.step(BootMs(START + 249))
    assert isinstance(poll, Poll)
    assert poll.deadline == START + 1000
    schedule.done(poll, BootMs(START + 260))
    assert schedule.step(BootMs(START + 260)) == Idle(BootMs(START + 1000))


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
    assert play.changes == []


def test_a_dead_device_goes_down_after_three_misses_and_comes_up_at_the_first_good_reply() -> None:
    """Down and up are told once each."""
    play = Play(_meter("m"), took=_answers(dead=lambda _name, at: 10_000 <= at < 100_000)).until(300_000)
    (down_at, _, down), (up_at, _, up) = play.changes
    assert (down, up) == (Change.DOWN, Change.UP)
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
    """A bus without a living device idles between probes: each device is asked in turn, one in five seconds."""
    play = Play(_meter("m0"), _meter("m1"), took=_answers(dead=lambda _name, _at: True)).until(600_000)
    assert 100 < len(play.steps) < 140


def test_a_silent_group_does_not_take_its_device_down() -> None:
    """The other group answers: it is polled as ever, the silent one costs probes only, and nobody is told anything."""
    device = a_device("m", ([a_field(0)], 1000), ([a_field(100)], 60_000))
    play = Play(device, took=lambda step, _at: (200, step.polled.period_ms == 60_000)).until(600_000)
    assert play.changes == []
    kept = [at for at, step in play.steps if step.polled.period_ms == 60_000]
    assert 10 <= len(kept) <= 12
    assert len([step for _, step in play.steps if isinstance(step, Probe)]) < 60


def test_a_device_is_down_only_when_every_group_of_it_was_asked() -> None:
    """Four groups: the fast one does not decide alone; all together take it down, once."""
    device = a_device("m", *(([a_field(100 * n)], period) for n, period in enumerate([1000, 60_000, 60_000, 60_000])))
    play = Play(device, took=_answers(dead=lambda _name, at: at >= 10_000)).until(300_000)
    ((at, _, turn),) = play.changes
    assert turn is Change.DOWN
    asked = {step.task for when, step in play.steps if 10_000 <= when - START <= at}
    assert asked == {0, 1, 2, 3}


def test_a_device_that_comes_up_is_polled_as_before_in_all_its_groups() -> None:
    """One good reply is enough for every group of it: from then on there are no probes."""
    device = a_device("m", ([a_field(0)], 1000), ([a_field(100)], 2000))
    play = Play(device, took=_answers(dead=lambda _name, at: 10_000 <= at < 100_000)).until(300_000)
    (_, (up_at, _, up)) = play.changes
    assert up is Change.UP
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
    assert play.changes == []


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
    counters = Counters()
    schedule = Schedule(a_bus(_meter("m")), BootMs(START), Random(1), counters)
    poll = schedule.step(BootMs(START))
    assert isinstance(poll, Poll)
    schedule.spared(poll, BootMs(START + 500), "barred")
    assert schedule.step(BootMs(START)) == Idle(BootMs(START + 500))
    assert schedule.step(BootMs(START + 500)) == poll
    assert counters.total("polls_missed") == 0
    schedule.spared(poll, BootMs(START + 1000), "barred")
    assert counters.get("polls_missed", bus="bus-1", device="m", cause="barred") == 1
    poll = schedule.step(BootMs(START + 1000))
    assert isinstance(poll, Poll)
    schedule.failed(poll, BootMs(START + 1200), "no_reply")
    probe = schedule.step(BootMs(START + 5000))
    assert isinstance(probe, Probe)
    schedule.spared(probe, BootMs(START + 7777), "refused")
    assert schedule.step(BootMs(START + 5000)) == Idle(BootMs(START + 7777))


def test_a_bus_without_devices_idles() -> None:
    """Nothing to do is no error."""
    step = Schedule(a_bus(), BootMs(START), Random(1), Counters()).step(BootMs(START))
    assert isinstance(step, Idle)
    assert step.until > START


def test_one_visit_serves_the_groups_of_a_device_that_are_next_anyway() -> None:
    """Due together and nobody else more urgent: one step, both done; the slow one is not made to jump the queue."""
    both = a_device("m", ([a_field(0)], 1000), ([a_field(100)], 10_000))
    alone = Schedule(a_bus(both), BootMs(START), Random(1), Counters())
    step = alone.step(BootMs(START))
    assert isinstance(step, Poll)
    assert [part.polled.period_ms for part in (step, *step.also)] == [1000, 10_000]
    busy = Schedule(a_bus(both, _meter("x", 2000)), BootMs(START), Random(1), Counters())
    step = busy.step(BootMs(START + 900))
    assert isinstance(step, Poll)
    assert step.also == ()


def test_a_group_that_was_not_reached_is_as_due_as_before() -> None:
    """Its poll is the next one, with the same deadline; nothing is counted."""
    both = a_device("m", ([a_field(0)], 1000), ([a_field(100)], 10_000))
    schedule = Schedule(a_bus(both), BootMs(START), Random(1), Counters())
    step = schedule.step(BootMs(START))
    assert isinstance(step, Poll)
    schedule.done(step, BootMs(START + 10))
    (slow,) = step.also
    schedule.unreached(slow, BootMs(START + 10))
    assert schedule.step(BootMs(START + 10)) == slow


def _always(now: int) -> Wish:
    """Somebody who wants 100 ms, and has waited for a second."""
    return Wish(BootMs(now - 1000), 100, 100)


def test_a_guest_goes_at_once_where_it_fits_before_the_next_poll() -> None:
    """Nobody is late for it, though it never ends."""
    play = Play(_meter("m"), took=_answers(20)).until(10_000, lambda now: Wish(BootMs(now), 100, 100), turn_ms=100)
    assert play.times("m") == list(range(0, 10_000, 1000))
    assert len(play.turns) == 90
    assert all(120 <= at % 1000 + 100 <= 1000 for at in play.turns)


def test_a_guest_whose_device_answers_fast_needs_not_the_room_of_its_timeout() -> None:
    """A period of 250 ms, polls of 20: guests of 30 ms, with a timeout of 200, go one after the other between them."""
    meter = _meter("m", 250)
    play = Play(meter, took=_answers(20)).until(60_000, lambda now: Wish(BootMs(now), 210, 30), turn_ms=30)
    assert len(play.turns) > 6 * 240
    assert play.counters.total("polls_missed") == 0


def test_guests_that_take_longer_than_they_are_likely_to_have_their_share_and_no_more() -> None:
    """What they take from polls is paid first, before the next one goes where it may be too long."""
    meters = [_meter(f"m{n}", 250) for n in range(5)]
    play = Play(*meters, took=_answers(20)).until(60_000, lambda now: Wish(BootMs(now), 210, 20), turn_ms=210)
    assert 0.8 * TURN_SHARE < len(play.turns) * 210 / 60_000 < 0.2
    assert play.counters.total("polls_missed") < 0.06 * 5 * 240


def test_on_a_full_bus_guests_have_their_share_and_no_more() -> None:
    """Always one waiting, never idle: jobs go on, at most the share of the time and one exchange beyond it."""
    play = Play(*(_meter(f"m{n}") for n in range(10)), took=_answers(100)).until(600_000, _always, turn_ms=100)
    taken = 100 * len(play.turns)
    assert 0.04 * 600_000 < taken <= 0.045 * 600_000 + 350
    assert max(later - earlier for earlier, later in pairwise(play.turns)) <= 2500
    assert play.counters.total("polls_missed") <= 0.05 * 6000


def test_on_a_bus_with_a_tenth_to_spare_guests_cost_no_poll() -> None:
    """No exchange fits into what is idle, and the share pays; every device keeps its period."""
    play = Play(*(_meter(f"m{n}") for n in range(10)), took=_answers(90)).until(600_000, _always, turn_ms=100)
    assert 100 * len(play.turns) > 0.04 * 600_000
    assert play.counters.total("polls_missed") == 0


def test_a_guest_on_a_full_bus_waits_a_little_for_idle_time_first() -> None:
    """Half a second, then the share pays; one that took a second is paid back before the next."""
    play = Play(*(_meter(f"m{n}") for n in range(10)), took=_answers(100))
    play.until(30_000, lambda _now: Wish(BootMs(START), 1000, 1000), turn_ms=1000)
    first, second = play.turns[:2]
    assert 500 <= first <= 700
    assert second - first >= 16_000


def test_a_probe_and_a_guest_do_not_wait_for_each_other() -> None:
    """A scan that never ends leaves the silent devices their probes."""
    alive, dead = _meter("alive"), _meter("dead")
    play = Play(alive, dead, took=_answers(dead=lambda name, _at: name == "dead"))
    play.until(600_000, lambda now: Wish(BootMs(now), 100, 100), turn_ms=100)
    assert ("dead", Change.DOWN) in [(subject, turn) for _, subject, turn in play.changes]
    assert len(play.times("dead", Probe)) >= 8


def test_down_is_told_in_time_on_a_full_bus_with_many_dead() -> None:
    """32 devices that fill the bus, 20 of them die: all are told within three minutes, one alone within half of one."""
    devices = [_meter(f"m{n}", 2000) for n in range(32)]
    for dead, most_ms in ((1, 30_000), (20, 180_000)):
        names = {f"m{n}" for n in range(dead)}
        play = Play(*devices, took=_answers(66, dead=_from_10_s(names)))
        play.until(10_000 + most_ms)
        assert set(play.schedule.down) == names, dead
        assert {subject for _, subject, _ in play.changes} == names


def _from_10_s(names: AbstractSet[str]) -> Callable[[str, int], bool]:
    return lambda name, at: name in names and at > 10_000


def test_a_lossy_device_is_not_told_down() -> None:
    """Each tenth reply is lost, on a full bus too: not once in an hour."""
    chance = Random(5)
    devices = [_meter(f"m{n}", 2000) for n in range(32)]
    play = Play(*devices, took=lambda step, _at: (66, step.device.name != "m7" or chance.random() > 0.1))
    play.until(3_600_000)
    assert play.changes == []


def test_a_cable_that_is_cut_is_told_of_the_bus_and_of_no_device() -> None:
    """Once, within half a minute for 32 devices; once more when the first is heard; then all are polled as before."""
    devices = [_meter(f"m{n}", 2000) for n in range(32)]
    play = Play(*devices, took=_answers(30, dead=lambda _name, at: 10_000 <= at < 300_000)).until(400_000)
    (silent_at, silent, turn), (heard_at, heard, end) = play.changes
    assert (silent, turn, heard, end) == ("bus-1", Change.SILENT, "bus-1", Change.HEARD)
    assert silent_at < 40_000
    assert 300_000 <= heard_at <= 315_000
    assert not play.schedule.silent
    assert all(len([at for at in play.times(f"m{n}", Poll) if at >= 320_000]) == 40 for n in range(32))


def test_a_silent_bus_that_can_be_opened_again_is_so_before_anything_is_told() -> None:
    """A half-open connection: after the second opening everything answers, and nobody hears of it."""
    play = Play(_meter("m0"), _meter("m1"), took=lambda _step, _at: (200, True), transport="tcp")
    play._took = lambda _step, at: (200, at < 10_000 or bool(play.reopened))
    play.until(60_000)
    assert len(play.reopened) == 1
    assert play.changes == []
    assert play.times("m0", Poll)[-1] == 59_000


def test_opening_again_does_not_help_is_told_and_tried_less_and_less_often() -> None:
    """The converter is there, its serial side is dead."""
    play = Play(_meter("m0"), _meter("m1"), took=_answers(dead=lambda _name, _at: True), transport="tcp")
    play.until(3_600_000)
    assert [(subject, turn) for _, subject, turn in play.changes] == [("bus-1", Change.SILENT)]
    gaps = [later - earlier for earlier, later in pairwise(play.reopened)]
    assert gaps[:3] == sorted(gaps[:3])
    assert all(300_000 <= gap < 400_000 for gap in gaps[5:])
    assert 12 <= len(play.reopened) <= 18


def test_a_port_is_not_opened_again_for_silence() -> None:
    """Nothing is half open about a serial port."""
    play = Play(_meter("m0"), _meter("m1"), took=_answers(dead=lambda _name, _at: True)).until(600_000)
    assert play.reopened == []
    assert [turn for _, _, turn in play.changes] == [Change.SILENT]


def test_a_device_that_dies_between_rare_polls_of_the_others_is_told_by_a_witness() -> None:
    """The other one is due once an hour, and asked out of turn, once."""
    play = Play(_meter("m0"), _meter("m1", 3_600_000), took=_answers(dead=lambda name, at: name == "m0" and at > 5000))
    play.until(60_000)
    assert [(subject, turn) for _, subject, turn in play.changes] == [("m0", Change.DOWN)]
    assert len(play.times("m1")) == 2
    assert isinstance(play.steps[-1][1], Probe)


def test_a_witness_that_has_to_wait_is_not_asked() -> None:
    """A late reply bars what is due next: another one is asked, since that one would be so again and again in vain."""
    rare = [_meter(name, 3_600_000) for name in ("m1", "m2")]
    play = Play(_meter("m0"), *rare, took=_answers(dead=lambda name, at: name == "m0" and at > 5000))
    play.until(4900)
    barred = play.schedule._tasks[1]
    barred.waits_until = BootMs(START + 60_000)
    play.schedule._queue.add(barred)
    play.until(59_000)
    assert [subject for _, subject, _ in play.changes] == ["m0"]
    assert (play.times("m1", Probe), len(play.times("m2", Probe))) == ([], 1)


def test_where_every_witness_has_to_wait_the_bus_idles() -> None:
    """Until one may be asked."""
    play = Play(_meter("m0"), _meter("m1", 3_600_000), took=_answers(dead=lambda name, at: name == "m0" and at > 5000))
    play.until(4900)
    barred = play.schedule._tasks[1]
    barred.due = barred.waits_until = BootMs(START + 60_000)
    play.schedule._queue.add(barred)
    play.until(59_000)
    assert play.changes == []
    play.until(61_000)
    assert [subject for _, subject, _ in play.changes] == ["m0"]


def test_a_link_that_goes_away_once_is_the_bus_s_and_twice_running_the_device_s() -> None:
    """The step is made again at once; the second time its device is asked like a silent one."""
    counters = Counters()
    schedule = Schedule(a_bus(_meter("m"), _meter("x", 60_000)), BootMs(START), Random(1), counters)
    step = schedule.step(BootMs(START))
    assert isinstance(step, Poll)
    assert schedule.cut_off(step, BootMs(START), sent=True) == (Cut.BUS, [])
    assert schedule.step(BootMs(START)) == step
    assert schedule.cut_off(step, BootMs(START), sent=True) == (Cut.DEVICE, [])
    after = schedule.step(BootMs(START + 500))
    assert isinstance(after, Poll)
    assert after.device.name == "x"
    assert counters.total("polls_missed") == 0


def test_a_request_that_never_went_out_is_no_device_s_fault() -> None:
    """Nor is any where the device is alone: the step is spared for a period, and counted."""
    for devices, sent in (((_meter("m"), _meter("x", 60_000)), False), ((_meter("m"),), True)):
        counters = Counters()
        schedule = Schedule(a_bus(*devices), BootMs(START), Random(1), counters)
        step = schedule.step(BootMs(START))
        assert isinstance(step, Poll)
        for _ in range(2):
            assert schedule.cut_off(step, BootMs(START), sent=sent) == (Cut.BUS, [])
        assert counters.get("polls_missed", bus="bus-1", device="m", cause="bus_down") == 1


def test_a_dead_device_is_asked_though_somebody_always_waits() -> None:
    """Alone on its bus it leaves all time free: guests have it, but each probe comes before who came after it."""
    alive = {"from": 60_000}
    play = Play(_meter("m"), took=_answers(dead=lambda _name, at: at < alive["from"]))
    play.until(120_000, lambda now: Wish(BootMs(now), 50, 50), turn_ms=50)
    assert [turn for _, _, turn in play.changes] == [Change.DOWN, Change.UP]
    assert len(play.times("m", Probe)) >= 5
    assert len(play.turns) > 1000


def test_a_witness_is_asked_though_somebody_always_waits() -> None:
    """Who is to blame must be known before the next poll, an hour away."""
    play = Play(_meter("m0"), _meter("m1", 3_600_000), took=_answers(dead=lambda name, at: name == "m0" and at > 5000))
    play.until(60_000, lambda now: Wish(BootMs(now), 50, 50), turn_ms=50)
    assert [(subject, turn) for _, subject, turn in play.changes] == [("m0", Change.DOWN)]


def test_a_hurried_device_is_polled_as_its_fast_says_and_back() -> None:
    """From the next step on, in its rhythm; never nearer than the shorter period; nobody else loses a poll."""
    slow = replace(a_device("level-1", ([a_field(0)], 10_000)), fast=FAST)
    other = a_device("other", ([a_field(0)], 1000))
    play = Play(slow, other, took=lambda *_: (50, True)).until(15_000)
    before = play.times("level-1")
    play.schedule.hurry("level-1", fast=True)
    play.until(25_000)
    fast = play.times("level-1")[len(before) :]
    assert 9 <= len(fast) <= 11
    assert all(900 <= b - a <= 1100 for a, b in pairwise(fast))
    play.schedule.hurry("level-1", fast=False)
    play.until(65_000)
    assert len(play.times("level-1")) - len(before) - len(fast) in (4, 5)
    assert all(b - a <= 2000 for a, b in pairwise(play.times("other")))
    assert play.missed("other", "busy") == play.missed("level-1", "busy") == 0


def test_a_device_hurried_off_and_on_is_not_polled_nearer_than_its_fast() -> None:
    """Counted from its last poll, whatever the periods were in between: that time belongs to the others."""
    slow = replace(a_device("level-1", ([a_field(0)], 2500)), fast=FAST)
    play = Play(slow, took=lambda *_: (50, True)).until(15_000)
    for at in range(15_100, 25_000, 100):
        play.schedule.hurry("level-1", fast=bool(at // 100 % 2))
        play.until(at)
    assert all(b - a >= FAST.period_ms for a, b in pairwise(play.times("level-1")))
