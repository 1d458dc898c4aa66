"""gateway.protocols.umb: several channels in one question; what is not good costs only itself."""

import struct

import pytest

from gateway.errors import BadReply, NoReply
from gateway.protocols.conversation import Send
from gateway.protocols.framing import FrameReader
from gateway.protocols.rehearsal import Said, device, recorded, rehearse
from gateway.protocols.umb import OURS, PROTOCOL, TOGETHER_MAX, TYPES, frame_of, told_in

STATION = 0x7001
BAUD = 19200


def entry(channel: int, code: int, value: float, status: int = 0) -> bytes:
    """One channel of an answer."""
    body = bytes((status,)) + channel.to_bytes(2, "little") + bytes((code,)) + TYPES[code].pack(value)
    return bytes((len(body),)) + body


def answer(*entries: bytes, status: int = 0, count: int | None = None) -> bytes:
    """A whole frame of the station's."""
    head = bytes((status, len(entries) if count is None else count))
    return frame_of(OURS, STATION, head + b"".join(entries))


def test_the_frame_of_the_specification() -> None:
    """Its crc is that of the printed request for one channel, over another command."""
    assert frame_of(STATION, OURS, b"\x01\x64\x00").hex(" ").startswith("01 10 01 70 01 f0 05 02 2f 10 01 64 00 03")


def test_every_type_of_value() -> None:
    """Signed and unsigned, 8 to 64 bits, whole and not."""
    values = dict(zip(range(8), (200, -100, 60000, -30000, 4_000_000_000, -2_000_000_000, 1.5, -2.25), strict=True))
    frame = answer(*(entry(100 + n, 0x10 + n, value) for n, value in values.items()))
    assert told_in(frame) == {str(100 + n): value for n, value in values.items()}


def test_a_channel_that_is_not_good_costs_no_other() -> None:
    """None such, in its short form; busy, with a value that means nothing; a float that is no number."""
    short = bytes((3, 0x24)) + (400).to_bytes(2, "little")
    nan = entry(300, 0x16, float("nan"))
    assert told_in(answer(short, entry(100, 0x16, 20.5), entry(200, 0x16, 9.0, status=0x28), nan)) == {"100": 20.5}


@pytest.mark.parametrize(
    "frame",
    [
        answer(status=0x10),
        answer(entry(100, 0x16, 1.0), count=2),
        answer(entry(100, 0x16, 1.0)[:-1]),
        answer(bytes((8, 0, 100, 0, 0x11)) + bytes(4)),
        answer(bytes((8, 0, 100, 0, 0x99)) + bytes(4)),
        answer(b"\x00"),
        frame_of(OURS, STATION, b""),
    ],
)
def test_an_answer_that_is_not_as_it_says_is_refused(frame: bytes) -> None:
    """Its status, its count, a length, a type."""
    with pytest.raises(BadReply):
        told_in(frame)


def test_a_visit_with_its_twin() -> None:
    """Asked by channel, told by channel; more than fit into one question in two; what the station lacks is left out."""
    parts = tuple(str(100 + n) for n in range(TOGETHER_MAX + 4))
    twin = device(PROTOCOL, "0x7001", {part: float(part) / 4 for part in parts[:-1]})
    found, spoken = rehearse(PROTOCOL.poll("0x7001", parts), twin, BAUD)
    assert found == {part: float(part) / 4 for part in parts[:-1]}
    assert sum(isinstance(said, Said) and said.ours for said in spoken) == 2


def test_silence_and_another_station() -> None:
    """Nothing came; what another one says is not ours."""
    with pytest.raises(NoReply):
        rehearse(PROTOCOL.poll("0x7001", ("100",)), recorded([]), BAUD)
    other = frame_of(OURS, 0x7002, b"\0\1" + entry(100, 0x16, 1.0))
    talk = PROTOCOL.poll("0x7001", ("100",))
    assert next(talk) == Send(frame_of(STATION, OURS, b"\x01\x64\x00"))
    receive = talk.send(b"")
    assert list(FrameReader(receive.framing).feed(other)) == []  # type: ignore[union-attr]
    with pytest.raises(BadReply):
        talk.send(answer(bytes((3, 0x24, 100, 0))))


@pytest.mark.parametrize("address", ["", "x", "0x10000", "0", "0xF001"])
def test_an_address_that_no_station_has(address: str) -> None:
    """Ours neither."""
    with pytest.raises(ValueError, match="class and number"):
        PROTOCOL.check(address, ())


@pytest.mark.parametrize("part", ["t", "0100", "65536", "-1"])
def test_a_part_that_is_no_channel(part: str) -> None:
    """Decimal, as they are printed."""
    with pytest.raises(ValueError, match="no channel"):
        PROTOCOL.check("0x7001", (part,))
    assert not PROTOCOL.alone("0x7001")
    assert struct.calcsize("<f") == TYPES[0x16].size
