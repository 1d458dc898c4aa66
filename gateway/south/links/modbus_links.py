"""Our own links: a ByteStream, a framing from `protocols`, and the checks of one exchange. TCP, RTU, RTU over TCP.

A link hunts for the frame that fits its request, by unit_id, function, length and (TCP) transaction, in whatever comes
before the deadline. What does not fit is kept for `drain`: the guard's rule needs to see late replies. A link never
reconnects: after LinkDown it is dead and its owner opens another.

- RTU: what does not fit is passed over until the deadline, since the answer may stand behind it. So a reply with a
  wrong CRC costs the whole timeout: it cannot be told from noise, or from the end of another's reply, before the
  answer, and no pause between bytes says that nothing will follow (USB adapters and converters make pauses too). The
  line has to rest as long anyway: the device may still be sending.
- A frame whose first byte came before the request answers nothing, even if its rest comes with the answer, or if it was
  whole and stood unseen behind what looked like the beginning of a longer one.
- Our own request coming back (a two-wire adapter that hears itself) is passed over too. The echo of a write by function
  5 or 6 looks exactly like its reply: on a line that was heard to echo, the first such frame is taken for the echo.
  Whether a line echoes shows in every other exchange, answered or not; the guard sees to it that there is one.
- TCP: a frame of our transaction that does not fit is a BadReply at once: the server has spent its answer. Not while an
  earlier request of the connection is unanswered: some converters put the newest transaction on whatever their serial
  line brings, so that frame is taken for the earlier one's and ours is waited for. A torn frame, or a header that
  makes no sense, leaves no way back into step: BadReply, and the link is dead.
"""

from collections import deque
from typing import Protocol

from gateway.errors import BadReply, LinkDown, NoReply
from gateway.protocols.modbus_frame import Frame, RtuReader, TcpReader, Wanted, encode_rtu, encode_tcp, reply_length
from gateway.protocols.modbus_pdu import ECHOED, Request, encode_request, function, reply_data
from gateway.protocols.modbus_pdu import reply_length as pdu_length
from gateway.seams import ByteStream, Clock
from gateway.site import Bus
from gateway.south.links.link import Heard, NotSent, Reply
from gateway.south.links.ports import CONNECT_TIMEOUT_S, open_port, open_tcp
from gateway.south.links.pulse import LOST, Pulse
from gateway.south.links.trace import Trace

READ_MAX_BYTES = 1024
NOISE_MAX_BYTES = 64  # before an echo
UNHEARD_MAX = 64  # frames kept for `drain`; with an older one only the early end of its bar is lost
ARRIVALS_MAX = 1024  # pieces that are remembered: more than an answer and what is behind it can come in


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

    def echoed_bytes(self) -> int:
        """How many of the bytes that came since `ask` were our own."""
        ...


class StreamLink:
    """`Link` over any framing; notes in `trace` what goes over the stream, and dies with its `pulse`."""

    def __init__(
        self, stream: ByteStream, wire: Wire, clock: Clock, trace: Trace | None = None, pulse: Pulse | None = None
    ) -> None:
        self._stream = stream
        self._wire = wire
        self._clock = clock
        self._trace = Trace() if trace is None else trace
        self._pulse = pulse
        self._unheard: deque[Frame] = deque(maxlen=UNHEARD_MAX)
        self._last_byte_ns = 0
        self._came = 0  # bytes, ever
        self._dead = ""

    async def request(self, unit_id: int, request: Request, deadline_ns: int) -> Reply:
        """As `Link`; a BadReply comes at the deadline (RTU) or at once (TCP)."""
        self._send(self._wire.ask(unit_id, request))
        try:
            return await self._answer(request, self._clock.boot_ns(), deadline_ns)
        except LinkDown as error:
            self._dead = str(error)
            raise

    def wake(self, data: bytes) -> None:
        """As `Link`."""
        self._send(data)

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

    def _send(self, data: bytes) -> None:
        try:
            if not self._dead:
                self._stream.write(data)
                self._trace.note(self._clock.boot_ns(), data, sent=True)
        except LinkDown as error:
            self._dead = str(error)
        if self._dead:
            raise NotSent(self._dead)

    async def _answer(self, request: Request, t_sent_ns: int, deadline_ns: int) -> Reply:
        at_ns, sent_at = t_sent_ns, self._came
        arrivals: deque[tuple[int, int]] = deque(maxlen=ARRIVALS_MAX)  # (how many bytes had come, when)
        while at_ns < deadline_ns:  # a wire that never pauses has bytes also then
            data, at_ns = await self._stream.read(READ_MAX_BYTES, deadline_ns)
            if not data:
                break
            frames = self._frames(data, at_ns)
            arrivals.append((self._came, at_ns))
            if answer := self._pick(frames, sent_at):
                t_first_ns = next(when for came, when in arrivals if came > answer.begins)
                return Reply(reply_data(request, answer.pdu), t_sent_ns, t_first_ns, at_ns)
        raise self._nothing(self._came - sent_at, t_sent_ns)

    def _frames(self, data: bytes, at_ns: int) -> list[Frame]:
        self._last_byte_ns = at_ns
        self._came += len(data)
        self._trace.note(at_ns, data, sent=False)
        if self._pulse is not None:
            self._pulse.beat()
        try:
            return self._wire.feed(data)
        except BadReply as error:
            self._dead = str(error)
            raise

    def _pick(self, frames: list[Frame], sent_at: int) -> Frame | None:
        """The answer to what was sent when so many bytes had come; the other frames are kept for `drain`."""
        answer = None
        for at, frame in enumerate(frames):
            try:
                if answer is None and frame.begins >= sent_at and self._wire.answers(frame):
                    answer = frame
                    continue
            except BadReply:
                self._unheard.extend(frames[at:])
                raise
            self._unheard.append(frame)
        return answer

    def _nothing(self, came: int, t_sent_ns: int) -> NoReply | BadReply | LinkDown:
        if self._wire.is_torn():
            self._dead = "the stream ended inside a frame and has lost step"
        if came > self._wire.echoed_bytes():
            return BadReply(f"{came} bytes came, no answer among them")
        if not came and self._pulse is not None and self._pulse.missed(t_sent_ns, self._clock.boot_ns()):
            return LinkDown(LOST)
        return NoReply("nothing came but our own echo" if came else "nothing came")


class RtuWire:
    """RTU, on a serial line or through a transparent converter."""

    def __init__(self) -> None:
        self._reader = RtuReader(reply_length)
        self._wanted = Wanted(0, 0, None)
        self._sent = b""
        self._came = bytearray()  # since it was sent: as much as an echo would be among
        self._line_echoes = False
        self._echo_due = False

    def ask(self, unit_id: int, request: Request) -> bytes:
        """As `Wire`."""
        if self._wanted.function not in ECHOED and self.echoed_bytes():
            self._line_echoes = True  # the one before was not answered, but heard
        pdu = encode_request(request)
        self._wanted = self._reader.wanted = Wanted(unit_id, function(request), pdu_length(request))
        self._sent = encode_rtu(Frame(unit_id, pdu))
        self._came.clear()
        self._echo_due = self._line_echoes
        return self._sent

    def feed(self, data: bytes) -> list[Frame]:
        """As `Wire`; an RTU stream always finds back into step."""
        self._came += data[: len(self._sent) + NOISE_MAX_BYTES - len(self._came)]
        return self._reader.feed(data)

    def answers(self, frame: Frame) -> bool:
        """As `Wire`."""
        if not self._wanted.fits(frame):
            return False
        if self._wanted.function not in ECHOED:
            if frame.pdu == self._sent[1:-2]:
                return False
            self._line_echoes = self.echoed_bytes() > 0
        elif self._echo_due and frame.pdu == self._sent[1:-2]:
            self._echo_due = False
            return False
        return True

    def is_torn(self) -> bool:
        """As `Wire`."""
        return False

    def echoed_bytes(self) -> int:
        """As `Wire`."""
        return len(self._sent) if self._sent and self._sent in self._came else 0


class TcpWire:
    """Modbus TCP."""

    def __init__(self) -> None:
        self._reader = TcpReader()
        self._wanted = Wanted(0, 0, None)
        self._tid = 0
        self._is_answered = True
        self._unanswered = 0  # of the requests before this one

    def ask(self, unit_id: int, request: Request) -> bytes:
        """As `Wire`."""
        self._unanswered += not self._is_answered
        self._is_answered = False
        self._tid = self._tid % 0xFFFF + 1
        self._wanted = Wanted(unit_id, function(request), pdu_length(request))
        return encode_tcp(Frame(unit_id, encode_request(request), self._tid))

    def feed(self, data: bytes) -> list[Frame]:
        """As `Wire`."""
        return self._reader.feed(data)

    def answers(self, frame: Frame) -> bool:
        """As `Wire`."""
        self._is_answered = frame.tid == self._tid and (self._wanted.fits(frame) or not self._unanswered)
        if not self._is_answered:
            self._unanswered = max(self._unanswered - 1, 0)
            return False
        if not self._wanted.fits(frame):
            raise BadReply(f"unit_id {frame.unit_id}, pdu {frame.pdu[:2].hex(' ')}... of {len(frame.pdu)} bytes")
        return True

    def is_torn(self) -> bool:
        """As `Wire`."""
        return self._reader.held_bytes > 0

    def echoed_bytes(self) -> int:
        """As `Wire`: none ever."""
        return 0


async def open_own(bus: Bus, clock: Clock, trace: Trace | None = None) -> StreamLink:
    """The link of a bus whose driver is ours; raises LinkDown."""
    if bus.transport == "rtu":
        return StreamLink(await open_port(bus, clock), RtuWire(), clock, trace)
    host, _, port = bus.endpoint.rpartition(":")
    if not host or not port.isdecimal() or bus.transport not in _TCP_WIRES:
        raise LinkDown(f"no link for {bus.transport} to {bus.endpoint!r}")
    stream = await open_tcp(host.strip("[]"), int(port), clock, CONNECT_TIMEOUT_S)
    return StreamLink(stream, _TCP_WIRES[bus.transport](), clock, trace, Pulse())


_TCP_WIRES: dict[str, type[RtuWire] | type[TcpWire]] = {"tcp": TcpWire, "rtu_over_tcp": RtuWire}
