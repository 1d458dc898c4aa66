"""Declared framing of serial devices: line, fixed, length-prefixed, start/end bytes; checksums; a maximum always.

STUB: the dataclass is fixed by the foundation; bodies to be written.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Framing:
    """What a frame looks like.

    kind: "line" (start? content end), "fixed" (start, then `length` bytes in all), "length" (start, a length field, the rest).
    checksum: none, sum8, sum16_be, xor, twos_complement8, crc16_modbus; `checksum_text`: written as two upper-case hex digits.
    """

    kind: str
    max_bytes: int  # of a whole frame: a reader never holds more
    start: bytes = b""
    end: bytes = b""  # line: what ends a frame
    length: int = 0  # fixed: bytes in all
    length_at: int = 0  # length: where the length field is
    length_bytes: int = 1  # length: its size, big-endian
    length_plus: int = 0  # length: bytes in all = field + this
    checksum: str = "none"
    checksum_from: int = 0  # first byte it covers, from the frame's start
    checksum_until: int = 0  # end of what it covers, counted from the frame's end when negative or 0
    checksum_at: int = 0  # where it stands, counted from the frame's end when negative
    checksum_text: bool = False


class FrameReader:
    """Bytes in, whole checked frames out; resynchronises; counts what it skipped."""

    skipped_bytes: int
    bad_checksums: int

    def __init__(self, framing: Framing) -> None: ...
    def feed(self, data: bytes) -> Iterator[bytes]: ...


def encode(framing: Framing, content: bytes) -> bytes:
    """The simulators' side: `content` is the frame with its start and length in place; adds checksum and end."""
    ...
