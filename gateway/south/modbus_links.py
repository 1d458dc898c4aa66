"""Our own links: a ByteStream, a framing from `protocols`, and the checks of one exchange. TCP, RTU, RTU over TCP.

A link hunts for the frame that fits its request, by unit_id, function, length and (TCP) transaction, in whatever comes
before the deadline. What does not fit is kept for `drain`: the guard's rule needs to see late replies. A link never
reconnects: after LinkDown it is dead and its owner opens another.

- RTU: what does not fit is passed over until the deadline, since the answer may stand behind it.
- Our own request coming back (a two-wire adapter that hears itself) is passed over too. The echo of a write by function
  5 or 6 looks exactly like its reply: once a line was heard to echo, the first such frame is taken for the echo.
- TCP: a frame of our transaction that does not fit is a BadReply at once: the server has spent its answer. A torn
  frame, or a header that makes no sense, leaves no way back into step: BadReply, and the link is dead.
"""

from collections import deque
from typing import Protocol

from gateway.errors import BadReply, LinkDown, NoReply
from gateway.protocols.modbus_frame import Frame, RtuReader, TcpReader, Wanted, encode_rtu, encode_tcp, reply_length
from gateway.protocols.modbus_pdu import Request, encode_request, function, reply_data
from gateway.protocols.modbus_pdu import reply_length as pdu_length
from gateway.seams import ByteStream, Clock
from gateway.site import Bus
from gateway.south.link import Heard, NotSent, Reply
from gateway.south.ports import open_serial, open_tcp

READ_MAX_BYTES = 1024
UNHEARD_MAX = 64  # frames kept for `drain`; with an older one only the early end of its bar is lost
CONNECT_TIMEOUT_S = 5.0


class Wire(Protocol):
    """A framing as a client sees it: what to send, and which of what comes is the answer."""

    def ask(self, unit_id: int, request: Request) -> bytes:
        """The frame to send; from now on its answer is wanted."""
        ...

    def feed(self, data: bytes) -> list[Frame]:
        """Whole frames, fitting or not; raises BadReply when the stream has lost step for good."""
        ...

    def answers(self, frame: Frame) -> bool:
        """Whether this is the wanted frame; raises BadReply when it shows that no good one will come."""
        ...

    def is_torn(self) -> bool:
        """Whether what is held now can only be the end of this connection."""
        ...


class StreamLink:
    """`Link` over any framing."""

    def __init__(self, stream: ByteStream, wire: Wire, clock: Clock) -> None:
        self._stream = stream
        self._wire = wire
        self._clock = clock
        self._unheard: deque[Frame] = deque(maxlen=UNHEARD_MAX)
        self._last_byte_ns = 0
        self._dead = ""

    async def request(self, unit_id: int, request: Request, deadline_ns: int) -> Reply:
        """As `Link`; a BadReply comes at the deadline (RTU) or at once (TCP)."""
        question = self._wire.ask(unit_id, request)
        try:
            if not self._dead:
                self._stream.write(question)
        except LinkDown as error:
            self._dead = str(error)
        if self._dead:
            raise NotSent(self._dead)
        try:
            return await self._answer(request, self._clock.boot_ns(), deadline_ns)
        except LinkDown as error:
            self._dead = str(error)
            raise

    def drain(self) -> Heard | None:
        """As `Link`; what breaks here is told by the next request."""
        try:
            if data := self._stream.drain_input():
                self._unheard.extend(self._frames(data, self._clock.boot_ns()))
        except (LinkDown, BadReply) as error:
            self._dead = self._dead or str(error)
        heard = Heard(tuple(self._unheard), self._last_byte_ns)
        self._unheard.clear()
        return heard

    async def close(self) -> None:
        """As `Link`."""
        self._dead = self._dead or "closed"
        await self._stream.close()

    async def _answer(self, request: Request, t_sent_ns: int, deadline_ns: int) -> Reply:
        t_first_ns = came = 0
        while True:
            data, at_ns = await self._stream.read(READ_MAX_BYTES, deadline_ns)
            if not data:
                raise self._nothing(came)
            came += len(data)
            t_first_ns = t_first_ns or at_ns
            frames = self._frames(data, at_ns)
            if answer := self._pick(frames):
                return Reply(reply_data(request, answer.pdu), t_sent_ns, t_first_ns, at_ns)
            if frames:  # what came so far was not the answer's
                t_first_ns = 0

    def _frames(self, data: bytes, at_ns: int) -> list[Frame]:
        self._last_byte_ns = at_ns
        try:
            return self._wire.feed(data)
        except BadReply as error:
            self._dead = str(error)
            raise

    def _pick(self, frames: list[Frame]) -> Frame | None:
        answer = None
        for frame in frames:
            if answer is None and self._wire.answers(frame):
                answer = frame
            else:
                self._unheard.append(frame)
        return answer

    def _nothing(self, came: int) -> NoReply | BadReply:
        if self._wire.is_torn():
            self._dead = "the stream ended inside a frame and has lost step"
        return BadReply(f"{came} bytes came, no answer among them") if came else NoReply("nothing came")


class RtuWire:
    """RTU, on a serial line or through a transparent converter."""

    def __init__(self) -> None:
        self._reader = RtuReader(reply_length)
        self._wanted = Wanted(0, 0, None)
        self._sent = b""
        self._head = bytearray()  # as many of the bytes that came first as were sent
        self._line_echoes = False
        self._echo_due = False

    def ask(self, unit_id: int, request: Request) -> bytes:
        """As `Wire`."""
        pdu = encode_request(request)
        self._wanted = self._reader.wanted = Wanted(unit_id, function(request), pdu_length(request))
        self._sent = encode_rtu(Frame(unit_id, pdu))
        self._head.clear()
        self._echo_due = self._line_echoes
        return self._sent

    def feed(self, data: bytes) -> list[Frame]:
        """As `Wire`; an RTU stream always finds back into step."""
        self._head += data[: len(self._sent) - len(self._head)]
        return self._reader.feed(data)

    def answers(self, frame: Frame) -> bool:
        """As `Wire`."""
        if not self._wanted.fits(frame):
            return False
        if self._wanted.function not in _ECHOED:
            if frame.pdu == self._sent[1:-2]:
                return False
            self._line_echoes = self._head == self._sent
        elif self._echo_due and frame.pdu == self._sent[1:-2]:
            self._echo_due = False
            return False
        return True

    def is_torn(self) -> bool:
        """As `Wire`."""
        return False


class TcpWire:
    """Modbus TCP."""

    def __init__(self) -> None:
        self._reader = TcpReader()
        self._wanted = Wanted(0, 0, None)
        self._tid = 0

    def ask(self, unit_id: int, request: Request) -> bytes:
        """As `Wire`."""
        self._tid = self._tid % 0xFFFF + 1
        self._wanted = Wanted(unit_id, function(request), pdu_length(request))
        return encode_tcp(Frame(unit_id, encode_request(request), self._tid))

    def feed(self, data: bytes) -> list[Frame]:
        """As `Wire`."""
        return self._reader.feed(data)

    def answers(self, frame: Frame) -> bool:
        """As `Wire`."""
        if frame.tid != self._tid:
            return False
        if not self._wanted.fits(frame):
            raise BadReply(f"unit_id {frame.unit_id}, pdu {frame.pdu[:2].hex(' ')}... of {len(frame.pdu)} bytes")
        return True

    def is_torn(self) -> bool:
        """As `Wire`."""
        return self._reader.held_bytes > 0


async def open_own(bus: Bus, clock: Clock) -> StreamLink:
    """The link of a bus whose driver is ours; raises LinkDown."""
    if bus.transport == "rtu":
        return StreamLink(await open_serial(bus.endpoint, bus.line, clock), RtuWire(), clock)
    host, _, port = bus.endpoint.rpartition(":")
    if not host or not port.isdecimal() or bus.transport not in _TCP_WIRES:
        raise LinkDown(f"no link for {bus.transport} to {bus.endpoint!r}")
    stream = await open_tcp(host.strip("[]"), int(port), clock, CONNECT_TIMEOUT_S)
    return StreamLink(stream, _TCP_WIRES[bus.transport](), clock)


_ECHOED = (5, 6)
_TCP_WIRES: dict[str, type[RtuWire] | type[TcpWire]] = {"tcp": TcpWire, "rtu_over_tcp": RtuWire}
