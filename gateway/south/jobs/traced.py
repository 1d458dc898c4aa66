"""What the bytes of a trace mean: chunks in, frames with words for them out. Pure.

A frame is what one side said: on RTU and TCP a request or a reply, on a serial stream what came without a pause. Bytes
that are no frame are told too, as what they look like: a bad CRC, an end that is missing, noise. On a bus that only
listens both sides come in; there, what answers the request before it is its reply.

`Said.word` is a code for `gateway.text`, `Said.values` is what its text has places for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from struct import unpack
from typing import TypeAlias

from gateway.errors import BadReply, DeviceException
from gateway.protocols import modbus_frame
from gateway.protocols.checksums import crc16
from gateway.protocols.modbus_frame import Frame
from gateway.protocols.modbus_pdu import (
    ReadDeviceId,
    ReadRequest,
    Request,
    Table,
    WriteCoils,
    WriteRegisters,
    decode_request,
    device_id,
    function,
    reply_data,
    unpack_bits,
)
from gateway.south.links.trace import Chunk

GAP_NS = 50_000_000  # of silence ends a frame that is not complete
HELD_MAX_BYTES = 600  # then it is told as it is
VALUES_MAX = 8  # that are shown of one reply
MBAP = 6  # bytes of a TCP header before what its length counts

Words: TypeAlias = tuple[str, dict[str, object]]


@dataclass(frozen=True, slots=True)
class Said:
    """One frame, or what is no frame; with no bytes: what was not said."""

    at_ns: int
    gap_ns: int | None  # since the end of the one before; None for the first
    sent: bool
    data: bytes
    word: str
    values: Mapping[str, object] = field(default_factory=dict)
    unit_id: int | None = None
    bad: bool = False


class Decoder:
    """Of one bus, chunk by chunk."""

    def __init__(self, transport: str, *, listens: bool = False) -> None:
        self._framing = _FRAMINGS.get(transport)
        self._listens = listens
        self._held = bytearray()
        self._first_ns = self._last_ns = 0
        self._sent = False
        self._open: tuple[int, Request] | None = None  # the request that no reply has come to
        self._end_ns: int | None = None
        self._out: list[Said] = []

    def feed(self, chunk: Chunk) -> list[Said]:
        """What is known now."""
        if self._held and (chunk.sent != self._sent or chunk.at_ns - self._last_ns >= GAP_NS):
            self._flush()
        if not self._held:
            self._first_ns, self._sent = chunk.at_ns, chunk.sent
        self._held += chunk.data
        self._last_ns = chunk.at_ns
        self._take(final=False)
        if chunk.sent or len(self._held) > HELD_MAX_BYTES:
            self._flush()
        return self._taken()

    def quiet(self, now_ns: int) -> list[Said]:
        """What silence until now makes of what is incomplete."""
        if self._held and now_ns - self._last_ns >= GAP_NS:
            self._flush()
        return self._taken()

    def _taken(self) -> list[Said]:
        out, self._out = self._out, []
        return out

    def _take(self, *, final: bool) -> None:
        """Every good frame that is held, and what stands before it; `final`: no more bytes belong to it."""
        while self._framing and (found := self._first_frame(self._framing, final=final)):
            at, length, frame = found
            if at:
                self._tell(bytes(self._held[:at]), "trace_noise", {"count": at}, bad=True)
            data = bytes(self._held[at : at + length])
            del self._held[: at + length]
            self._tell_frame(frame, data)

    def _first_frame(self, framing: "_Framing", *, final: bool) -> tuple[int, int, Frame] | None:
        places = len(self._held) if framing is _rtu else min(len(self._held), 1)  # no checksum, no search
        for at in range(places):
            if not final and self._may_become_reply(framing, at):
                return None
            if found := self._frame_at(framing, at):
                return at, *found
        return None

    def _may_become_reply(self, framing: "_Framing", at: int) -> bool:
        """Whether the reply that is waited for may stand there, not complete yet.

        Eight bytes of it can look like a whole request: those of a reply to two registers whose CRC ends in 0.
        """
        if self._sent or framing is not _rtu or self._open is None:
            return False
        unit_id, request = self._open
        if self._held[at] != unit_id or (len(self._held) > at + 1 and self._held[at + 1] != function(request)):
            return False
        length = modbus_frame.reply_length(self._held, at)
        return length is None or at + length > len(self._held)

    def _frame_at(self, framing: "_Framing", at: int) -> tuple[int, Frame] | None:
        """The request or reply that stands there; where both do, what fits better behind the frame before."""
        request = framing(self._held, at, True)  # noqa: FBT003 - which of two sides
        if self._sent:
            return request
        reply = framing(self._held, at, False)  # noqa: FBT003 - which of two sides
        if self._listens and not (reply and self._answer(reply[1])):
            return request or reply
        return reply or request

    def _answer(self, frame: Frame) -> Words | None:
        """What it says as the reply to the open request; None when it is none."""
        if self._open is None or self._open[0] != frame.unit_id:
            return None
        return _reply(self._open[1], frame.pdu)

    def _tell_frame(self, frame: Frame, data: bytes) -> None:
        answer = None if self._sent else self._answer(frame)
        request = _request(frame.pdu)
        if answer:
            self._open = None
            self._tell(data, *answer, unit_id=frame.unit_id, bad=answer[0] == "trace_exception")
        elif request is None:
            self._tell(data, "trace_unasked", {}, unit_id=frame.unit_id, bad=True)
        elif self._sent or self._listens:
            self._no_reply()
            self._open = (frame.unit_id, request) if frame.unit_id else None
            self._tell(data, *_asked(request), unit_id=frame.unit_id)
        else:
            self._tell(data, "trace_echo", {}, unit_id=frame.unit_id)

    def _no_reply(self) -> None:
        if self._open:
            unit_id, _ = self._open
            self._open = None
            self._out.append(Said(self._first_ns, None, False, b"", "trace_no_reply", {}, unit_id, True))  # noqa: FBT003

    def _flush(self) -> None:
        self._take(final=True)
        data = bytes(self._held)
        self._held.clear()
        if not data:
            return
        if self._framing is None:
            self._tell(data, "trace_text", {"text": _printable(data)})
        elif self._sent:
            self._tell(data, "trace_raw", {"count": len(data)})
        else:
            self._tell(data, *_garbage(data), bad=True)

    def _tell(
        self, data: bytes, word: str, values: Mapping[str, object], *, unit_id: int | None = None, bad: bool = False
    ) -> None:
        gap_ns = None if self._end_ns is None else self._first_ns - self._end_ns
        self._out.append(Said(self._first_ns, gap_ns, self._sent, data, word, values, unit_id, bad))
        self._end_ns = self._first_ns = self._last_ns


_Framing: TypeAlias = Callable[[bytearray, int, bool], tuple[int, Frame] | None]


def _rtu(held: bytearray, at: int, is_request: bool) -> tuple[int, Frame] | None:  # noqa: FBT001 - which of two sides
    """The good frame that stands there."""
    implied = modbus_frame.request_length if is_request else modbus_frame.reply_length
    length = implied(held, at)
    if not length or at + length > len(held) or crc16(held[at : at + length]) != 0:
        return None
    return length, Frame(held[at], bytes(held[at + 1 : at + length - 2]))


def _tcp(held: bytearray, at: int, _is_request: bool) -> tuple[int, Frame] | None:  # noqa: FBT001 - as of RTU
    size = int.from_bytes(held[at + 4 : at + MBAP])
    if len(held) < at + MBAP or held[at + 2 : at + 4] != b"\0\0" or not 2 <= size <= len(held) - at - MBAP:  # noqa: PLR2004 - unit_id and function
        return None
    end = at + MBAP + size
    return end - at, Frame(held[at + MBAP], bytes(held[at + MBAP + 1 : end]), int.from_bytes(held[at : at + 2]))


_FRAMINGS: Mapping[str, _Framing] = {"rtu": _rtu, "rtu_over_tcp": _rtu, "tcp": _tcp}


def _asked(request: Request) -> Words:
    if isinstance(request, ReadRequest):
        place = {"count": request.count, "address": f"{request.address:#06x}"}
        return f"trace_read_{request.table}", place
    if isinstance(request, ReadDeviceId):
        return "trace_identify", {}
    kind = "coil" if isinstance(request, WriteCoils) else "holding"
    values = _numbers([int(value) for value in request.values])
    return f"trace_write_{kind}", {"address": f"{request.address:#06x}", "values": values}


def _request(pdu: bytes) -> Request | None:
    try:
        return decode_request(pdu)
    except BadReply:
        return None


def _reply(request: Request, pdu: bytes) -> Words | None:
    try:
        data = reply_data(request, pdu)
    except DeviceException as error:
        return "trace_exception", {"number": error.exception}
    except BadReply:
        return None
    if isinstance(request, WriteCoils | WriteRegisters):
        return "trace_written", {}
    if isinstance(request, ReadDeviceId):
        return "trace_identity", {"text": ", ".join(_printable(text) for _, text in device_id(data).objects)}
    if request.table in {Table.COIL, Table.DISCRETE}:
        bits = [int(bit) for bit in unpack_bits(data, request.count)]
        return "trace_bits", {"count": request.count, "values": _numbers(bits)}
    words = list(unpack(f">{request.count}H", data))
    return "trace_registers", {"count": request.count, "values": _numbers(words)}


def _garbage(data: bytes) -> Words:
    """What bytes look like that are no frame."""
    length = modbus_frame.reply_length(bytearray(data), 0)
    if length and length == len(data):
        return "trace_bad_crc", {}
    if length and length > len(data):
        return "trace_incomplete", {"count": len(data), "length": length}
    return "trace_noise", {"count": len(data)}


def _numbers(values: list[int]) -> str:
    return " ".join(map(str, values[:VALUES_MAX])) + (" …" if len(values) > VALUES_MAX else "")


def _printable(data: bytes) -> str:
    """As text; what cannot be printed is a dot."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in data)  # noqa: PLR2004 - ASCII
