"""Whatever arrives, in whatever pieces: no crash, no bound broken, nothing given out that was not checked."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BadReply, DeviceException
from gateway.protocols import modbus_pdu
from gateway.protocols.framing import FrameReader, Framing, encode, wrap
from gateway.protocols.modbus_frame import (
    RTU_MAX,
    TCP_MAX,
    Frame,
    RtuReader,
    TcpReader,
    Wanted,
    encode_rtu,
    encode_tcp,
    reply_length,
    request_length,
)
from gateway.protocols.modbus_pdu import ReadDeviceId, ReadRequest, Request, Table, WriteCoils, WriteRegisters

EXAMPLES = settings(max_examples=150, deadline=None)
U8, U16 = st.integers(0, 0xFF), st.integers(0, 0xFFFF)


def _fitting(address: int, count: int) -> tuple[int, int]:
    return min(address, 0x10000 - count), count


READS = st.builds(
    lambda table, span: ReadRequest(table, *span), st.sampled_from(Table), st.builds(_fitting, U16, st.integers(1, 125))
)
REQUESTS: st.SearchStrategy[Request] = st.one_of(
    READS,
    st.builds(
        WriteCoils, st.integers(0, 65_000), st.lists(st.booleans(), min_size=1, max_size=40).map(tuple), st.booleans()
    ),
    st.builds(
        WriteRegisters, st.integers(0, 65_000), st.lists(U16, min_size=1, max_size=123).map(tuple), st.booleans()
    ),
    st.builds(ReadDeviceId, st.integers(1, 4), U8),
)
PIECES = st.lists(st.integers(1, 40), min_size=1, max_size=20)
HEADS = st.sampled_from(
    [b"\x01\x03", b"\x01\x03\xfb", b"\x01\x83", b"\x01\x10", b"\x01\x2b\x0e", b"BM", b"\x02", b"\r\n", b"$"]
)
NOISE = st.lists(st.one_of(st.binary(max_size=40), HEADS), max_size=12).map(b"".join)


def _pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    found, at, turn = [], 0, 0
    while at < len(data):
        found.append(data[at : at + sizes[turn % len(sizes)]])
        at, turn = at + len(found[-1]), turn + 1
    return found


def _answer(request: Request, filling: bytes) -> bytes:
    """The pdu of some good reply."""
    if isinstance(request, ReadRequest):
        size = (modbus_pdu.reply_length(request) or 0) - 2
        return modbus_pdu.encode_reply(request, (filling * (size + 1))[:size])
    if isinstance(request, ReadDeviceId):
        return modbus_pdu.encode_reply(
            request, modbus_pdu.encode_device_id(modbus_pdu.DeviceId(1, None, ((0, filling),)))
        )
    return modbus_pdu.encode_echo(request)


@EXAMPLES
@given(REQUESTS)
def test_requests_survive_the_way(request: Request) -> None:
    """encode, frame, read, decode, encode again: the same bytes on RTU and TCP."""
    pdu = modbus_pdu.encode_request(request)
    assert modbus_pdu.encode_request(modbus_pdu.decode_request(pdu)) == pdu
    assert RtuReader(request_length).feed(encode_rtu(Frame(9, pdu))) == [Frame(9, pdu)]
    assert TcpReader().feed(encode_tcp(Frame(9, pdu, 3))) == [Frame(9, pdu, 3)]


@EXAMPLES
@given(REQUESTS, st.binary(min_size=1, max_size=60), PIECES)
def test_replies_survive_the_way(request: Request, filling: bytes, sizes: list[int]) -> None:
    """The reader's implied length is the length of every reply we know, in any pieces."""
    pdu = _answer(request, filling)
    reader = RtuReader(reply_length)
    assert [frame for piece in _pieces(encode_rtu(Frame(9, pdu)), sizes) for frame in reader.feed(piece)] == [
        Frame(9, pdu)
    ]
    assert pdu.endswith(modbus_pdu.reply_data(request, pdu))


@EXAMPLES
@given(READS, st.binary(min_size=1, max_size=20), NOISE, PIECES)
def test_the_wanted_reply_is_found_behind_any_noise(
    request: ReadRequest, filling: bytes, noise: bytes, sizes: list[int]
) -> None:
    """Unless the noise itself holds the exact header of the reply, the read is not lost."""
    pdu = _answer(request, filling)
    wanted = Wanted(1, pdu[0], len(pdu))
    good = encode_rtu(Frame(1, pdu))
    reader = RtuReader(reply_length, wanted)
    frames = [frame for piece in _pieces(noise + good, sizes) for frame in reader.feed(piece)]
    if (noise + good).find(good[:3]) == len(noise):
        assert [frame for frame in frames if wanted.fits(frame)][-1:] == [Frame(1, pdu)]


@EXAMPLES
@given(NOISE, PIECES, st.sampled_from([reply_length, request_length]), st.booleans())
def test_rtu_readers_keep_their_bounds(noise: bytes, sizes: list[int], side: object, hunting: bool) -> None:
    """Never more than a frame held; every byte given out or counted; every frame has a good CRC."""
    reader = RtuReader(reply_length if side is reply_length else request_length, Wanted(1, 3, 6) if hunting else None)
    given_out = 0
    for piece in _pieces(noise, sizes):
        for frame in reader.feed(piece):
            raw = encode_rtu(frame)
            assert raw in noise
            given_out += len(raw)
        assert reader.held_bytes < RTU_MAX
    assert given_out + reader.skipped_bytes + reader.held_bytes == len(noise)


@EXAMPLES
@given(NOISE, PIECES)
def test_tcp_readers_keep_their_bounds(noise: bytes, sizes: list[int]) -> None:
    """Frames or BadReply, and never more than a frame held after it."""
    reader = TcpReader()
    for piece in _pieces(noise, sizes):
        try:
            frames = reader.feed(piece)
        except BadReply:
            assert reader.held_bytes <= TCP_MAX
        else:
            assert all(encode_tcp(frame) in noise for frame in frames)


@EXAMPLES
@given(REQUESTS, st.binary(max_size=260))
def test_any_pdu_is_data_or_a_known_error(request: Request, pdu: bytes) -> None:
    """Nothing else leaves the room, on either side."""
    for told in (pdu, bytes((modbus_pdu.function(request),)) + pdu):
        with suppress(BadReply, DeviceException):
            assert modbus_pdu.encode_reply(request, modbus_pdu.reply_data(request, told)) == told
        try:
            assert modbus_pdu.encode_request(modbus_pdu.decode_request(told)) == told
        except BadReply:
            assert modbus_pdu.refusal(told) in {1, 3}


@EXAMPLES
@given(st.lists(st.booleans(), max_size=100))
def test_bits_go_both_ways(bits: list[bool]) -> None:
    """pack_bits and unpack_bits."""
    assert list(modbus_pdu.unpack_bits(modbus_pdu.pack_bits(bits), len(bits))) == bits


SUMS = {"none": 0, "sum8": 1, "sum16_be": 2, "xor": 1, "twos_complement8": 1, "crc16_modbus": 2}


@st.composite
def framings(draw: st.DrawFn) -> Framing:
    """Any framing with its checksum in front of its end."""
    kind = draw(st.sampled_from(["line", "fixed", "length"]))
    checksum = draw(st.sampled_from(list(SUMS)))
    text = draw(st.booleans())
    end = b"\r\n" if kind == "line" else draw(st.sampled_from([b"", b"\xab"]))
    tail = len(end) + SUMS[checksum] * (2 if text else 1)
    unmarked = kind == "line" or checksum != "none"
    return Framing(
        kind,
        max_bytes=draw(st.integers(24, 60)),
        start=draw(st.sampled_from([b"\x02", b"BM", *([b""] if unmarked else [])])),
        end=end,
        length=draw(st.integers(10, 24)),
        length_at=draw(st.integers(0, 4)),
        length_bytes=draw(st.integers(1, 2)),
        length_plus=draw(st.integers(-3, 10)),
        checksum=checksum,
        checksum_from=draw(st.integers(0, 3)),
        checksum_until=-tail,
        checksum_at=-tail,
        checksum_text=text,
    )


@EXAMPLES
@given(framings(), NOISE, PIECES, st.booleans())
def test_frame_readers_keep_their_bounds(framing: Framing, noise: bytes, sizes: list[int], in_step: bool) -> None:
    """Every byte is given out, counted or held; never more than max_bytes; every frame is what encode would make."""
    reader = FrameReader(framing, in_step=in_step)
    tail = -framing.checksum_at
    given_out = 0
    for piece in _pieces(noise, sizes):
        for frame in reader.feed(piece):
            assert len(frame) <= framing.max_bytes
            assert frame in noise
            assert frame.startswith(framing.start)
            if len(frame) >= tail:
                again = encode(framing, frame[: len(frame) - tail])
                assert again.upper() == frame.upper() if framing.checksum_text else again == frame
            given_out += len(frame)
        assert reader.held_bytes <= framing.max_bytes
    assert given_out + reader.skipped_bytes + reader.held_bytes == len(noise)


@EXAMPLES
@given(st.binary(max_size=20), st.sampled_from(list(SUMS)), NOISE, PIECES)
def test_a_frame_with_a_start_is_found_behind_any_noise(
    body: bytes, checksum: str, noise: bytes, sizes: list[int]
) -> None:
    """A second frame behind it at the latest: the first may be taken for the rest of a false one."""
    framing = Framing(
        "length", 64, b"\x05\x06", length_at=2, length_plus=0, checksum=checksum,
        checksum_until=-SUMS[checksum], checksum_at=-SUMS[checksum],
    )  # fmt: skip
    frame = wrap(framing, body.replace(b"\x05", b""))
    reader = FrameReader(framing)
    stream = noise.replace(b"\x05", b"") + frame
    assert [found for piece in _pieces(stream, sizes) for found in reader.feed(piece)] == [frame]
