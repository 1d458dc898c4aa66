"""gateway.config.meaning: report, correct and derived of a device, and what cannot be."""

from pathlib import Path

import pytest

from gateway import sources, toml_file
from gateway.config.buses import compile_buses
from gateway.config.findings import Findings
from gateway.config.gateway import GatewayConfig
from gateway.profile.load import load
from gateway.site import Correction, Device, Report
from tests.support.written import BUS, SITE, write

LIBRARY = load([sources.shipped()])
METER = '[[device]]\nname = "meter-1"\nbus = "rs485-1"\nprofile = "eastron/sdm630@1"\n'
AIR = '[[device]]\nname = "air-1"\nbus = "rs485-1"\nunit_id = 9\nprofile = "xy/md02@1"\n'


def compiled(folder: Path, text: str) -> tuple[tuple[Device, ...], list[tuple[str, str]], list[tuple[str, str]]]:
    """The devices; (code, path) of problems and of notes."""
    read = toml_file.read_located(write(folder / "gateway.toml", SITE + BUS + text), GatewayConfig)
    findings = Findings(read.places)
    (bus,) = compile_buses(read.value, LIBRARY.profiles, findings, LIBRARY.variants)
    told = [[(one.code, one.path) for one in found] for found in (findings.problems, findings.notes)]
    return bus.devices, told[0], told[1]


def test_another_report_is_another_group(tmp_path: Path) -> None:
    """The field's beats the device's; who folds is told what a power cut may cost."""
    own = 'fields.humidity.report = { change = 1.0, at_least = "10m" }\n'
    (air,), problems, notes = compiled(tmp_path, AIR + 'report = { every = "1m" }\n' + own)
    assert problems == []
    assert notes == [("report_folds", "device[0].report.every")]
    assert {polled.group.fields: polled.report for polled in air.polled} == {
        ("temperature",): Report(60_000),
        ("humidity",): Report(0, 1.0, 600_000),
    }
    assert {polled.period_ms for polled in air.polled} == {10_000}


def test_a_folded_group_is_no_wider_than_a_message_allows(tmp_path: Path) -> None:
    """W-32: 256 columns; a meter of many fields becomes several groups, and no field is lost."""
    (meter,), problems, _ = compiled(tmp_path, METER + 'every = "10s"\nreport = { every = "1m" }\n')
    assert problems == []
    names = [name for polled in meter.polled for name in polled.group.fields]
    assert sorted(names) == sorted(field.name for field in meter.profile.reported)
    assert all(len(polled.group.fields) <= 64 for polled in meter.polled)


def test_a_correction_arrives_whole(tmp_path: Path) -> None:
    """Dates as they are written."""
    text = "slope = 1.02, offset = -0.5, datum = 1.25, by = 'LVH', on = 2026-11-24, due = 2027-11-24, keep_raw = true"
    (air,), problems, _ = compiled(tmp_path, AIR + f"fields.temperature.correct = {{ {text} }}\n")
    assert problems == []
    assert air.corrections == (
        Correction("temperature", 1.02, -0.5, 1.25, "LVH", "2026-11-24", "2027-11-24", keep_raw=True),
    )


def test_a_derived_field_arrives_whole(tmp_path: Path) -> None:
    """Its trigger is the own field that is read most often; its quantity says how it is folded."""
    text = '[device.derived.feels]\nformula = "temperature - humidity / 10"\nquantity = "temperature"\nunit = "Cel"\n'
    every = 'fields.humidity.every = "1s"\n'
    (air,), problems, _ = compiled(tmp_path, AIR + every + text + "decimals = 1\nrange = [-50, 90]\n")
    assert problems == []
    (derived,) = air.derived
    assert (derived.trigger, derived.formula) == ("humidity", "temperature - humidity / 10")
    assert (derived.field.quantity, derived.field.aggregate, derived.field.decimals) == ("temperature", "mean", 1)
    assert (derived.field.low, derived.field.high) == (-50, 90)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('report = { every = "500ms" }', ("impossible_period", "device[0].report.every")),
        ('report = { every = "2d" }', ("impossible_period", "device[0].report.every")),
        ('report = { change = 1.0, at_least = "1s" }', ("impossible_period", "device[0].report.at_least")),
        (
            'fields.humidity.report = { every = "5s" }',
            ("impossible_period", "device[0].fields.humidity.report.every"),
        ),
        ("fields.nothing.correct = { offset = 1.0 }", ("unknown_field", "device[0].fields.nothing")),
    ],
)
def test_what_cannot_be(tmp_path: Path, text: str, problem: tuple[str, str]) -> None:
    """A window shorter than a poll, longer than a day; a field that is not there."""
    assert problem in compiled(tmp_path, AIR + text + "\n")[1]


@pytest.mark.parametrize(
    ("name", "formula", "unit", "code"),
    [
        ("temperature", "humidity", "Cel", "doubled_name"),
        ("dew_point", "temperatur", "Cel", "unknown_field"),
        ("dew_point", "air-9.temperature + temperature", "Cel", "unknown_field"),
        ("dew_point", "meter-1.frequency", "Cel", "bad_formula"),
        ("dew_point", "temperature", "K", "wrong_unit"),
        ("comfort", "temperature", "1", "unknown_quantity"),
        ("relay", "temperature", "1", "bad_formula"),
    ],
)
def test_what_cannot_be_computed(tmp_path: Path, name: str, formula: str, unit: str, code: str) -> None:
    """A name that is taken, fields that are not there, another unit than the city's, no field of its own."""
    text = f'[device.derived.{name}]\nformula = "{formula}"\nunit = "{unit}"\ndecimals = 1\n'
    assert code in [found for found, _ in compiled(tmp_path, AIR + text + METER)[1]]


def test_a_text_cannot_be_corrected(tmp_path: Path) -> None:
    """Nor can a setting, which is not reported; nor may a raw value take another field's name."""
    device = '[[device]]\nname = "d-1"\nbus = "rs485-1"\nprofile = "{}"\nfields.{}.correct = {{ offset = 1.0 }}\n'
    found = [
        (ref, field.name)
        for ref, profile in sorted(LIBRARY.profiles.items())
        for field in profile.fields
        if (field.letter != "f" or field.parameter) and profile.source.__class__.__name__ == "ModbusSource"
    ]
    texts = [one for one in found if not one[1].startswith("_")][:3]
    assert texts
    for ref, name in texts:
        assert "not_correctable" in [code for code, _ in compiled(tmp_path, device.format(ref, name))[1]]


def test_what_is_handed_in_has_no_report_policy(tmp_path: Path) -> None:
    """ADR 0053: a row that was acknowledged is that row on disk, neither folded with others nor left out."""
    push = '[[bus]]\nname = "models"\nmode = "push"\n'
    air = AIR.replace("rs485-1", "models").replace("unit_id = 9\n", "")
    device = 'report = { every = "1m" }\nfields.humidity.report = { change = 1.0, at_least = "10m" }\n'
    path = write(tmp_path / "gateway.toml", SITE + push + air + device)
    read = toml_file.read_located(path, GatewayConfig)
    findings = Findings(read.places)
    compile_buses(read.value, LIBRARY.profiles, findings, LIBRARY.variants)
    assert [(one.code, one.path) for one in findings.problems] == [
        ("report_on_push", "device[0].report"),
        ("report_on_push", "device[0].fields.humidity.report"),
    ]
