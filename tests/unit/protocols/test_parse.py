"""Parts of known frames, and their content back."""

import pytest

from gateway.errors import BadReply
from gateway.protocols.parse import Parse, check, frame_content, parts

GILL = Parse("split", 1, -4, require=(("3", "M"), ("5", "\x03")))
GILL_FRAME = b"\x02Q,229,002.74,M,00,\x0316\r\n"
PMS = Parse("binary", 4, -2, names=(*"abcdefghijkl", "version", "error"), layout=">12HBB")
PMS_FRAME = bytes.fromhex(
    "42 4D 00 1C 00 02 00 0A 00 0A 00 02 00 0A 00 0A 02 46 00 AF 00 31 00 16 00 00 00 00 97 00 02 AC"
)


def test_gill_windsonic() -> None:
    """Node, direction, speed, unit, status."""
    assert parts(GILL, GILL_FRAME) == {"0": "Q", "1": "229", "2": "002.74", "3": "M", "4": "00", "5": "\x03"}


def test_an_empty_part_stays_empty() -> None:
    """The WindSonic has no direction in calm air: no value, not 0."""
    assert parts(GILL, b"\x02Q,,000.02,M,00,\x0300\r\n")["1"] == ""


def test_pms5003() -> None:
    """Particle counts and the status bytes."""
    found = parts(PMS, PMS_FRAME)
    assert [found[name] for name in "abcdefghijkl"] == [2, 10, 10, 2, 10, 10, 582, 175, 49, 22, 0, 0]
    assert (found["version"], found["error"]) == (0x97, 0)


def test_sds011_is_little_endian() -> None:
    """PM2.5 123.6 and PM10 261.8 in tenths."""
    parse = Parse("binary", 2, -4, names=("pm25", "pm10"), layout="<HH")
    assert parts(parse, bytes.fromhex("AA C0 D4 04 3A 0A A1 60 1D AB")) == {"pm25": 1236, "pm10": 2618}


def test_megatec_is_split_at_spaces() -> None:
    """Another separator; the content ends where the frame does."""
    parse = Parse("split", 1, -1, separator=b" ")
    assert parts(parse, b"(226.0 195.0 00001000\r") == {"0": "226.0", "1": "195.0", "2": "00001000"}
    assert parts(Parse("split"), b"a,b") == {"0": "a", "1": "b"}


@pytest.mark.parametrize(
    ("parse", "frame"),
    [
        (GILL, b"\x02Q,229,002.74,N,00,\x0315\r\n"),  # knots
        (GILL, b"\x02Q,229\r\n"),  # too short for its unit
        (GILL, b"\x02Q,\xff29,002.74,M,00,\x0300\r\n"),
        (PMS, PMS_FRAME[:-1]),
        (PMS, PMS_FRAME + b"\0"),
        (Parse("binary", names=("a",), layout="4s"), b"\xff\xff\xff\xff"),
        (Parse("binary", names=("a",), layout=">H", require=(("a", "7"),)), b"\0\x08"),
    ],
)
def test_what_is_not_as_declared_is_a_bad_reply(parse: Parse, frame: bytes) -> None:
    """Another unit, a missing part, not a text, another length."""
    with pytest.raises(BadReply):
        parts(parse, frame)


def test_content_goes_back() -> None:
    """What parts gave, and what require fills in."""
    assert frame_content(GILL, {"0": "Q", "1": "229", "2": "002.74", "4": "00"}) == GILL_FRAME[1:-4]
    assert frame_content(PMS, parts(PMS, PMS_FRAME)) == PMS_FRAME[4:-2]
    assert frame_content(GILL, {"0": "Q"}) == b"Q,,,M,,\x03"
    assert frame_content(Parse("split"), {}) == b""


def test_texts_and_floats_in_a_binary_frame() -> None:
    """Padded with zeros; a required number is told as text."""
    parse = Parse("binary", names=("id", "x", "n"), layout=">4sfB", require=(("n", "7"),))
    content = frame_content(parse, {"id": "ab", "x": 1.5})
    assert content == b"ab\0\0\x3f\xc0\0\0\x07"
    assert parts(parse, content) == {"id": "ab", "x": 1.5, "n": 7}


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (Parse("csv"), "kind"),
        (Parse("split", separator=b""), "separator"),
        (Parse("binary", layout=">HH", names=("a",)), "names"),
        (Parse("binary", layout=">Z", names=("a",)), "layout"),
    ],
)
def test_a_parse_that_cannot_work_is_refused(wrong: Parse, why: str) -> None:
    """In words, before the first frame."""
    with pytest.raises(ValueError, match=why):
        check(wrong)


def test_a_parse_that_can_work_is_not_refused() -> None:
    """The two of this file."""
    check(GILL)
    check(PMS)
