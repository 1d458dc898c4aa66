"""Small sites and a scripted Modbus bus for the tests of south."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.errors import DeviceException, LinkDown, NoReply
from gateway.model import Group
from gateway.profile.profile import Field, Line, LocalSource, ModbusSource, Profile, SerialSource
from gateway.protocols.modbus_pdu import ReadRequest, Request, Table
from gateway.seams import Clock
from gateway.site import Bus, Device, Polled, Site, SpoolSettings
from gateway.south.links.link import PLAIN, Heard, Manner, Reply

NS_PER_MS = 1_000_000


def a_field(address: int, type_: str = "u16", table: Table = Table.HOLDING, name: str = "") -> Field:
    """A field of a Modbus map, named by its place."""
    letter = "b" if type_ == "bit" else "f"
    return Field(name or f"{table}_{address}", "number", "1", letter, 0, table=table, address=address, type=type_)


def a_source(**settings: object) -> ModbusSource:
    """How the test devices are read: 9600 8N1, 200 ms timeout, unless told otherwise."""
    return ModbusSource(**({"line": Line(), "unit_id": 1, "timeout_ms": 200} | settings))  # type: ignore[arg-type]


def a_profile(fields: Sequence[Field], source: ModbusSource | SerialSource | LocalSource | None = None) -> Profile:
    """A profile around some fields."""
    return Profile("test/thing@1", "thing", (), "test", tuple(fields), source or a_source())


def a_device(name: str, *groups: tuple[Sequence[Field], int], unit_id: int = 1, **settings: object) -> Device:
    """A device with a group for each (fields, period in ms)."""
    profile = a_profile([one for fields, _ in groups for one in fields], a_source(**settings))
    return Device(name, profile, unit_id, tuple(_polled(name, fields, period) for fields, period in groups))


def a_bus(*devices: Device, transport: str = "rtu") -> Bus:
    """A bus with these devices."""
    return Bus("bus-1", transport, "own", "/dev/test", Line(), devices)


def a_site(*buses: Bus, spool: str = "/none") -> Site:
    """A site of these buses, without an uplink."""
    return Site("hc-0001", "city", None, None, "system", SpoolSettings(spool, 10**8, 60), (), buses, ())


def _polled(device: str, fields: Sequence[Field], period_ms: int) -> Polled:
    names, letters = tuple(one.name for one in fields), "".join(one.letter for one in fields)
    return Polled(Group(device, "thing", "test/thing@1", names, letters), tuple(fields), period_ms)


@dataclass
class Slaves:
    """Modbus slaves on one wire, in the clock's time: `Link`, and `poll.Guarded` when nothing is barred.

    Each register holds its own address; what is `illegal` gives exception 2, a request in `answers` what stands there.
    """

    clock: Clock
    latency_ms: int = 10
    illegal: set[int] = field(default_factory=set)
    dead: set[int] = field(default_factory=set)
    killers: set[int] = field(default_factory=set)  # unit_ids that make the other end hang up
    answers: dict[tuple[int, int], Exception | Callable[[], Exception | None]] = field(default_factory=dict)
    refusal: Callable[[ReadRequest], Exception | None] = lambda _: None
    bars: dict[tuple[int, int], int] = field(default_factory=dict)  # (address, count) -> until ns
    unplugged: bool = False
    asked: list[tuple[int, int, int]] = field(default_factory=list)  # (unit_id, address, count)
    sent_at: list[tuple[int, int]] = field(default_factory=list)  # (boot ms, unit_id)
    busy: bool = False
    closed: int = 0

    async def request(self, unit_id: int, request: Request, deadline_ns: int, manner: Manner = PLAIN) -> Reply:
        """Answers after the latency, or not before the deadline."""
        assert isinstance(request, ReadRequest)
        assert manner.min_gap_ns >= 0
        assert not self.busy, "two exchanges at once"
        self.busy = True
        try:
            return await self._answer(unit_id, request, deadline_ns)
        finally:
            self.busy = False

    def barred(self, unit_id: int, request: Request) -> int | None:
        """By `bars`."""
        assert unit_id
        assert isinstance(request, ReadRequest)
        return self.bars.get((request.address, request.count))

    def wake(self, data: bytes) -> None:
        """Nobody sleeps here."""
        assert data

    def drain(self) -> Heard | None:
        """Nothing ever comes unasked here; a lost port is noticed."""
        if self.unplugged:
            raise LinkDown("unplugged")
        return Heard((), 0)

    async def close(self) -> None:
        """Counted."""
        self.closed += 1

    async def _answer(self, unit_id: int, request: ReadRequest, deadline_ns: int) -> Reply:
        sent_ns = self.clock.boot_ns()
        self.asked.append((unit_id, request.address, request.count))
        self.sent_at.append((sent_ns // NS_PER_MS, unit_id))
        if self.unplugged or unit_id in self.killers:
            raise LinkDown("unplugged")
        if unit_id in self.dead:
            await self.clock.wire_wait(deadline_ns)
            raise NoReply
        await self.clock.wire_wait(sent_ns + self.latency_ms * NS_PER_MS)
        self._refuse(request)
        now_ns = self.clock.boot_ns()
        return Reply(self._data(request), sent_ns, now_ns, now_ns)

    def _refuse(self, request: ReadRequest) -> None:
        answer = self.answers.get((request.address, request.count))
        error = answer if isinstance(answer, Exception) or answer is None else answer()
        error = error or self.refusal(request)
        if error is not None:
            raise error
        if self.illegal & set(range(request.address, request.address + request.count)):
            raise DeviceException(2)

    @staticmethod
    def _data(request: ReadRequest) -> bytes:
        if request.table in {Table.COIL, Table.DISCRETE}:
            return bytes((request.count + 7) // 8)
        addresses = range(request.address, request.address + request.count)
        return b"".join(address.to_bytes(2) for address in addresses)
