"""Declared framing of serial devices: line, fixed, length-prefixed; checksums; a maximum always. Both directions.

A frame is given out whole, start and end included: all offsets of a `Framing`, and of a `Parse`, count in it.
Invariants, whatever arrives in whatever pieces:
- what is given out has its start, its end, its length and a good checksum;
- never more than `max_bytes` are held; a frame that would be longer is given up;
- giving up means: one byte goes, and the hunt for `start` begins again right behind it, so that a torn frame costs
  itself and not the one that follows. Without a checksum a second start in a line is taken for that, unless `in_step`.

A line without a start has no mark but the end of the one before it. Giving up one byte of it would make a shorter line
of its tail, so the whole line goes; and a reader that joins a running stream cannot know where it came in, so the first
line goes too, unless `in_step` says that the input is known to begin with a line (the answer to a question).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.protocols import checksums


@dataclass(frozen=True, slots=True)
class Framing:
    """What a frame looks like.

    kind: "line" (start? content end), "fixed" (start, then `length` bytes in all), "length" (start, a length field, the
    rest). checksum: none, sum8, sum16_be, xor, twos_complement8, crc16_modbus, crc16_mcrf4xx, crc16_sdi12;
    `checksum_text`: written as upper-case hex digits, two a byte.
    """

    kind: str
    max_bytes: int  # of a whole frame: a reader never holds more
    start: bytes = b""
    end: bytes = b""  # line: what ends a frame; otherwise what its last bytes have to be
    after: int = 0  # line: bytes behind its end that are of the frame too (a checksum)
    length: int = 0  # fixed: bytes in all
    length_at: int = 0  # length: where the length field is
    length_bytes: int = 1  # length: its size, big-endian
    length_plus: int = 0  # length: bytes in all = field + this
    checksum: str = "none"
    checksum_from: int = 0  # first byte it covers, from the frame's start
    checksum_until: int = 0  # end of what it covers, counted from the frame's end when negative or 0
    checksum_at: int = 0  # where it stands, counted from the frame's end when negative
    checksum_text: bool = False
    checksum_mark: bytes = b""  # what stands right before it


class FrameReader:
    """Bytes in, whole checked frames out; resynchronises; counts what it skipped."""

    skipped_bytes: int
    bad_checksums: int

    def __init__(self, framing: Framing, *, in_step: bool = False) -> None:
        """Raises ValueError for a framing that cannot work."""
        check(framing)
        self.skipped_bytes = 0
        self.bad_checksums = 0
        self._framing = framing
        self._held = bytearray()
        self._takes_lines = framing.kind == "line" and not framing.start
        self._lost = self._takes_lines and not in_step
        self._in_step = in_step

    @property
    def held_bytes(self) -> int:
        """Bytes of a frame that is not complete yet."""
        return len(self._held)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that `data` completes; all of `data` is taken before this returns."""
        frames: list[bytes] = []
        at = 0
        while at < len(data):
            room = self._framing.max_bytes - len(self._held)
            self._held += data[at : at + room]
            at += room
            self._take(frames)
        return iter(frames)

    def _take(self, frames: list[bytes]) -> None:
        while self._hunt():
            length = 0 if self._is_torn() else _frame_length(self._framing, self._held)
            if length is None or (length > len(self._held) and length <= self._framing.max_bytes):
                if len(self._held) < self._framing.max_bytes:
                    return
                length = 0
            if not 0 < length <= self._framing.max_bytes:
                self._lose(None)
            elif self._lost:
                self._lost = False
                self._give_up(length)
            elif self._is_good(frame := bytes(self._held[:length])):
                frames.append(frame)
                del self._held[:length]
            else:
                self._lose(length)

    def _is_torn(self) -> bool:
        """Whether a line stands there with a whole one behind it, and no checksum to tell.

        Not in step: the start of an answer (an address, say) may stand in its content as well.
        """
        framing = self._framing
        if framing.kind != "line" or framing.checksum != "none" or not framing.start or self._in_step:
            return False
        end = self._held.find(framing.end, len(framing.start))
        return self._held.find(framing.start, 1, max(end, 0)) > 0

    def _hunt(self) -> bool:
        """Bring `start` to the front; whether there is anything to look at."""
        start = self._framing.start
        at = self._held.find(start)
        if at < 0:  # its first bytes may be the last that are held
            first = max(len(self._held) - len(start) + 1, 0)
            at = next(at for at in range(first, len(self._held) + 1) if start.startswith(bytes(self._held[at:])))
        self._give_up(at)
        return len(self._held) >= max(len(start), 1)

    def _lose(self, line: int | None) -> None:
        """The front is no frame: a byte goes, or the whole line where only its end is known."""
        if not self._takes_lines:
            self._give_up(1)
        elif line is None:
            self._lost = True
            self._give_up(len(self._held) - len(self._framing.end) + 1)
        else:
            self._give_up(line)

    def _give_up(self, count: int) -> None:
        self.skipped_bytes += count
        del self._held[:count]

    def _is_good(self, frame: bytes) -> bool:
        if not frame.endswith(self._framing.end, 0, len(frame) - self._framing.after):
            return False
        if _is_marked(self._framing, frame) and _says(self._framing, frame) == _checksum(self._framing, frame):
            return True
        self.bad_checksums += 1
        return False


def encode(framing: Framing, content: bytes) -> bytes:
    """The simulators' side: `content` is the frame with its start and length in place; adds checksum, mark and end."""
    tail = len(framing.end)
    if framing.checksum == "none":
        return content + framing.end
    content += framing.checksum_mark
    size = _checksum_bytes(framing)
    at = framing.checksum_at
    if at < 0:
        at += len(content) + size + tail
    whole = content + framing.end
    frame = whole[:at] + bytes(size) + whole[at:]
    return frame[:at] + _checksum(framing, frame) + frame[at + size :]


def wrap(framing: Framing, body: bytes) -> bytes:
    """The simulators' side: a whole frame around `body`, which stands right behind the start (and the length field)."""
    head = framing.start
    if framing.kind == "length":
        if framing.length_at != len(head):
            raise ValueError("the length field does not follow the start")
        tail = len(framing.checksum_mark) + _checksum_bytes(framing) + len(framing.end)
        size = len(head) + framing.length_bytes + len(body) + tail
        head += (size - framing.length_plus).to_bytes(framing.length_bytes, "big")
    return encode(framing, head + body)


def check(framing: Framing) -> None:
    """Raises ValueError, in words, for a framing that cannot work."""
    marked = bool(framing.start) or framing.checksum != "none"
    for wrong, why in (
        (framing.kind not in _LENGTHS, f"no such kind: {framing.kind}"),
        (framing.checksum not in CHECKSUMS, f"no such checksum: {framing.checksum}"),
        (framing.max_bytes < max(len(framing.start) + len(framing.end), 1), "max_bytes is too small"),
        (framing.kind == "line" and not framing.end, "a line needs an end"),
        (framing.after and framing.kind != "line", "only a line has something behind its end"),
        (framing.after < 0, "after is negative"),
        (framing.kind == "fixed" and not 0 < framing.length <= framing.max_bytes, "length is not in 1..max_bytes"),
        (
            bool(framing.checksum_mark) and framing.checksum == "none",
            "there is no checksum that checksum_mark stands before",
        ),
        (framing.kind == "length" and framing.length_bytes < 1, "length_bytes is not positive"),
        (framing.kind != "line" and not marked, "without start and checksum there is nothing to hold on to"),
    ):
        if wrong:
            raise ValueError(why)


def _line_length(framing: Framing, held: bytearray) -> int | None:
    at = held.find(framing.end, len(framing.start))
    if at < 0:
        return None
    return at + len(framing.end) + framing.after


def _fixed_length(framing: Framing, _held: bytearray) -> int | None:
    return framing.length


def _told_length(framing: Framing, held: bytearray) -> int | None:
    field_end = framing.length_at + framing.length_bytes
    if len(held) < field_end:
        return None
    length = int.from_bytes(held[framing.length_at : field_end], "big") + framing.length_plus
    return length if length >= max(field_end, len(framing.start)) else 0


_LENGTHS: dict[str, Callable[[Framing, bytearray], int | None]] = {
    "line": _line_length,
    "fixed": _fixed_length,
    "length": _told_length,
}
CHECKSUMS: dict[str, tuple[Callable[[bytes], bytes], int]] = {  # how it is made, and its size
    "none": (lambda _: b"", 0),
    "sum8": (checksums.sum8, 1),
    "sum16_be": (checksums.sum16_be, 2),
    "xor": (checksums.xor8, 1),
    "twos_complement8": (checksums.twos_complement8, 1),
    "crc16_modbus": (checksums.crc16_bytes, 2),
    "crc16_mcrf4xx": (checksums.mcrf4xx_bytes, 2),
    "crc16_sdi12": (checksums.sdi12_text, 3),
}


def _frame_length(framing: Framing, held: bytearray) -> int | None:
    """Bytes of the frame at the front: None = too early to tell, 0 = there is none."""
    return _LENGTHS[framing.kind](framing, held)


def _checksum_bytes(framing: Framing) -> int:
    return CHECKSUMS[framing.checksum][1] * (2 if framing.checksum_text else 1)


def _checksum(framing: Framing, frame: bytes) -> bytes:
    """What the checksum of this frame has to be, as it is written."""
    until = framing.checksum_until if framing.checksum_until > 0 else len(frame) + framing.checksum_until
    binary = CHECKSUMS[framing.checksum][0](frame[framing.checksum_from : until])
    return binary.hex().upper().encode() if framing.checksum_text else binary


def _is_marked(framing: Framing, frame: bytes) -> bool:
    at = framing.checksum_at if framing.checksum_at >= 0 else len(frame) + framing.checksum_at
    return frame[:at].endswith(framing.checksum_mark) if at >= 0 else not framing.checksum_mark


def _says(framing: Framing, frame: bytes) -> bytes:
    """What stands where the checksum belongs; a device may write its hex digits in either case."""
    at = framing.checksum_at if framing.checksum_at >= 0 else len(frame) + framing.checksum_at
    told = frame[at : at + _checksum_bytes(framing)] if at >= 0 else b""
    return told.upper() if framing.checksum_text else told
