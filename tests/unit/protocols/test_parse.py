"""Parts of known frames, and their content back."""

import pytest

from gateway.errors import BadReply
from gateway.protocols.parse import Parse, check, concerns, frame_content, parts

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
        (Parse("pairs", pair=b""), "between name and value"),
        (Parse("sentence", sentence="gga"), "three letters"),
        (Parse("regex", pattern="(a+)+", sample="a"), "regular expressions"),
        (Parse("regex", pattern="(?P<a>[0-9])", sample="x"), "does not match"),
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


# --- pairs, sentences, patterns ---------------------------------------------------------------------------------------

WXT = Parse("pairs", suffix=(("Ta", "C"), ("Ua", "P"), ("Sm", "M")), void="#")
GGA = Parse(
    "sentence", 1, -5, sentence="GGA", degrees=(("latitude", "2", "3"), ("longitude", "4", "5")), require=(("10", "M"),)
)
GGA_FRAME = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"
RMC = Parse("sentence", 1, -5, sentence="RMC", valid=(("2", "A"),), degrees=(("latitude", "3", "4"),))
UPS = Parse(
    "regex",
    pattern=r"(?P<volts>[0-9]{3}\.[0-9]) (?P<load>[0-9]{3}) (?P<mains>[01])(?P<text>[A-Z]*)",
    sample="226.0 014 0AB",
)


def test_pairs_in_any_order() -> None:
    """The unit is cut off; another unit, a torn pair, no value: each is its own part's matter."""
    found = parts(WXT, b"0R0,Ua=31.0P,Ta=19.7C,Sm=0.1#,Id=Hel")
    assert found == {"0": "0R0", "Ua": "31.0", "Ta": "19.7", "Sm": "", "Id": "Hel"}
    assert parts(WXT, b"Ta=66.1F,Ua=0m=032P,Sm=1.0M") == {"Sm": "1.0"}


def test_a_pair_that_comes_twice_is_a_bad_reply() -> None:
    """Nobody can say which of both is right."""
    with pytest.raises(BadReply, match="twice"):
        parts(WXT, b"Ta=1.0C,Ta=2.0C")


def test_a_sentence_of_any_talker() -> None:
    """By its three letters; its star stays outside, its angle is decimal degrees."""
    found = parts(GGA, GGA_FRAME)
    assert (found["latitude"], found["longitude"], found["9"]) == ("48.1173000", "11.5166667", "545.4")
    assert parts(GGA, GGA_FRAME.replace(b"GPGGA", b"GNGGA"))["7"] == "08"
    assert concerns(GGA, GGA_FRAME)
    assert not concerns(GGA, GGA_FRAME.replace(b"GPGGA", b"GPGSV"))
    assert concerns(WXT, b"anything")
    for wrong in (
        GGA_FRAME.replace(b"GPGGA", b"GPGSV"),
        GGA_FRAME.replace(b"M,46", b"F,46"),
    ):
        with pytest.raises(BadReply):
            parts(GGA, wrong)


def test_a_device_that_says_that_it_has_no_values() -> None:
    """Every part is empty, whatever stands there: that is no bad reply, and no value."""
    found = parts(RMC, b"$GPRMC,1,V,4807.038,N,7*00\r\n")
    assert set(found.values()) == {""}
    assert {"latitude", "3", "5"} <= set(found)
    assert parts(RMC, b"$GPRMC,1,A,4807.038,N,7*00\r\n")["latitude"] == "48.1173000"


def test_an_angle_that_is_none_is_left_out() -> None:
    """The other parts stay."""
    found = parts(RMC, b"$GPRMC,1,A,9907.038,N,7*00\r\n")
    assert "latitude" not in found
    assert found["5"] == "7"


def test_a_pattern_takes_the_whole_content() -> None:
    """Named groups are the parts; more, less, or too much is a bad reply."""
    assert parts(UPS, b"226.0 014 1") == {"volts": "226.0", "load": "014", "mains": "1", "text": ""}
    for wrong in (b"226.0 014 2", b"226.0 014 1 ", b"226.0 014", b"\xff26.0 014 1", b"226.0 014 1" + b"A" * 256):
        with pytest.raises(BadReply):
            parts(UPS, wrong)


def test_decimal_commas_and_hex_digits() -> None:
    """A sign stands with its number; what are no hex digits is no part."""
    parse = Parse("split", decimal=",", separator=b";", hex=("1",))
    assert parts(parse, b"-1,5;1F") == {"0": "-1.5", "1": 31}
    assert parts(parse, b"+1,5;") == {"0": "+1.5", "1": ""}
    assert parts(parse, b"1,5;XY") == {"0": "1.5"}


@pytest.mark.parametrize(
    ("parse", "values"),
    [
        (WXT, {"Ta": "-1.5", "Ua": "", "Sm": "3.0"}),
        (GGA, {"latitude": "-33.8566670", "longitude": "151.2150000", "9": "-2.5", "7": "12"}),
        (GGA, {"latitude": "", "longitude": "", "9": ""}),
        (RMC, {"latitude": "16.0677780", "7": "0.1"}),
        (UPS, {"volts": "9.5", "load": "7", "mains": "1", "text": "X"}),
        (Parse("split", decimal=",", separator=b";", hex=("1",)), {"0": "-1.5", "1": "31"}),
    ],
)
def test_every_kind_survives_the_way(parse: Parse, values: dict[str, str]) -> None:
    """What the simulators make the gateway takes apart, with a frame around it where the parse counts in one."""
    content = frame_content(parse, values)
    frame = b"$" + content + b"*00\r\n" if parse.kind == "sentence" else content
    found = parts(parse, frame)
    for name, value in values.items():
        told = found[name]
        assert told == value if value == "" or not _is_number(value) else float(told) == pytest.approx(float(value))


def _is_number(text: str) -> bool:
    return text.replace(".", "").replace("-", "").isdigit()


def test_a_pattern_wants_digits_where_there_is_no_value() -> None:
    """Zeros then, as such devices write; nothing where it may be nothing."""
    assert frame_content(UPS, {"volts": "", "load": "", "mains": "", "text": ""}) == b"000.0 000 0"
    assert frame_content(UPS, {"text": ""}) == b"226.0 014 0"
    assert frame_content(Parse("regex", pattern="(?P<t>-?[0-9]+)", sample="021"), {"t": "-5"}) == b"-05"
