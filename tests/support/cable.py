"""A serial cable (or a host) with Modbus devices in virtual time: for the jobs that ask them. Real guard, real links.

    clock = JumpingClock()
    cable = Cable(clock, {Way("rtu"): {1: Slave({Table.INPUT: {0: 7}})}})
    Scan(cable.opens, [Way("rtu")], profiles, clock)

A device answers after its latency, whoever is asked meanwhile; only on its own way is it there at all.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from gateway.errors import LinkDown
from gateway.model import BootMs
from gateway.protocols.modbus_frame import Frame, RtuReader, TcpReader, encode_rtu, encode_tcp, request_length
from gateway.protocols.modbus_pdu import (
    DeviceId,
    ReadDeviceId,
    ReadRequest,
    Table,
    decode_request,
    encode_device_id,
    encode_exception,
    encode_reply,
    function,
    pack_bits,
)
from gateway.site import Bus
from gateway.south.jobs.lone import Lone
from gateway.south.jobs.ways import Way
from gateway.south.links.link import Link
from gateway.south.links.modbus_links import RtuWire, StreamLink, TcpWire
from gateway.testing.clock import FakeClock
from gateway.testing.memory import MemoryStream


class JumpingClock(FakeClock):
    """Time passes at once, as far as somebody waits for: for one task that waits for nobody else."""

    async def sleep_until(self, at: BootMs) -> None:
        """Jumps."""
        self._now_ns = max(self._now_ns, at * 1_000_000)

    async def wire_wait(self, until_ns: int) -> None:
        """Jumps."""
        self._now_ns = max(self._now_ns, until_ns)


@dataclass
class Slave:
    """One device: its registers, and its manners."""

    registers: Mapping[Table, Mapping[int, int]] = field(default_factory=dict)
    latency_ms: float = 5.0
    texts: tuple[tuple[int, bytes], ...] = ()  # of 43/14; () = exception 1
    silent_to: tuple[int, ...] = ()  # functions
    busy: int = 0  # requests that get exception 6 first
    garbles: bool = False  # as two devices do that answer at once
    exception: int = 2  # for what it does not have
    asked: list[int] = field(default_factory=list)  # functions

    def answer(self, pdu: bytes) -> bytes | None:
        """The response pdu."""
        self.asked.append(pdu[0])
        if pdu[0] in self.silent_to:
            return None
        if self.busy:
            self.busy -= 1
            return encode_exception(pdu[0], 6)
        request = decode_request(pdu)
        if isinstance(request, ReadDeviceId):
            identity = encode_device_id(DeviceId(1, None, self.texts))
            return encode_reply(request, identity) if self.texts else encode_exception(pdu[0], 1)
        assert isinstance(request, ReadRequest), "a job never writes"
        have = self.registers.get(request.table, {})
        wanted = range(request.address, request.address + request.count)
        if not all(address in have for address in wanted):
            return encode_exception(function(request), self.exception)
        words = [have[address] for address in wanted]
        bits = request.table in (Table.COIL, Table.DISCRETE)
        data = pack_bits([word != 0 for word in words]) if bits else b"".join(word.to_bytes(2) for word in words)
        return encode_reply(request, data)


Ways = Mapping[Way, Mapping[int, Slave]]


class Cable:
    """What hangs on one endpoint. `everyone` answers to every unit_id of its way."""

    def __init__(self, clock: JumpingClock, ways: Ways, *, everyone: Mapping[Way, Slave] | None = None) -> None:
        self.clock = clock
        self.opened: list[Way] = []
        self.asked: list[tuple[Way, int]] = []
        self.streams: list[MemoryStream] = []
        self.cannot: Callable[[Way], str] = lambda _: ""  # why a way cannot be opened
        self.chatter: bytes = b""  # what comes after each question, whoever is asked
        self._ways = ways
        self._everyone = everyone or {}

    def opens(self, way: Way) -> Lone:
        """As `scan.Opens`."""
        return Lone("/dev/cable", way, self.clock, self.opener)

    async def opener(self, bus: Bus, _: object = None) -> Link:
        """As `modbus_links.open_own`."""
        way = Way(bus.transport, bus.line)
        if why := self.cannot(way):
            raise LinkDown(why)
        self.opened.append(way)
        stream = MemoryStream(self.clock, lambda sent: self._answers(way, sent))
        self.streams.append(stream)
        return StreamLink(stream, TcpWire() if way.transport == "tcp" else RtuWire(), self.clock)

    def _answers(self, way: Way, sent: bytes) -> Iterable[tuple[float, bytes]]:
        tcp = way.transport == "tcp"
        (frame,) = (TcpReader() if tcp else RtuReader(request_length)).feed(sent)
        self.asked.append((way, frame.unit_id))
        slave = self._ways.get(way, {}).get(frame.unit_id) or self._everyone.get(way)
        pdu = slave.answer(frame.pdu) if slave else None
        if self.chatter:
            yield 3, self.chatter
        if slave and pdu is not None:
            answer = (encode_tcp if tcp else encode_rtu)(Frame(frame.unit_id, pdu, frame.tid))
            on_the_line_ms = 0 if tcp else 1000 * 10 * len(sent) / way.line.baud
            yield on_the_line_ms + slave.latency_ms, answer[:-1] + bytes((answer[-1] ^ 1,)) if slave.garbles else answer
