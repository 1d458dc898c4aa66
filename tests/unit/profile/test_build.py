"""gateway.profile.build: from what is written to what is run, what only the whole shows, and variants."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway import toml_file
from gateway.errors import Problem
from gateway.profile.build import build, build_variants
from gateway.profile.profile import Field, ModbusSource, Profile, SerialSource
from gateway.profile.schema import ProfileSchema
from gateway.protocols.modbus_pdu import Table
from gateway.protocols.sunspec import Sunspec
from tests.support.written import HEAD, codes, line_of, write


def built(folder: Path, modbus: str, fields: str) -> tuple[Profile, list[Problem]]:
    """A Modbus profile with these two tables."""
    path = write(folder / "acme" / "probe.toml", f"{HEAD}[modbus]\n{modbus}\n[fields]\n{fields}\n")
    read = toml_file.read_located(path, ProfileSchema)
    return build(read.value, read.places)


def one(folder: Path, field: str, modbus: str = 'table = "input"') -> Field:
    """The one field of a profile without problems."""
    profile, problems = built(folder, modbus, field)
    assert problems == []
    return profile.fields[0]


def test_a_field_compiles(tmp_path: Path) -> None:
    """Everything that is written arrives; unit, letter and quantity come from the list."""
    text = 'frequency = { address = 70, type = "f32", unit = "Hz", decimals = 2, range = [40, 70], every = "slow" }'
    assert one(tmp_path, text, 'table = "input"\norder = "CDAB"') == Field(
        name="frequency", quantity="frequency", unit="Hz", letter="f", decimals=2, low=40, high=70, every="slow",
        table=Table.INPUT, address=70, type="f32", order="CDAB",
    )  # fmt: skip


def test_an_offset_in_units_becomes_one_in_raw_steps(tmp_path: Path) -> None:
    """Scale 0.1 and offset -40 are (raw - 400) / 10: exact, no float arithmetic with 0.1."""
    field = one(tmp_path, 'temperature = { address = 0, type = "u16", unit = "Cel", scale = 0.1, offset = -40 }')
    assert (field.raw_offset, field.tens, field.scale, field.decimals) == (-400, 1, 1.0, 1)


@pytest.mark.parametrize(
    ("scale", "tens", "left", "decimals"),
    [("0.001", 3, 1.0, 3), ("1", 0, 1.0, 0), ("10", -1, 1.0, 0), ("1e-6", 6, 1.0, 6), ("1000.0", -3, 1.0, 0)],
)
def test_powers_of_ten_are_divisions(tmp_path: Path, scale: str, tens: int, left: float, decimals: int) -> None:
    """A decimal scale leaves no factor, and says the decimals."""
    field = one(tmp_path, f'pressure = {{ address = 0, type = "u32", unit = "hPa", scale = {scale} }}')
    assert (field.tens, field.scale, field.decimals) == (tens, left, decimals)


def test_another_scale_is_a_factor_and_needs_decimals(tmp_path: Path) -> None:
    """0.254 mm a tip is no power of ten: it is rounded, and somebody must say to what."""
    field = one(tmp_path, 'rain_total = { address = 0, type = "u16", unit = "mm", scale = 0.254, decimals = 3 }')
    assert (field.tens, field.scale, field.decimals) == (0, 0.254, 3)
    _, problems = built(
        tmp_path, 'table = "input"', 'rain_total = { address = 0, type = "u16", unit = "mm", scale = 0.254 }'
    )
    assert codes(problems) == ["missing_key"]


def test_a_default_order_does_not_touch_single_registers(tmp_path: Path) -> None:
    """An order is one of registers."""
    field = one(tmp_path, 'humidity = { address = 0, type = "u16", unit = "%" }', 'table = "input"\norder = "DCBA"')
    assert field.order == "ABCD"


def test_a_field_may_borrow_a_quantity(tmp_path: Path) -> None:
    """relay_1 and relay_2 mean the same thing."""
    text = 'relay_1 = { address = 0, type = "bit", unit = "1", quantity = "relay" }'
    field = one(tmp_path, text, 'table = "coil"')
    assert (field.quantity, field.letter, field.words) == ("relay", "b", 1)


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ('voltage = { address = 0, type = "f32", unit = "V", decimals = 1 }', "unknown_quantity"),
        ('frequency = { address = 0, type = "f32", unit = "V", decimals = 1 }', "wrong_unit"),
        ('frequency = { address = 0, type = "f32", unit = "Hz" }', "missing_key"),
        ('frequency = { type = "f32", unit = "Hz", decimals = 1 }', "missing_key"),
        ('frequency = { address = 0, unit = "Hz", decimals = 1 }', "missing_key"),
        ('frequency = { address = 0, type = "u16", unit = "Hz", part = "1" }', "unknown_key"),
        ('frequency = { address = 0, type = "u16", unit = "Hz", order = "CDAB" }', "type_order"),
        ('frequency = { address = 0, type = "u16", unit = "Hz", scale = 0.1, decimals = 2 }', "wrong_decimals"),
        ('frequency = { address = 0, type = "u16", unit = "Hz", sentinels = ["0x1FFFF"] }', "out_of_bounds"),
        ('frequency = { address = 0, type = "u16", unit = "Hz", sentinels = ["-1"] }', "out_of_bounds"),
        ('frequency = { address = 0xFFFF, type = "f32", unit = "Hz", decimals = 1 }', "out_of_bounds"),
        ('frequency = { address = 0, type = "u16", unit = "Hz", table = "coil" }', "wrong_table"),
        ('relay = { address = 0, type = "u16", unit = "1" }', "wrong_letter"),
        ('frequency = { address = 0, type = "u64", unit = "Hz" }', "too_wide"),
        ('frequency = { address = 9, type = "u32", unit = "Hz" }', "in_hole"),
        ('frequency = { address = 12, type = "u16", unit = "Hz" }', "in_hole"),
    ],
)
def test_what_is_wrong_with_a_field(tmp_path: Path, field: str, code: str) -> None:
    """One mistake, one problem, at the line of the field."""
    modbus = 'table = "input"\nmax_registers = 2\nnever_read = [{ first = 10, last = 12 }]'
    _, problems = built(tmp_path, modbus, field)
    assert codes(problems) == [code]
    text = (tmp_path / "acme" / "probe.toml").read_text()
    assert problems[0].line == line_of(text, field.split(" ", maxsplit=1)[0] + " =")


def test_the_neighbours_of_a_hole_are_fine(tmp_path: Path) -> None:
    """A hole reaches from its first to its last address, in its own table."""
    modbus = 'table = "input"\nnever_read = [{ first = 10, last = 12 }]'
    fields = """frequency = { address = 8, type = "u32", unit = "Hz" }
humidity = { address = 13, type = "u16", unit = "%" }
pressure = { address = 11, table = "holding", type = "u16", unit = "hPa" }"""
    assert built(tmp_path, modbus, fields)[1] == []


def test_a_table_must_be_said_once(tmp_path: Path) -> None:
    """Neither in [modbus] nor in the field: nobody knows where the register stands."""
    _, problems = built(tmp_path, "", 'humidity = { address = 0, type = "u16", unit = "%" }')
    assert [(p.code, p.path) for p in problems] == [("missing_key", "fields.humidity.table")]


def test_overlaps_are_found_in_each_table(tmp_path: Path) -> None:
    """Two numbers never share a register; the same address in another table is another place."""
    fields = """frequency = { address = 0, type = "f32", unit = "Hz", decimals = 1 }
humidity = { address = 1, type = "u16", unit = "%" }
pressure = { address = 1, table = "holding", type = "u16", unit = "hPa" }"""
    _, problems = built(tmp_path, 'table = "input"', fields)
    assert [(p.code, p.path) for p in problems] == [("address_overlap", "fields.humidity.address")]


BITS = """fault = { address = 3, type = "u16", bit = 0, unit = "1", quantity = "relay" }
alarm = { address = 3, type = "u16", bit = 15, unit = "1", quantity = "relay" }
grade = { address = 3, type = "u16", bits = [4, 3], unit = "1", quantity = "uv_index" }"""


def test_fields_may_share_a_register(tmp_path: Path) -> None:
    """Bits that are apart; a bit twice, or the register as a whole besides, is an overlap."""
    assert built(tmp_path, 'table = "input"', BITS)[1] == []
    again = 'level = { address = 3, type = "u16", bits = [6, 2], unit = "1", quantity = "uv_index" }'
    whole = 'level = { address = 3, type = "u16", unit = "1", quantity = "uv_index" }'
    wide = 'level = { address = 2, type = "u32", unit = "1", quantity = "uv_index" }'
    for more in (again, whole, wide):
        _, problems = built(tmp_path, 'table = "input"', f"{BITS}\n{more}")
        assert set(codes(problems)) == {"address_overlap"}


SCALE = 'power = { address = 1, type = "i16", hidden = true, sentinels = ["0x8000"] }'
SCALED = (
    'level = { address = 0, type = "i16", unit = "m", decimals = 2, scale_from = "power", quantity = "water_level" }'
)


def test_a_scale_register(tmp_path: Path) -> None:
    """It is hidden, so it needs no unit and no quantity, and is not reported."""
    profile, problems = built(tmp_path, 'table = "input"', f"{SCALE}\n{SCALED}")
    assert problems == []
    assert [field.name for field in profile.reported] == ["level"]
    assert profile.fields[0] == Field(
        name="power", quantity="", unit="1", letter="f", decimals=0, table=Table.INPUT, address=1, type="i16",
        sentinels=(0x8000,), hidden=True,
    )  # fmt: skip
    assert profile.fields[1].scale_from == "power"


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('scale_from = "power"', 'scale_from = "powr"', "fields.level.scale_from"),
        ("hidden = true", 'unit = "1", quantity = "uv_index"', "fields.level.scale_from"),
        ("hidden = true", "scale = 10, hidden = true", "fields.level.scale_from"),
        ("hidden = true", "offset = 1, hidden = true", "fields.level.scale_from"),
        ('"i16", hidden', '"f32", order = "ABCD", hidden', "fields.level.scale_from"),
        ('type = "i16", unit', 'type = "f32", unit', "fields.level.scale_from"),
        ("decimals = 2", "decimals = 2, scale = 0.25", "fields.level.scale_from"),
        (', scale_from = "power"', "", "fields.power.hidden"),
    ],
)
def test_scales_that_cannot_be(tmp_path: Path, old: str, new: str, path: str) -> None:
    """What is no whole number, no power, not hidden or not there; a hidden field that nobody needs."""
    text = f"{SCALE}\n{SCALED}".replace("address = 1", "address = 5")
    assert old in text
    _, problems = built(tmp_path, 'table = "input"', text.replace(old, new))
    assert ("bad_scale_from", path) in [(problem.code, problem.path) for problem in problems]


def test_a_profile_measures_something(tmp_path: Path) -> None:
    """Settings alone are no device to poll."""
    _, problems = built(tmp_path, 'table = "input"', 'places = { address = 0, type = "u16", parameter = true }')
    assert [(problem.code, problem.path) for problem in problems] == [("bad_value", "fields")]


VARIED = """temperature = { address = 0, type = "i16", unit = "Cel", scale = 0.1 }
humidity = { address = 1, type = "u16", unit = "%", scale = 0.1 }
[variants.fine]
title = { en = "Fine probe", vi = "Đầu đo mịn" }
"""


def varied(folder: Path, variant: str) -> tuple[Mapping[str, Profile], list[tuple[str, str, int]]]:
    """The variants of a small profile, and (code, path, line) of what is wrong with them."""
    path = write(folder / "acme" / "probe.toml", f'{HEAD}[modbus]\ntable = "input"\n[fields]\n{VARIED}{variant}\n')
    read = toml_file.read_located(path, ProfileSchema)
    _, known = build(read.value, read.places)
    assert known == []
    made, problems = build_variants(read.value, read.places, known)
    return made, [(problem.code, problem.path, problem.line) for problem in problems]


def test_a_variant_is_a_profile_of_the_same_ref(tmp_path: Path) -> None:
    """It says what differs: keys of a field, a field more, one less, keys of [modbus]; all else stays."""
    made, problems = varied(
        tmp_path,
        """without = ["humidity"]
modbus = { unit_id = 7, serial = { baud = 4800 } }
[variants.fine.fields]
temperature = { scale = 0.01 }
pressure = { address = 2, type = "u16", unit = "hPa" }""",
    )
    assert problems == []
    profile = made["fine"]
    assert (profile.ref, profile.title[0]) == ("acme/probe@1", ("en", "Fine probe"))
    temperature, pressure = profile.fields
    assert (temperature.address, temperature.tens, temperature.decimals) == (0, 2, 2)
    assert pressure.name == "pressure"
    assert isinstance(profile.source, ModbusSource)
    assert (profile.source.unit_id, profile.source.line.baud, profile.source.timeout_ms) == (7, 4800, 1000)


@pytest.mark.parametrize(
    ("variant", "code", "path"),
    [
        ("", "bad_variant", "variants.fine"),
        ('without = ["humidty"]', "bad_variant", "variants.fine.without[0]"),
        ("fields = { humidity = { address = 0 } }", "address_overlap", "variants.fine.fields.humidity.address"),
        ('fields = { temperature = { unit = "K" } }', "wrong_unit", "variants.fine.fields.temperature.unit"),
        ('fields = { pressure = { unit = "hPa" } }', "missing_key", "variants.fine.fields.pressure.address"),
        ('fields = { humidity = { labels = { 0 = "dry" } } }', "keys_clash", "variants.fine.fields.humidity.scale"),
    ],
)
def test_what_is_wrong_with_a_variant(tmp_path: Path, variant: str, code: str, path: str) -> None:
    """Found as in a profile, told at the variant, and once."""
    _, problems = varied(tmp_path, variant)
    assert (code, path) in [(found, where) for found, where, _ in problems]
    text = (tmp_path / "acme" / "probe.toml").read_text()
    assert min(line for *_, line in problems) >= (
        line_of(text, "humidity =") if code == "keys_clash" else line_of(text, "[variants.fine]")
    )


def test_what_is_wrong_with_the_profile_is_not_told_of_its_variants(tmp_path: Path) -> None:
    """One mistake, one problem."""
    text = f'{HEAD}[modbus]\ntable = "input"\n[fields]\n{VARIED}modbus = {{ unit_id = 7 }}\n'.replace('"Cel"', '"K"')
    read = toml_file.read_located(write(tmp_path / "p.toml", text), ProfileSchema)
    _, known = build(read.value, read.places)
    assert codes(known) == ["wrong_unit"]
    assert build_variants(read.value, read.places, known)[1] == []


def test_a_stream_has_no_modbus_to_vary(tmp_path: Path) -> None:
    """A variant's [modbus] goes over the profile's."""
    text = f"""{HEAD}[serial]
line = "9600 8N1"
period = "1s"
framing = {{ kind = "line", end = "0D", max_bytes = 9 }}
parse = {{ kind = "split" }}
[fields]
temperature = {{ part = "0", unit = "Cel", decimals = 1 }}
[variants.fine]
title = {{ en = "Fine probe", vi = "Đầu đo mịn" }}
modbus = {{ unit_id = 7 }}
"""
    read = toml_file.read_located(write(tmp_path / "p.toml", text), ProfileSchema)
    _, problems = build_variants(read.value, read.places, [])
    assert [(problem.code, problem.path) for problem in problems] == [("bad_variant", "variants.fine.modbus")]


MODEL = "sunspec = { models = [101, 103], length = 50 }"
POWER = 'active_power = { address = 14, type = "i16", unit = "W", decimals = 1, scale_from = "tens" }'
TENS = 'tens = { address = 15, type = "i16", hidden = true }'


def test_a_sunspec_model_has_its_header_as_hidden_fields(tmp_path: Path) -> None:
    """At the model's first two registers; they are read behind each group, with its scales."""
    profile, problems = built(tmp_path, f'table = "holding"\n{MODEL}', f"{POWER}\n{TENS}")
    assert problems == []
    assert isinstance(profile.source, ModbusSource)
    assert profile.source.sunspec == Sunspec((101, 103), 50)
    assert [(field.name, field.address) for field in profile.fields if field.hidden] == [
        ("sunspec_model", 0),
        ("sunspec_length", 1),
        ("tens", 15),
    ]
    assert [field.name for field in profile.behind(profile.reported)] == ["sunspec_model", "sunspec_length", "tens"]
    assert {profile.address_space(field) for field in profile.fields} == {"model"}


@pytest.mark.parametrize(
    ("modbus", "field", "code", "path"),
    [
        ("", POWER.replace("14", "1"), "address_overlap", "fields.active_power.address"),
        ("", POWER.replace("14", "52"), "out_of_bounds", "fields.active_power.address"),
        ("", 'active_power = { address = 14, type = "i16", unit = "W", writable = { low = 0, high = 9 } }',
         "bad_writable", "fields.active_power.writable"),
        ("", POWER.replace("type", 'table = "input", type'), "wrong_table", "fields.active_power"),
        ('identify = [{ address = 0, type = "u16", equals = 1 }]', POWER, "keys_clash", "modbus.identify"),
        ("never_read = [{ first = 3, last = 4 }]", POWER, "keys_clash", "modbus.never_read"),
    ],
    ids=["on the header", "behind the model", "written", "elsewhere", "identify", "never_read"],
)  # fmt: skip
def test_what_a_sunspec_profile_cannot_say(tmp_path: Path, modbus: str, field: str, code: str, path: str) -> None:
    """Where the model stands is not in its hands."""
    fields = f"{field}\n{TENS}" if "scale_from" in field else field
    _, problems = built(tmp_path, f'table = "holding"\n{MODEL}\n{modbus}', fields)
    assert [(problem.code, problem.path) for problem in problems] == [(code, path)]


def test_sunspec_models_are_in_the_holding_table(tmp_path: Path) -> None:
    """Told at the table, and at each field that it moves elsewhere."""
    _, problems = built(tmp_path, f'table = "input"\n{MODEL}', f"{POWER}\n{TENS}")
    assert [(problem.code, problem.path) for problem in problems] == [
        ("keys_clash", "modbus.table"),
        ("wrong_table", "fields.active_power"),
        ("wrong_table", "fields.tens"),
    ]


FRAMED = f"""{HEAD}[serial]
line = "9600 8N1"
period = "1s"
framing = {{ kind = "line", end = "0D", max_bytes = 9 }}
parse = {{ kind = "split" }}
[fields]
temperature = {{ part = "0", unit = "Cel", decimals = 1 }}
[variants.fine]
title = {{ en = "Fine probe", vi = "Đầu đo mịn" }}
serial = {{ line = "4800 8N1", framing = {{ kind = "fixed", length = 5, max_bytes = 5 }} }}
"""


def test_a_variant_may_have_other_frames(tmp_path: Path) -> None:
    """Line, framing and parse that differ, each as a whole; the rest is the profile's."""
    read = toml_file.read_located(write(tmp_path / "p.toml", FRAMED), ProfileSchema)
    made, problems = build_variants(read.value, read.places, [])
    assert problems == []
    base, _ = build(read.value, read.places)
    fine = made["fine"].source
    assert isinstance(base.source, SerialSource)
    assert isinstance(fine, SerialSource)
    assert (fine.line.baud, fine.framing.kind, fine.framing.length) == (4800, "fixed", 5)
    assert (fine.parse, fine.period_ms) == (base.source.parse, 1000)


def test_other_frames_need_serial(tmp_path: Path) -> None:
    """A Modbus profile has none that could differ."""
    made = varied(tmp_path, 'serial = { line = "4800 8N1" }')[1]
    assert [code for code, *_ in made] == ["bad_variant"]
