r"""VE.Direct text: Victron's chargers and battery monitors say everything they know, about once a second, unasked.

    block  = 1*(CR LF label TAB value) CR LF "Checksum" TAB byte        the sum of all of its bytes is 0 modulo 256
    hex    = ":" 1*(0-9 A-F) LF                                         another protocol on the same line, in between

A block has no mark at its front but the end of the one before it; who joins in the middle of one loses it, as its sum
is wrong. Frames of the hex protocol may stand anywhere in it and are not in its sum: they are taken out first. A
battery monitor sends two blocks in turn, measurements and history: a visit lasts until all parts that are wanted have
been told, or a block says nothing new.

Told as parts: the labels. ON and OFF are 1 and 0, hex numbers are numbers; `---` is no value, nor is -1 of TTG (never).
"""

import re
from collections.abc import Mapping, Sequence

from gateway.errors import NoReply
from gateway.protocols.conversation import Pause, Receive, Send, Talk
from gateway.protocols.framing import Framing
from gateway.protocols.parse import Parts
from gateway.protocols.plugin import Twin

END = b"\r\nChecksum\t"
BLOCK = Framing("line", max_bytes=2048, end=END, after=1)
BLOCK_MS = 2500  # between two blocks is one second
BLOCKS_MAX = 4  # of one visit
BEAT_MS = 900
SWITCHES = ("LOAD",)
_HEX_FRAME = re.compile(rb":[0-9A-F]{1,512}\n")
_LINE = re.compile(rb"([!-~]{1,8})\t([ -~]{0,32})")
_LABEL = re.compile(r"[!-~]{1,8}")
_NO_VALUE = {("TTG", "-1")}
_NAMED: Mapping[str, str | int] = {"ON": 1, "OFF": 0, "---": ""}


class VeDirect:
    """The text protocol of one device on a line of its own."""

    sends_by_itself = True

    def check(self, address: str, parts: Sequence[str]) -> None:
        """As `SerialProtocol`."""
        if address:
            raise ValueError("a VE.Direct device has no address")
        for part in parts:
            if not _LABEL.fullmatch(part) or part == "Checksum":
                raise ValueError(f"{part!r} is no label: 1 to 8 characters")

    def alone(self, address: str) -> bool:  # noqa: ARG002 - it has none
        """As `SerialProtocol`."""
        return True

    def poll(self, address: str, parts: Sequence[str]) -> Talk:  # noqa: ARG002 - it has none
        """As `SerialProtocol`; raises NoReply."""
        wanted = set(parts)
        found: dict[str, str | int | float] = {}
        for _ in range(BLOCKS_MAX):
            block = yield Receive(BLOCK, BLOCK_MS, fits=_is_good)
            told = labels(block) or {}
            if told.keys() <= found.keys():
                break
            found = {**told, **found}
            if wanted <= found.keys():
                break
        if not found:
            raise NoReply("no whole block came")
        return found

    def answer(self, address: str, told: Mapping[str, str | int | float]) -> Twin:  # noqa: ARG002 - it has none
        """As `SerialProtocol`: one block."""
        yield Pause(BEAT_MS)
        yield Send(block_of(told))


PROTOCOL = VeDirect()


def labels(block: bytes) -> Parts | None:
    """What a whole block says; None for what is no block: its sum, a line or a label that comes twice is wrong."""
    text = _HEX_FRAME.sub(b"", block)
    lines = text[: -len(END) - 1].split(b"\r\n")
    if sum(text) & 0xFF or lines.pop(0) or not lines or not text.endswith(END, 0, -1):
        return None
    found: dict[str, str | int | float] = {}
    for line in lines:
        pair = _LINE.fullmatch(line)
        if pair is None or (label := pair[1].decode("ascii")) in found:
            return None
        found[label] = _value(label, pair[2].decode("ascii"))
    return found


def block_of(told: Mapping[str, str | int | float]) -> bytes:
    """A whole block; raises ValueError for what it cannot say."""
    text = b""
    for label, value in told.items():
        line = f"{label}\t{_written(label, value)}".encode("ascii")
        if not _LINE.fullmatch(line):
            raise ValueError(f"{label}: {value!r} does not fit into a line")
        text += b"\r\n" + line
    text += END
    return text + bytes((-sum(text) & 0xFF,))


def _is_good(block: bytes) -> bool:
    return labels(block) is not None


def _value(label: str, text: str) -> str | int:
    if (label, text) in _NO_VALUE:
        return ""
    if re.fullmatch(r"0x[0-9A-Fa-f]{1,8}", text):
        return int(text, 16)
    return _NAMED.get(text, text)


def _written(label: str, value: str | float) -> str:
    if value == "":
        return "---"
    if label in SWITCHES:
        return "ON" if float(value) else "OFF"
    return str(value)
