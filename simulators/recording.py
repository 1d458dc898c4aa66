"""A recorded trace of a bus, read back, and the device that it makes. Pure.

JSON lines: first `{"v":1,"bus":"rs485-1","transport":"rtu","line":"9600 8N1"}`, then one chunk of bytes a line,
`{"t_ns":1500,"way":"out","bytes":"0104 0000 0002 71cb"}`: `out` is what the master sent, `in` what it got, `t_ns` when,
counted from the start: of `out` its first byte, of `in` its last.

As a device: each recorded request has the chunks that came before the next one as its reply, each with its delay. The
same request asked again gets the next recorded reply to it, and after the last one the first again; a request that was
never recorded is silence. On TCP the transaction ids of the replies become those of the requests that were asked now.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from json import JSONDecodeError, loads

from pydantic_core import PydanticCustomError

from gateway.errors import BadReply
from gateway.profile.profile import Line
from gateway.profile.types import serial_line
from gateway.protocols.modbus_frame import Frame, RtuReader, TcpReader, request_length

VERSION = 1
LINE_MAX_CHARACTERS = 1 << 16
CHUNKS_MAX = 1_000_000
TRANSPORTS = ("rtu", "tcp", "rtu_over_tcp", "stream")
TIDS_MAX = 64  # transactions that a late reply may still be of
HEADER_BYTES = 6  # of a TCP frame, up to its length


class BadTrace(ValueError):
    """A file that is no recorded trace, or that nothing can be made of."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some bytes."""

    t_ns: int
    out: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole trace."""

    transport: str
    line: Line
    chunks: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a reply, and when: after the request was heard."""

    after_ns: int
    data: bytes


def recording(lines: Iterable[str]) -> Recording:
    """From the lines of a file; raises BadTrace."""
    numbered = enumerate(lines, 1)
    _, first = next(numbered, (1, ""))
    head = _object(first, 1)
    transport, settings = head.get("transport"), head.get("line", "9600 8N1")
    if head.get("v") != VERSION or transport not in TRANSPORTS or not isinstance(settings, str):
        raise BadTrace("line 1: not the head of a trace of this version")
    try:
        line = serial_line(settings)
    except PydanticCustomError as error:
        raise BadTrace(f"line 1: {error}") from None
    chunks = tuple(_chunk(text, number) for number, text in numbered if text.strip())
    if not chunks or any(a.t_ns > b.t_ns for a, b in pairwise(chunks)):
        raise BadTrace("no chunks" if not chunks else "the chunks are not in order of time")
    return Recording(str(transport), line, chunks)


class Player:
    """Answers as the recorded devices did."""

    def __init__(self, recorded: Recording) -> None:
        self._is_tcp = recorded.transport == "tcp"
        self._exchanges: dict[tuple[int, bytes], list[tuple[int, tuple[Piece, ...]]]] = defaultdict(list)
        self._asked: dict[tuple[int, bytes], int] = {}
        self._tids: dict[int, int] = {}  # recorded -> now
        for frame, pieces in _exchanges(recorded):
            self._exchanges[frame.unit_id, frame.pdu].append((frame.tid or 0, pieces))
        if not self._exchanges:
            raise BadTrace("nothing was asked in it, or nothing that can be understood: play it as a bus")

    def answer(self, frame: Frame) -> tuple[Piece, ...]:
        """What to send; nothing for what was not recorded, or was not answered."""
        key = frame.unit_id, frame.pdu
        recorded = self._exchanges.get(key)
        if recorded is None:
            return ()
        number = self._asked.get(key, 0)
        self._asked[key] = number + 1
        tid, pieces = recorded[number % len(recorded)]
        if not self._is_tcp:
            return pieces
        self._tids.pop(tid, None)
        self._tids[tid] = frame.tid or 0
        while len(self._tids) > TIDS_MAX:
            del self._tids[next(iter(self._tids))]
        return _renamed(pieces, self._tids)


def _exchanges(recorded: Recording) -> Iterator[tuple[Frame, tuple[Piece, ...]]]:
    """Each request, with what came before the next."""
    reader = TcpReader() if recorded.transport == "tcp" else RtuReader(request_length)
    asked: Frame | None = None
    asked_ns, pieces = 0, list[Piece]()
    for chunk in recorded.chunks:
        if not chunk.out:
            pieces.append(Piece(chunk.t_ns - asked_ns, chunk.data))
            continue
        for frame in _frames(reader, chunk.data):
            if asked is not None:
                yield asked, tuple(pieces)
            asked, asked_ns, pieces = frame, chunk.t_ns, []
    if asked is not None:
        yield asked, tuple(pieces)


def _frames(reader: TcpReader | RtuReader, data: bytes) -> list[Frame]:
    try:
        return reader.feed(data)
    except BadReply as error:
        raise BadTrace(f"what was sent is no request: {error}") from None


def _renamed(pieces: tuple[Piece, ...], tids: dict[int, int]) -> tuple[Piece, ...]:
    """With the transaction ids of now; what is no whole header stays as it is."""
    whole = bytearray(b"".join(piece.data for piece in pieces))
    at = 0
    while at + HEADER_BYTES <= len(whole):
        tid = int.from_bytes(whole[at : at + 2])
        whole[at : at + 2] = tids.get(tid, tid).to_bytes(2)
        at += HEADER_BYTES + int.from_bytes(whole[at + 4 : at + 6])
    renamed, begin = [], 0
    for piece in pieces:
        renamed.append(Piece(piece.after_ns, bytes(whole[begin : begin + len(piece.data)])))
        begin += len(piece.data)
    return tuple(renamed)


def _chunk(text: str, number: int) -> Chunk:
    if number > CHUNKS_MAX:
        raise BadTrace(f"more than {CHUNKS_MAX} chunks")
    entry = _object(text, number)
    t_ns, way, data = entry.get("t_ns"), entry.get("way"), entry.get("bytes")
    try:
        if type(t_ns) is int and t_ns >= 0 and way in ("in", "out") and isinstance(data, str):
            return Chunk(t_ns, way == "out", bytes.fromhex(data))
    except ValueError:
        pass  # bad hex: told below, as everything that is no chunk
    raise BadTrace(f"line {number}: no chunk: t_ns, way (in or out) and bytes (hex)")


def _object(text: str, number: int) -> dict[str, object]:
    try:
        entry = loads(text) if len(text) <= LINE_MAX_CHARACTERS else None
    except (JSONDecodeError, RecursionError):
        entry = None
    if not isinstance(entry, dict):
        raise BadTrace(f"line {number}: not a JSON object")
    return entry
