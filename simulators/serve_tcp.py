"""Modbus TCP: any number of unit_ids behind one endpoint, as behind a converter; also RTU frames over TCP.

Every request is answered, also when several came in one segment; a unit_id that is not there is silence, unless there
is a `Converter` that says something else. Without a converter no time passes but that of a fault.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from gateway.errors import BadReply
from gateway.protocols.modbus_frame import Frame, RtuReader, TcpReader, encode_rtu, encode_tcp, request_length
from gateway.protocols.modbus_pdu import encode_exception
from simulators.device import ModbusDevice
from simulators.exchange import BROADCAST, Faulty, Outcome, Wire
from simulators.fault import Step, Then
from simulators.lane import FRAME_AROUND_PDU, TURNAROUND_NS, Converter, Lane
from simulators.line import character_ns
from simulators.moments import Instant, boot_ns, now
from simulators.run import NS_PER_MS, Run

UNSENT_BYTES_MAX = 1 << 20  # a client that asks and never reads is cut off
WAITING_MAX = 1000  # answers that wait for their time; a client that asks for more is cut off
BACKLOG = 100
GAP_NS = 100_000  # between two exchanges of a queue: they keep their order whatever the timers do


class Reader(Protocol):
    """Bytes in, frames out."""

    def feed(self, data: bytes) -> list[Frame]:
        """Raises BadReply when the stream has lost step."""
        ...


READERS: Mapping[str, Callable[[], Reader]] = {"tcp": TcpReader, "rtu_over_tcp": lambda: RtuReader(request_length)}


class Answers(Protocol):
    """Who answers what, when, whichever connection asks."""

    mute: bool  # nobody does

    def asked(self, frame: Frame, at: Instant) -> "Said | None":
        """None: nothing is ever said."""
        ...

    def sent_ns(self, said: "Said", step: Step) -> int:
        """When a step's bytes are sent, boot ns."""
        ...

    def told(self, outcome: Outcome, first: Instant | None) -> None:
        """What became of it: `first` byte, None when nothing was said."""
        ...


class TcpServer:
    """One endpoint; `host:port`, port 0 is any free one."""

    def __init__(self, transport: str, endpoint: str, desk: "Answers") -> None:
        self._transport = transport
        self._desk = desk
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self._state = ""
        self.endpoint = endpoint

    async def __aenter__(self) -> Self:
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._hang_up()

    async def run(self) -> None:
        """Until cancelled: the connections work by themselves."""
        await asyncio.Event().wait()

    async def turn(self, state: str) -> None:
        """The bus is now in this state, as `simulators.faults` names it."""
        if state == self._state:
            return
        before, self._state = self._state, state
        self._desk.mute = state == "half_open"
        if state == "refuse":
            await self._hang_up()
        elif before == "refuse":
            await self._listen()

    async def _listen(self) -> None:
        host, _, port = self.endpoint.rpartition(":")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, host.strip("[]"), int(port), backlog=BACKLOG)
        host, port = self._server.sockets[0].getsockname()[:2]
        self.endpoint = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def _hang_up(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self._connections):
            connection.abort()
        await self._server.wait_closed()
        self._server = None

    def _connection(self) -> "_Connection":
        return _Connection(READERS[self._transport](), self._desk, self._connections)


@dataclass(frozen=True, slots=True)
class Said:
    """What becomes of one request, and when the right answer would begin (boot ns)."""

    begin_ns: int
    steps: tuple[Step, ...]
    outcome: Outcome | None  # None: nobody is there, or it is only replayed


class Desk:
    """`Answers` of the devices of one bus."""

    def __init__(
        self, transport: str, devices: Mapping[int, ModbusDevice], run: Run, converter: Converter | None = None
    ) -> None:
        self._run = run
        self.mute = False
        self._devices = {unit_id: Faulty(device, run.in_force) for unit_id, device in devices.items()}
        self._converter = converter or Converter(timeout_ms=0, shared=False)
        self._byte_ns = character_ns(self._converter.line) if self._converter.line else 0
        encode, framing = (encode_tcp, "tcp") if transport == "tcp" else (encode_rtu, "rtu")
        self._wire = Wire(framing, encode, self._byte_ns / NS_PER_MS)
        self._lanes: dict[int, Lane] = {}

    def asked(self, frame: Frame, at: Instant) -> Said | None:
        """As `Answers`."""
        if self.mute:
            return None
        if frame.unit_id == BROADCAST:
            for faulty in self._devices.values():
                faulty.told(frame, at.utc_ms)
            return None
        lane = self._lanes.setdefault(0 if self._converter.shared else frame.unit_id, Lane())
        begin_ns = lane.begin_ns(at.boot_ns)
        if begin_ns is None:
            return None
        if self._byte_ns:
            begin_ns += (len(frame.pdu) + FRAME_AROUND_PDU) * self._byte_ns + TURNAROUND_NS
        if frame.unit_id not in self._devices:
            return self._absent(frame, lane, begin_ns)
        outcome = self._devices[frame.unit_id].asked(frame, self._wire, self._run.now_ms(), at.utc_ms)
        said = Said(begin_ns, outcome.steps, outcome)
        waits = self._converter.timeout_ms * NS_PER_MS if not outcome.steps else 0
        ends_ns = max([begin_ns + waits, *(self.sent_ns(said, step) for step in said.steps)])
        if ends_ns > at.boot_ns:
            lane.busy(ends_ns + GAP_NS, queue=outcome.queue)
        return said

    def sent_ns(self, said: Said, step: Step) -> int:
        """As `Answers`: when they are through the converter, whole."""
        return said.begin_ns + round(step.after_ms * NS_PER_MS) + len(step.data) * self._byte_ns

    def told(self, outcome: Outcome, first: Instant | None) -> None:
        """As `Answers`."""
        self._run.said(outcome, first, "modbus")

    def _absent(self, frame: Frame, lane: Lane, begin_ns: int) -> Said | None:
        ends_ns = begin_ns + self._converter.timeout_ms * NS_PER_MS
        lane.busy(ends_ns + GAP_NS)
        exception = self._converter.absent_exception
        if exception is None or not frame.pdu:
            return None
        pdu = encode_exception(frame.pdu[0], exception)
        return Said(ends_ns, (Step(0, self._wire.encode(Frame(frame.unit_id, pdu, frame.tid))),), None)


@dataclass(slots=True)
class _Sending:
    """One answer on its way."""

    said: Said
    unit_id: int
    done: int = 0  # steps
    first: Instant | None = None


@dataclass(slots=True, eq=False)
class _Connection(asyncio.Protocol):
    """One client."""

    reader: Reader
    desk: Answers
    connections: "set[_Connection]"
    transport: asyncio.Transport | None = None
    held: dict[int, bytes] = field(default_factory=dict)  # of torn replies, by unit_id
    waiting: int = 0
    boot_s: float = 0.0  # boot time, less the loop's own

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  what create_server promises
        self.boot_s = boot_ns() / 1e9 - asyncio.get_running_loop().time()
        self.transport = transport
        self.connections.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            frames = self.reader.feed(data)
        except BadReply:  # nothing that follows can be understood: a server hangs up
            self.abort()
            return
        for frame in frames:
            said = self.desk.asked(frame, now()) if self._open else None
            if said is not None:
                self._begin(_Sending(said, frame.unit_id))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self.connections.discard(self)
        self.transport = None

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    @property
    def _open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def _begin(self, sending: _Sending) -> None:
        """Not before an answer that waits and is due by now, however late we are."""
        if self.waiting and sending.said.steps:
            self._wait(self.desk.sent_ns(sending.said, sending.said.steps[0]), sending)
        else:
            self._go_on(sending)

    def _go_on(self, sending: _Sending) -> None:
        """Send what is due, and come back for the rest: one step after the other."""
        said = sending.said
        for step in said.steps[sending.done :]:
            at_ns = self.desk.sent_ns(said, step)
            if at_ns > boot_ns():
                self._wait(at_ns, sending)
                return
            if not self._open:
                return
            sending.done += 1
            self._send(sending, step)
        if said.outcome is not None:
            self.desk.told(said.outcome, sending.first)

    def _wait(self, at_ns: int, sending: _Sending) -> None:
        """The loop's timers keep the order of these times; a delay, counted from now, would not."""
        self.waiting += 1
        if self.waiting > WAITING_MAX:
            self.abort()
        asyncio.get_running_loop().call_at(at_ns / 1e9 - self.boot_s, self._waited, sending)

    def _waited(self, sending: _Sending) -> None:
        self.waiting -= 1
        self._go_on(sending)

    def _send(self, sending: _Sending, step: Step) -> None:
        assert self.transport is not None  # noqa: S101  as `_open` says
        if step.then is Then.HOLD:
            self.held[sending.unit_id] = step.data
            return
        sending.first = sending.first or now()
        self.transport.write(self.held.pop(sending.unit_id, b"") + step.data)
        if step.then is Then.HANG_UP:
            self.transport.close()
        elif self.transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self.abort()
