"""Frames of real serial devices, cut anywhere, damaged anywhere."""

from dataclasses import replace

import pytest

from gateway.protocols.framing import FrameReader, Framing, check, encode, wrap

GILL = Framing(
    "line",
    64,
    start=b"\x02",
    end=b"\r\n",
    checksum="xor",
    checksum_from=1,
    checksum_until=-5,
    checksum_at=-4,
    checksum_text=True,
)
NMEA = Framing(
    "line",
    82,
    start=b"$",
    end=b"\r\n",
    checksum="xor",
    checksum_from=1,
    checksum_until=-5,
    checksum_at=-4,
    checksum_text=True,
)
PMS = Framing(
    "length",
    64,
    start=b"BM",
    length_at=2,
    length_bytes=2,
    length_plus=4,
    checksum="sum16_be",
    checksum_until=-2,
    checksum_at=-2,
)
SDS011 = Framing(
    "fixed",
    10,
    start=b"\xaa\xc0",
    end=b"\xab",
    length=10,
    checksum="sum8",
    checksum_from=2,
    checksum_until=-2,
    checksum_at=-2,
)
A02YYUW = Framing("fixed", 4, start=b"\xff", length=4, checksum="sum8", checksum_until=-1, checksum_at=-1)
MHZ19 = Framing(
    "fixed",
    9,
    start=b"\xff\x86",
    length=9,
    checksum="twos_complement8",
    checksum_from=1,
    checksum_until=-1,
    checksum_at=-1,
)
Q1 = Framing("line", 64, start=b"(", end=b"\r")
PLAIN = Framing("line", 16, end=b"\r\n")
CRC = Framing(
    "length", 32, start=b"\x01", length_at=1, length_plus=4, checksum="crc16_modbus", checksum_until=-2, checksum_at=-2
)

KNOWN = {  # as the makers or their users print them, checksums verified
    "gill": (GILL, b"\x02Q,229,002.74,M,00,\x0316\r\n"),
    "nmea gga": (NMEA, b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"),
    "nmea rmc": (NMEA, b"$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A\r\n"),
    "pms5003": (
        PMS,
        bytes.fromhex(
            "42 4D 00 1C 00 02 00 0A 00 0A 00 02 00 0A 00 0A 02 46 00 AF 00 31 00 16 00 00 00 00 97 00 02 AC"
        ),
    ),
    "pms5003 two": (
        PMS,
        bytes.fromhex(
            "42 4D 00 1C 00 1D 00 31 00 39 00 19 00 29 00 34 06 CF 05 F3 01 58 00 08 00 00 00 00 12 00 03 E8"
        ),
    ),
    "sds011": (SDS011, bytes.fromhex("AA C0 D4 04 3A 0A A1 60 1D AB")),
    "a02yyuw": (A02YYUW, bytes.fromhex("FF 07 A1 A7")),
    "mh-z19": (MHZ19, bytes.fromhex("FF 86 02 60 47 00 00 00 D1")),
    "megatec q1": (Q1, b"(226.0 195.0 226.0 014 49.0 27.5 30.0 00001000\r"),
}
EACH = pytest.mark.parametrize(("framing", "frame"), KNOWN.values(), ids=KNOWN)


@EACH
def test_known_frames_come_out_whole_however_they_are_cut(framing: Framing, frame: bytes) -> None:
    """Twice in a row, at every cut."""
    stream = frame + frame
    for cut in range(len(stream) + 1):
        reader = FrameReader(framing)
        assert [*reader.feed(stream[:cut]), *reader.feed(stream[cut:])] == [frame, frame]
        assert (reader.held_bytes, reader.skipped_bytes, reader.bad_checksums) == (0, 0, 0)


@EACH
def test_known_frames_are_built_again(framing: Framing, frame: bytes) -> None:
    """The simulators' side: checksum and end are added."""
    tail = len(framing.end) + {"none": 0, "sum16_be": 2}.get(framing.checksum, 2 if framing.checksum_text else 1)
    content = frame[: len(frame) - tail]
    assert encode(framing, content) == frame
    head = len(framing.start) + (framing.length_bytes if framing.kind == "length" else 0)
    assert wrap(framing, content[head:]) == frame


@EACH
def test_a_frame_behind_noise_is_found(framing: Framing, frame: bytes) -> None:
    """Noise, a false start, half a frame: each is skipped and counted, and the frame is not lost."""
    for noise in (b"\x00\x7f", framing.start, frame[: len(frame) // 2]):
        reader = FrameReader(framing)
        assert list(reader.feed(noise + frame + frame))[-1] == frame
        assert reader.skipped_bytes >= len(noise)


@pytest.mark.parametrize(("framing", "frame"), [known for known in KNOWN.values() if known[0] is not Q1])
def test_a_damaged_byte_is_never_passed_on(framing: Framing, frame: bytes) -> None:
    """Each byte in turn, but for the mark between data and checksum that none covers; the next frame still comes."""
    for at in {*range(len(frame))} - {*range(len(frame) + framing.checksum_until, len(frame) + framing.checksum_at)}:
        bad = bytearray(frame)
        bad[at] ^= 0x40
        reader = FrameReader(framing)
        found = list(reader.feed(bytes(bad) + frame + frame))
        assert set(found) == {frame}


def test_hex_digits_of_a_checksum_in_either_case() -> None:
    """Some NMEA talkers write lower case."""
    frame = KNOWN["nmea rmc"][1].replace(b"*6A", b"*6a")
    assert list(FrameReader(NMEA).feed(frame)) == [frame]


def test_a_frame_that_is_too_long_is_given_up() -> None:
    """A length field that lies, a line that does not end."""
    reader = FrameReader(PMS)
    assert list(reader.feed(b"BM\xff\xff" + KNOWN["pms5003"][1])) == [KNOWN["pms5003"][1]]
    reader = FrameReader(Q1)
    assert list(reader.feed(b"(" + b"0" * 1000 + KNOWN["megatec q1"][1])) == [KNOWN["megatec q1"][1]]


def test_a_length_that_ends_before_its_own_field_is_no_frame() -> None:
    """It cannot stop the reader."""
    framing = replace(CRC, length_plus=0)
    assert list(FrameReader(framing).feed(b"\x01\x00\x01\x00\x01\x00")) == []


def test_a_torn_line_without_a_checksum_does_not_eat_the_next() -> None:
    """Its start inside the candidate tells."""
    assert list(FrameReader(Q1).feed(b"(226.0 195(230.1\r")) == [b"(230.1\r"]


def test_a_line_without_start_waits_for_its_first_end() -> None:
    """The 2.34 of 12.34 is a wrong value: a stream that is joined gives up its first line."""
    reader = FrameReader(PLAIN)
    assert list(reader.feed(b"2.34\r\n12.35\r\n")) == [b"12.35\r\n"]
    assert reader.skipped_bytes == 6


def test_a_line_without_start_may_be_known_to_be_in_step() -> None:
    """The answer to a question begins with its first byte."""
    assert list(FrameReader(PLAIN, in_step=True).feed(b"12.34\r\n")) == [b"12.34\r\n"]


def test_the_tail_of_a_line_that_was_too_long_is_not_a_line() -> None:
    """Everything up to its end goes, also when the end comes in two pieces."""
    reader = FrameReader(PLAIN, in_step=True)
    assert list(reader.feed(b"9" * 15 + b"\r")) == []
    assert list(reader.feed(b"\n12.35\r\n")) == [b"12.35\r\n"]
    assert list(reader.feed(b"9" * 100 + b"\r\n12.36\r\n")) == [b"12.36\r\n"]


def test_a_line_without_start_and_with_a_bad_checksum_goes_as_a_whole() -> None:
    """Its tails would be tried against one byte of checksum each."""
    framing = replace(PLAIN, checksum="xor", checksum_until=-4, checksum_at=-4, checksum_text=True)
    reader = FrameReader(framing, in_step=True)
    good = encode(framing, b"12.35")
    assert list(reader.feed(b"12.3500\r\n" + good)) == [good]
    assert (reader.bad_checksums, reader.skipped_bytes) == (1, 9)


def test_checksum_in_front_of_what_it_covers() -> None:
    """Offsets may count from the frame's start."""
    framing = Framing(
        "fixed", 6, start=b"#", length=6, checksum="sum8", checksum_from=2, checksum_until=5, checksum_at=1
    )
    frame = encode(framing, b"#abcd")
    assert frame == b"#" + bytes((sum(b"abc") & 0xFF,)) + b"abcd"
    assert list(FrameReader(framing).feed(frame)) == [frame]


def test_wrap_needs_the_length_behind_the_start() -> None:
    """What cannot be built is said, not guessed."""
    with pytest.raises(ValueError, match="length field"):
        wrap(replace(PMS, length_at=3), b"")
    assert list(FrameReader(CRC).feed(wrap(CRC, b"abc"))) == [wrap(CRC, b"abc")]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (replace(GILL, kind="lines"), "kind"),
        (replace(GILL, checksum="crc32"), "checksum"),
        (replace(GILL, end=b""), "end"),
        (replace(GILL, max_bytes=2), "max_bytes"),
        (replace(SDS011, length=0), "length"),
        (replace(SDS011, length=11), "length"),
        (replace(PMS, length_bytes=0), "length_bytes"),
        (replace(SDS011, start=b"", checksum="none"), "hold on to"),
    ],
)
def test_a_framing_that_cannot_work_is_refused(wrong: Framing, why: str) -> None:
    """In words, before the first byte."""
    with pytest.raises(ValueError, match=why):
        check(wrong)
    with pytest.raises(ValueError, match=why):
        FrameReader(wrong)


def test_a_mark_before_the_checksum_is_looked_at() -> None:
    """The star of NMEA 0183 is in no checksum: a frame without it is none; both ways."""
    framing = Framing(
        "line", 80, b"$", b"\r\n", checksum="xor", checksum_from=1, checksum_until=-5, checksum_at=-4,
        checksum_text=True, checksum_mark=b"*",
    )  # fmt: skip
    good = b"$WIMWV,65.0,R,0.0,N,A*10\r\n"
    assert wrap(framing, b"WIMWV,65.0,R,0.0,N,A") == good
    reader = FrameReader(framing)
    assert list(reader.feed(good.replace(b"*", b"+") + good)) == [good]
    with pytest.raises(ValueError, match="checksum_mark"):
        check(Framing("line", 80, b"$", b"\r\n", checksum_mark=b"*"))


def test_the_start_of_an_answer_may_stand_in_its_content() -> None:
    """In step it is no torn line: the first start is the frame's."""
    framing = Framing("line", 40, start=b"0,", end=b"\r")
    answer = b"0,T=10,U=1\r"
    assert list(FrameReader(framing, in_step=True).feed(answer)) == [answer]
    assert list(FrameReader(framing).feed(answer)) == [b"0,U=1\r"]


BEHIND = Framing("line", 32, start=b"\x02", end=b"!\x03", after=1, checksum="xor", checksum_from=1,
                 checksum_until=-1, checksum_at=-1)  # fmt: skip


def test_a_checksum_may_stand_behind_the_end() -> None:
    """It is of the frame: made there, waited for, checked."""
    frame = encode(BEHIND, b"\x021.8.0(1)")
    assert frame == b"\x021.8.0(1)!\x03" + bytes((frame[-1],))
    reader = FrameReader(BEHIND)
    assert list(reader.feed(b"noise" + frame[:-1])) == []
    assert list(reader.feed(frame[-1:] + frame)) == [frame, frame]
    assert list(FrameReader(BEHIND).feed(frame[:-1] + b"\x7f" + frame)) == [frame]


def test_only_a_line_has_something_behind_its_end() -> None:
    """And not less than nothing."""
    for wrong in (Framing("fixed", 9, start=b"x", length=9, after=1), Framing("line", 9, end=b"x", after=-1)):
        with pytest.raises(ValueError, match=r"end|negative"):
            check(wrong)
