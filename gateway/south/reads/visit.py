"""One visit to a device: makes the reads of a plan back to back, and gathers what comes. What it means is `poll`'s.

- exceptions 2 and 3 (illegal data address, illegal data value) split a read in halves, within the same visit, until
  single fields are left;
- exceptions 5 and 6 (acknowledge, busy) ask for patience: such a read is made again after the others, at the earliest
  after a short pause, twice in a visit at most; a request that has used that up in vain gets no second try until it is
  answered again, so that a device that is always busy holds up nobody;
- 10 and 11 are a converter's word for a device that does not answer; all others are an answer that brings no value;
- a visit ends after `patience` lost replies in a row;
- *barred*: the guard holds back a request while the late answer to an older one like it may still come. Such a read is
  made in halves, which have other lengths; what cannot be halved waits, while the rest goes on.

Fields are counted by their place in the one plan of all groups; a group's share of it is cut out at the end (`part`).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.counters import Counters
from gateway.errors import BadReply, DeviceException, LinkDown, NoReply
from gateway.model import BootMs, Quality, Value
from gateway.profile.profile import LENGTH_FIELD, MODEL_FIELD, Field
from gateway.protocols.modbus_pdu import ReadRequest, Request
from gateway.seams import Clock
from gateway.site import Device, Polled
from gateway.south.links.link import PLAIN, Manner, Reply
from gateway.south.reads.memory import Lesson, Memory, Wanted
from gateway.south.reads.plan import LineCost, Read, Span, bus_ms, halves, latency_ms, span_ms

ILLEGAL = frozenset({2, 3})  # exception codes, modbus application protocol v1.1b3, 7
BUSY = frozenset({5, 6})
UNREACHABLE = frozenset({10, 11})
BUSY_RETRIES = 2  # in one visit
BUSY_PAUSE_MS = 100  # at most; a tenth of the period where that is less
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
class Caller:
    """What all visits of a device are made with."""

    bus: str
    device: Device
    timeout_ms: int
    manner: Manner
    cost: LineCost  # for deadlines: nothing measured
    clock: Clock
    counters: Counters
    memory: Memory
    tired: set[ReadRequest] = field(default_factory=set)  # that stayed busy, whatever the patience

    def deadline_ns(self, span: Span) -> int:
        """When to give up on a read that is made now."""
        return self.clock.boot_ns() + round((self.timeout_ms + span_ms(span, self.cost)) * NS_PER_MS)

    def count(self, name: str) -> None:
        """One more of what is counted a device."""
        self.counters.add(name, bus=self.bus, device=self.device.name)

    def count_failure(self, cause: str) -> None:
        """One more read that brought no value."""
        self.counters.add("read_failures", bus=self.bus, device=self.device.name, cause=cause)


class Together:
    """Some groups of one device, the most urgent first, and the one list of all their fields."""

    def __init__(self, groups: Sequence[Polled]) -> None:
        places: dict[Field, int] = {}  # a hidden field may be in several groups
        for polled in groups:
            for one in polled.fields:
                places.setdefault(one, len(places))
        self.groups = tuple(groups)
        self.wanted = Wanted(places)
        self.members = [[places[one] for one in polled.fields] for polled in groups]
        self.period_ms = min(polled.period_ms for polled in groups)
        self.header = {one.name: at for one, at in places.items() if one.name in (MODEL_FIELD, LENGTH_FIELD)}
        self._owned = [frozenset(members) for members in self.members]

    def concern(self, number: int, places: Sequence[int]) -> bool:
        """Whether any of these fields is of this group."""
        return len(self.groups) == 1 or not self._owned[number].isdisjoint(places)


@dataclass(frozen=True, slots=True)
class Part:
    """What a visit brought to one group: values and reasons in the order of its fields, hidden ones included."""

    values: list[Value | None]
    null: dict[int, Quality]
    at: BootMs | None  # the first byte of the first good reply; None without one
    answered: bool
    cause: Quality | None  # of the last field that got no value; None when nothing was asked
    waits_until: BootMs | None
    reached: bool


class Visit:
    """Runs once."""

    def __init__(self, caller: Caller, together: Together) -> None:
        self.began = caller.clock.boot_ms()
        self.link_down: LinkDown | None = None
        self.placed = True  # what was read is what the profile says
        self._caller, self._together, self._fields = caller, together, together.wanted.fields
        self._planned = self._in_turn(caller.memory.reads(together.wanted, self.began))
        self._values: list[Value | None] = [None] * len(self._fields)
        self._why: dict[int, Quality] = {}  # a place has no value, as far as something was said of it
        self._lost = 0  # replies in a row
        self._asked: list[Read] = []
        self._answered: list[Read] = []
        self._good: list[Read] = []
        self._times: list[BootMs] = []  # of the good ones
        self._silent: list[Read] = []
        self._illegal: list[Read] = []
        self._blamed: list[tuple[Sequence[int], Quality]] = []
        self._waiting: list[tuple[Read, BootMs]] = []
        self._again: deque[tuple[Read, BootMs]] = deque()
        self._retries = BUSY_RETRIES

    async def run(self, link: Guarded, patience: int) -> frozenset[Span]:
        """The spans that are refused for the first time."""
        queue = deque(self._planned)
        while self._lost < patience and self.link_down is None:
            if not queue and self._again:
                read, at = self._again.popleft()
                await self._caller.clock.sleep_until(at)
                queue.append(read)
            if not queue:
                break
            queue.extendleft(reversed(await self._ask(link, queue.popleft())))
        planned = {read.request for read in self._planned} if self._silent else set()
        silent = [read for read in self._silent if read.request in planned]
        self._check_place()
        # what was refused elsewhere than at the device's registers says nothing of them
        lesson = Lesson(self._good, silent, self._illegal if self.placed else ())
        return self._caller.memory.learn(self._together.wanted, lesson, self.began)

    @property
    def lost_replies(self) -> int:
        """How many reads stayed unanswered, or were answered by what is no reply."""
        return len(self._silent)

    def part(self, number: int) -> Part:
        """What it brought to the group of this number."""
        members, concern = self._together.members[number], self._together.concern
        values = [self._values[place] for place in members]
        good = (at for read, at in zip(self._good, self._times, strict=True) if concern(number, read.fields))
        waits = [at for read, at in self._waiting if concern(number, read.fields)]
        planned = number == 0 or any(concern(number, read.fields) for read in self._planned)
        return Part(
            values=values,
            null=self._null(members) if None in values else {},
            at=next(good, None),
            answered=any(concern(number, read.fields) for read in self._answered),
            cause=next((why for places, why in reversed(self._blamed) if concern(number, places)), None),
            waits_until=min(waits, default=None),
            reached=number == 0 or not planned or any(concern(number, read.fields) for read in self._asked),
        )

    def _check_place(self) -> None:
        """Whether these registers stand where they were read; a header that is another's, or refused, says no."""
        memory, header = self._caller.memory, self._together.header
        if memory.place.sunspec is None:
            return
        holds = memory.place.holds({name: self._values[at] for name, at in header.items()})
        self.placed = holds is True
        refused = any(self._why.get(at) is Quality.REFUSED for at in header.values())
        if holds is False or refused:
            memory.place.lose()
            memory.changes += 1
            self._caller.count("places_lost")

    def _null(self, members: Sequence[int]) -> dict[int, Quality]:
        """Why these have no value: of what no read asks for, because it was refused before."""
        planned = {place for read in self._planned for place in read.fields}
        reasons = {place: Quality.NO_REPLY if place in planned else Quality.REFUSED for place in members} | self._why
        return {n: reasons[place] for n, place in enumerate(members) if self._values[place] is None}

    def _in_turn(self, reads: Sequence[Read]) -> Sequence[Read]:
        """The first group's before those of the others."""
        if len(self._together.groups) == 1:
            return reads
        return sorted(reads, key=lambda read: not self._together.concern(0, read.fields))

    async def _ask(self, link: Guarded, read: Read) -> tuple[Read, ...]:
        """Make one read, or return those that are to be made in its place."""
        caller = self._caller
        self._asked.append(read)
        request = caller.memory.place.moved(read.request)
        until_ns = link.barred(caller.device.unit_id, request)
        if until_ns is not None:
            return halves(read, self._fields) or self._wait(read, until_ns)
        caller.count("reads")
        try:
            reply = await link.request(caller.device.unit_id, request, caller.deadline_ns(read.span), caller.manner)
            self._keep(read, reply)
        except LinkDown as error:
            self.link_down = error
            caller.count_failure(error.code)
        except (NoReply, BadReply) as error:
            caller.count_failure(error.code)
            self._lose(read, Quality(error.code))
        except DeviceException as error:
            caller.count_failure(f"exception_{error.exception}")
            return self._refusal(read, error.exception)
        return ()

    def _refusal(self, read: Read, exception: int) -> tuple[Read, ...]:
        if exception in UNREACHABLE:
            self._lose(read, Quality.NO_REPLY)
            return ()
        self._hear(read)
        if exception in BUSY:
            self._blame(read, Quality.NO_REPLY)
            self._put_off(read)
            return ()
        parts: tuple[Read, ...] = ()
        if exception in ILLEGAL:
            self._illegal.append(read)
            parts = halves(read, self._fields)
        if not parts:
            self._blame(read, Quality.REFUSED)
        return parts

    def _put_off(self, read: Read) -> None:
        """Make it again while there is patience left for it, in this visit and since it was last answered."""
        caller, period_ms = self._caller, self._together.period_ms
        at = BootMs(caller.clock.boot_ms() + min(BUSY_PAUSE_MS, period_ms // 10))
        in_time = at + bus_ms(read, caller.memory.cost) <= self.began + period_ms
        if self._retries and in_time and read.request not in caller.tired:
            self._retries -= 1
            self._again.append((read, at))
            caller.count("busy_retries")
        elif len(caller.tired) < len(self._fields):
            caller.tired.add(read.request)

    def _keep(self, read: Read, reply: Reply) -> None:
        """Raises BadReply when the data is not what the read asked for."""
        decoded = read.decode(reply.data)
        self._hear(read)
        self._good.append(read)
        self._times.append(BootMs(reply.t_first_ns // NS_PER_MS))
        if self._caller.tired:
            self._caller.tired.discard(read.request)
        self._time(reply)
        for place, value in zip(read.fields, decoded.values, strict=True):
            self._values[place] = value
        for index, quality in decoded.quality:
            place = read.fields[index]
            self._why[place] = quality
            self._blamed.append(((place,), quality))

    def _time(self, reply: Reply) -> None:
        caller = self._caller
        if caller.memory.timed(latency_ms((reply.t_first_ns - reply.t_sent_ns) / NS_PER_MS, caller.cost)):
            latency = caller.memory.cost.latency_ms
            caller.counters.set("latency_ms", latency, bus=caller.bus, device=caller.device.name)

    def _hear(self, read: Read) -> None:
        self._lost = 0
        self._answered.append(read)

    def _lose(self, read: Read, cause: Quality) -> None:
        self._lost += 1
        self._silent.append(read)
        self._blame(read, cause)

    def _wait(self, read: Read, until_ns: int) -> tuple[()]:
        self._waiting.append((read, BootMs(-(-until_ns // NS_PER_MS))))
        return ()

    def _blame(self, read: Read, cause: Quality) -> None:
        self._why.update(dict.fromkeys(read.fields, cause))
        self._blamed.append((read.fields, cause))
