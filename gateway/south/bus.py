"""One task per bus: does what its `Schedule` says, through one link, and tells rows and events by two callables."""

from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Protocol

from gateway.counters import Counters
from gateway.errors import LinkDown
from gateway.model import BootMs, Event, Row
from gateway.profile.profile import ModbusSource
from gateway.seams import Clock
from gateway.site import Bus, Site
from gateway.south.door import Door
from gateway.south.guard import Guard, silence_ns
from gateway.south.late import LateReplies
from gateway.south.link import Link
from gateway.south.modbus_links import open_own
from gateway.south.plan import line_cost
from gateway.south.poll import Guarded, Outcome, Poller
from gateway.south.rows import Rows
from gateway.south.schedule import Idle, Poll, Probe, Schedule, Turn
from gateway.south.stop import Stop
from gateway.south.stream import StreamLoop
from gateway.wire.documents import SouthStatus

LINKS = "gateway.links"  # entry points: name = `driver` of a bus, value = async open_link(bus, clock) -> Link
PATIENCE_POLL, PATIENCE_PROBE = 2, 1  # lost replies in a row that end a poll


class Loop(Protocol):
    """What `app` knows of a bus."""

    async def run(self) -> None:
        """Until `stop`; a lost bus is waited for."""
        ...

    def stop(self) -> None:
        """Finish the exchange in flight, close the bus, return from `run`."""
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
) -> list[Loop]:
    """One loop for each bus of the site."""
    return [
        (StreamLoop if bus.transport == "stream" else BusLoop)(bus, clock, counters, random, on_row, on_event)
        for bus in site.buses
    ]


async def open_link(bus: Bus, clock: Clock) -> Link:
    """One of ours, or the driver that is installed under that name; raises LinkDown."""
    if bus.driver == "own":
        return await open_own(bus, clock)
    from importlib.metadata import entry_points  # noqa: PLC0415 - loads zipfile, email and more, for the few with a driver

    for driver in entry_points(group=LINKS, name=bus.driver):
        try:
            opener = driver.load()
        except ImportError as error:  # of the library that it is made for
            raise LinkDown(f"driver {bus.driver!r} cannot be loaded: {error}") from error
        opened: Link = await opener(bus, clock)
        return opened
    raise LinkDown(f"no driver {bus.driver!r} is installed")


class BusLoop:
    """A bus that is asked: `Loop` for Modbus. The callables never block."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        counters: Counters,
        random: Random,
        on_row: Callable[[Row], None],
        on_event: Callable[[Event], None],
        opener: Callable[[Bus, Clock], Awaitable[Link]] = open_link,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._counters = counters
        self._on_event = on_event
        self._opener = opener
        self._stop = Stop()
        self._door = Door(bus.name, self._open, clock, counters, random, on_event, self._stop)
        self._rows = Rows(bus.name, counters, on_row)
        self._schedule = Schedule(bus, clock.boot_ms(), random, counters)
        self._pollers = list(_pollers(bus, clock, counters))
        self._again: tuple[int, BootMs] | None = None  # the step that a lost link cut short: it is made once more
        # outlives the link: a port that was reopened still brings the old reply
        self._late = LateReplies(shared_queue=bus.transport != "rtu")

    async def run(self) -> None:
        """As `Loop`."""
        await self._door.serve(self._serve)

    def stop(self) -> None:
        """As `Loop`."""
        self._stop.ask()

    @property
    def status(self) -> SouthStatus:
        """As `Loop`. While the bus is down its devices are not known to be."""
        return SouthStatus((self._bus.name,) if self._door.down else (), self._schedule.down)

    @property
    def last_rows(self) -> tuple[Row, ...]:
        """As `Loop`."""
        return self._rows.newest

    async def _open(self) -> Guard:
        link = await self._opener(self._bus, self._clock)
        silence = silence_ns(self._bus.transport, self._bus.line)
        return Guard(link, self._clock, self._counters, bus=self._bus.name, silence_ns=silence, late=self._late)

    async def _serve(self, guard: Guarded) -> None:
        self._schedule.resume(self._clock.boot_ms(), after_outage=self._door.down)
        while not self._stop.asked():
            step = self._schedule.step(self._clock.boot_ms())
            if isinstance(step, Idle):
                await self._idle(step.until)
            else:
                await self._visit(guard, step)

    async def _idle(self, until: BootMs) -> None:
        steady_at = self._door.steady_at()
        wake = until if steady_at is None else min(until, steady_at)
        await self._stop.unless_asked(self._clock.sleep_until(wake))
        if steady_at is not None and self._clock.boot_ms() >= steady_at:
            self._door.works()

    async def _visit(self, guard: Guarded, step: Poll | Probe) -> None:
        patience = PATIENCE_PROBE if isinstance(step, Probe) else PATIENCE_POLL
        outcome = await self._pollers[step.task].poll(guard, patience)
        if outcome.row or outcome.cause:
            self._counters.add("polls", bus=self._bus.name, device=step.device.name)
        if outcome.answered or (outcome.cause and not outcome.link_down):
            self._door.works()
        if outcome.row:
            self._rows.put(step.task, outcome.row)
        for event in outcome.events:
            self._on_event(event)
        self._tell(self._conclude(step, outcome), step, outcome)
        if outcome.link_down:
            raise outcome.link_down

    def _conclude(self, step: Poll | Probe, outcome: Outcome) -> Turn | None:
        now = self._clock.boot_ms()
        if outcome.answered:
            return self._schedule.done(step)
        if outcome.cause and not outcome.link_down:
            return self._schedule.failed(step, now)
        if outcome.link_down and self._again != (step.task, step.deadline):
            self._again = step.task, step.deadline
            return None
        if self._schedule.spared(step, outcome.waits_until or BootMs(now + step.polled.period_ms)):
            cause = "bus_down" if outcome.link_down else "barred" if outcome.waits_until else "refused"
            self._counters.add("polls_missed", bus=self._bus.name, device=step.device.name, cause=cause)
        return None

    def _tell(self, turn: Turn | None, step: Poll | Probe, outcome: Outcome) -> None:
        if turn is not None:
            detail = str(outcome.cause) if turn is Turn.DOWN else ""
            self._on_event(Event(self._clock.boot_ms(), step.device.name, str(turn), detail, urgent=True))


def _pollers(bus: Bus, clock: Clock, counters: Counters) -> Iterator[Poller]:
    """In the order of the schedule's tasks: every group of every device."""
    for device in bus.devices:
        source = device.profile.source
        if not isinstance(source, ModbusSource):
            raise TypeError(f"{device.name} is not polled by Modbus")
        cost = line_cost(bus, source)
        yield from (Poller(bus.name, device, polled, cost, clock, counters) for polled in device.polled)
