"""Lufft UMB, binary: weather stations of Lufft and OTT HydroMet on RS-485, all channels in one question.

    frame   = 01 10 to[2] from[2] length 02 command version payload 03 crc[2] 04        numbers: lowest byte first
    length: of command, version and payload; crc: crc16_mcrf4xx over all before it
    address: class and number, 7001 hex is weather station 1; F001 hex is ours
    payload of 2F, asked:     count, count x channel[2]
    payload of 2F, answered:  status count, count x (length status channel[2] type value); length: of what is behind it
    type: 10 u8, 11 i8, 12 u16, 13 i16, 14 u32, 15 i32, 16 f32, 17 f64; status: 0 = good

A channel with another status (none such, busy, not measured) tells nothing, and costs no other its value. Told as
parts: channels, in decimal: "100".
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isfinite
from struct import Struct

from gateway.errors import BadReply, NoReply
from gateway.protocols.checksums import mcrf4xx_bytes
from gateway.protocols.conversation import Pause, Receive, Send, Talk
from gateway.protocols.framing import Framing
from gateway.protocols.plugin import Twin

OURS = 0xF001
SEVERAL, VERSION = 0x2F, 0x10
TOGETHER_MAX = 16  # channels of one question: their answers fit into a frame, whatever their type
REPLY_MS, TWIN_REPLY_MS, TWIN_IDLE_MS = 500, 20, 60_000
GOOD, NO_SUCH_CHANNEL = 0x00, 0x24
FLOAT = 0x16
TYPES: Mapping[int, Struct] = {0x10 + n: Struct(f"<{code}") for n, code in enumerate("BbHhIifd")}
_PAYLOAD, _TAIL = 10, 4
CHANNEL_MAX = 0xFFFF


class Umb:
    """Asks for up to 16 channels at a time."""

    def check(self, address: str, parts: Sequence[str]) -> None:
        """As `SerialProtocol`."""
        _address(address)
        for part in parts:
            if not part.isdecimal() or str(int(part)) != part or int(part) > CHANNEL_MAX:
                raise ValueError(f"{part!r} is no channel: a number up to {CHANNEL_MAX}")

    def alone(self, address: str) -> bool:  # noqa: ARG002 - every answer says its address
        """As `SerialProtocol`."""
        return False

    def poll(self, address: str, parts: Sequence[str]) -> Talk:
        """As `SerialProtocol`; raises NoReply and BadReply. Silence ends it, with what came before."""
        device = _address(address)
        found: dict[str, int | float] = {}
        answered = False
        for first in range(0, len(parts), TOGETHER_MAX):
            asked = parts[first : first + TOGETHER_MAX]
            channels = b"".join(int(part).to_bytes(2, "little") for part in asked)
            yield Send(frame_of(device, OURS, bytes((len(asked),)) + channels))
            frame = yield Receive(_framing(OURS, device), REPLY_MS, fits=_is_of_several)
            if not frame:
                break
            answered = True
            found |= {part: value for part, value in told_in(frame).items() if part in asked}
        if found:
            return found
        raise BadReply("not one channel is good") if answered else NoReply("nothing came")

    def answer(self, address: str, told: Mapping[str, str | int | float]) -> Twin:
        """As `SerialProtocol`: one question."""
        own = _address(address)
        frame = yield Receive(_framing(own, OURS), TWIN_IDLE_MS, fits=_is_of_several)
        if not frame:
            return
        yield Pause(TWIN_REPLY_MS)
        asked = frame[_PAYLOAD + 1 : -_TAIL]
        entries = [_entry(asked[at : at + 2], told) for at in range(0, len(asked), 2)]
        yield Send(frame_of(OURS, own, bytes((GOOD, len(entries))) + b"".join(entries)))


PROTOCOL = Umb()


def frame_of(to: int, sender: int, payload: bytes) -> bytes:
    """A frame of command 2F."""
    head = b"\x01\x10" + to.to_bytes(2, "little") + sender.to_bytes(2, "little") + bytes((len(payload) + 2,))
    body = head + bytes((0x02, SEVERAL, VERSION)) + payload + b"\x03"
    return body + mcrf4xx_bytes(body) + b"\x04"


def told_in(frame: bytes) -> Mapping[str, int | float]:
    """The good channels of an answer; raises BadReply for one that is not as it says."""
    payload = frame[_PAYLOAD:-_TAIL]
    if not payload or payload[0] != GOOD:
        raise BadReply(f"status {payload[:1].hex()}")
    found: dict[str, int | float] = {}
    entries = list(_entries(payload[2:]))
    if len(payload) == 1 or payload[1] != len(entries):
        raise BadReply(f"{len(entries)} channels, not {payload[1:2].hex()}")
    for entry in entries:
        if entry[0] == GOOD:
            channel, value = _value(entry)
            if isfinite(value):
                found[str(channel)] = value
    return found


def _entries(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        entry = data[at + 1 : at + 1 + data[at]]
        if not entry or len(entry) != data[at]:
            raise BadReply("a channel is cut short")
        yield entry
        at += 1 + len(entry)


def _value(entry: bytes) -> tuple[int, int | float]:
    form = TYPES.get(entry[3]) if len(entry) > 3 else None  # noqa: PLR2004 - status, channel, type
    if form is None or len(entry) != 4 + form.size:
        raise BadReply(f"a channel of {len(entry)} bytes has a type that does not fit: {entry[:4].hex(' ')}")
    (value,) = form.unpack(entry[4:])
    return int.from_bytes(entry[1:3], "little"), value


def _entry(channel: bytes, told: Mapping[str, str | int | float]) -> bytes:
    part = str(int.from_bytes(channel, "little"))
    measured = told.get(part, "")
    if measured == "":
        return bytes((3, NO_SUCH_CHANNEL)) + channel
    value = TYPES[FLOAT].pack(float(measured))
    return bytes((4 + len(value), GOOD)) + channel + bytes((FLOAT,)) + value


def _framing(to: int, sender: int) -> Framing:
    start = b"\x01\x10" + to.to_bytes(2, "little") + sender.to_bytes(2, "little")
    return Framing(
        "length", 267, start=start, end=b"\x04", length_at=6, length_plus=12,
        checksum="crc16_mcrf4xx", checksum_until=-3, checksum_at=-3,
    )  # fmt: skip


def _is_of_several(frame: bytes) -> bool:
    return len(frame) >= _PAYLOAD + _TAIL and frame[7:10] == bytes((0x02, SEVERAL, VERSION)) and frame[-_TAIL] == 0x03  # noqa: PLR2004 - ETX


def _address(address: str) -> int:
    try:
        number = int(address, 0)
    except ValueError:
        raise ValueError(f"{address!r}: class and number, as in 0x7001") from None
    if not 0 < number <= CHANNEL_MAX or number == OURS:
        raise ValueError(f"{address!r}: class and number, as in 0x7001")
    return number
