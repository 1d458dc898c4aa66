"""Exchanges of another master, overheard on an RTU line: bytes in, requests with their replies out. No I/O, no clock.

Requests and replies stand on one wire and do not say which they are: `01 03 02 ...` may begin a reply of two bytes or
ask for register 0x02nn. And a reply does not say which request it answers. So a reply counts only when
- it stands right behind its request, not a byte between them, and begins within `reply_max_ns` of the request's end;
- unit_id, function, byte count (of a write: the echo) and CRC are those of that request's reply;
- the same bytes cannot be read as a request (a reply of three bytes of coils can).
Anything else is dropped and counted: `skipped_bytes` that are no frame, `unpaired` frames that answer nothing, and
`doubtful` replies, which are those that could be another's:

A request that found no reply may still get one, right behind the next request, and then all that follow may be shifted
by one. So from then on its unit_id is *in doubt*: a reply passes only if every request made since that it could answer
is the same request. As devices answer in order, doubt ends
- with the reply to a request that was made once and whose reply looks like no other's, or
- after LATE_TIMEOUTS x `reply_max_ns` without another loss, at the first pause in which a device that still had
  something to say would have said it: PAUSE_LATENCIES x its slowest recent reply, on a clean line.
At the beginning, and after bytes whose time is not known, everyone is in doubt. Beyond what can be told: a loss of
whole frames without a trace, and a request that came damaged and was answered later than its master waited.

`gap_ns` of silence end a frame that is not complete. Bytes that took longer than LATE_NS to cross the line and came in
one piece have waited, nobody knows how long: they are dropped, and `late_bytes` counts them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from gateway.errors import BadReply, DeviceException
from gateway.protocols.checksums import crc16
from gateway.protocols.modbus_frame import RTU_MAX, reply_length, request_length
from gateway.protocols.modbus_pdu import EXCEPTION, ReadRequest, Request, decode_request, function, reply_data
from gateway.protocols.modbus_pdu import reply_length as pdu_length

GAP_NS = 50_000_000  # a USB adapter holds bytes back for up to 16 ms, a busy machine for longer
LATE_NS = 200_000_000
LATE_TIMEOUTS = 3
PAUSE_LATENCIES, PAUSE_MIN_NS = 3, 100_000_000
ASKED_MAX = 64  # different requests that are remembered in doubt
REQUEST_BYTES = 8  # of a read
READS, READS_OF_BITS = frozenset({1, 2, 3, 4}), frozenset({1, 2})  # functions


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, and the reply that answers it; both checked."""

    unit_id: int
    request: Request
    pdu: bytes | None  # None: no reply came, or none that can be believed
    first_ns: int  # when the first byte of the reply came; without one, when the request had ended

    def data(self) -> bytes:
        """As `modbus_pdu.reply_data`; raises DeviceException, or BadReply when there is no reply."""
        return reply_data(self.request, self.pdu or b"")


@dataclass(frozen=True, slots=True)
class _Asked:
    unit_id: int
    pdu: bytes
    request: Request
    end_ns: int

    @property
    def answer(self) -> tuple[int, int | None]:
        """All that a good reply tells of its request."""
        return function(self.request), pdu_length(self.request)

    def may_begin_with(self, held: bytearray) -> bool:
        """Whether a reply to it may have these first bytes."""
        code, length = self.answer
        good = bytes((self.unit_id, code, length - 2) if length and code in READS else (self.unit_id, code))
        bad = bytes((self.unit_id, code | EXCEPTION))
        return good.startswith(held[: len(good)]) or bad.startswith(held[: len(bad)])


@dataclass(slots=True)
class _Doubt:
    since_ns: int  # the last loss
    asked: dict[bytes, tuple[_Asked, int]] | None  # what, and how often; None = not known

    def add(self, asked: _Asked) -> None:
        if self.asked is None:
            return
        times = self.asked.get(asked.pdu, (asked, 0))[1]
        self.asked[asked.pdu] = asked, times + 1
        if len(self.asked) > ASKED_MAX:
            self.asked = None

    def others(self, asked: _Asked) -> bool:
        """Whether a reply to `asked` could be the reply to another request."""
        if self.asked is None:
            return True
        return any(other.answer == asked.answer for pdu, (other, _) in self.asked.items() if pdu != asked.pdu)

    def ends(self, asked: _Asked) -> bool:
        """Whether the reply to `asked`, which could be no other's, shows that all earlier ones are settled."""
        return self.asked is not None and self.asked[asked.pdu][1] == 1


@dataclass(slots=True)
class _Slave:
    doubt: _Doubt | None
    end_ns: int = 0  # of its last frame
    slowest_ns: int = 0  # reply, of late

    def took(self, latency_ns: int) -> None:
        self.slowest_ns = max(latency_ns, self.slowest_ns * 63 // 64)


class _Fit(Enum):
    NO = auto()
    MAYBE = auto()  # too early to tell
    YES = auto()


@dataclass(slots=True)
class _Arrivals:
    """When each held byte came."""

    ends: list[tuple[int, int]] = field(default_factory=list)  # (how many bytes had come, when)
    came: int = 0
    gone: int = 0

    def add(self, count: int, at_ns: int) -> None:
        self.came += count
        self.ends.append((self.came, at_ns))

    def at(self, place: int) -> int:
        """Of the byte at this place of what is held."""
        return next(at_ns for end, at_ns in self.ends if end > self.gone + place)

    def drop(self, count: int) -> None:
        self.gone += count
        while self.ends and self.ends[0][0] <= self.gone:
            del self.ends[0]


class ExchangeReader:
    """What another master asks, and what it is answered. `char_ns` = the time of a character on this line."""

    def __init__(self, *, char_ns: int, reply_max_ns: int, began_ns: int, gap_ns: int = GAP_NS) -> None:
        self.skipped_bytes = self.late_bytes = self.unpaired = self.doubtful = 0
        self._reply_max_ns, self._gap_ns = reply_max_ns, gap_ns
        self._bytes_max = max(RTU_MAX + REQUEST_BYTES, LATE_NS // max(char_ns, 1))  # of one piece
        self._held = bytearray()
        self._arrivals = _Arrivals()
        self._asked: _Asked | None = None  # the request that the next frame may answer
        self._in_step = False  # the frame before was understood: the next is what follows it
        self._slaves: dict[int, _Slave] = {}
        self._last_ns = self._noise_ns = self._began_ns = began_ns
        self._found: list[Exchange] = []

    def feed(self, data: bytes, at_ns: int) -> list[Exchange]:
        """The exchanges that these bytes complete or end."""
        if len(data) > self._bytes_max:
            self._lose(len(data), at_ns)
        else:
            self._look_at(at_ns)
            self._last_ns = at_ns
            self._held += data
            self._arrivals.add(len(data), at_ns)
            self._take(final=False)
        return self._taken()

    def quiet(self, now_ns: int) -> list[Exchange]:
        """Nothing came until now: what that silence completes or ends."""
        self._look_at(now_ns)
        return self._taken()

    @property
    def wakes_ns(self) -> int | None:
        """When `quiet` has something to say; None while nothing is open."""
        if self._held:
            return self._last_ns + self._gap_ns
        return self._asked.end_ns + self._reply_max_ns + 1 if self._asked else None

    def _taken(self) -> list[Exchange]:
        found, self._found = self._found, []
        return found

    def _look_at(self, now_ns: int) -> None:
        if self._held and now_ns - self._last_ns >= self._gap_ns:
            self._take(final=True)
        if self._asked and not self._held and now_ns - self._asked.end_ns > self._reply_max_ns:
            self._out_of_step(now_ns)

    def _lose(self, count: int, at_ns: int) -> None:
        """Bytes of no known time came, and others may be lost: begin anew."""
        self.late_bytes += count + len(self._held)
        self._held.clear()
        self._arrivals = _Arrivals()
        self._asked, self._in_step = None, False
        self._slaves.clear()
        self._last_ns = self._noise_ns = self._began_ns = at_ns

    # --- frames -------------------------------------------------------------------------------------------------------

    def _take(self, *, final: bool) -> None:
        """Take frames from the front; `final`: no more bytes belong to what is held."""
        while self._held and self._front(final=final):
            pass

    def _front(self, *, final: bool) -> bool:
        """Take one frame or give up one byte; False when it is too early to tell."""
        answer, length = self._answer()
        if answer is _Fit.YES:
            return self._pair(length, final=final)
        return (answer is not _Fit.MAYBE or final) and self._other(final=final)

    def _other(self, *, final: bool) -> bool:
        """What does not answer the open request: a request; out of step any reply that could be one goes first."""
        request, request_bytes = self._fits(request_length, _is_request)
        if request is _Fit.YES and self._in_step:
            return self._ask(request_bytes)
        reply, reply_bytes = self._fits(reply_length, _is_reply)
        if _Fit.MAYBE in (request, reply) and not final:
            return False
        if reply is _Fit.YES:
            return self._unpaired(reply_bytes, maybe_request=request is _Fit.YES)
        return self._ask(request_bytes) if request is _Fit.YES else self._skip()

    def _answer(self) -> tuple[_Fit, int]:
        """Whether the reply to the open request stands at the front."""
        asked = self._asked
        if asked is None or not asked.may_begin_with(self._held):
            return _Fit.NO, 0
        return self._fits(reply_length, lambda pdu: _answers(asked.request, pdu))

    def _fits(self, implied: Callable[[bytearray, int], int | None], good: Callable[[bytes], bool]) -> tuple[_Fit, int]:
        length = implied(self._held, 0)
        if length is None or length > len(self._held):
            return _Fit.MAYBE, 0
        if length == 0 or crc16(self._held[:length]) != 0 or not good(bytes(self._held[1 : length - 2])):
            return _Fit.NO, 0
        return _Fit.YES, length

    def _pop(self, length: int) -> tuple[bytes, int, int]:
        """A frame, and when its first and last bytes came."""
        frame, first_ns, end_ns = bytes(self._held[:length]), self._arrivals.at(0), self._arrivals.at(length - 1)
        del self._held[:length]
        self._arrivals.drop(length)
        return frame, first_ns, end_ns

    def _skip(self) -> bool:
        self.skipped_bytes += 1
        _, self._noise_ns, _ = self._pop(1)
        self._out_of_step(self._noise_ns)
        for slave in self._slaves.values():
            if slave.doubt:  # it may have been a request
                slave.doubt.asked = None
        return True

    def _unpaired(self, length: int, *, maybe_request: bool) -> bool:
        """A frame that answers nothing; one that may be a request may be answered later."""
        frame, first_ns, end_ns = self._pop(length)
        self.unpaired += 1
        self._out_of_step(first_ns)
        slave = self._slave(frame[0])
        slave.end_ns = end_ns
        if maybe_request:
            slave.doubt = _Doubt(end_ns, None)
        elif slave.doubt:
            slave.doubt.since_ns = end_ns
        return True

    def _out_of_step(self, now_ns: int) -> None:
        self._in_step = False
        if self._asked:
            self._unanswered(now_ns)

    # --- exchanges ----------------------------------------------------------------------------------------------------

    def _ask(self, length: int) -> bool:
        frame, first_ns, end_ns = self._pop(length)
        if self._asked:
            self._unanswered(first_ns)
        self._in_step = True
        if frame[0] == 0:  # to all: nobody answers
            return True
        self._asked = _Asked(frame[0], frame[1:-2], decode_request(frame[1:-2]), end_ns)
        slave = self._slave(frame[0])
        if slave.doubt and self._settled(slave, slave.doubt, first_ns):
            slave.doubt = None
        if slave.doubt:
            slave.doubt.add(self._asked)
        slave.end_ns = end_ns
        return True

    def _settled(self, slave: _Slave, doubt: _Doubt, now_ns: int) -> bool:
        """Whether there was a pause before `now_ns` in which a late reply would have come."""
        pause_ns = now_ns - max(slave.end_ns, self._noise_ns)
        long_ago = now_ns - doubt.since_ns >= LATE_TIMEOUTS * self._reply_max_ns
        return long_ago and pause_ns >= max(PAUSE_LATENCIES * slave.slowest_ns, PAUSE_MIN_NS)

    def _pair(self, length: int, *, final: bool) -> bool:
        """The reply to the open request, unless its bytes can be read as a request."""
        asked = self._asked
        assert asked, "only an open request has an answer"  # noqa: S101 - a bug of ours, not the line's
        as_request = _Fit.NO  # of a write nothing is believed, and its reply may well look like it
        if isinstance(asked.request, ReadRequest):
            as_request, _ = self._fits(request_length, _is_request)
        if as_request is _Fit.MAYBE and not final:
            return False
        if as_request is _Fit.YES or self._arrivals.at(0) - asked.end_ns > self._reply_max_ns:
            return self._unpaired(length, maybe_request=as_request is _Fit.YES)
        frame, first_ns, end_ns = self._pop(length)
        self._asked = None
        slave = self._slave(asked.unit_id)
        slave.end_ns = end_ns
        slave.took(first_ns - asked.end_ns)
        if slave.doubt and (frame[1] & EXCEPTION or slave.doubt.others(asked)):
            self.doubtful += 1
            return True
        if slave.doubt and slave.doubt.ends(asked):
            slave.doubt = None
        self._found.append(Exchange(asked.unit_id, asked.request, frame[1:-2], first_ns))
        return True

    def _unanswered(self, now_ns: int) -> None:
        asked, self._asked = self._asked, None
        assert asked, "only an open request can stay without a reply"  # noqa: S101 - a bug of ours, not the line's
        slave = self._slave(asked.unit_id)
        if slave.doubt is None:
            slave.doubt = _Doubt(now_ns, {})
            slave.doubt.add(asked)
        slave.doubt.since_ns = now_ns
        self._found.append(Exchange(asked.unit_id, asked.request, None, asked.end_ns))

    def _slave(self, unit_id: int) -> _Slave:
        return self._slaves.setdefault(unit_id, _Slave(_Doubt(self._began_ns, None)))


def _is_request(pdu: bytes) -> bool:
    try:
        decode_request(pdu)
    except BadReply:
        return False
    return True


def _is_reply(pdu: bytes) -> bool:
    """Whether some request has this reply: an odd number of bytes is of no registers."""
    return pdu[0] not in READS or (pdu[1] > 0 and (pdu[0] in READS_OF_BITS or pdu[1] % 2 == 0))


def _answers(request: Request, pdu: bytes) -> bool:
    try:
        reply_data(request, pdu)
    except BadReply:
        return False
    except DeviceException:
        return True
    return True
