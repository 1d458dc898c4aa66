"""A serial line, here or behind a converter, whose devices are asked, each in its own way, as its `Schedule` says.

Earliest deadline first; a poll that cannot begin in its period is dropped and counted; dead devices share 5 % of the
line; which device may still answer an old question is `links.owed`'s; visits that others ask for go between polls.
"""

from collections.abc import Callable, Coroutine
from math import ceil
from random import Random
from typing import Any

from gateway.counters import Counters
from gateway.errors import LinkDown
from gateway.model import BootMs, Event, Row
from gateway.profile.profile import ProtocolSource, SerialSource
from gateway.seams import Clock
from gateway.site import Bus, Device
from gateway.south.door import Door
from gateway.south.links.conversation_link import ConversationLink, TalkStream
from gateway.south.links.late import late_max_ns
from gateway.south.links.link import NS_PER_MS
from gateway.south.links.owed import Owed
from gateway.south.links.ports import open_talk
from gateway.south.links.pulse import Pulse
from gateway.south.links.trace import Trace
from gateway.south.reads.talk import Talker
from gateway.south.reads.talk_cost import answered_ms, unanswered_ms
from gateway.south.rows import Rows
from gateway.south.schedule.schedule import Schedule
from gateway.south.schedule.steps import Idle, Poll, Probe, Reopen, Turn
from gateway.south.stop import Stop
from gateway.south.turns import Asks
from gateway.south.verdicts import Verdicts
from gateway.south.visitors import Visitor, Visitors
from gateway.wire.documents import SouthStatus


class TalkLoop:
    """`bus.Loop` for serial devices that are polled. The callables never block."""

    asks: Asks | None = None  # nobody speaks Modbus here

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        counters: Counters,
        random: Random,
        on_row: Callable[[Row], None],
        on_event: Callable[[Event], None],
        opener: Callable[[Bus, Clock], Coroutine[Any, Any, TalkStream]] = open_talk,
        *,
        owed: bool = False,
    ) -> None:
        self.name = bus.name
        self.trace = Trace()
        self._bus = bus
        self._clock = clock
        self._counters = counters
        self._opener = opener
        self._stop = Stop()
        self._door = Door(bus.name, self._open, clock, counters, random, on_event, self._stop)
        self._rows = Rows(bus.name, counters, on_row)
        self._schedule = Schedule(bus, clock.boot_ms(), random, counters)
        self._verdicts = Verdicts(bus.name, self._schedule, self._rows, clock, counters, on_event)
        self._owed = Owed(
            shared_queue=not bus.serial
        )  # outlives the link: a port that was reopened still brings the old reply
        self._talkers = {device.name: Talker(bus.name, device, clock, counters, self._owed) for device in bus.devices}
        self.visits = Visitors(clock, self._owed, lambda device: _longest_ms(bus, device), self._stop.call)
        self._quiet_until = BootMs(clock.boot_ms() + (_late_max_ms(bus) if owed else 0))

    async def run(self) -> None:
        """As `bus.Loop`."""
        try:
            await self._stop.unless_asked(self._clock.sleep_until(self._quiet_until))
            await self._door.serve(self._serve)
        finally:
            self.visits.refuse(LinkDown("the bus is not read any more"))

    def stop(self) -> None:
        """As `bus.Loop`."""
        self._stop.ask()

    def hurry(self, device: str, *, fast: bool) -> None:
        """As `bus.Loop`."""
        self._schedule.hurry(device, fast=fast)
        self._stop.call()

    @property
    def owes(self) -> bool:
        """As `bus.Loop`."""
        return self._clock.boot_ms() < self._quiet_until or self._owed.owes(self._clock.boot_ns())

    @property
    def status(self) -> SouthStatus:
        """As `bus.BusLoop`."""
        silent = self._schedule.silent and not self._door.down
        name = (self._bus.name,)
        return SouthStatus(name if silent or self._door.down else (), self._schedule.down, name if silent else ())

    @property
    def last_rows(self) -> tuple[Row, ...]:
        """As `bus.Loop`."""
        return self._rows.newest

    async def _open(self) -> ConversationLink:
        try:
            stream = await self._opener(self._bus, self._clock)
        except LinkDown as error:
            self.visits.refuse(error)
            raise
        self.visits.admit()
        pulse = None if self._bus.serial else Pulse()
        return ConversationLink(
            stream, self._bus.line, self._clock, self._owed, self.trace, self._counters, bus=self._bus.name, pulse=pulse
        )

    async def _serve(self, link: ConversationLink) -> None:
        """Until the stop, LinkDown, or the wish for another link."""
        try:
            await self._work(link)
        except LinkDown as error:
            if self._door.hesitates:
                self.visits.refuse(error)
            raise

    async def _work(self, link: ConversationLink) -> None:
        self._schedule.resume(self._clock.boot_ms(), after_outage=self._door.down)
        while not self._stop.asked():
            now = self._clock.boot_ms()
            visitor, again_at = self.visits.look(now)
            step = self._schedule.step(now, visitor.wish if visitor else None)
            if isinstance(step, Reopen) or (isinstance(step, Poll | Probe) and not await self._ask(step, link)):
                self._counters.add("bus_reopened", bus=self._bus.name)
                return
            if isinstance(step, Turn) and visitor:
                await self._receive(step, visitor, link)
            elif isinstance(step, Idle):
                await self._idle(step.until if again_at is None else min(step.until, again_at))

    async def _receive(self, step: Turn, visitor: Visitor, link: ConversationLink) -> None:
        """Pay the visit that somebody asked for; raises LinkDown when the bus went away by it."""
        self._counters.add("turns", bus=self._bus.name)
        try:
            (outcome,) = await self._talkers[visitor.device.name].uncounted().visit(link, [visitor.polled])
        finally:
            self._schedule.turn_over(step, self._clock.boot_ms())
        self.visits.ended(visitor, outcome)
        if outcome.link_down is not None:
            raise outcome.link_down

    async def _idle(self, until: BootMs) -> None:
        steady_at = self._door.steady_at()
        await self._stop.nap(self._clock.sleep_until(until if steady_at is None else min(until, steady_at)))
        if steady_at is not None and self._clock.boot_ms() >= steady_at:
            self._door.works()

    async def _ask(self, step: Poll | Probe, link: ConversationLink) -> bool:
        """Whether the link may still be used."""
        parts: list[Poll | Probe] = [step, *step.also] if isinstance(step, Poll) else [step]
        talker = self._talkers[step.device.name]
        outcomes = await talker.visit(link, [part.polled for part in parts])
        if any(outcome.answered or (outcome.cause and not outcome.link_down) for outcome in outcomes):
            self._door.works()
        return self._verdicts.end(parts, outcomes)


def _longest_ms(bus: Bus, device: Device) -> int:
    """What one visit takes at most: unanswered, or with answers that come at the last moment."""
    source = device.profile.source
    if not isinstance(source, SerialSource | ProtocolSource):
        return 0
    answered = answered_ms(bus, device, source, _patience_ms(bus, device))
    return ceil(max(unanswered_ms(bus, device, source), answered))


def _late_max_ms(bus: Bus) -> int:
    """How late the reply of any of its devices may come, counted from now."""
    longest_ms = max((_patience_ms(bus, device) for device in bus.devices), default=0)
    return longest_ms + late_max_ns(longest_ms * NS_PER_MS) // NS_PER_MS


def _patience_ms(bus: Bus, device: Device) -> int:
    """How long a reply is waited for."""
    source = device.profile.source
    if isinstance(source, ProtocolSource):
        return ceil(unanswered_ms(bus, device, source))
    return source.poll.timeout_ms if isinstance(source, SerialSource) and source.poll else 0
