"""gateway.profile.schema: what an author may write, value by value."""

from pathlib import Path

import pytest

from gateway import toml_file
from gateway.errors import Invalid
from gateway.profile.schema import ProfileSchema, WritableSchema
from tests.support.written import HEAD, PROFILE, found, write


def refused(folder: Path, text: str) -> list[tuple[str, str]]:
    """(code, path) of what is wrong with this profile."""
    with pytest.raises(Invalid) as caught:
        toml_file.read(write(folder / "p.toml", text), ProfileSchema)
    return found(caught.value)


def test_a_field_is_a_line_or_a_table(tmp_path: Path) -> None:
    """Both forms are the same."""
    inline = toml_file.read(write(tmp_path / "a.toml", PROFILE), ProfileSchema)
    head, _, _ = PROFILE.partition("[fields]")
    table = f'{head}[fields.temperature]\naddress = 1\ntype = "i16"\nunit = "Cel"\nscale = 0.1\n'
    assert toml_file.read(write(tmp_path / "b.toml", table), ProfileSchema) == inline


def test_a_field_is_not_both(tmp_path: Path) -> None:
    """TOML itself refuses a table that goes on with an inline one."""
    assert refused(tmp_path, f"{PROFILE}[fields.temperature]\nrange = [0, 1]\n") == [("toml_syntax", "")]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('vi = "Đầu đo"', 'fr = "Sonde"', ("missing_key", "profile.title.vi")),
        ('"acme/probe"', '"acme"', ("bad_id", "profile.id")),
        ('"acme/probe"', '"Acme/probe"', ("bad_id", "profile.id")),
        ('"acme/probe"', '"acme/../x"', ("bad_id", "profile.id")),
        ("version = 1", "version = 0", ("out_of_bounds", "profile.version")),
        ('kind = "probe"', 'kind = "gw_probe"', ("reserved_name", "profile.kind")),
        ('sources = ["its maker"]', "sources = []", ("out_of_bounds", "profile.sources")),
        ('table = "input"', 'table = "inputs"', ("not_one_of", "modbus.table")),
        ('table = "input"', 'table = "input"\nwake = "0"', ("bad_hex", "modbus.wake")),
        ('table = "input"', 'table = "input"\nwake_ms = 1001', ("out_of_bounds", "modbus.wake_ms")),
        ('table = "input"', 'table = "input"\npause_before = 5', ("unknown_key", "modbus.pause_before")),
        ('table = "input"', 'table = "input"\nmax_registers = 126', ("out_of_bounds", "modbus.max_registers")),
        ('table = "input"', 'table = "input"\nunit_id = 0', ("out_of_bounds", "modbus.unit_id")),
        ("[fields]", "[modbus.setup]\nbaud = 1\n[fields]", ("wrong_type", "modbus.setup.baud")),
        (
            "[fields]",
            '[modbus.setup]\ntype = "text"\nunit_id = 1\n[fields]',
            ("not_one_of", "modbus.setup.type"),
        ),
        (
            "[fields]",
            "[modbus.setup]\nbaud = { address = 1, words = { fast = 1 } }\n[fields]",
            ("bad_setup", "modbus.setup.baud.words"),
        ),
        (
            "[fields]",
            "[modbus.setup]\nparity = { address = 1, words = { X = 1 } }\n[fields]",
            ("bad_setup", "modbus.setup.parity.words"),
        ),
        (
            "[fields]",
            "[modbus.setup]\nparity = { address = 1, words = {} }\n[fields]",
            ("out_of_bounds", "modbus.setup.parity.words"),
        ),
        ("[fields]", "[variants.x]\nscale = 1\n[fields]", ("unknown_key", "variants.x.scale")),
        ("[fields]", "[variants.x]\nfields = {}\n[fields]", ("missing_key", "variants.x.title")),
        ('"i16"', '"u24"', ("not_one_of", "fields.temperature.type")),
        ('"i16"', '"s16"', ("not_one_of", "fields.temperature.type")),
        ("address = 1", "address = 65536", ("out_of_bounds", "fields.temperature.address")),
        ("scale = 0.1", "scale = 0", ("out_of_bounds", "fields.temperature.scale")),
        ("scale = 0.1", "scale = nan", ("out_of_bounds", "fields.temperature.scale")),
        ("scale = 0.1", 'scale = "0.1"', ("wrong_type", "fields.temperature.scale")),
        ("scale = 0.1", "range = [5, 5]", ("out_of_bounds", "fields.temperature.range")),
        ("scale = 0.1", "sentinels = [0xFFFF]", ("wrong_type", "fields.temperature.sentinels[0]")),
        ("scale = 0.1", 'sentinels = ["xx"]', ("bad_hex", "fields.temperature.sentinels[0]")),
        ("scale = 0.1", "scale = -1e10", ("out_of_bounds", "fields.temperature.scale")),
        ("scale = 0.1", "writable = false", ("wrong_type", "fields.temperature.writable")),
        ("scale = 0.1", "writable = { low = 1 }", ("bad_value", "fields.temperature.writable")),
        ("scale = 0.1", "writable = { low = 2, high = 1 }", ("out_of_bounds", "fields.temperature.writable")),
        (
            "scale = 0.1",
            "writable = { low = 1, high = 2, values = [1] }",
            ("bad_value", "fields.temperature.writable"),
        ),
        ("scale = 0.1", "scale_from = 3", ("wrong_type", "fields.temperature.scale_from")),
        ("scale = 0.1", "bit = 16", ("bad_bits", "fields.temperature.bit")),
        ("scale = 0.1", "bit = -1", ("bad_bits", "fields.temperature.bit")),
        ("scale = 0.1", "bits = [12, 5]", ("bad_bits", "fields.temperature.bits")),
        ("scale = 0.1", "bits = [0, 0]", ("bad_bits", "fields.temperature.bits")),
        ("scale = 0.1", "labels = {}", ("out_of_bounds", "fields.temperature.labels")),
        ("scale = 0.1", 'labels = { on = "on" }', ("bad_labels", "fields.temperature.labels")),
        ("scale = 0.1", 'labels = { 1 = "on", 0x1 = "off" }', ("bad_labels", "fields.temperature.labels")),
        ("scale = 0.1", 'labels = { 0 = "on", 1 = "on" }', ("bad_labels", "fields.temperature.labels")),
        ("scale = 0.1", 'labels = { 0 = "on " }', ("bad_labels", "fields.temperature.labels")),
        ("scale = 0.1", "length = 0", ("out_of_bounds", "fields.temperature.length")),
        ("scale = 0.1", "rollover = 1", ("not_built_yet", "fields.temperature.rollover")),
        ("scale = 0.1", "adress = 3", ("unknown_key", "fields.temperature.adress")),
        ("temperature =", "temperature_max =", ("reserved_name", "fields.temperature_max")),
    ],
)
def test_wrong_values(tmp_path: Path, old: str, new: str, problem: tuple[str, str]) -> None:
    """Each is named with its path and its code."""
    assert old in PROFILE
    assert problem in refused(tmp_path, PROFILE.replace(old, new))


@pytest.mark.parametrize("source", ["", '[modbus]\n[serial]\nline = "9600 8N1"\nperiod = "1s"\n'])
def test_one_way_to_read_it(tmp_path: Path, source: str) -> None:
    """[modbus] or [serial]: one of them, not none, not both."""
    text = f'{HEAD}{source}[fields.temperature]\nunit = "Cel"\n'
    if "[serial]" in text:
        text += '[serial.framing]\nkind = "line"\nmax_bytes = 9\n[serial.parse]\nkind = "split"\n'
    assert refused(tmp_path, text) == [("bad_value", "")]


def test_writable_without_limits(tmp_path: Path) -> None:
    """`true` is a table without limits."""
    text = PROFILE.replace("scale = 0.1", "writable = true")
    field = toml_file.read(write(tmp_path / "p.toml", text), ProfileSchema).fields["temperature"]
    assert field.writable == WritableSchema()


def test_identify_needs_one_condition(tmp_path: Path) -> None:
    """Equal to, or between: not both, not neither."""
    text = PROFILE.replace('table = "input"', 'table = "input"\nidentify = [{ address = 0, type = "u16" }]')
    assert refused(tmp_path, text) == [("bad_value", "modbus.identify[0]")]
