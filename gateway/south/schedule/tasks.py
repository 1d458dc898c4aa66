"""The groups of a bus as its schedule keeps them: who polls next, who is asked again and when. Pure.

A task is in one of these states: *queued* (it waits for its next poll, then for its turn), *held* (it, or its whole
device, is silent: a retry stands for it), or *running* (its step is being made). An entry that a later one replaced, or
that is of a task which is held by now, stays in its heap and is passed over when it comes up.

First polls are staggered, so that a bus does not start with a burst, but on a grid that all buses share: polls that run
one after the other cost a third of the CPU of those that each wake the process for themselves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from math import ceil
from typing import TypeAlias

from gateway.model import BootMs
from gateway.profile.profile import LocalSource, ModbusSource
from gateway.protocols.modbus_pdu import Table
from gateway.site import Bus, Device, Polled
from gateway.south.reads.plan import BITS, REGISTERS_MAX, REPLY_CHARS, REQUEST_CHARS, Span, line_cost, span_of
from gateway.south.reads.talk_cost import unanswered_ms
from gateway.south.schedule.silence import NEVER, Health

STAGGER_MS = 1000  # the first polls of a bus are spread over this, or over the period if that is less
GRIDS_MS = (250, 50, 1)  # first polls are due at multiples of the first of these that fits into the period so often:
GRID_FITS = 4
PROBE_MARGIN_MS = 10  # of a probe beyond the device's timeout and the line: silences

_Heap: TypeAlias = list[tuple[int, int, int]]


@dataclass(slots=True, eq=False)
class Tasked:
    """What the schedule knows of a device."""

    site: Device
    health: Health
    probe_ms: int  # what a probe takes when no reply comes
    tasks: list["Task"] = field(default_factory=list)
    cuts: int = 0  # times running that the link went away in its step
    retry: "Retry | None" = None

    @property
    def device(self) -> "Tasked":
        """As `Task`."""
        return self

    def asked_by(self) -> "Task":
        """The group that was not tried for longest."""
        return min(self.tasks, key=lambda task: task.attempt)


@dataclass(slots=True, eq=False)
class Task:
    """One group of one device."""

    number: int
    device: Tasked
    polled: Polled
    due: BootMs
    behind_ms: int = 0  # the periods of the polls that it lost since the bus last kept up with all of them
    misses: int = 0  # since its last good reply
    retry_at: BootMs = NEVER
    waits_until: BootMs = NEVER
    attempt: int = 0  # number of its last poll or probe on this bus
    running: bool = False  # its step is being made: what happens to this poll is not known yet
    entry: int = 0  # of its place in the queue: an older one is void
    retry: "Retry | None" = None
    last: BootMs = NEVER  # when the poll before the next one was due; set by itself

    def __post_init__(self) -> None:
        self.last = BootMs(self.due - self.polled.period_ms)

    @property
    def held(self) -> bool:
        """Paid from the probe share."""
        return self.misses > 0 or self.device.health.suspect

    @property
    def begins(self) -> BootMs:
        """When its next poll may begin."""
        return max(self.due, self.waits_until)

    @property
    def deadline(self) -> BootMs:
        """When its next poll but one is due: until then the next one may begin."""
        return BootMs(self.due + self.polled.period_ms)

    def asked_by(self) -> "Task":
        """As `Tasked`."""
        return self

    def poll_every(self, period_ms: int, now: BootMs) -> None:
        """Another period, from its last poll on and in its rhythm: no two polls are nearer than the shorter one."""
        faster, self.polled = period_ms < self.polled.period_ms, replace(self.polled, period_ms=period_ms)
        if self.due > now:
            steps = max(1, -(-(now - self.last) // period_ms))
            due = BootMs(self.last + steps * period_ms)
            self.due = min(self.due, due) if faster else due

    def begun(self, deadline: BootMs) -> None:
        """It was asked, for the period that ends then."""
        if deadline > self.due:
            self.due, self.last = deadline, BootMs(deadline - self.polled.period_ms)

    def drop(self, now: BootMs) -> int:
        """Forget the polls whose whole period has passed; how many those were."""
        if self.running:
            return 0
        missed = max(0, (now - self.due) // self.polled.period_ms)
        self.due = BootMs(self.due + missed * self.polled.period_ms)
        if missed:
            self.last = BootMs(self.due - self.polled.period_ms)
        self.behind_ms += missed * self.polled.period_ms
        return missed


class Queue:
    """Tasks that are not held: by when they begin, and of those that may, by deadline. Void entries are passed over.

    The deadline is that of a poll if none before it had been lost: so where there is too much to do all are as far
    behind, and lose the same part of their polls. When nothing is left that may begin, that is forgotten.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._upcoming: _Heap = []  # heap of (begins, task, entry)
        self._ready: _Heap = []  # heap of (deadline less what it is behind, task, entry)
        self._behind_ms = 0  # the one that was taken last
        self._keeps_up = True
        for task in tasks:
            self.add(task)

    def add(self, task: Task, *, anew: bool = False) -> None:
        """Or move, when it is in already. `anew`: it was held; it comes back as far behind as the others are."""
        if anew:
            task.behind_ms = self._behind_ms
        task.entry += 1
        heappush(self._upcoming, (task.begins, task.number, task.entry))

    def next_due(self, now: BootMs) -> BootMs | None:
        """When the next poll may begin, `now` when one may; None without tasks."""
        self._ripen(now)
        if self._top(self._ready):
            return now
        if not self._keeps_up:
            self._forget()
        task = self._top(self._upcoming)
        return task.begins if task else None

    def take_ready(self, now: BootMs, device: Tasked | None = None) -> Task | None:
        """The one with the earliest deadline of those that may begin; None also when that is not of this `device`."""
        self._ripen(now)
        task = self._top(self._ready)
        if task is None or device not in (None, task.device):
            return None
        heappop(self._ready)
        task.entry += 1
        self._behind_ms = task.behind_ms
        self._keeps_up = self._keeps_up and not task.behind_ms
        return task

    def take_early(self, now: BootMs) -> Task | None:
        """The next to begin, when none may begin yet; not one that has to wait whatever is due."""
        queued = (self._tasks[number] for _, number, entry in self._upcoming if entry == self._tasks[number].entry)
        able = (task for task in queued if not task.held and task.waits_until <= now)
        task = min(able, key=lambda task: task.begins, default=None)
        if task:
            task.entry += 1
        return task

    def _ripen(self, now: BootMs) -> None:
        while self._upcoming and self._upcoming[0][0] <= now:
            _, number, entry = heappop(self._upcoming)
            task = self._tasks[number]
            if entry == task.entry and not task.held:
                heappush(self._ready, (task.deadline - task.behind_ms, number, entry))

    def _forget(self) -> None:
        self._behind_ms, self._keeps_up = 0, True
        for task in self._tasks:
            task.behind_ms = 0

    def _top(self, heap: _Heap) -> Task | None:
        while heap:
            _, number, entry = heap[0]
            task = self._tasks[number]
            if entry == task.entry and not task.held:
                return task
            heappop(heap)
        return None


@dataclass(frozen=True, slots=True, eq=False)
class Retry:
    """When to ask again, and whom: a device in doubt as a whole, or a silent group."""

    at: BootMs
    of: Tasked | Task

    @property
    def device(self) -> Tasked:
        """Whose it is."""
        return self.of.device

    @property
    def valid(self) -> bool:
        """Whether it stands: no other has replaced it, and a device in doubt is asked as a whole."""
        if self.of.retry is not self:
            return False
        return self.device.health.suspect if isinstance(self.of, Tasked) else not self.device.health.suspect


class Retries:
    """Who is to be probed, by time; one entry each, the last one that was added."""

    def __init__(self) -> None:
        self._later: list[tuple[int, int, Retry]] = []
        self._ready: list[Retry] = []
        self._serial = 0

    def add(self, of: Tasked | Task, at: BootMs) -> None:
        """Ask it then, and not when it was to be asked before."""
        of.retry = Retry(at, of)
        self._serial += 1
        heappush(self._later, (at, self._serial, of.retry))

    def ready(self, now: BootMs) -> Sequence[Retry]:
        """Those whose time has come, the longest waiting first."""
        while self._later and self._later[0][0] <= now:
            self._ready.append(heappop(self._later)[2])
        if self._ready:
            self._ready = [retry for retry in self._ready if retry.valid]
        return self._ready

    def next_at(self) -> BootMs | None:
        """When the next one comes."""
        while self._later and not self._later[0][2].valid:
            heappop(self._later)
        return BootMs(self._later[0][0]) if self._later else None

    def take(self, retry: Retry) -> Task:
        """The group to ask."""
        self._ready.remove(retry)
        retry.of.retry = None
        return retry.of.asked_by()


def tasked(bus: Bus, now: BootMs) -> Iterator[Tasked]:
    """Every polled device with its groups, whose numbers count over the bus."""
    polled_devices = [device for device in bus.devices if device.polled]
    number = 0
    for place, site in enumerate(polled_devices):
        numbers = range(number, number := number + len(site.polled))
        period_ms = min(polled.period_ms for polled in site.polled)
        device = Tasked(site, Health(site.name, frozenset(numbers), period_ms), _probe_ms(bus, site))
        due = _on_grid(BootMs(now + min(STAGGER_MS, period_ms) * place // len(polled_devices)), period_ms)
        device.tasks = [Task(at, device, polled, due) for at, polled in zip(numbers, site.polled, strict=True)]
        yield device


def _on_grid(due: BootMs, period_ms: int) -> BootMs:
    """At or before `due`: nobody waits for the grid at the start."""
    return BootMs(due - due % next((grid for grid in GRIDS_MS if grid * GRID_FITS <= period_ms), 1))


def _probe_ms(bus: Bus, device: Device) -> int:
    source = device.profile.source
    if isinstance(source, LocalSource):
        raise TypeError(f"{device.name} is never asked")
    if not isinstance(source, ModbusSource):
        return ceil(unanswered_ms(bus, device, source)) + PROBE_MARGIN_MS
    registers = min(_registers(device), source.max_registers, REGISTERS_MAX)
    characters = REQUEST_CHARS + REPLY_CHARS + 2 * registers
    return ceil(source.timeout_ms + characters * line_cost(bus, source).char_ms) + PROBE_MARGIN_MS


def _registers(device: Device) -> int:
    """From the first to the last that is wanted of one table: no read is longer. Sixteen bits count as one."""
    spans: dict[Table, list[Span]] = {}
    for polled in device.polled:
        for span in map(span_of, polled.fields):
            spans.setdefault(span.table, []).append(span)
    counts = {table: max(span.last for span in of) - min(span.first for span in of) + 1 for table, of in spans.items()}
    return max((-(-n // 16) if table in BITS else n for table, n in counts.items()), default=0)
