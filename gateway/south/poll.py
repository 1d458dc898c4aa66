"""One poll: run a group's reads back to back, decode, keep what is good.

A read that fails nulls its own fields and no others. What a device does not like is learned, and forgotten again, so
that no register is ever given up:

- *refused*: exception 2 (illegal data address) splits a read in halves, within the same poll, until single fields are
  left; so the row is whole but for the guilty field. A refused span is remembered, and no planned read covers it: a
  hole between two fields is then read around; a field of its own is null, `refused`, told once (`field_refused`), and
  asked for again after a minute, then less and less often down to hourly. A field that has ever been read is asked for
  at every poll, on its own.
- *silent*: reads that stayed unanswered are made last, so that they cannot hide those that would be answered. A poll
  ends after `patience` lost replies in a row.
- *barred*: the guard holds back a request while the late answer to an older one like it may still come. Such a read is
  made in halves, which have other lengths; what cannot be halved waits, null, while the rest goes on.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.counters import Counters
from gateway.errors import BadReply, DeviceException, LinkDown, NoReply
from gateway.model import BootMs, Event, Group, Quality, Row, Value
from gateway.profile.profile import ModbusSource
from gateway.protocols.modbus_pdu import ReadRequest, Request
from gateway.seams import Clock
from gateway.site import Device, Polled
from gateway.south.link import PLAIN, Manner, Reply, manner_of
from gateway.south.plan import LineCost, Read, Span, bus_ms, halves, plan, span_of

REPROBE_MS, REPROBE_MS_MAX, REPROBE_GROWTH = 60_000, 3_600_000, 4
ILLEGAL_ADDRESS = 2  # exception codes, modbus application protocol v1.1b3, 7
UNREACHABLE = frozenset({10, 11})  # a converter's word for a device that does not answer it
NS_PER_MS = 1_000_000


class Guarded(Protocol):
    """What a poll needs of `guard.Guard`."""

    async def request(self, unit_id: int, request: Request, deadline_ns: int, manner: Manner = PLAIN) -> Reply:
        """One exchange; raises NoReply, BadReply, DeviceException, LinkDown."""
        ...

    def barred(self, unit_id: int, request: Request) -> int | None:
        """Until when (boot ns) the late answer to an older request may be taken for this one's; None = not at all."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one poll gave."""

    row: Row | None  # None when not one field is good
    cause: Quality | None  # why there is no row; None when there is one, or when nothing was asked
    answered: bool  # the device said something, be it an exception
    waits_until: BootMs | None = None  # when a barred read may be made
    events: tuple[Event, ...] = ()
    link_down: LinkDown | None = None  # the bus went away on the way; the row has what came before


class Poller:
    """Polls one group of one device, and remembers what the device refused."""

    def __init__(
        self, bus: str, device: Device, polled: Polled, cost: LineCost, clock: Clock, counters: Counters
    ) -> None:
        source = device.profile.source
        if not isinstance(source, ModbusSource):
            raise TypeError(f"{device.name} is not polled by Modbus")
        self._device, self._polled, self._cost = device, polled, cost
        self._clock, self._counters = clock, counters
        self._timeout_ms, self._manner = source.timeout_ms, manner_of(source)
        self._bus = bus
        self._memory = _Memory(device, polled, cost)
        self._barren = False

    async def poll(self, link: Guarded, patience: int) -> Outcome:
        """Never raises: a bus that is lost on the way is in the outcome, with what was read before."""
        now = self._clock.boot_ms()
        queue = deque(self._memory.reads(now))
        visit = _Visit(len(self._polled.fields), [place for read in queue for place in read.fields])
        while queue and visit.lost < patience and visit.link_down is None:
            queue.extendleft(reversed(await self._ask(link, queue.popleft(), visit)))
        refused = self._memory.learn(visit.good, visit.silent, visit.illegal, now)
        return self._outcome(visit, refused, now)

    async def _ask(self, link: Guarded, read: Read, visit: "_Visit") -> tuple[Read, ...]:
        """Make one read, or return those that are to be made in its place."""
        until_ns = link.barred(self._device.unit_id, read.request)
        if until_ns is not None:
            return self._halves(read) or visit.wait(until_ns)
        self._counters.add("reads", bus=self._bus, device=self._device.name)
        deadline_ns = self._clock.boot_ns() + round((self._timeout_ms + bus_ms(read, self._cost)) * NS_PER_MS)
        try:
            reply = await link.request(self._device.unit_id, read.request, deadline_ns, self._manner)
            visit.keep(read, reply)
        except LinkDown as error:
            visit.link_down = error
            self._count_failure(error.code)
        except (NoReply, BadReply) as error:
            self._count_failure(error.code)
            visit.lose(read, Quality(error.code))
        except DeviceException as error:
            self._count_failure(f"exception_{error.exception}")
            return self._refusal(read, error, visit)
        return ()

    def _refusal(self, read: Read, error: DeviceException, visit: "_Visit") -> tuple[Read, ...]:
        if error.exception in UNREACHABLE:
            visit.lose(read, Quality.NO_REPLY)
            return ()
        if error.exception == ILLEGAL_ADDRESS:
            visit.illegal.append(read)
            if len(read.fields) > 1:
                visit.answer()
                return self._halves(read)
        visit.refuse(read)
        return ()

    def _halves(self, read: Read) -> tuple[Read, ...]:
        return halves(read, self._polled.fields)

    def _count_failure(self, cause: str) -> None:
        self._counters.add("read_failures", bus=self._bus, device=self._device.name, cause=cause)

    def _outcome(self, visit: "_Visit", refused: list[int], now: BootMs) -> Outcome:
        row = visit.row(self._polled.group)
        cause = None if row else visit.cause()
        events = [Event(now, self._device.name, "field_refused", self._polled.fields[place].name) for place in refused]
        barren = row is None and visit.answered
        if barren and not self._barren:
            events.append(Event(now, self._device.name, "no_good_field", str(cause)))
        if row or barren:
            self._barren = barren
        return Outcome(row, cause, visit.answered, visit.waits_until, tuple(events), visit.link_down)


class _Visit:
    """What one poll has gathered so far."""

    def __init__(self, fields: int, asked: Iterable[int]) -> None:
        self.lost = 0  # replies in a row
        self.answered = False
        self.waits_until: BootMs | None = None
        self.link_down: LinkDown | None = None
        self.good: list[Read] = []
        self.silent: list[Read] = []
        self.illegal: list[Read] = []
        self._at: BootMs | None = None
        self._values: list[Value | None] = [None] * fields
        self._null = dict.fromkeys(range(fields), Quality.REFUSED) | dict.fromkeys(asked, Quality.NO_REPLY)
        self._last_cause = Quality.REFUSED

    def keep(self, read: Read, reply: Reply) -> None:
        """Raises BadReply when the data is not what the read asked for."""
        decoded = read.decode(reply.data)
        self.answer()
        self.good.append(read)
        self._at = BootMs(reply.t_first_ns // NS_PER_MS) if self._at is None else self._at
        for place, value in zip(read.fields, decoded.values, strict=True):
            self._values[place] = value
            del self._null[place]
        for index, quality in decoded.quality:
            self._null[read.fields[index]] = self._last_cause = quality

    def lose(self, read: Read, cause: Quality) -> None:
        self.lost += 1
        self.silent.append(read)
        self._blame(read, cause)

    def answer(self) -> None:
        self.lost, self.answered = 0, True

    def refuse(self, read: Read) -> None:
        self.answer()
        self._blame(read, Quality.REFUSED)

    def wait(self, until_ns: int) -> tuple[()]:
        until = BootMs(-(-until_ns // NS_PER_MS))
        self.waits_until = until if self.waits_until is None else min(until, self.waits_until)
        return ()

    def cause(self) -> Quality | None:
        """Why there is no row; None when nothing was asked."""
        return self._last_cause if self.answered or self.silent else None

    def row(self, group: Group) -> Row | None:
        """None when no field is good."""
        if self._at is None or all(value is None for value in self._values):
            return None
        return Row(group, self._at, tuple(self._values), tuple(sorted(self._null.items())))

    def _blame(self, read: Read, cause: Quality) -> None:
        self._last_cause = cause
        for place in read.fields:
            self._null[place] = cause


@dataclass(slots=True)
class _Refusal:
    """A field that was refused: how often in a row, and when it is asked for again."""

    times: int
    again_at: int

    @staticmethod
    def after(earlier: "_Refusal | None", now: BootMs) -> "_Refusal":
        times = 1 + (earlier.times if earlier else 0)
        wait_ms = REPROBE_MS * REPROBE_GROWTH ** min(times - 1, 16)
        return _Refusal(times, now + min(wait_ms, REPROBE_MS_MAX))


class _Memory:
    """What a device refused and kept silent about, and the reads that follow from it. Pure."""

    def __init__(self, device: Device, polled: Polled, cost: LineCost) -> None:
        self._profile, self._fields, self._cost = device.profile, polled.fields, cost
        self._once: set[int] = set()  # places of fields that were ever read
        self._told: set[int] = set()
        self._refused: dict[int, _Refusal] = {}
        self._holes: dict[Span, int] = {}  # refused spans of more than one field, and when they are forgotten
        self._silences: dict[ReadRequest, int] = {}
        self._key: tuple[frozenset[Span], frozenset[int]] | None = None
        self._reads: tuple[Read, ...] = ()

    def reads(self, now: BootMs) -> list[Read]:
        """The plan as things are; what was silent last time comes last."""
        self._holes = {span: until for span, until in self._holes.items() if until > now}
        spans = frozenset(self._holes) | {span_of(self._fields[place]) for place in self._refused}
        alone = frozenset(
            place for place, refusal in self._refused.items() if place in self._once or refusal.again_at <= now
        )
        if (spans, alone) != self._key:
            self._key = spans, alone
            self._reads = plan(self._profile, self._fields, self._cost, spans, alone)
            self._silences.clear()
        return sorted(self._reads, key=lambda read: self._silences.get(read.request, 0))

    def learn(self, good: Sequence[Read], silent: Sequence[Read], illegal: Sequence[Read], now: BootMs) -> list[int]:
        """Take in what a poll met; the places of fields that are refused for the first time."""
        planned = {read.request for read in self._reads}
        for read in good:
            self._silences.pop(read.request, None)
            self._once.update(read.fields)
            for place in read.fields:
                self._refused.pop(place, None)
        for read in silent:
            if read.request in planned:
                self._silences[read.request] = self._silences.get(read.request, 0) + 1
        spans = [read.span for read in illegal]
        smallest = [read for read in illegal if sum(read.span.covers(span) for span in spans) == 1]
        return [place for read in smallest for place in self._refuse(read, now)]

    def _refuse(self, read: Read, now: BootMs) -> list[int]:
        """A span that holds a smaller refused one is not remembered: that one explains it."""
        if len(read.fields) > 1:
            self._holes[read.span] = now + REPROBE_MS_MAX
            return []
        (place,) = read.fields
        self._refused[place] = _Refusal.after(self._refused.get(place), now)
        news = [] if place in self._told else [place]
        self._told.add(place)
        return news
