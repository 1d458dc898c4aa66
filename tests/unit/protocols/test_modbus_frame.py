"""RTU and TCP frames: known ones, foreign ones, and what the readers do with everything else."""

import pytest
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from gateway.errors import BadReply
from gateway.protocols.modbus_frame import (
    RTU_MAX,
    Frame,
    RtuReader,
    TcpReader,
    Wanted,
    encode_rtu,
    encode_tcp,
    reply_length,
    request_length,
)

REQUESTS = {  # with the CRCs that makers and their users print
    "relay8 read": "01 01 00 00 00 08 3D CC",
    "relay8 on": "01 05 00 00 FF 00 8C 3A",
    "relay8 all on": "01 05 00 FF FF 00 BC 0A",
    "sdm630 voltage": "01 04 00 00 00 02 71 CB",
    "xy-md02": "01 04 00 01 00 02 20 0B",
    "senseair s8": "FE 04 00 03 00 01 D5 C5",
    "soil moisture": "01 03 00 12 00 01 24 0F",
    "soil, broadcast": "FF 03 07 D0 00 01 91 59",
    "water level": "00 03 00 04 00 02 84 1B",
    "turbidity": "00 03 00 00 00 02 C5 DA",
    "dali lamp": "01 03 00 05 00 02 D4 0A",
}
REPLIES = {
    "sdm630 voltage": "01 04 04 43 66 33 33 5A FA",
    "xy-md02": "01 04 04 01 31 02 22 2A CE",
    "senseair s8": "FE 04 02 01 90 AC D8",
    "soil moisture": "01 03 02 00 2D 78 59",
    "water level": "02 03 04 34 C3 00 C5 F7 6C",
    "dissolved oxygen": "00 03 02 00 FA 05 C7",
    "relay8 on": "01 05 00 00 FF 00 8C 3A",
}


def rtu(text: str) -> bytes:
    """A frame from its body."""
    body = bytes.fromhex(text)
    return encode_rtu(Frame(body[0], body[1:]))


GOOD = rtu("01 03 04 00 01 00 02")
WANTED = Wanted(1, 3, 6)


@pytest.mark.parametrize("known", REQUESTS.values(), ids=REQUESTS)
def test_known_requests(known: str) -> None:
    """Encoded and read as the makers print them."""
    raw = bytes.fromhex(known)
    (frame,) = RtuReader(request_length).feed(raw)
    assert encode_rtu(frame) == raw


@pytest.mark.parametrize("known", REPLIES.values(), ids=REPLIES)
def test_known_replies(known: str) -> None:
    """Encoded and read as the makers print them."""
    raw = bytes.fromhex(known)
    (frame,) = RtuReader(reply_length).feed(raw)
    assert encode_rtu(frame) == raw


@pytest.mark.parametrize(
    "body", ["03 006B 0003", "01 0013 0013", "06 0001 0003", "10 0001 0002 04 000A 0102", "2B 0E 01 00"]
)
def test_pymodbus_builds_the_same_frames(body: str) -> None:
    """RTU and TCP, byte for byte."""
    pdu = bytes.fromhex(body)
    foreign = DecodePDU(True).decode(pdu)
    assert foreign is not None
    foreign.dev_id, foreign.transaction_id = 17, 0x1501
    assert encode_rtu(Frame(17, pdu)) == FramerRTU(DecodePDU(True)).buildFrame(foreign)
    assert encode_tcp(Frame(17, pdu, 0x1501)) == FramerSocket(DecodePDU(True)).buildFrame(foreign)


def test_the_tcp_example_of_the_specification() -> None:
    """Messaging on TCP/IP implementation guide v1.0b: register 5 read through 0xFF."""
    raw = bytes.fromhex("15 01 00 00 00 06 FF 03 00 04 00 01")
    assert encode_tcp(Frame(0xFF, bytes.fromhex("03 0004 0001"), 0x1501)) == raw
    assert TcpReader().feed(raw) == [Frame(0xFF, bytes.fromhex("03 0004 0001"), 0x1501)]


def test_frames_are_bounded() -> None:
    """256 bytes on RTU, 260 on TCP; no transaction, no TCP frame."""
    assert len(encode_rtu(Frame(1, bytes(253)))) == RTU_MAX
    with pytest.raises(ValueError, match="RTU"):
        encode_rtu(Frame(1, bytes(254)))
    assert len(encode_tcp(Frame(1, bytes(253), 0))) == 260
    for frame in (Frame(1, bytes(254), 0), Frame(1, b"\x03")):
        with pytest.raises(ValueError, match="TCP"):
            encode_tcp(frame)


@pytest.mark.parametrize(
    ("begin", "expected"),
    [
        ("01", None),
        ("01 03", None),
        ("01 03 04", 9),
        ("01 83", 5),
        ("01 83 02", 5),
        ("01 83 00", 0),
        ("01 06", 8),
        ("01 10", 8),
        ("01 07", 0),
        ("01 03 FC", 0),
        ("01 03 FB", 256),
        ("01 2B", None),
        ("01 2B 0D", 0),
        ("01 2B 0E 01 01 00 00 00", 10),
        ("01 2B 0E 01 01 00 00 01", None),
        ("01 2B 0E 01 01 00 00 01 00 04", 16),
        ("01 2B 0E 01 01 00 00 02 00 FA", 0),
    ],
)
def test_how_long_a_reply_is(begin: str, expected: int | None) -> None:
    """From the function and the count inside: 0 = no reply begins like this, None = more is needed."""
    assert reply_length(bytearray.fromhex(begin), 0) == expected


@pytest.mark.parametrize(
    ("begin", "expected"),
    [("01", None), ("01 03", 8), ("01 2B", 7), ("01 10 0001 0002", None), ("01 10 0001 0002 04", 13), ("01 83", 0)],
)
def test_how_long_a_request_is(begin: str, expected: int | None) -> None:
    """The simulators' side."""
    assert request_length(bytearray.fromhex(begin), 0) == expected


def test_a_frame_in_pieces() -> None:
    """Byte by byte; nothing is held afterwards."""
    reader = RtuReader(reply_length)
    frames = [frame for at in range(len(GOOD)) for frame in reader.feed(GOOD[at : at + 1])]
    assert frames == [Frame(1, GOOD[1:-2])]
    assert (reader.held_bytes, reader.skipped_bytes) == (0, 0)


@pytest.mark.parametrize(
    "before",
    [
        "00",
        "FF FF FF",
        "01 03 FB",  # looks like the head of a frame of 256 bytes
        "01 03 00 6B 00 02 B5 D7",  # our own request
        "01",
        "01 83",
        "01 2B 0E",
    ],
)
def test_the_wanted_reply_is_found_behind_anything(before: str) -> None:
    """Garbage, echo and false headers are skipped and counted."""
    reader = RtuReader(reply_length, WANTED)
    assert reader.feed(bytes.fromhex(before) + GOOD) == [Frame(1, GOOD[1:-2])]
    assert reader.skipped_bytes == len(bytes.fromhex(before))


def test_a_reply_behind_a_torn_one_is_found() -> None:
    """The torn frame costs itself."""
    reader = RtuReader(reply_length, WANTED)
    assert reader.feed(GOOD[:-3]) == []
    assert reader.feed(GOOD) == [Frame(1, GOOD[1:-2])]
    assert reader.skipped_bytes == len(GOOD) - 3


def test_a_bad_crc_is_no_frame() -> None:
    """Any single bit."""
    for bit in range(8 * len(GOOD)):
        bad = bytearray(GOOD)
        bad[bit // 8] ^= 1 << bit % 8
        assert not any(WANTED.fits(frame) for frame in RtuReader(reply_length, WANTED).feed(bytes(bad)))


def test_foreign_replies_come_out_in_order() -> None:
    """Another unit_id, another count, an exception: the guard wants to see them."""
    others = [rtu("02 03 02 00 01"), rtu("01 03 02 00 01"), rtu("01 83 02"), rtu("01 06 00 01 00 03")]
    frames = RtuReader(reply_length, WANTED).feed(b"".join(others) + GOOD)
    assert [encode_rtu(frame) for frame in frames] == [*others, GOOD]
    assert [WANTED.fits(frame) for frame in frames] == [False, False, True, False, True]


def test_a_frame_inside_the_data_of_a_wanted_one_does_not_tear_it() -> None:
    """Register data that look like a short reply of the same device."""
    inner = rtu("01 83 02")
    outer = rtu("01 03 06" + (inner + b"\0").hex())
    reader = RtuReader(reply_length, Wanted(1, 3, 8))
    assert reader.feed(outer[:-2]) == []
    assert reader.feed(outer[-2:]) == [Frame(1, outer[1:-2])]


def test_an_exception_behind_garbage_is_found() -> None:
    """It is wanted too."""
    reader = RtuReader(reply_length, WANTED)
    assert reader.feed(b"\x01\x03\xfb" + rtu("01 83 02")) == [Frame(1, b"\x83\x02")]


def test_wanted_without_a_length_takes_any() -> None:
    """43/14 tells its length itself."""
    wanted = Wanted(1, 0x2B, None)
    assert wanted.fits(Frame(1, bytes.fromhex("2B 0E 01 01 00 00 00")))
    assert not wanted.fits(Frame(2, bytes.fromhex("2B 0E 01 01 00 00 00")))
    assert not wanted.fits(Frame(1, b""))
    assert not wanted.fits(Frame(1, bytes.fromhex("AB 02 00")))
    reader = RtuReader(reply_length, wanted)
    assert reader.feed(b"\x01\x03\xfb" + rtu("01 2B 0E 01 01 00 00 00")) != []


def test_requests_for_several_units() -> None:
    """The simulators' side: one line, many devices, a torn request between."""
    asked = [bytes.fromhex(REQUESTS["relay8 read"]), bytes.fromhex(REQUESTS["senseair s8"])]
    reader = RtuReader(request_length)
    frames = reader.feed(asked[0] + asked[1][:5] + asked[0] + asked[1])
    assert [frame.unit_id for frame in frames] == [1, 1, 0xFE]
    assert reader.skipped_bytes == 5


def test_frames_tell_where_they_begin() -> None:
    """Counted over all that was fed, garbage included, however it came in pieces."""
    frame = bytes.fromhex(REQUESTS["relay8 read"])
    raw = frame + b"\xff\xfe" + frame
    for cut in range(len(raw) + 1):
        reader = RtuReader(request_length)
        assert [one.begins for one in reader.feed(raw[:cut]) + reader.feed(raw[cut:])] == [0, len(frame) + 2]
    tcp, packet = TcpReader(), encode_tcp(Frame(1, b"\x83\x02", 8))
    assert [one.begins for one in tcp.feed(packet + packet[:3]) + tcp.feed(packet[3:])] == [0, len(packet)]


def test_reset_gives_up_what_is_held() -> None:
    """After a silence that no frame contains."""
    reader = RtuReader(request_length)
    reader.feed(b"\x01\x10\x00")
    reader.reset()
    assert (reader.held_bytes, reader.skipped_bytes) == (0, 3)


def test_tcp_frames_in_pieces_and_in_one() -> None:
    """Two frames, cut anywhere."""
    raw = encode_tcp(Frame(1, b"\x03\x02\x00\x01", 7)) + encode_tcp(Frame(2, b"\x83\x02", 8))
    for cut in range(len(raw) + 1):
        reader = TcpReader()
        frames = reader.feed(raw[:cut]) + reader.feed(raw[cut:])
        assert [(frame.tid, frame.unit_id) for frame in frames] == [(7, 1), (8, 2)]
        assert reader.held_bytes == 0


@pytest.mark.parametrize("header", ["0001 0001 0006 01", "0001 0000 0001 01", "0001 0000 00FF 01", "FFFF FFFF FFFF FF"])
def test_tcp_that_lost_step_says_so_for_good(header: str) -> None:
    """Protocol not 0, length not 2..254: nothing behind it can be trusted."""
    reader = TcpReader()
    good = encode_tcp(Frame(1, b"\x83\x02", 8))
    assert len(reader.feed(good + bytes.fromhex(header))) == 1
    for _ in range(3):
        with pytest.raises(BadReply, match="lost step"):
            reader.feed(good * 100)
    assert reader.held_bytes <= 260
