"""One task per bus: does what its `Schedule` says, through one link, and tells rows and events by two callables."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Protocol

from gateway.counters import Counters
from gateway.errors import LinkDown
from gateway.model import BootMs, Event, Row
from gateway.profile.profile import Line, ModbusSource
from gateway.seams import Clock
from gateway.site import Bus, Site
from gateway.south.door import Door
from gateway.south.links.guard import Guard, silence_ns
from gateway.south.links.late import LateReplies, late_max_ns
from gateway.south.links.link import NS_PER_MS, Link
from gateway.south.links.modbus_links import open_own
from gateway.south.links.trace import Trace
from gateway.south.pushed import PushLoop
from gateway.south.reads.memory import Memory
from gateway.south.reads.plan import line_cost
from gateway.south.reads.poll import Guarded, Poller, poll_together
from gateway.south.reads.start import Starting
from gateway.south.rows import Rows
from gateway.south.schedule.schedule import Schedule
from gateway.south.schedule.steps import Idle, Poll, Probe, Reopen, Turn, Wish
from gateway.south.stop import Stop
from gateway.south.turns import Asks, Guest, Turns
from gateway.south.verdicts import Verdicts
from gateway.south.visits import Visits
from gateway.wire.documents import SouthStatus

LINKS = "gateway.links"  # entry points: name = `driver` of a bus, value = async open_link(bus, clock, trace) -> Link
PATIENCE_POLL, PATIENCE_PROBE = 2, 1  # lost replies in a row that end a poll


class Loop(Protocol):
    """What `app` knows of a bus."""

    async def run(self) -> None:
        """Until `stop`; a lost bus is waited for."""
        ...

    def stop(self) -> None:
        """Finish the exchange in flight, close the bus, return from `run`."""
        ...

    def hurry(self, device: str, *, fast: bool) -> None:
        """Poll this device as its `fast` says, or as before; nothing where nobody is asked."""
        ...

    @property
    def name(self) -> str:
        """The bus's."""
        ...

    @property
    def trace(self) -> Trace:
        """What goes over it, kept over its openings."""
        ...

    @property
    def asks(self) -> Asks | None:
        """How others get exchanges on it; None where nobody is asked."""
        ...

    @property
    def visits(self) -> Visits | None:
        """How others get a visit to a serial device that is asked; None on any other bus."""
        ...

    @property
    def owes(self) -> bool:
        """Whether a device may still answer what was asked: the next process must not take that for its own."""
        ...

    @property
    def status(self) -> SouthStatus:
        """This bus's part of the gateway's status."""
        ...

    @property
    def last_rows(self) -> tuple[Row, ...]:
        """The newest row of each group, for the control socket."""
        ...


def loops(
    site: Site,
    clock: Clock,
    counters: Counters,
    random: Random,
    on_row: Callable[[Row], None],
    on_event: Callable[[Event], None],
    memories: Mapping[str, Memory] | None = None,
    *,
    owed: bool = False,
) -> list[Loop]:
    """One loop for each bus of the site; `memories` of its devices by name, where they outlive the loop.

    `owed`: devices may still answer what an earlier process asked, so the first request waits until they cannot.
    """

    def loop(bus: Bus) -> Loop:
        if bus.transport == "stream":
            from gateway.south.stream import StreamLoop  # noqa: PLC0415 - what no bus of the site needs is not loaded

            return StreamLoop(bus, clock, counters, random, on_row, on_event)
        if bus.transport == "push":
            return PushLoop(bus, clock, counters, on_row, on_event)
        if bus.talks:
            from gateway.south.talks import TalkLoop  # noqa: PLC0415 - as above

            return TalkLoop(bus, clock, counters, random, on_row, on_event, owed=owed)
        if bus.mode == "listen":
            from gateway.south.listen import ListenLoop  # noqa: PLC0415 - as above

            return ListenLoop(bus, clock, counters, random, on_row, on_event)
        return BusLoop(bus, clock, counters, random, on_row, on_event, memories=memories, owed=owed)

    return [loop(bus) for bus in site.buses]


async def open_link(bus: Bus, clock: Clock, trace: Trace) -> Link:
    """One of ours, or the driver that is installed under that name; raises LinkDown."""
    if bus.driver == "own":
        return await open_own(bus, clock, trace)
    from importlib.metadata import entry_points  # noqa: PLC0415 - loads zipfile, email and more, for the few with a driver

    for driver in entry_points(group=LINKS, name=bus.driver):
        try:
            opener = driver.load()
        except ImportError as error:  # of the library that it is made for
            raise LinkDown(f"driver {bus.driver!r} cannot be loaded: {error}") from error
        opened: Link = await opener(bus, clock, trace)
        return opened
    raise LinkDown(f"no driver {bus.driver!r} is installed")


class BusLoop:
    """A bus that is asked: `Loop` for Modbus. The callables never block."""

    visits: Visits | None = None

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        counters: Counters,
        random: Random,
        on_row: Callable[[Row], None],
        on_event: Callable[[Event], None],
        opener: Callable[[Bus, Clock, Trace], Awaitable[Link]] = open_link,
        *,
        memories: Mapping[str, Memory] | None = None,
        owed: bool = False,
    ) -> None:
        self.name = bus.name
        self.trace = Trace()
        self._bus = bus
        self._clock = clock
        self._counters = counters
        self._on_event = on_event
        self._opener = opener
        self._stop = Stop()
        self._turns = Turns(clock, _line(bus), self._stop.call)
        self._door = Door(bus.name, self._open, clock, counters, random, on_event, self._stop)
        self._rows = Rows(bus.name, counters, on_row)
        self._schedule = Schedule(bus, clock.boot_ms(), random, counters)
        self._verdicts = Verdicts(bus.name, self._schedule, self._rows, clock, counters, on_event)
        self._pollers = list(_pollers(bus, clock, counters, memories or {}))
        self._memories = {poller.unit_id: poller.memory for poller in self._pollers}
        # outlives the link: a port that was reopened still brings the old reply
        self._late = LateReplies(shared_queue=not bus.serial)
        self._quiet_until = BootMs(clock.boot_ms() + (_late_max_ms(bus) if owed else 0))

    async def run(self) -> None:
        """As `Loop`."""
        try:
            await self._stop.unless_asked(self._clock.sleep_until(self._quiet_until))
            await self._door.serve(self._serve)
        finally:
            self._turns.refuse(LinkDown("the bus is not read any more"))

    def stop(self) -> None:
        """As `Loop`."""
        self._stop.ask()

    def hurry(self, device: str, *, fast: bool) -> None:
        """As `Loop`."""
        self._schedule.hurry(device, fast=fast)
        self._stop.call()

    @property
    def asks(self) -> Asks:
        """As `Loop`."""
        return self._turns

    @property
    def owes(self) -> bool:
        """As `Loop`."""
        return self._clock.boot_ms() < self._quiet_until or self._late.owes(self._clock.boot_ns())

    @property
    def status(self) -> SouthStatus:
        """As `Loop`. While the bus is down or silent its devices are not known to be."""
        silent = self._schedule.silent and not self._door.down
        name = (self._bus.name,)
        return SouthStatus(name if silent or self._door.down else (), self._schedule.down, name if silent else ())

    @property
    def last_rows(self) -> tuple[Row, ...]:
        """As `Loop`."""
        return self._rows.newest

    async def _open(self) -> Guard:
        try:
            link = await self._opener(self._bus, self._clock, self.trace)
        except LinkDown as error:
            self._turns.refuse(error)
            raise
        self._turns.admit()
        silence = silence_ns(self._bus.transport, self._bus.line)
        return Guard(link, self._clock, self._counters, bus=self._bus.name, silence_ns=silence, late=self._late)

    async def _serve(self, guard: Guarded) -> None:
        """Until the stop, LinkDown, or the wish for another link."""
        try:
            await self._work(guard)
        except LinkDown as error:
            if self._door.hesitates:
                self._turns.refuse(error)
            raise

    async def _work(self, guard: Guarded) -> None:
        self._schedule.resume(self._clock.boot_ms(), after_outage=self._door.down)
        for poller in self._pollers if self._door.down else ():
            if poller.starting:
                poller.starting.lost()
        while not self._stop.asked():
            now = self._clock.boot_ms()
            guest, again_at = self._turns.look(now, guard) if self._turns else (None, None)
            step = self._schedule.step(now, self._wish(guest) if guest else None)
            if isinstance(step, Idle):
                await self._idle(step.until if again_at is None else min(step.until, again_at))
            elif not await self._do(step, guard, guest):
                self._counters.add("bus_reopened", bus=self._bus.name)
                return

    def _wish(self, guest: Guest) -> Wish:
        memory = self._memories.get(guest.unit_id)
        return Wish(guest.came_at, guest.longest_ms, guest.likely_ms(memory.latency_ms if memory else None))

    async def _do(self, step: Poll | Probe | Turn | Reopen, guard: Guarded, guest: Guest | None) -> bool:
        """Whether the link may still be used."""
        match step:
            case Poll() | Probe():
                return await self._ask(step, guard)
            case Turn() if guest:
                await self._give_turn(step, guard, guest)
        return not isinstance(step, Reopen)

    async def _idle(self, until: BootMs) -> None:
        steady_at = self._door.steady_at()
        wake = until if steady_at is None else min(until, steady_at)
        await self._stop.nap(self._clock.sleep_until(wake))
        if steady_at is not None and self._clock.boot_ms() >= steady_at:
            self._door.works()

    async def _give_turn(self, step: Turn, guard: Guarded, guest: Guest) -> None:
        self._counters.add("turns", bus=self._bus.name)
        try:
            await self._turns.serve(guest, guard)
        finally:
            self._schedule.turn_over(step, self._clock.boot_ms())

    async def _ask(self, step: Poll | Probe, guard: Guarded) -> bool:
        """Whether the link may still be used."""
        patience = PATIENCE_PROBE if isinstance(step, Probe) else PATIENCE_POLL
        parts: Sequence[Poll | Probe] = (step, *step.also) if isinstance(step, Poll) else (step,)
        outcomes = await poll_together(guard, patience, [self._pollers[part.task] for part in parts])
        if any(outcome.answered or (outcome.cause and not outcome.link_down) for outcome in outcomes):
            self._door.works()
        return self._verdicts.end(parts, outcomes)


def _pollers(bus: Bus, clock: Clock, counters: Counters, memories: Mapping[str, Memory]) -> Iterator[Poller]:
    """In the order of the schedule's tasks: every group of every device."""
    for device in bus.devices:
        source = device.profile.source
        if not isinstance(source, ModbusSource):
            raise TypeError(f"{device.name} is not polled by Modbus")
        cost = line_cost(bus, source)
        memory = memories.get(device.name) or Memory(device, cost)
        starting = Starting.of(source)
        yield from (
            Poller(bus.name, device, polled, cost, clock, counters, memory, starting) for polled in device.polled
        )


def _late_max_ms(bus: Bus) -> int:
    """How late the reply of any of its devices may come, counted from now."""
    sources = (device.profile.source for device in bus.devices)
    longest_ms = max((source.timeout_ms for source in sources if isinstance(source, ModbusSource)), default=0)
    return longest_ms + late_max_ns(longest_ms * NS_PER_MS) // NS_PER_MS


def _line(bus: Bus) -> Line | None:
    """What bytes take time on; behind a transparent converter that is the slowest its devices are read with."""
    if bus.serial:
        return bus.line
    sources = (device.profile.source for device in bus.devices)
    lines = [source.line for source in sources if isinstance(source, ModbusSource)]
    return min(lines, key=lambda line: line.baud, default=None) if bus.transport == "rtu_over_tcp" else None
