"""What a bus does next: polls by earliest deadline, probes of the silent and guests' exchanges within shares. Pure.

`step(now)` says what to do; `done`, `failed`, `spared`, `cut_off` and `turn_over` say how it went. All behaviour of a
bus over time is here; who is silent, and who is to blame for it, is `silence`'s.

Time. A task is one group of one device. Its polls are due at first, first + period, first + 2 periods ...: multiples
from the start, whatever a poll took, so nothing drifts (`tasks.tasked` says where they start). A poll must begin before
the next one is due; one that cannot is dropped and counted (at the latest COUNT_MS later), never queued. Who lost more
goes first until the bus has caught up, so that a bus with too much to do takes the same part of everybody's polls. A
poll, once begun, is not interrupted: where the test for non-preemptive earliest deadline first holds (`feasible`), no
period is missed. Groups of one device that come one after the other are polled in one visit, and share reads; so they
count as one where that test asks for the longest poll.

Silence. From its first miss a device is no longer polled but *probed*, and so is a task whose own fields stay silent
while the rest of the device answers. A probe is a poll of one group that ends at the first lost reply. Probes run when
they end before the next poll is due; one that finds no such time for IDLE_WAIT_MS is paid from PROBE_SHARE of the bus's
time, which all probes have together. Their intervals double, with jitter, from RETRY_MS (or the shortest period of the
device, if that is less) to RETRY_MS_MAX; on a silent bus they take turns, one in SILENT_RETRY_MS.

Guests. One exchange of somebody else goes when it ends before the next poll is due, and after a probe that has waited
for longer: where somebody always waits, a dead device must still be found alive. It goes too when it is likely to end
before that and TURN_SHARE is not in debt, which pays for what it takes beyond. One that has waited for TURN_WAIT_MS is
paid from TURN_SHARE, in advance: the next one waits until the share has made up for it. So jobs always go on, and polls
are delayed by no more than one exchange at a time and the share over time.

A bus that can be opened again (TCP: a connection may be half open, and nobody tells) is opened again once no device of
it is heard any more, at growing intervals, and called silent only if that did not help.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from gateway.counters import Counters
from gateway.model import BootMs
from gateway.site import Bus, hurried
from gateway.south.schedule.share import Share
from gateway.south.schedule.silence import News, Reopening, Silence
from gateway.south.schedule.steps import Cut, Idle, Poll, Probe, Reopen, Step, Turn, Wish
from gateway.south.schedule.tasks import Queue, Retries, Retry, Task, Tasked, tasked

PROBE_SHARE, TURN_SHARE = 0.045, 0.045  # 1 / (1 - 0.045): polls of a full bus come 4.7 % less often
RETRY_MS, RETRY_MS_MAX = 2000, 60_000
SILENT_RETRY_MS = 5000
JITTER = 0.25
IDLE_WAIT_MS = 1000  # what a probe waits for time that nobody else needs
TURN_WAIT_MS = 500
TURN_SAVED_MS = 250  # what guests may take at once from a bus that had none for a while
IDLE_MS_MAX = 60_000
WITNESS_MS = 2000  # a bus with an accused device is asked for a sign of life when no poll is due for so long
COUNT_MS = 1000


class Schedule:
    """The polls of one bus; `now` never goes back. Each Poll or Probe is ended by a call of its own."""

    def __init__(self, bus: Bus, now: BootMs, random: Random, counters: Counters) -> None:
        self._bus = bus.name
        self._random = random
        self._counters = counters
        self._devices = list(tasked(bus, now))
        self._tasks = [task for device in self._devices for task in device.tasks]
        self._silence = Silence(bus.name, [device.health for device in self._devices])
        self._queue = Queue(self._tasks)
        self._retries = Retries()
        probe_ms = max((device.probe_ms for device in self._devices), default=0)
        self._probes = Share(PROBE_SHARE, now, probe_ms)
        self._turns = Share(TURN_SHARE, now, TURN_SAVED_MS)
        self._anew = Reopening(possible=not bus.serial)
        self._hurries: dict[str, bool] = {}  # changes of periods, until no step is being made
        self._attempts = 0
        self._count_at = now

    @property
    def down(self) -> tuple[str, ...]:
        """Names of the devices that are down."""
        return self._silence.down

    def hurry(self, device: str, *, fast: bool) -> None:
        """Poll what it polls less often as its `fast` says, or all as before; from the next step on."""
        self._hurries[device] = fast

    @property
    def silent(self) -> bool:
        """Whether nobody answers on this bus, and the bus is to blame."""
        return self._silence.silent

    def step(self, now: BootMs, wish: Wish | None = None) -> Step:
        """The one thing to do next."""
        self._probes.grow(now)
        self._turns.grow(now)
        if self._hurries:
            self._change_periods(now)
        if now >= self._count_at:
            self._count_at = BootMs(now + COUNT_MS)
            self._drop_all(now, "")
        if self._anew.due(now):
            return Reopen()
        next_due = self._queue.next_due(now)
        ready = self._retries.ready(now)
        turn = self._turn(now, next_due, wish) if wish else None
        return (
            (turn if wish and not self._goes_before(wish, ready) else None)
            or (self._probe(now, next_due, ready) if ready else None)
            or (self._witness(now, next_due) if self._silence.wants_witness else None)
            or turn
            or self._poll(now)
            or Idle(self._wake(now, next_due, ready, wish))
        )

    def resume(self, now: BootMs, *, after_outage: bool) -> None:
        """The bus was away until now: what was due meanwhile is dropped, and no device is blamed for it.

        After an outage, or a `Reopen`, the silent are asked again at once: they may have been silent because of it.
        """
        self._probes.grow(now)
        self._turns.grow(now)
        self._drop_all(now, "bus_down")
        if self._anew.happened(now) or after_outage:
            self._silence.doubt_anew(now)
            self._ask_the_silent(now)

    def done(self, step: Poll | Probe, now: BootMs) -> list[News]:
        """The device answered."""
        task = self._ended(step)
        device, was_held = task.device, task.held
        task.misses = 0
        self._anew.over()
        was_suspect, was_silent = device.health.suspect, self._silence.silent
        news = self._silence.heard(device.health, task.number, now)
        if was_suspect:
            self._free(device, now)
        if was_silent:
            self._ask_the_silent(now)
        self._queue.add(task, anew=was_held)
        return news

    def failed(self, step: Poll | Probe, now: BootMs, cause: str, *, by_bus: bool = True) -> list[News]:
        """Nothing good came from this group."""
        task = self._ended(step)
        device = task.device
        if isinstance(step, Probe):
            self._probes.charge(now - step.free_until)
        if not device.health.suspect:
            self._drop(device.tasks, now, "")  # while it still was as busy as others
        news = self._silence.missed(device.health, task.number, now, cause, by_bus=by_bus)
        task.misses += 1
        task.retry_at = self._later(now, device, task.misses)
        if device.health.suspect:
            self._retries.add(device, self._later(now, device, device.health.misses))
        else:
            self._retries.add(task, task.retry_at)
        if self._silence.unheard:
            self._anew.want()
        if self._silence.nobody_answers and not self._anew.comes_first:
            news.append(self._silence.call_silent())
        return news

    def spared(self, step: Poll | Probe, until: BootMs, cause: str) -> None:
        """Nothing can be concluded from this step, nor made of it before `until`; a poll lost by that is counted."""
        task = self._tasks[step.task]
        self._attempted(task)
        task.waits_until = until
        if isinstance(step, Poll) and until >= step.deadline:
            task.begun(step.deadline)
            self._missed(task, 1, cause)
        self._put_back(task, until)

    def unreached(self, step: Poll | Probe, now: BootMs) -> None:
        """It was not begun: it is as due as before; or it is held by now, with its device."""
        task = self._tasks[step.task]
        if isinstance(step, Probe) or not task.held:
            self._put_back(task, now)
        task.running = False

    def cut_off(self, step: Poll | Probe, now: BootMs, *, sent: bool) -> tuple[Cut, list[News]]:
        """The link went away in this step, `sent` = after the request. The first time it is made again, at once.

        The second time running it is the device's doing, if its request went out and it is not alone on its bus: some
        make a converter hang up. Else the step is spared for a period.
        """
        task = self._tasks[step.task]
        device = task.device
        device.cuts += 1
        blamed = sent and len(self._devices) > 1
        if blamed and (device.cuts > 1 or device.health.suspect):
            device.cuts = 0
            return Cut.DEVICE, self.failed(step, now, "link_down", by_bus=False)
        if device.cuts == 1:
            self._put_back(task, now)
        else:
            self.spared(step, BootMs(now + step.polled.period_ms), "bus_down")
        return Cut.BUS, []

    def turn_over(self, step: Turn, now: BootMs) -> None:
        """The guest's exchange is over."""
        self._turns.charge(now - step.free_until)

    def _change_periods(self, now: BootMs) -> None:
        for device in self._devices:
            fast = self._hurries.pop(device.site.name, None)
            if fast is None:
                continue
            self._drop(device.tasks, now, "")  # by the period that it had
            for task, polled in zip(
                device.tasks, hurried(device.site).polled if fast else device.site.polled, strict=True
            ):
                if task.polled.period_ms != polled.period_ms:
                    task.poll_every(polled.period_ms, now)
                    self._queue.add(task)
        self._hurries.clear()

    def _ended(self, step: Poll | Probe) -> Task:
        task = self._tasks[step.task]
        task.running = False
        task.begun(step.deadline)
        task.device.cuts = 0
        self._attempted(task)
        return task

    def _attempted(self, task: Task) -> None:
        self._attempts += 1
        task.attempt = self._attempts

    def _put_back(self, task: Task, at: BootMs) -> None:
        """Into the queue that it came from."""
        task.running = False
        if task.device.health.suspect:
            self._retries.add(task.device, at)
        elif task.misses:
            task.retry_at = at
            self._retries.add(task, at)
        else:
            self._queue.add(task)

    def _free(self, device: Tasked, now: BootMs) -> None:
        """The device is no longer in doubt; its groups that are silent in themselves still are."""
        self._drop(device.tasks, now, "silent")
        for task in device.tasks:
            if task.number not in device.health.silent:
                task.misses = 0
                self._queue.add(task, anew=True)
            else:
                self._retries.add(task, task.retry_at)

    def _ask_the_silent(self, now: BootMs) -> None:
        for device in self._devices:
            if device.health.suspect:
                self._retries.add(device, now)
            for task in device.tasks:
                task.retry_at = now
                if task.misses and not device.health.suspect:
                    self._retries.add(task, now)

    def _drop_all(self, now: BootMs, cause: str) -> None:
        self._drop(self._tasks, now, cause)

    def _drop(self, tasks: Sequence[Task], now: BootMs, cause: str) -> None:
        """Count the polls whose whole period has passed."""
        for task in tasks:
            missed = task.drop(now)
            if missed:
                self._missed(task, missed, cause or ("silent" if task.held else "busy"))

    def _missed(self, task: Task, polls: int, cause: str) -> None:
        self._counters.add("polls_missed", polls, bus=self._bus, device=task.device.site.name, cause=cause)

    def _turn(self, now: BootMs, next_due: BootMs | None, wish: Wish) -> Turn | None:
        ends = BootMs(now + wish.longest_ms)
        if next_due is None or ends <= next_due:
            return Turn(ends if next_due is None else next_due)
        if now + wish.likely_ms <= next_due and self._turns.ready_at(now, 0) <= now:
            return Turn(next_due)
        return Turn(now) if self._turn_paid_at(wish, now) <= now else None

    def _goes_before(self, wish: Wish, ready: Sequence[Retry]) -> bool:
        """Whether a question of our own comes first: one that has waited longer, or that tells who is to blame."""
        return self._silence.wants_witness or bool(ready and ready[0].at < wish.came_at)

    def _turn_paid_at(self, wish: Wish, now: BootMs) -> BootMs:
        return max(self._turns.ready_at(now, 0), BootMs(wish.came_at + TURN_WAIT_MS))

    def _probe(self, now: BootMs, next_due: BootMs | None, ready: Sequence[Retry]) -> Probe | None:
        """The longest waiting retry that ends before the next poll is due, or the first one when the share pays it."""
        for retry in ready:
            ends = BootMs(now + retry.device.probe_ms)
            if next_due is None or ends <= next_due:
                return self._asked(self._retries.take(retry), now, ends if next_due is None else next_due)
        if self._probe_paid_at(ready[0], now) <= now:
            return self._asked(self._retries.take(ready[0]), now, now)
        return None

    def _probe_paid_at(self, retry: Retry, now: BootMs) -> BootMs:
        """When the share pays a probe: it has saved enough, and no idle time has come for a while."""
        return max(self._probes.ready_at(now, retry.device.probe_ms), BootMs(retry.at + IDLE_WAIT_MS))

    def _witness(self, now: BootMs, next_due: BootMs | None) -> Probe | None:
        """The task whose poll is due next, if that is too long to wait for."""
        if next_due is None or next_due < now + WITNESS_MS:
            return None
        task = self._queue.take_early(now)
        return self._asked(task, now, next_due) if task else None

    def _asked(self, task: Task, now: BootMs, free_until: BootMs) -> Probe:
        self._drop([task], now, "")
        task.running = True
        deadline = task.due if now < task.due else task.deadline
        return Probe(task.number, task.device.site, task.polled, deadline, free_until)

    def _poll(self, now: BootMs) -> Poll | None:
        task = self._queue.take_ready(now)
        if task is None:
            return None
        tasks = [task]
        while (task := self._queue.take_ready(now, tasks[0].device)) is not None:
            tasks.append(task)
        self._drop(tasks, now, "")
        for task in tasks:
            task.running = True
        first, *also = (Poll(task.number, task.device.site, task.polled, task.deadline) for task in tasks)
        return replace(first, also=tuple(also)) if also else first

    def _wake(self, now: BootMs, next_due: BootMs | None, ready: Sequence[Retry], wish: Wish | None) -> BootMs:
        times = [BootMs(now + IDLE_MS_MAX)]
        if next_due is not None:
            times.append(next_due)
        if ready:
            times.append(self._probe_paid_at(ready[0], now))
        elif (retry_at := self._retries.next_at()) is not None:
            times.append(retry_at)
        if wish:
            times.append(self._turn_paid_at(wish, now))
        if self._anew.wanted:
            times.append(self._anew.not_before)
        return min(times)

    def _later(self, now: BootMs, device: Tasked, misses: int) -> BootMs:
        """When a device that missed so often in a row is asked again."""
        longest_ms = RETRY_MS_MAX
        if self._silence.silent:
            longest_ms = min(SILENT_RETRY_MS * len(self._devices), RETRY_MS_MAX)
        widened_ms = min(min(RETRY_MS, device.health.period_ms) * 2 ** min(misses - 1, 16), longest_ms)
        return BootMs(now + round(widened_ms * self._random.uniform(1 - JITTER, 1 + JITTER)))
