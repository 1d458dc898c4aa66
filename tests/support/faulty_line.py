"""A bus whose devices misbehave at random, in virtual time: real loop, guard and links; a value names its request.

    line = FaultyLine("rtu", seed=7, faulty=0.3)
    asyncio.run(line.play(60_000, healed_ms=120_000))
    assert line.wrong == []

A u32 at an address holds (serial of the request << 12 | unit_id << 6 | address / 2), so that a reply taken for
another's, a shifted or a mixed one is seen at once. Faults are as bad as the rule for late replies allows (`late`), and
no frame lies about whose it is: what cannot be told apart from the truth is not asked of anyone.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

from gateway.counters import Counters
from gateway.errors import DeviceError, DeviceException, LinkDown
from gateway.model import BootMs, Event, Row
from gateway.protocols.modbus_frame import Frame, RtuReader, TcpReader, request_length
from gateway.protocols.modbus_pdu import ReadRequest, Request, Table, decode_request, encode_exception, encode_reply
from gateway.seams import Clock
from gateway.site import Bus, Device
from gateway.south.bus import BusLoop
from gateway.south.links.late import QUEUED_MAX, late_max_ns
from gateway.south.links.link import PLAIN, Heard, Link, Manner, Reply
from gateway.south.links.modbus_links import RtuWire, StreamLink, TcpWire
from gateway.south.links.trace import Trace
from gateway.south.schedule import steps as scheduled
from gateway.south.schedule.schedule import Schedule
from gateway.south.schedule.silence import News
from gateway.south.schedule.steps import Poll, Probe, Wish
from gateway.testing.clock import FakeClock
from gateway.testing.memory import MemoryStream
from simulators import faults
from simulators.fault import Exchange, Spoiled, Step, Steps, Target, Then
from tests.support.south import a_bus, a_device, a_field

MS = 1_000_000
TIMEOUT_MS = 200
CHAR_MS = 1.04
SLOWEST_NS = late_max_ns(TIMEOUT_MS * MS) - 200 * MS  # of one request; the lines of others come on top
PERIODS = (500, 1000, 3000)
STEPS_MAX = 200  # of a schedule in one millisecond: more is a loop that spins
CODED = 16  # exceptions from here on tell the serial of their request
CODES = 200
LATELY = 40  # requests; a client that was about to walk away looks at its answer later
LINE_FAULTS: tuple[dict[str, object], ...] = (
    {"kind": "truncated"},
    {"kind": "torn"},
    {"kind": "wrong_crc"},
    {"kind": "bit_flip"},
    {"kind": "echo"},
    {"kind": "garbage"},
    {"kind": "garbage", "unit_id": True},
    {"kind": "slow", "byte_ms": 2},
    {"kind": "slow", "byte_ms": 15},
    {"kind": "short", "by": 1},
    {"kind": "long", "by": 1},
    {"kind": "wrong_count", "by": 1},
)
TCP_FAULTS: tuple[dict[str, object], ...] = ({"kind": "long", "by": 1}, {"kind": "wrong_tid", "by": 7})
FAULTS: tuple[dict[str, object], ...] = ({"kind": "silent"}, {"kind": "wrong_unit_id", "by": 100})


@dataclass(frozen=True)
class Sent:
    """One request as it went out."""

    at_ns: int
    unit_id: int
    request: ReadRequest


class FaultyLine:
    """Some devices with some groups, clients that ask between, and what became of it all."""

    def __init__(self, transport: str, seed: int, faulty: float) -> None:
        self.rows: list[Row] = []
        self.events: list[Event] = []
        self.wrong: list[str] = []
        self.asked: Counter[str] = Counter()  # what the clients were told
        self.counters, self.clock, self.chance = Counters(), FakeClock(), Random(seed)
        self.sent: dict[int, Sent] = {}  # by serial
        self.first_ns: dict[int, int] = {}  # when the first byte of a right reply comes
        self.refused: dict[int, int] = {}  # an address of a unit_id that does not exist
        self.devices = [self._device(unit_id) for unit_id in range(1, self.chance.randint(1, 5) + 1)]
        bus = a_bus(*self.devices, transport=transport)
        self.loop = BusLoop(
            bus, self.clock, self.counters, Random(seed), self.rows.append, self.events.append, self._open
        )
        self._tcp = transport == "tcp"
        self._faulty = faulty
        self._spoils = [self._spoil(table) for table in FAULTS + (TCP_FAULTS if self._tcp else LINE_FAULTS)]
        self._stream: MemoryStream | None = None
        self._missing_until = 0
        self._dead: set[int] = set()
        self._busy_ns: dict[int, int] = {}
        self._slow: Counter[int] = Counter()  # requests in a row that a device was slow with
        self._held: dict[int, bytes] = {}
        self._over = False
        self.ended = self.clock.boot_ms()
        self.accounts = Accounts(self.loop._schedule, self.counters)
        self._count_steps()

    async def play(self, faulty_ms: int, healed_ms: int) -> None:
        """With faults, then without; stopped at the end."""
        async with asyncio.TaskGroup() as tasks:
            loop = tasks.create_task(self.loop.run())
            clients = [tasks.create_task(self._client()) for _ in range(2)]
            for _second in range(faulty_ms // 1000):
                if self.chance.random() < 0.1 * self._faulty:
                    self._dead ^= {self.chance.randint(1, len(self.devices))}
                await self.clock.advance(1000)
            self._faulty = 0.0
            self._dead.clear()
            await self.clock.advance(healed_ms)
            self.ended = self.clock.boot_ms()
            self._over = True
            self.loop.stop()
            await self.clock.advance(10_000)
            assert loop.done(), "it does not stop"
            assert all(client.done() for client in clients), "a client was forgotten"

    # --- the gateway's side -----------------------------------------------------------------------------------------

    async def _open(self, _: Bus, clock: Clock, trace: Trace) -> Link:
        await clock.sleep_until(BootMs(clock.boot_ms() + 5))
        if self.clock.boot_ms() < self._missing_until:
            raise LinkDown("no such port")
        before, self._stream = self._stream, MemoryStream(self.clock, self._answers)
        if before is not None and not self._tcp:  # the same wire: what is under way comes all the same
            for at_ns, _order, data in sorted(before._coming):
                if at_ns > self.clock.boot_ns():
                    self._stream.arrive(at_ns, data)
        return Watched(StreamLink(self._stream, TcpWire() if self._tcp else RtuWire(), self.clock, trace), self)

    async def _client(self) -> None:
        while not self._over:
            await self.clock.sleep_until(BootMs(self.clock.boot_ms() + self.chance.randint(1, 1500)))
            unit_id = self.chance.randint(1, len(self.devices) + 1)
            request = ReadRequest(Table.HOLDING, 2 * self.chance.randint(0, 5), 2 * self.chance.randint(1, 4))
            manner = self.chance.choice([PLAIN, Manner(3 * MS, b"\0", 5 * MS)])
            asking = asyncio.ensure_future(
                self.loop.asks.ask(unit_id, request, self.chance.choice([50, TIMEOUT_MS, 800]), manner)
            )
            if self.chance.random() < 0.3:
                await self.clock.sleep_until(BootMs(self.clock.boot_ms() + self.chance.randint(1, 300)))
                asking.cancel()
                await asyncio.wait([asking])
            self.asked["cancelled" if asking.cancelled() else await self._told(unit_id, request, asking)] += 1

    async def _told(self, unit_id: int, request: ReadRequest, asking: asyncio.Future[Reply]) -> str:
        try:
            await asking
        except DeviceException as refusal:
            self._check_refusal(unit_id, request, refusal.exception)
            return "exception"
        except (DeviceError, LinkDown) as error:
            return error.code
        return "reply"

    def _check_refusal(self, unit_id: int, request: ReadRequest, exception: int) -> None:
        """One that tells the serial of its request is of one like this, asked for lately."""
        lately = list(self.sent.items())[-LATELY:]
        codes = {
            CODED + serial % CODES for serial, sent in lately if (sent.unit_id, sent.request) == (unit_id, request)
        }
        if exception >= CODED and exception not in codes:
            self.wrong.append(f"exception {exception} to {request} of {unit_id}")

    def _count_steps(self) -> None:
        """A schedule that says the same again and again, while no time passes, would hang the test and the daemon."""
        step, steps = self.loop._schedule.step, Counter[int]()

        def counted(now: BootMs, wish: Wish | None = None) -> scheduled.Step:
            steps[now] += 1
            assert steps[now] < STEPS_MAX, "the loop spins"
            return step(now, wish)

        self.loop._schedule.step = counted  # type: ignore[method-assign]

    # --- the devices' side ------------------------------------------------------------------------------------------

    def content(self, unit_id: int, request: ReadRequest, serial: int) -> bytes:
        """What a device says; requests begin and end with whole values."""
        values = (serial << 12 | unit_id << 6 | at // 2 for at in _addresses(request)[::2])
        return b"".join(value.to_bytes(4) for value in values)

    def _answers(self, sent: bytes) -> Iterable[tuple[float, bytes]]:
        if sent == b"\0":  # a device is woken
            return ()
        (frame,) = (TcpReader() if self._tcp else RtuReader(request_length)).feed(sent)
        request = decode_request(frame.pdu)
        assert isinstance(request, ReadRequest)
        serial, now_ns = len(self.sent) + 1, self.clock.boot_ns()
        self.sent[serial] = Sent(now_ns, frame.unit_id, request)
        if frame.unit_id <= len(self.devices) and frame.unit_id not in self._dead:
            self._reply(serial, frame, sent, spoilt=self.chance.random() < self._faulty)
        return ()

    def _reply(self, serial: int, asked: Frame, raw: bytes, *, spoilt: bool) -> None:
        request = self.sent[serial].request
        what = self.chance.choices(["late", "exception", "spoiled", "gone"], [8, 3, 8, 1])[0] if spoilt else "good"
        exception = self._exception(serial, what)
        if self.refused.get(asked.unit_id) in _addresses(request):
            exception = 2
        pdu = encode_exception(asked.pdu[0], exception) if exception else self._data(serial)
        reply = Frame(asked.unit_id, pdu, asked.tid)
        begins_ns = self._begins_ns(asked.unit_id, len(raw), late=what == "late")
        exchange = Exchange("tcp" if self._tcp else "rtu", raw, reply, TIMEOUT_MS, self.chance)
        steps = self.chance.choice(self._spoils).steps(exchange) if what == "spoiled" else (Step(0, exchange.good),)
        self._say(serial, begins_ns, exchange.good, steps)
        if what == "gone":
            self._vanish()

    def _exception(self, serial: int, what: str) -> int:
        """0 = none. Of what a fault makes up none is 2 or 3: a device would be believed that it has no such address."""
        if what == "late" and self.chance.random() < 0.2:
            return CODED + serial % CODES
        return self.chance.choice([1, 4, 5, 6, 10, 11, CODED + serial % CODES]) if what == "exception" else 0

    def _data(self, serial: int) -> bytes:
        sent = self.sent[serial]
        return encode_reply(sent.request, self.content(sent.unit_id, sent.request, serial))

    def _begins_ns(self, unit_id: int, asked_bytes: int, *, late: bool) -> int:
        """A device answers in order; it is late by no more than it may be, and not too often in a row."""
        heard_ns = self.clock.boot_ns() + self._line_ns(asked_bytes)
        begins_ns = max(heard_ns, self._busy_ns.get(unit_id, 0))
        self._slow[unit_id] = late + (self._slow[unit_id] if begins_ns > heard_ns else 0)
        if late and self._slow[unit_id] < QUEUED_MAX:
            return begins_ns + int(self.chance.random() * SLOWEST_NS)
        return begins_ns + int(self.chance.uniform(2, 12) * MS)

    def _say(self, serial: int, begins_ns: int, good: bytes, steps: Steps) -> None:
        assert self._stream
        unit_id = self.sent[serial].unit_id
        said, whence = b"", list[int]()  # when each byte of it comes
        for step in steps:
            if step.then is Then.HOLD:
                self._held[unit_id] = step.data
                continue
            for piece, at in self._pieces(self._held.pop(unit_id, b"") + step.data):
                at_ns = begins_ns + int(step.after_ms * MS) + self._line_ns(at)
                said, whence = said + piece, whence + [at_ns] * len(piece)
                self._stream.arrive(at_ns, piece)
                self._busy_ns[unit_id] = max(self._busy_ns.get(unit_id, 0), at_ns + 1000)
        if good in said:
            self.first_ns[serial] = whence[said.index(good)]

    def _pieces(self, data: bytes) -> Iterator[tuple[bytes, int]]:
        """In one or two pieces, each when its last byte is through; a converter gives a TCP frame whole."""
        cut = (
            self.chance.randrange(1, len(data)) if not self._tcp and len(data) > 1 and self.chance.random() < 0.3 else 0
        )
        if cut:
            yield data[:cut], cut
        yield data[cut:], len(data)

    def _vanish(self) -> None:
        """Before the reply comes; for a while the port cannot be opened either."""
        assert self._stream
        self._missing_until = self.clock.boot_ms() + self.chance.choice([0, 0, self.chance.randint(1, 4000)])
        self._stream.vanish("unplugged")

    def _line_ns(self, count: int) -> int:
        return 0 if self._tcp else int(count * CHAR_MS * MS)

    def _device(self, unit_id: int) -> Device:
        at, groups = 0, []
        for _ in range(self.chance.randint(1, 3)):
            addresses = []
            for _ in range(self.chance.randint(1, 4)):
                addresses.append(at)
                at += 2 + 2 * self.chance.choice([0, 0, 1, 8])
            groups.append(([a_field(address, "u32") for address in addresses], self.chance.choice(PERIODS)))
        if self.chance.random() < 0.3:
            self.refused[unit_id] = self.chance.randrange(0, at, 2)
        longest = self.chance.choice([4, 20, 125])
        return a_device(f"d{unit_id}", *groups, unit_id=unit_id, timeout_ms=TIMEOUT_MS, max_registers=longest)

    def _spoil(self, table: dict[str, object]) -> Spoiled:
        act = faults.fault("m", Target("device", "tcp" if self._tcp else "rtu"), table).act
        assert isinstance(act, Spoiled)
        return act


class Watched:
    """`Link`, with a look at every good reply: is it of the request that was made?"""

    def __init__(self, link: Link, line: FaultyLine) -> None:
        self._link, self._line = link, line

    async def request(self, unit_id: int, request: Request, deadline_ns: int) -> Reply:
        """As `Link`."""
        assert isinstance(request, ReadRequest)
        reply = await self._link.request(unit_id, request, deadline_ns)
        serial = len(self._line.sent)
        if reply.data != self._line.content(unit_id, request, serial):
            self._line.wrong.append(f"{reply.data.hex()} to {request} of {unit_id}, number {serial}")
        elif reply.t_first_ns != self._line.first_ns[serial]:
            self._line.wrong.append(f"{reply.t_first_ns} as the first byte of number {serial}")
        return reply

    def wake(self, data: bytes) -> None:
        """As `Link`."""
        self._link.wake(data)

    def drain(self) -> Heard | None:
        """As `Link`."""
        return self._link.drain()

    async def close(self) -> None:
        """As `Link`."""
        await self._link.close()


class Accounts:
    """Polls of each device: what was due, and what was made of it or is counted as missed."""

    def __init__(self, schedule: Schedule, counters: Counters) -> None:
        self._schedule, self._counters = schedule, counters
        self._first = {task.number: task.due for task in schedule._tasks}
        self._made: dict[int, set[int]] = defaultdict(set)  # task -> deadlines of its polls
        self._given_up: dict[int, set[int]] = defaultdict(set)
        self._done, self._failed, self._spared = schedule.done, schedule.failed, schedule.spared
        schedule.done, schedule.failed, schedule.spared = self.done, self.failed, self.spared  # type: ignore[method-assign]

    def done(self, step: Poll | Probe, now: BootMs) -> list[News]:
        """As `Schedule`."""
        self._made[step.task].add(step.deadline)
        return self._done(step, now)

    def failed(self, step: Poll | Probe, now: BootMs, cause: str, *, by_bus: bool = True) -> list[News]:
        """As `Schedule`."""
        self._made[step.task].add(step.deadline)
        return self._failed(step, now, cause, by_bus=by_bus)

    def spared(self, step: Poll | Probe, until: BootMs, cause: str) -> None:
        """As `Schedule`; a poll that is given up and counted may still be made up for by a probe in its period."""
        missed = self._counters.total("polls_missed")
        self._spared(step, until, cause)
        if self._counters.total("polls_missed") > missed:
            self._given_up[step.task].add(step.deadline)

    def due(self) -> Counter[str]:
        """By device, until now."""
        due = Counter[str]()
        for task in self._schedule._tasks:
            due[task.device.site.name] += (task.due - self._first[task.number]) // task.polled.period_ms
        return due

    def made_or_missed(self) -> Counter[str]:
        """By device."""
        found = Counter[str]()
        for task in self._schedule._tasks:
            found[task.device.site.name] += len(self._made[task.number] - self._given_up[task.number])
        for name, labels, value in self._counters:
            if name == "polls_missed":
                found[labels["device"]] += int(value)
        return found


def _addresses(request: ReadRequest) -> range:
    return range(request.address, request.address + request.count)
