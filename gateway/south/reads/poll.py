"""What a visit means for a group: its row, or why there is none, and what is told. What a device teaches is `memory`'s.

A read that fails nulls its own fields and no others. A field that the device refuses is null, `refused`, told once
(`field_refused`); a group that gets an answer and not one good value is told when that begins (`no_good_field`).

Groups of one device that are due together are polled together: one plan fetches the fields of all, and each group gets
its own outcome. The time of a row is the first byte of the first good reply that has one of its fields.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.counters import Counters
from gateway.errors import LinkDown
from gateway.model import BootMs, Event, Quality, Row
from gateway.profile import codec
from gateway.profile.profile import ModbusSource
from gateway.seams import Clock
from gateway.site import Device, Polled
from gateway.south.links.link import NotSent, manner_of
from gateway.south.reads.memory import Memory
from gateway.south.reads.plan import LineCost, Span, span_of
from gateway.south.reads.seek import Sought, seek
from gateway.south.reads.start import Held, Starting, prepare
from gateway.south.reads.visit import UNREACHABLE, Caller, Guarded, Part, Together, Visit

__all__ = ["UNREACHABLE", "Guarded", "Outcome", "Poller", "poll_together"]

TOGETHER_MAX = 64  # combinations of groups that are kept


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one poll gave to one group."""

    row: Row | None  # None when not one field is good
    cause: Quality | None  # why there is no row; None when there is one, or when nothing was asked
    answered: bool  # the device said something about this group, be it an exception
    waits_until: BootMs | None = None  # when a barred read may be made
    events: tuple[Event, ...] = ()
    link_down: LinkDown | None = None  # the bus went away on the way; the row has what came before
    reached: bool = True  # False: the poll ended before this group's turn, and it is still due
    waits_for: str = "barred"  # or "starting"


class Poller:
    """Polls one group of one device; `memory` and `starting` are shared by the groups of the device."""

    def __init__(
        self,
        bus: str,
        device: Device,
        polled: Polled,
        cost: LineCost,
        clock: Clock,
        counters: Counters,
        memory: Memory | None = None,
        starting: Starting | None = None,
    ) -> None:
        source = device.profile.source
        if not isinstance(source, ModbusSource):
            raise TypeError(f"{device.name} is not polled by Modbus")
        self.polled = polled
        self.unit_id = device.unit_id
        self.memory = memory or Memory(device, cost)
        self.starting = starting
        self._device = device.name
        manner = manner_of(source)
        self.caller = Caller(bus, device, source.timeout_ms, manner, cost, clock, counters, self.memory)
        self._together: dict[tuple[Poller, ...], Together] = {}
        self._scaled = any(one.scale_from for one in polled.fields)
        self._barren = False

    async def poll(self, link: Guarded, patience: int) -> Outcome:
        """Never raises: a bus that is lost on the way is in the outcome, with what was read before."""
        (outcome,) = await poll_together(link, patience, (self,))
        return outcome

    async def hold(self, link: Guarded) -> Held | None:
        """Why the device is not to be read now; None when it is. It is told to measure where that is due."""
        return await prepare(self.starting, link, self.caller) if self.starting else None

    def visit(self, pollers: "tuple[Poller, ...]") -> Visit:
        """A visit of these groups that begins now."""
        if pollers not in self._together:
            if len(self._together) >= TOGETHER_MAX:
                self._together.clear()
            self._together[pollers] = Together([poller.polled for poller in pollers])
        return Visit(self.caller, self._together[pollers])

    def conclude(self, visit: Visit, part: Part, refused: frozenset[Span]) -> Outcome:
        """The outcome of this group's part of a visit; `refused` for the first time are these."""
        row, now = self._row(part) if visit.placed else None, visit.began
        if not visit.placed:  # the next visit looks for the place
            cause = part.cause or (None if part.answered else Quality.NO_REPLY)
            return Outcome(None, cause, part.answered, part.waits_until, (), visit.link_down, part.reached)
        cause = None if row else part.cause or (part.null.get(0) if part.answered else None)
        names = [one.name for one in self.polled.fields if span_of(one) in refused] if refused else []
        events = [Event(now, self._device, "field_refused", name) for name in names]
        events += self._news(now, cause, good=row is not None, answered=part.answered)
        return Outcome(row, cause, part.answered, part.waits_until, tuple(events), visit.link_down, part.reached)

    def unplaced(self, sought: Sought) -> Outcome:
        """The outcome of a visit that did not come to this group's reads; why is in it."""
        now, missing = self.caller.clock.boot_ms(), sought.missing
        events = () if missing is None else (Event(now, self._device, "model_not_found", missing),)
        return Outcome(None, sought.cause, sought.answered, sought.waits_until, events, sought.link_down)

    def held(self, held: Held, now: BootMs) -> Outcome:
        """The outcome of a visit in which nothing was read."""
        news = self._news(now, held.cause, good=False, answered=held.answered)
        return Outcome(
            None,
            held.cause,
            held.answered,
            held.waits_until,
            tuple(news),
            held.link_down,
            waits_for="starting",
        )

    def _news(self, now: BootMs, cause: Quality | None, *, good: bool, answered: bool) -> list[Event]:
        """When it begins that a group is answered without one good value."""
        barren = answered and not good
        begins = barren and not self._barren
        if good or barren:
            self._barren = barren
        return [Event(now, self._device, "no_good_field", str(cause))] if begins else []

    def _row(self, part: Part) -> Row | None:
        """None when no field is good. Hidden fields stand behind those of the group, and are not shown."""
        group, values, null = self.polled.group, part.values, part.null
        if part.at is None:
            return None
        if self._scaled:
            codec.finish(self.polled.fields, values, null)
        size = len(group.fields)
        if all(value is None for value in values[:size]):
            return None
        quality = sorted(item for item in null.items() if item[0] < size) if null else ()
        return Row(group, part.at, tuple(values[:size]), tuple(quality))


async def poll_together(link: Guarded, patience: int, pollers: Sequence[Poller]) -> list[Outcome]:
    """One visit for some groups of one device, the most urgent first; an outcome for each, in their order.

    Never raises. Only the first one is reached for sure.
    """
    first = pollers[0]
    if (held := await first.hold(link)) is not None:
        return [poller.held(held, first.caller.clock.boot_ms()) for poller in pollers]
    if first.memory.place.at is None and (sought := await seek(first.caller, link, patience)) is not None:
        return [poller.unplaced(sought if poller is first else replace(sought, missing=None)) for poller in pollers]
    visit = first.visit(tuple(pollers))
    refused = await visit.run(link, patience)
    starting = pollers[0].starting
    if starting and (visit.lost_replies or (visit.link_down and not isinstance(visit.link_down, NotSent))):
        starting.lost()
    return [poller.conclude(visit, visit.part(number), refused) for number, poller in enumerate(pollers)]
