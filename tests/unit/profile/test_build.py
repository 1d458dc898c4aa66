"""gateway.profile.build: from what is written to what is run, and what only the whole shows."""

from pathlib import Path

import pytest

from gateway import toml_file
from gateway.errors import Problem
from gateway.profile.build import build
from gateway.profile.profile import Field, Profile
from gateway.profile.schema import ProfileSchema
from gateway.protocols.modbus_pdu import Table
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
    """Two fields never share a register; the same address in another table is another place."""
    fields = """frequency = { address = 0, type = "f32", unit = "Hz", decimals = 1 }
humidity = { address = 1, type = "u16", unit = "%" }
pressure = { address = 1, table = "holding", type = "u16", unit = "hPa" }"""
    _, problems = built(tmp_path, 'table = "input"', fields)
    assert [(p.code, p.path) for p in problems] == [("address_overlap", "fields.humidity.address")]
