"""Who is polled next on one bus: earliest deadline first, probes of the silent within their share. Pure.

`step(now)` says what to do; `done`, `failed` and `spared` say how it went. All behaviour of a bus over time is here.

Time. A task is one group of one device. Its polls are due at first, first + period, first + 2 periods ...: multiples
from the start, whatever a poll took, so nothing drifts; the first ones are staggered. A poll must begin before the next
one is due; one that cannot is dropped and counted, never queued. Who lost polls goes first, so that a bus with too much
to do is late for all and dead for none. A poll, once begun, is not interrupted.

Silence. From its first miss a device is no longer polled but *probed*, and so is a task whose own fields stay silent
while the rest of the device answers. A probe is a poll of one group that ends at the first lost reply. Probes run when
they end before the next poll is due; one that finds no such time for IDLE_WAIT_MS is paid from 5 % of the bus's time.
Their intervals double, with jitter, from RETRY_MS (or the shortest period of the device, if that is less) to
RETRY_MS_MAX. So a lost reply is asked for again within its own period where the bus has time, and all dead devices
together take no more than the share from the living.

States of a device:
    up --miss--> suspect --good reply--> up
    suspect --MISSES_DOWN misses, and every task of it missed--> down (told) --good reply--> up (told)
One lost reply is no news; three in a row, from every group of a device, are.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil
from random import Random
from typing import TypeAlias

from gateway.counters import Counters
from gateway.model import BootMs
from gateway.profile.profile import ModbusSource
from gateway.site import Bus, Device, Polled

STAGGER_MS = 1000  # the first polls of a bus are spread over this, or over the period if that is less
PROBE_SHARE = 0.05
MISSES_DOWN = 3
RETRY_MS, RETRY_MS_MAX = 2000, 60_000
JITTER = 0.25
IDLE_WAIT_MS = 1000  # what a probe waits for time that nobody else needs
IDLE_MS_MAX = 60_000
PROBE_MARGIN_MS = 50  # of a probe beyond the device's timeout: silences and the request itself


@dataclass(frozen=True, slots=True)
class Poll:
    """Poll this group now; it was due within the period that ends at `deadline`."""

    task: int
    device: Device
    polled: Polled
    deadline: BootMs


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask whether this device answers again, with a poll of this group."""

    task: int
    device: Device
    polled: Polled
    deadline: BootMs
    free_until: BootMs  # what it takes beyond this is charged to the probe share


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing may be done before `until`."""

    until: BootMs


NEVER = BootMs(0)

Step: TypeAlias = Poll | Probe | Idle


class Turn(StrEnum):
    """What a poll changed; also the code of the event that tells it."""

    DOWN = "device_down"
    UP = "device_up"


class Schedule:
    """The polls of one bus; `now` never goes back."""

    def __init__(self, bus: Bus, now: BootMs, random: Random, counters: Counters) -> None:
        self._bus = bus.name
        self._random = random
        self._counters = counters
        self._devices = [_Device(device) for device in bus.devices if device.polled]
        self._tasks = list(_tasks(self._devices, now))
        self._share = _Share(now, max((device.probe_ms for device in self._devices), default=0))
        self._attempts = 0

    @property
    def down(self) -> tuple[str, ...]:
        """Names of the devices that are down."""
        return tuple(device.site.name for device in self._devices if device.down)

    def step(self, now: BootMs) -> Step:
        """The one thing to do next."""
        self._share.grow(now)
        self._drop(now, "")
        next_due = min((task.begins for task in self._tasks if not task.held), default=None)
        retries = sorted(_retries(self._devices), key=lambda retry: retry.at)
        return self._probe(now, next_due, retries) or self._poll(now) or Idle(self._wake(now, next_due, retries))

    def resume(self, now: BootMs, *, after_outage: bool) -> None:
        """The bus was away until now: what was due meanwhile is dropped, and no device is blamed for it.

        After an outage the silent are asked again at once: they may have been silent because of it.
        """
        self._share.grow(now)
        self._drop(now, "bus_down")
        if after_outage:
            for task in self._tasks:
                task.retry_at = task.device.retry_at = now

    def done(self, step: Poll | Probe) -> Turn | None:
        """The device answered; UP when it was down."""
        task = self._ended(step)
        device = task.device
        was_down, device.down = device.down, False
        device.misses = task.misses = 0
        if not was_down:
            return None
        for other in device.tasks:
            other.misses = 0
        return Turn.UP

    def failed(self, step: Poll | Probe, now: BootMs) -> Turn | None:
        """Nothing good came from this group; DOWN when the device is down from now on."""
        task = self._ended(step)
        device = task.device
        if isinstance(step, Probe):
            self._share.charge(now - step.free_until)
        task.misses += 1
        task.retry_at = self._later(now, device, task.misses)
        if device.suspect or task.misses == 1:
            device.misses += 1
            device.retry_at = self._later(now, device, device.misses)
        if device.down or device.misses < MISSES_DOWN or not all(other.misses for other in device.tasks):
            return None
        device.down = True
        return Turn.DOWN

    def spared(self, step: Poll | Probe, until: BootMs) -> bool:
        """Nothing can be concluded from this step, nor made of it before `until`; True when a poll is lost by that."""
        task = self._tasks[step.task]
        task.retry_at = task.device.retry_at = task.waits_until = until
        lost = isinstance(step, Poll) and until >= step.deadline
        if lost:
            task.due = task.owed_since = step.deadline
        self._attempted(task)
        return lost

    def _ended(self, step: Poll | Probe) -> "_Task":
        task = self._tasks[step.task]
        task.due = task.owed_since = max(task.due, step.deadline)
        self._attempted(task)
        return task

    def _attempted(self, task: "_Task") -> None:
        self._attempts += 1
        task.attempt = self._attempts

    def _drop(self, now: BootMs, cause: str) -> None:
        for task in self._tasks:
            missed = task.drop(now)
            if missed:
                why = cause or ("silent" if task.held else "busy")
                self._counters.add("polls_missed", missed, bus=self._bus, device=task.device.site.name, cause=why)

    def _probe(self, now: BootMs, next_due: BootMs | None, retries: Sequence["_Retry"]) -> Probe | None:
        """The longest waiting retry that ends before the next poll is due, or the first one when the share pays it."""
        ready = [retry for retry in retries if retry.at <= now]
        for retry in ready:
            ends = BootMs(now + retry.task.device.probe_ms)
            if next_due is None or ends <= next_due:
                return retry.task.probe(now, ends if next_due is None else next_due)
        if ready and self._paid_at(ready[0], now) <= now:
            return ready[0].task.probe(now, now)
        return None

    def _paid_at(self, retry: "_Retry", now: BootMs) -> BootMs:
        """When the share pays a probe: it has saved enough, and no idle time has come for a while."""
        return max(self._share.ready_at(now, retry.task.device.probe_ms), BootMs(retry.at + IDLE_WAIT_MS))

    def _poll(self, now: BootMs) -> Poll | None:
        due = (task for task in self._tasks if not task.held and task.begins <= now)
        first = min(due, key=lambda task: task.owed_since + task.polled.period_ms, default=None)
        return first.poll() if first else None

    def _wake(self, now: BootMs, next_due: BootMs | None, retries: Sequence["_Retry"]) -> BootMs:
        times = [BootMs(now + IDLE_MS_MAX)]
        times += [next_due] if next_due is not None else []
        if retries:
            times.append(retries[0].at if retries[0].at > now else self._paid_at(retries[0], now))
        return min(times)

    def _later(self, now: BootMs, device: "_Device", misses: int) -> BootMs:
        widened = min(device.retry_ms * 2 ** min(misses - 1, 16), RETRY_MS_MAX)
        return BootMs(now + round(widened * self._random.uniform(1 - JITTER, 1 + JITTER)))


@dataclass(slots=True, eq=False)
class _Device:
    """What the schedule knows of a device."""

    site: Device
    tasks: list["_Task"] = field(default_factory=list)
    misses: int = 0  # since the last good reply of any task, as far as they concern the whole device
    retry_at: BootMs = NEVER
    down: bool = False

    @property
    def suspect(self) -> bool:
        return self.misses > 0

    @property
    def probe_ms(self) -> int:
        """What a probe takes when no reply comes."""
        source = self.site.profile.source
        return (source.timeout_ms if isinstance(source, ModbusSource) else 0) + PROBE_MARGIN_MS

    @property
    def retry_ms(self) -> int:
        return min(RETRY_MS, *(task.polled.period_ms for task in self.tasks))


@dataclass(slots=True, eq=False)
class _Task:
    """One group of one device."""

    number: int
    device: _Device
    polled: Polled
    due: BootMs
    owed_since: BootMs  # when the oldest poll was due that it has not had; `due`, unless some were dropped
    misses: int = 0  # since its last good reply
    retry_at: BootMs = NEVER
    waits_until: BootMs = NEVER
    attempt: int = 0  # number of its last poll or probe on this bus

    @property
    def held(self) -> bool:
        """Paid from the probe share."""
        return self.misses > 0 or self.device.suspect

    @property
    def begins(self) -> BootMs:
        """When its next poll may begin."""
        return max(self.due, self.waits_until)

    def poll(self) -> Poll:
        return Poll(self.number, self.device.site, self.polled, self._after(self.due))

    def probe(self, now: BootMs, free_until: BootMs) -> Probe:
        deadline = self.due if now < self.due else self._after(self.due)
        return Probe(self.number, self.device.site, self.polled, deadline, free_until)

    def drop(self, now: BootMs) -> int:
        """Forget the polls whose whole period has passed; how many those were."""
        missed = max(0, (now - self.due) // self.polled.period_ms)
        self.due = BootMs(self.due + missed * self.polled.period_ms)
        return missed

    def _after(self, due: BootMs) -> BootMs:
        return BootMs(due + self.polled.period_ms)


@dataclass(frozen=True, slots=True)
class _Retry:
    """When to ask again, and with which group."""

    at: BootMs
    task: _Task


@dataclass(slots=True)
class _Share:
    """Bus time that probes may take from polls: grows by PROBE_SHARE, spent by failures, saves up one probe at most."""

    now: BootMs
    most_ms: int
    saved_ms: float = 0.0

    def grow(self, now: BootMs) -> None:
        self.saved_ms = min(self.saved_ms + (now - self.now) * PROBE_SHARE, self.most_ms)
        self.now = now

    def charge(self, ms: int) -> None:
        self.saved_ms -= max(0, ms)

    def ready_at(self, now: BootMs, cost_ms: int) -> BootMs:
        """When `cost_ms` will have been saved."""
        return BootMs(now + max(0, ceil((cost_ms - self.saved_ms) / PROBE_SHARE)))


def _tasks(devices: Sequence[_Device], now: BootMs) -> Iterator[_Task]:
    """Every group of every device, its first poll staggered."""
    groups = [(device, polled) for device in devices for polled in device.site.polled]
    for number, (device, polled) in enumerate(groups):
        due = BootMs(now + min(STAGGER_MS, polled.period_ms) * number // len(groups))
        task = _Task(number, device, polled, due, due)
        device.tasks.append(task)
        yield task


def _retries(devices: Iterable[_Device]) -> Iterator[_Retry]:
    """A suspect device is asked by the group that was not tried for longest; else each silent group for itself."""
    for device in devices:
        if device.suspect:
            yield _Retry(device.retry_at, min(device.tasks, key=lambda task: task.attempt))
        else:
            yield from (_Retry(task.retry_at, task) for task in device.tasks if task.misses)
