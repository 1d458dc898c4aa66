"""Modbus frames: pdu <-> bytes on a wire, and readers that take frames out of whatever arrives. No I/O, no clock.

    RTU   unit_id pdu crc(2, low byte first)                        at most 256 bytes
    TCP   transaction(2) 0(2) length(2, of what follows) unit_id pdu    at most 260 bytes

RTU has no start mark. The specification frames by silence, which USB adapters and converters destroy, so `RtuReader`
frames by content: the function code (and a count inside) implies how long the frame is, and the CRC confirms it.
Invariants:
- What is given out has a good CRC. What is given up (garbage, a torn frame, our own echo) is given up byte by byte
  from the front and counted, so a good frame behind it is found.
- While the front may still become a frame, only the *wanted* reply is looked for behind it: a false header in garbage
  cannot hold back the answer, and register data that happen to look like a foreign frame do not tear a good one.
- Less than one frame is ever held; a frame is at most 256 bytes.

TCP has a length but no checksum, so once a header makes no sense the stream has lost step for good: `TcpReader`
says so and the connection has to go.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from gateway.errors import BadReply
from gateway.protocols.checksums import crc16, crc16_bytes
from gateway.protocols.modbus_pdu import DEVICE_ID, DEVICE_ID_TYPE, EXCEPTION

RTU_MAX = 256
TCP_MAX = 260


@dataclass(frozen=True, slots=True)
class Frame:
    """A pdu with the unit_id it is from or for; `tid`, the transaction, only on TCP.

    `begins` = how many bytes its reader had been fed before it: two frames with the same content are equal.
    """

    unit_id: int
    pdu: bytes
    tid: int | None = None
    begins: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The reply that is awaited: its pdu has this length (None: any), or it is the exception to that function."""

    unit_id: int
    function: int
    length: int | None

    def fits(self, frame: Frame) -> bool:
        """Whether the frame could be it, by all that a frame tells."""
        if frame.unit_id != self.unit_id or not frame.pdu:
            return False
        if frame.pdu[0] == self.function | EXCEPTION:
            return len(frame.pdu) == _EXCEPTION_PDU and frame.pdu[1] != 0
        return frame.pdu[0] == self.function and self.length in (None, len(frame.pdu))


def encode_rtu(frame: Frame) -> bytes:
    """unit_id, pdu, CRC; raises ValueError above 256 bytes."""
    body = bytes((frame.unit_id,)) + frame.pdu
    if len(body) + 2 > RTU_MAX:
        raise ValueError(f"{len(body) + 2} bytes do not fit in an RTU frame")
    return body + crc16_bytes(body)


def encode_tcp(frame: Frame) -> bytes:
    """MBAP header, pdu; raises ValueError above 260 bytes or without a transaction."""
    if frame.tid is None or len(frame.pdu) + _MBAP > TCP_MAX:
        raise ValueError(f"not a TCP frame: transaction {frame.tid}, {len(frame.pdu)} bytes")
    length = (len(frame.pdu) + 1).to_bytes(2, "big")
    return frame.tid.to_bytes(2, "big") + b"\0\0" + length + bytes((frame.unit_id,)) + frame.pdu


class RtuReader:
    """Bytes in, frames with a good CRC out; `skipped_bytes` counts what was given up."""

    def __init__(self, implied_length: "ImpliedLength", wanted: Wanted | None = None) -> None:
        self.skipped_bytes = 0
        self.wanted = wanted
        self._implied_length = implied_length
        self._held = bytearray()
        self._past_bytes = 0  # that are not held any more

    @property
    def held_bytes(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes."""
        frames: list[Frame] = []
        for at in range(0, len(data), RTU_MAX):
            self._held += data[at : at + RTU_MAX]
            self._take(frames)
        return frames

    def reset(self) -> None:
        """Give up what is held: the silence that ends a frame was longer than any frame takes."""
        self._give_up(len(self._held))

    def _take(self, frames: list[Frame]) -> None:
        while self._held:
            length = self._implied_length(self._held, 0)
            if length is None or length > len(self._held):
                if not self._wanted_behind(length):
                    return
            elif length == 0 or not _crc_is_good(self._held, 0, length):
                self._give_up(1)
            else:
                frames.append(Frame(self._held[0], bytes(self._held[1 : length - 2]), None, self._past_bytes))
                self._drop(length)

    def _wanted_behind(self, length: int | None) -> bool:
        """Give up a front that is only a candidate when the wanted reply stands complete behind it."""
        wanted = self.wanted
        if wanted is None or self._may_be(wanted, length):
            return False
        for function in (wanted.function, wanted.function | EXCEPTION):
            at = self._held.find(bytes((wanted.unit_id, function)), 1)
            while at > 0:
                found = self._implied_length(self._held, at)
                if found and at + found <= len(self._held) and self._is(wanted, at, found):
                    self._give_up(at)
                    return True
                at = self._held.find(bytes((wanted.unit_id, function)), at + 1)
        return False

    def _may_be(self, wanted: Wanted, length: int | None) -> bool:
        """Whether the incomplete front has the header of the wanted reply."""
        header = bytes((wanted.unit_id, wanted.function))
        return length is not None and wanted.length == length - 3 and self._held.startswith(header)

    def _is(self, wanted: Wanted, at: int, length: int) -> bool:
        frame = Frame(self._held[at], bytes(self._held[at + 1 : at + length - 2]))
        return wanted.fits(frame) and _crc_is_good(self._held, at, length)

    def _give_up(self, count: int) -> None:
        self.skipped_bytes += count
        self._drop(count)

    def _drop(self, count: int) -> None:
        self._past_bytes += count
        del self._held[:count]


class TcpReader:
    """Bytes in, frames out; raises BadReply when the stream has lost step, and from then on."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._past_bytes = 0  # that are not held any more

    @property
    def held_bytes(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes; those before a lost step are still given out, the next call raises."""
        frames: list[Frame] = []
        self._held += data
        while len(self._held) >= _MBAP:
            length = int.from_bytes(self._held[4:6], "big")
            if self._held[2:4] != b"\0\0" or not _MBAP_LENGTH_MIN <= length <= TCP_MAX - _MBAP + 1:
                del self._held[TCP_MAX:]
                if frames:
                    break
                raise BadReply(f"the stream has lost step: {self._held[:_MBAP].hex(' ')}")
            end = _MBAP - 1 + length
            if len(self._held) < end:
                break
            tid = int.from_bytes(self._held[:2], "big")
            frames.append(Frame(self._held[6], bytes(self._held[_MBAP:end]), tid, self._past_bytes))
            self._past_bytes += end
            del self._held[:end]
        return frames


ImpliedLength: TypeAlias = Callable[[bytearray, int], int | None]


def reply_length(held: bytearray, at: int) -> int | None:
    """Bytes of the RTU reply that begins at `at`: 0 = none can, None = too early to tell."""
    if len(held) < at + 2:
        return None
    function = held[at + 1]
    if function & EXCEPTION:
        return _EXCEPTION_PDU + 3 if held[at + 2 : at + 3] != b"\0" else 0  # exceptions are counted from 1
    if function in _READS:
        return _counted(held, at + 2, 5)
    if function in _WRITES:
        return 8
    return _device_id_length(held, at) if function == DEVICE_ID else 0


def request_length(held: bytearray, at: int) -> int | None:
    """Bytes of the RTU request that begins at `at`: 0 = none can, None = too early to tell. The simulators' side."""
    if len(held) < at + 2:
        return None
    function = held[at + 1]
    if function in _SHORT_REQUESTS:
        return 8
    if function in _LONG_REQUESTS:
        return _counted(held, at + 6, 9)
    return 7 if function == DEVICE_ID else 0


_MBAP = 7  # with the unit_id
_MBAP_LENGTH_MIN = 2  # unit_id and function
_EXCEPTION_PDU = 2
_READS = (1, 2, 3, 4)
_WRITES = (5, 6, 15, 16)
_SHORT_REQUESTS = (1, 2, 3, 4, 5, 6)
_LONG_REQUESTS = (15, 16)


def _crc_is_good(held: bytearray, at: int, length: int) -> bool:
    # A CRC over data and its own CRC, low byte first, is 0.
    return crc16(held[at : at + length]) == 0


def _counted(held: bytearray, count_at: int, around: int) -> int | None:
    if len(held) <= count_at:
        return None
    length = held[count_at] + around
    return length if length <= RTU_MAX else 0


def _device_id_length(held: bytearray, at: int) -> int | None:
    """unit_id, 43, 14, level, conformity, more, next, count, then objects, each with its own length."""
    if len(held) > at + 2 and held[at + 2] != DEVICE_ID_TYPE:
        return 0
    if len(held) < at + 8:
        return None
    end = at + 8
    for _ in range(held[at + 7]):
        if len(held) < end + 2:
            return None
        end += 2 + held[end + 1]
        if end + 2 - at > RTU_MAX:
            return 0
    return end + 2 - at
