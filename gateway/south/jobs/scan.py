"""Who is there? A job that asks every unit_id on every line it may be on, and each device found who it is. Only reads.

1. Seek: a few likely unit_ids on each way (`ways`), most likely first, quickly.
2. A way where somebody answers is walked at once, all unit_ids; then on with the others: a new device often has another
   speed than the rest of its bus. Its silent likely unit_ids are asked once more at the end, patiently, by another
   function, for devices that are slow or that say nothing to a function they do not know.
3. Where nobody answered at all, the likely ones are asked patiently on every way; then `Nobody` is told, and with
   `everything` all unit_ids of all ways are walked (without `likely` nothing else is done).

Any answer says that a device is there, an exception too, but for 10 and 11: a converter's word for nobody. What comes
and answers nothing (`BadReply`) is the late answer of one that was asked before, or two devices that speak at once: all
that were asked in the last second are asked again, patiently and after a silence, so that no answer is credited to the
wrong unit_id. Who is then still not understood is told as `Garbled`; a line where that goes on is `Chatter`: another
master, or something that is no Modbus.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TypeAlias

from gateway.errors import BadReply, BusBusy, DeviceException, LinkDown, NoReply
from gateway.model import BootMs
from gateway.profile.fingerprint import PRESENCE, Answer, Fingerprints, Variants
from gateway.profile.profile import Profile
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.seams import Clock
from gateway.south.jobs.identify import Identifier, Portrait, owed_ms
from gateway.south.jobs.ways import FRAME_CHARS, ODD, UNIT_IDS, Pace, Sweep, Way, exchange_ms, unit_ids
from gateway.south.links.link import NS_PER_MS, Reply
from gateway.south.turns import Asks

PRESENCE_OTHERWISE = ReadRequest(Table.INPUT, 0, 1)
PRESENCE_CHARS = 9  # the question, and the first of the answer
LATE_MS = 1000  # how long after its question an answer may fall into another's time
SUSPECTS_MAX = 24
INTRODUCED_MS = 150.0  # for a question to one that answered quickly: where others poll, more has to fit between
GARBLED_MS = 1000.0  # to a last try
UNREACHABLE = frozenset({10, 11})  # exceptions: a converter's word for a device that does not answer it
FAILURES = frozenset({4, 6})  # exceptions that some converters say for nobody, instead of 10 and 11
CANNOT_MAX = 3
CHATTER = 3  # unit_ids in a row that are not understood, with nobody found
CHATTER_WAYS = 2  # no further line is tried then: what talks is heard on each of them
BUSY_TRIES = 3


@dataclass(frozen=True, slots=True)
class Progress:
    """Where the scan is; times as if nobody else answered."""

    way: Way
    unit_id: int
    done_ms: float
    left_ms: float


@dataclass(frozen=True, slots=True)
class Found:
    """A device. `any_unit_id`: it answers to every one, as a device without a bus behind it may."""

    way: Way
    unit_id: int
    portrait: Portrait
    any_unit_id: bool = False


@dataclass(frozen=True, slots=True)
class Garbled:
    """Something answers to this unit_id, and is never understood: two devices with one number?"""

    way: Way
    unit_id: int


@dataclass(frozen=True, slots=True)
class Chatter:
    """Something talks on this line all the time."""

    way: Way


@dataclass(frozen=True, slots=True)
class Nobody:
    """No likely unit_id answered on any way."""

    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """The port cannot be opened this way, though it could another."""

    way: Way
    cause: str


Finding: TypeAlias = Progress | Found | Garbled | Chatter | Nobody | Skipped
Opens: TypeAlias = Callable[[Way], AbstractAsyncContextManager[Asks]]


class Scan:
    """One scan of one endpoint; run once."""

    def __init__(
        self,
        opens: Opens,
        ways: Sequence[Way],
        profiles: Sequence[Profile],
        clock: Clock,
        *,
        wanted: Sequence[int] = tuple(UNIT_IDS),
        likely: bool = True,
        everything: bool = False,
        variants: Variants = MappingProxyType({}),
    ) -> None:
        self._opens = opens
        self._ways = tuple(ways)
        self._profiles = profiles
        self._wanted = wanted
        self._seek_first = likely
        self._everything = everything
        self._seen = _Seen(clock, Identifier(Fingerprints(profiles, variants), clock), {way: Pace(way) for way in ways})
        self._sweeps: deque[Sweep] = deque()
        self._walked: set[Way] = set()
        self._tell: Callable[[Finding], None] = lambda _: None
        self._done_ms = 0.0
        self._cannot = CANNOT_MAX - 1  # openings in a row that failed: the first of all must not

    async def run(self, tell: Callable[[Finding], None]) -> None:
        """Until all is asked; `tell` gets a `Progress` before each question. Raises LinkDown, the opener's too."""
        self._tell = tell
        if self._seek_first:
            await self._seek()
        if self._everything and not self._seen.found:
            self._walked.update(self._ways)
            await self._work_off(Sweep(way, self._rest(way)) for way in self._ways)

    async def _seek(self) -> None:
        await self._work_off(Sweep(way, self._likely(way)) for way in self._ways)
        if self._seen.nothing:
            await self._work_off(Sweep(way, self._likely(way), patient=True) for way in self._ways if way.serial)
        if not self._seen.found:
            self._tell(Nobody(self._ways))

    async def _work_off(self, sweeps: Iterable[Sweep]) -> None:
        self._sweeps.extend(sweeps)
        while self._sweeps:
            sweep = self._sweeps.popleft()
            if sweep.unit_ids and not self._seen.is_pointless(sweep.way):
                await self._sweep(sweep)

    async def _sweep(self, sweep: Sweep) -> None:
        async with AsyncExitStack() as stack:
            try:
                asks = await stack.enter_async_context(self._opens(sweep.way))
            except LinkDown as error:
                self._tell(self._skipped(sweep.way, error))
                return
            self._cannot = 0
            swept = _Swept(self._seen, asks, sweep, lambda finding: self._tell(self._placed(finding, swept)))
            await swept.run()
        self._done_ms += self._cost_ms(sweep)
        self._follow_up(sweep, swept)

    def _skipped(self, way: Way, error: LinkDown) -> Skipped:
        """A port may not know one speed or parity; one that opens no more, or never did, is gone."""
        self._cannot += 1
        if self._cannot >= CANNOT_MAX:
            raise error
        return Skipped(way, str(error))

    def _placed(self, finding: Finding, swept: "_Swept") -> Finding:
        """Progress of a sweep within the whole."""
        if not isinstance(finding, Progress):
            return finding
        done_ms = self._done_ms + finding.done_ms
        left_ms = finding.left_ms + sum(map(self._cost_ms, self._sweeps))
        walk = Sweep(finding.way, self._rest(finding.way))
        if swept.alive and finding.way not in self._walked:
            left_ms += self._cost_ms(walk)
        return replace(finding, done_ms=done_ms, left_ms=left_ms)

    def _follow_up(self, sweep: Sweep, swept: "_Swept") -> None:
        """What a sweep has made worth asking; suspects before all."""
        way = sweep.way
        if swept.alive and way not in self._walked:
            self._walked.add(way)
            self._sweeps.appendleft(Sweep(way, self._rest(way)))
            if way.serial:
                self._sweeps.append(Sweep(way, self._likely(way), patient=True))
        if swept.suspects and not sweep.again:
            self._sweeps.appendleft(Sweep(way, tuple(swept.suspects)[:SUSPECTS_MAX], patient=True, again=True))

    def _likely(self, way: Way) -> tuple[int, ...]:
        return unit_ids(self._profiles, self._wanted, serial=way.serial)[0]

    def _rest(self, way: Way) -> tuple[int, ...]:
        return unit_ids(self._profiles, self._wanted, serial=way.serial)[1]

    def _cost_ms(self, sweep: Sweep) -> float:
        return sweep.cost_ms(self._seen.paces[sweep.way])


def rest_ms(ways: Sequence[Way], profiles: Sequence[Profile], wanted: Sequence[int]) -> float:
    """How long it takes to ask all but the likely unit_ids on every way, if nobody answers."""
    return sum(Sweep(way, unit_ids(profiles, wanted, serial=way.serial)[1]).cost_ms(Pace(way)) for way in ways)


@dataclass(slots=True)
class _Seen:
    """What is known of the endpoint so far."""

    clock: Clock
    identifier: Identifier
    paces: Mapping[Way, Pace]
    found: set[tuple[tuple[str, int], int]] = field(default_factory=set)
    garbled: set[tuple[Way, int]] = field(default_factory=set)
    chatters: set[Way] = field(default_factory=set)
    answers_to_all: set[Way] = field(default_factory=set)
    nobody: dict[Way, frozenset[int]] = field(default_factory=dict)  # exceptions that mean it
    asked_at: dict[tuple[Way, int], BootMs] = field(default_factory=dict)

    @property
    def nothing(self) -> bool:
        return not (self.found or self.garbled or self.chatters)

    def knows(self, way: Way, unit_id: int) -> bool:
        """Whether it was told already."""
        return (way.medium, unit_id) in self.found or (way, unit_id) in self.garbled

    def is_pointless(self, way: Way) -> bool:
        """Whether nothing more can be found on a way."""
        if way in self.chatters or way in self.answers_to_all:
            return True
        if not self.found:
            return len(self.chatters) >= CHATTER_WAYS
        return not way.serial and not any(medium == way.medium for medium, _ in self.found)


class _Swept:
    """One sweep on its way."""

    def __init__(self, seen: _Seen, asks: Asks, sweep: Sweep, tell: Callable[[Finding], None]) -> None:
        self.alive = False  # somebody is there, understood or not
        self.suspects: dict[int, None] = {}  # in the order in which they were asked
        self._seen = seen
        self._clock = seen.clock
        self._asks = asks
        self._tell = tell
        self.sweep = sweep
        self._way = sweep.way
        self._pace = seen.paces[sweep.way]
        self._not_understood = 0  # in a row

    async def run(self) -> None:
        """Ask each, and tell what is found."""
        if self._way.transport == "tcp" and self._way not in self._seen.nobody:
            await self._ask_odd_ones()
        left = [unit_id for unit_id in self.sweep.unit_ids if not self._seen.knows(self._way, unit_id)]
        for n, unit_id in enumerate(left):
            if self._seen.is_pointless(self._way):
                return
            each_ms = exchange_ms(self._way, self._timeout_ms)
            self._tell(Progress(self._way, unit_id, n * each_ms, (len(left) - n) * each_ms))
            await self._ask(unit_id)

    @property
    def _timeout_ms(self) -> float:
        return self._pace.timeout_ms(patient=self.sweep.patient)

    async def _ask(self, unit_id: int) -> None:
        if self.sweep.again:
            await self._until_nothing_is_owed(self._seen.asked_at.get((self._way, unit_id), BootMs(0)))
        question = PRESENCE_OTHERWISE if self.sweep.patient and not self.sweep.again else PRESENCE
        try:
            answer = await self._presence(unit_id, question, self._timeout_ms)
        except BadReply:
            await self._garbled(unit_id)
            return
        self._not_understood = 0
        if answer is not None:
            await self._introduce(unit_id, {question: answer})

    async def _presence(self, unit_id: int, question: ReadRequest, timeout_ms: float) -> Answer:
        """None for nobody; raises BadReply, LinkDown."""
        self._seen.asked_at[self._way, unit_id] = self._clock.boot_ms()
        try:
            reply = await _patiently(self._asks, unit_id, question, timeout_ms)
        except NoReply:
            return None
        except DeviceException as refusal:
            return None if refusal.exception in self._seen.nobody.get(self._way, UNREACHABLE) else refusal.exception
        line_ms = exchange_ms(self._way, 0) * PRESENCE_CHARS / FRAME_CHARS
        self._pace.answered(max(0.0, (reply.t_first_ns - reply.t_sent_ns) / NS_PER_MS - line_ms))
        return reply.data

    async def _introduce(self, unit_id: int, answers: Mapping[ReadRequest, Answer], *, any_: bool = False) -> None:
        self.alive = True
        self._seen.found.add((self._way.medium, unit_id))
        timeout_ms = max(self._timeout_ms, INTRODUCED_MS) if self._way.serial else self._timeout_ms
        portrait = await self._seen.identifier.portrait(self._asks, unit_id, timeout_ms, answers)
        self._tell(Found(self._way, unit_id, portrait, any_))

    async def _garbled(self, unit_id: int) -> None:
        """Something came: whose it was is found out by asking again those that it may be of."""
        if not self.sweep.again:
            self._pace.came_late()
            now, way = self._clock.boot_ms(), self._way
            recent = (one for (of, one), at in self._seen.asked_at.items() if of == way and at > now - LATE_MS)
            self.suspects |= dict.fromkeys([*recent, unit_id])
            return
        await self._until_nothing_is_owed(self._clock.boot_ms())
        try:
            answer = await self._presence(unit_id, PRESENCE, GARBLED_MS)
        except BadReply:
            self._never_understood(unit_id)
        else:
            if answer is not None:
                await self._introduce(unit_id, {PRESENCE: answer})

    def _never_understood(self, unit_id: int) -> None:
        self.alive = True
        self._not_understood += 1
        self._seen.garbled.add((self._way, unit_id))
        lonely = not any(medium == self._way.medium for medium, _ in self._seen.found)
        if lonely and self._not_understood >= CHATTER:
            self._seen.chatters.add(self._way)
            self._tell(Chatter(self._way))
        else:
            self._tell(Garbled(self._way, unit_id))

    async def _ask_odd_ones(self) -> None:
        """Whether there is one device that does not look at the unit_id, or a converter with a word of its own."""
        self._seen.nobody[self._way] = UNREACHABLE
        answers: set[Answer] = set()
        for unit_id in ODD:
            try:
                answers.add(await self._presence(unit_id, PRESENCE, self._timeout_ms))
            except BadReply:
                return
            if None in answers:
                return
        if answers <= FAILURES:
            self._seen.nobody[self._way] |= {answer for answer in answers if isinstance(answer, int)}
        else:
            self._seen.answers_to_all.add(self._way)
            await self._introduce(1, {}, any_=True)

    async def _until_nothing_is_owed(self, asked_at: BootMs) -> None:
        """By who was asked then: no answer is on its way any more."""
        await self._clock.sleep_until(BootMs(asked_at + owed_ms(self._timeout_ms)))


async def _patiently(asks: Asks, unit_id: int, question: ReadRequest, timeout_ms: float) -> Reply:
    """A bus that is polled may have no time for us in a while: it is asked for again, within a bound."""
    for _ in range(BUSY_TRIES - 1):
        try:
            return await asks.ask(unit_id, question, timeout_ms)
        except BusBusy:
            continue
    return await asks.ask(unit_id, question, timeout_ms)
