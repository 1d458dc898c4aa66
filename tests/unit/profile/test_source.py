"""gateway.profile.source: how a device is read."""

from pathlib import Path

import pytest

from gateway import toml_file
from gateway.errors import Invalid, Problem
from gateway.profile.build import build
from gateway.profile.profile import Identify, Line, ModbusSource, Profile, SerialSource, Setup, Start
from gateway.profile.schema import ProfileSchema
from gateway.protocols.declared import Poll, SetupStep
from gateway.protocols.framing import Framing
from gateway.protocols.modbus_pdu import ReadRequest, Table, WriteRegisters
from gateway.protocols.parse import Parse
from tests.support.written import HEAD, PROFILE, codes, write

BINARY = f"""{HEAD}
[serial]
line = "9600 8N1"
period = "1s"
parse = {{ kind = "binary", content_from = 2, content_until = -2, layout = ">2H", names = ["dust", "rest"] }}
[serial.framing]
kind = "fixed"
start = "42 4D"
length = 8
max_bytes = 8
checksum = "sum16_be"
checksum_until = -2
checksum_at = -2
[fields]
pm10 = {{ part = "dust", unit = "ug/m3" }}
"""
TEXT = f"""{HEAD}
[serial]
line = "4800 7E1"
period = "500ms"
framing = {{ kind = "line", end = "0D 0A", max_bytes = 80 }}
parse = {{ kind = "split", separator = "3B", require = {{ 0 = "W" }} }}
[fields]
wind_speed = {{ part = "1", unit = "m/s", decimals = 2 }}
"""
ASKED = f"""{HEAD}
[serial]
line = "9600 8N1"
poll = "3F {{address:u8}} {{channel:u8}} {{sum8:0}}"
address = "7"
timeout = "300ms"
channels = {{ air = "1", water = "2" }}
[serial.parse]
kind = "binary"
content_from = 2
content_until = -1
layout = ">BH"
names = ["c", "t"]
require = {{ c = "{{channel}}" }}
[serial.framing]
kind = "fixed"
start = "23 {{address:u8}}"
length = 6
max_bytes = 6
checksum = "sum8"
checksum_until = -1
checksum_at = -1
[fields]
temperature = {{ part = "air.t", unit = "Cel", scale = 0.1 }}
water_temperature = {{ part = "water.t", unit = "Cel", scale = 0.1 }}
"""
REGEX = f"""{HEAD}
[serial]
line = "9600 8N1"
poll = "3F 0D"
framing = {{ kind = "line", start = "23", end = "0D", max_bytes = 64 }}
parse = {{ kind = "regex", content_from = 1, content_until = -1, pattern = "T (?P<t>[0-9.]+)", sample = "T 20.5" }}
[fields]
temperature = {{ part = "t", unit = "Cel", decimals = 1 }}
"""


def built(folder: Path, text: str) -> tuple[Profile, list[Problem]]:
    """The profile and its problems."""
    read = toml_file.read_located(write(folder / "acme" / "probe.toml", text), ProfileSchema)
    return build(read.value, read.places)


def test_modbus(tmp_path: Path) -> None:
    """Line, unit_id, limits, holes and fingerprint arrive."""
    modbus = """table = "input"
serial = { baud = 19200, parity = "E" }
unit_id = 144
max_registers = 15
min_gap_ms = 3.5
timeout = "300ms"
never_read = [{ table = "holding", first = 1, last = 2 }]
identify = [
    { address = 70, type = "f32", between = [45, 65] },
    { address = 0, table = "holding", type = "u16", equals = 9 },
]
"""
    profile, problems = built(tmp_path, PROFILE.replace('table = "input"\n', modbus))
    assert problems == []
    assert profile.source == ModbusSource(
        line=Line(19200, 8, "E", 1),
        unit_id=144,
        max_registers=15,
        min_gap_ms=3.5,
        timeout_ms=300,
        never_read=((Table.HOLDING, 1, 2),),
        identify=(Identify(Table.INPUT, 70, "f32", 45, 65), Identify(Table.HOLDING, 0, "u16", 9, 9)),
    )


def test_a_binary_stream(tmp_path: Path) -> None:
    """Its parts have types: that is how they are encoded again."""
    profile, problems = built(tmp_path, BINARY)
    assert problems == []
    assert profile.source == SerialSource(
        line=Line(9600),
        framing=Framing("fixed", 8, b"BM", length=8, checksum="sum16_be", checksum_until=-2, checksum_at=-2),
        parse=Parse("binary", 2, -2, names=("dust", "rest"), layout=">2H"),
        period_ms=1000,
    )
    assert (profile.fields[0].type, profile.fields[0].part, profile.fields[0].decimals) == ("u16", "dust", 0)


def test_a_text_stream(tmp_path: Path) -> None:
    """Its parts are numbered texts."""
    profile, problems = built(tmp_path, TEXT)
    assert problems == []
    assert isinstance(profile.source, SerialSource)
    assert profile.source.parse == Parse("split", separator=b";", require=(("0", "W"),))
    assert (profile.fields[0].type, profile.fields[0].table, profile.fields[0].address) == ("", None, None)


def test_a_device_that_is_asked(tmp_path: Path) -> None:
    """Its request, the address that it comes with, and a part with a type for each channel."""
    profile, problems = built(tmp_path, ASKED)
    assert problems == []
    assert isinstance(profile.source, SerialSource)
    assert profile.source.poll == Poll(
        "3F {address:u8} {channel:u8} {sum8:0}",
        300,
        start="23 {address:u8}",
        address="7",
        channels=(("air", "1"), ("water", "2")),
    )
    assert (profile.source.period_ms, profile.source.framing.start) == (0, b"#\x07")
    assert [(field.type, field.part) for field in profile.fields] == [("u16", "air.t"), ("u16", "water.t")]
    assert codes(built(tmp_path, REGEX)[1]) == []


def test_either_asked_or_by_itself(tmp_path: Path) -> None:
    """Both, or neither, is a problem."""
    for text in (ASKED.replace("timeout", 'period = "1s"\ntimeout'), TEXT.replace('period = "500ms"\n', "")):
        with pytest.raises(Invalid) as invalid:
            built(tmp_path, text)
        assert codes(invalid.value.problems) == ["bad_value"]


@pytest.mark.parametrize(
    ("text", "old", "new", "code"),
    [
        (BINARY, '["dust", "rest"]', '["dust"]', "bad_layout"),
        (BINARY, '["dust", "rest"]', '["dust", "dust"]', "doubled_name"),
        (BINARY, 'part = "dust"', 'part = "smoke"', "bad_layout"),
        (BINARY, "length = 8", "length = 9", "bad_layout"),
        (BINARY, 'part = "dust"', 'part = "dust", address = 1', "unknown_key"),
        (BINARY, 'part = "dust", ', "", "missing_key"),
        (BINARY, "pm10 =", 'pm1 = { part = "dust", unit = "ug/m3" }\npm10 =', "address_overlap"),
        (TEXT, 'part = "1"', 'part = "speed"', "bad_layout"),
        (TEXT, 'separator = "3B"', 'separator = ""', "bad_layout"),
        (TEXT, 'end = "0D 0A", ', "", "bad_layout"),
        (TEXT, 'separator = "3B"', 'layout = ">H"', "bad_layout"),
        (TEXT, "decimals = 2", 'decimals = 2, sentinels = ["0x01"]', "out_of_bounds"),
        (TEXT, ", decimals = 2", "", "missing_key"),
        (TEXT, 'period = "500ms"', 'period = "500ms"\naddress = "1"', "keys_clash"),
        (TEXT, 'end = "0D 0A"', 'end = "0D 0A", start = "{address}"', "bad_template"),
        (TEXT, 'separator = "3B"', 'pair = "3D"', "bad_layout"),
        (TEXT, 'part = "1"', 'part = "a.1"', "bad_layout"),
        (ASKED, 'address = "7"\n', "", "missing_key"),
        (ASKED, "{address:u8} ", "", "keys_clash"),
        (ASKED, 'address = "7"', 'address = "300"', "bad_template"),
        (ASKED, "channels = {", "wake_ms = 5\nchannels = {", "keys_clash"),
        (ASKED, "channels = {", f'wake = "{"00" * 65}"\nchannels = {{', "out_of_bounds"),
        (ASKED, "{channel:u8} ", "", "keys_clash"),
        (ASKED, 'start = "23 {address:u8}"', 'start = "23 {channel:u8}"', "bad_template"),
        (ASKED, 'part = "air.t"', 'part = "soil.t"', "bad_layout"),
        (ASKED, 'part = "air.t"', 'part = "t"', "bad_layout"),
        (REGEX, "[0-9.]+", "([0-9.]+)+", "bad_layout"),
        (REGEX, 'sample = "T 20.5"', 'sample = "T x"', "bad_layout"),
        (REGEX, "max_bytes = 64", "max_bytes = 257", "out_of_bounds"),
        (REGEX, 'part = "t"', 'part = "u"', "bad_layout"),
        (PROFILE, 'table = "input"', 'table = "input"\nnever_read = [{ first = 3, last = 2 }]', "out_of_bounds"),
    ],
)
def test_what_does_not_fit_together(tmp_path: Path, text: str, old: str, new: str, code: str) -> None:
    """One mistake, one problem."""
    assert old in text
    assert codes(built(tmp_path, text.replace(old, new))[1]) == [code]


SETUP = """[modbus.setup]
type = "f32"
unit_id = 20
baud = { address = 28, words = { 2400 = 0, 9600 = 2 } }
parity = { address = 18, words = { N = 0, E = 1, N2 = 3 } }
"""


def setup_of(folder: Path, setup: str) -> tuple[Setup | None, list[str]]:
    """As compiled, and the codes of what is wrong with it."""
    text = PROFILE.replace('table = "input"', f'table = "input"\norder = "CDAB"\n{setup}')
    profile, problems = built(folder, text)
    assert isinstance(profile.source, ModbusSource)
    return profile.source.setup, codes(problems)


def test_setup_registers(tmp_path: Path) -> None:
    """Where address, speed and parity are set, and which number stands for what."""
    expected = Setup(20, 28, ((0, 2400), (2, 9600)), 18, ((0, "N"), (1, "E"), (3, "N2")), "f32", "CDAB")
    assert setup_of(tmp_path, SETUP) == (expected, [])
    assert setup_of(tmp_path, "setup = { unit_id = 257 }") == (Setup(257), [])


@pytest.mark.parametrize(
    "setup", ["setup = {}", SETUP.replace("9600 = 2", "9600 = 0"), SETUP.replace("E = 1", "E = -1")]
)
def test_setup_registers_that_tell_nothing(tmp_path: Path, setup: str) -> None:
    """One number for two speeds, a number that no register holds, no register at all."""
    assert setup_of(tmp_path, setup)[1] == ["bad_setup"]


@pytest.mark.parametrize(
    ("keys", "wake", "found"),
    [
        ('wake = "00"\nwake_ms = 5', (b"\0", 5), []),
        ("wake_ms = 5", (b"", 5), ["keys_clash"]),
        (f'wake = "{"00" * 17}"', (bytes(17), 0), ["out_of_bounds"]),
    ],
)
def test_a_wake_byte(tmp_path: Path, keys: str, wake: tuple[bytes, int], found: list[str]) -> None:
    """Bytes before each request, and the time after them; bounded."""
    profile, problems = built(tmp_path, PROFILE.replace('table = "input"', f'table = "input"\n{keys}'))
    assert isinstance(profile.source, ModbusSource)
    assert ((profile.source.wake, profile.source.wake_ms), codes(problems)) == (wake, found)


@pytest.mark.parametrize(
    ("keys", "start", "found"),
    [
        (
            'function = 3, address = 500, pause = "8s", again = "1h"',
            Start(ReadRequest(Table.HOLDING, 500, 1), 8000, 3_600_000),
            [],
        ),
        ('function = 6, address = 500, value = 1, pause = "1s"', Start(WriteRegisters(500, (1,)), 1000), []),
        (
            'function = 16, address = 500, value = 1, pause = "1s"',
            Start(WriteRegisters(500, (1,), multiple=True), 1000),
            [],
        ),
        ('function = 3, address = 500, pause = "3m"', None, ["out_of_bounds"]),
        ('function = 3, address = 500, pause = "8s", again = "75s"', None, ["out_of_bounds"]),
        ('function = 3, address = 500, pause = "1s", again = "30s"', None, ["out_of_bounds"]),
        ('function = 3, address = 500, value = 1, pause = "8s"', None, ["bad_value"]),
        ('function = 6, address = 500, pause = "8s"', None, ["bad_value"]),
        ('function = 3, address = 1, pause = "8s"', None, ["in_hole"]),
    ],
)
def test_what_a_device_is_told_before_it_measures(
    tmp_path: Path, keys: str, start: Start | None, found: list[str]
) -> None:
    """One register, read or written; bounded; a read that starts it is stepped over by no other read."""
    table = "holding" if "in_hole" in found else "input"
    text = PROFILE.replace('table = "input"', f'table = "{table}"\nstart = {{ {keys} }}')
    if found == ["bad_value"]:
        with pytest.raises(Invalid) as invalid:
            built(tmp_path, text)
        assert codes(list(invalid.value.problems)) == found
        return
    profile, problems = built(tmp_path, text)
    assert isinstance(profile.source, ModbusSource)
    assert codes(problems) == found
    if start:
        assert profile.source.start == start
        stepped_over = (Table.HOLDING, 500, 500) in profile.source.never_read
        assert stepped_over == isinstance(start.request, ReadRequest)


STEP = 'send = "3F {address:u8} {sum8:0}"'


@pytest.mark.parametrize(
    ("text", "steps", "found"),
    [
        (ASKED, (f'{STEP}\nreply = "23 {{address:u8}}"\nreply_bytes = 6\npause = "50ms"',), []),
        (ASKED, (STEP,) * 4, []),
        (ASKED, (f"{STEP}\nreply_bytes = 6",), ["keys_clash"]),
        (ASKED, (f'{STEP}\nreply = "23 23"\nreply_bytes = 1',), ["bad_template"]),
        (ASKED, ('send = "{channel:u8}"',), ["bad_template"]),
        (ASKED, (f'{STEP}\nreply = "23"\ntimeout = "6s"',) * 2, ["out_of_bounds"]),
        (BINARY, ('send = "42 4D"\npause = "1s"',), []),
        (BINARY, ('send = "42 4D"\nreply = "42"',), ["keys_clash"]),
        (BINARY, ('send = "42 {address:u8}"',), ["bad_template"]),
    ],
)
def test_what_a_serial_device_is_told_when_it_comes_up(
    tmp_path: Path, text: str, steps: tuple[str, ...], found: list[str]
) -> None:
    """A few steps; an answer only of what is asked; all waits bounded."""
    setup = "".join(f"[[serial.setup]]\n{step}\n" for step in steps)
    profile, problems = built(tmp_path, text.replace("[fields]", f"{setup}[fields]"))
    assert codes(problems) == found
    if not found:
        assert isinstance(profile.source, SerialSource)
        assert len(profile.source.setup) == len(steps)


def test_the_setup_as_it_is_compiled(tmp_path: Path) -> None:
    """Times in ms, the answer's length, bytes as templates."""
    step = f'{STEP}\nreply = "23"\nreply_bytes = 6\ntimeout = "300ms"\npause = "1s"'
    profile, _ = built(tmp_path, ASKED.replace("[fields]", f"[[serial.setup]]\n{step}\n[fields]"))
    assert isinstance(profile.source, SerialSource)
    assert profile.source.setup == (SetupStep("3F {address:u8} {sum8:0}", "23", 6, 300, 1000),)
