"""gateway.cli.found: how findings are shown, copied and told to programs."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from gateway.cli import found, probe, scan
from gateway.cli.found import device, lasting, plain, reading, remark, site_lines, table, title
from gateway.profile.fingerprint import Match, Sureness
from gateway.profile.profile import Line, Profile
from gateway.protocols.modbus_pdu import Table
from gateway.protocols.sunspec import Sunspec
from gateway.south.jobs.identify import Portrait
from gateway.south.jobs.scan import Chatter, Finding, Found, Garbled, Nobody, Progress, Skipped
from gateway.south.jobs.ways import Way
from gateway.text import words
from tests.support.south import a_field, a_profile, a_source

NINE, TCP = Way("rtu"), Way("tcp")
PROFILE = a_profile([a_field(0)])


def one(
    unit_id: int, *matches: Match, way: Way = NINE, texts: tuple[tuple[int, str], ...] = (), any_: bool = False
) -> Found:
    """A device that answers function 3."""
    return Found(way, unit_id, Portrait({}, texts, matches, (Table.HOLDING,)), any_)


def match(sureness: Sureness = Sureness.FITS, profile: Profile = PROFILE) -> Match:
    """With one value."""
    return Match(profile, sureness, 20.0, ("identify", "values"), ((a_field(0), 7.0),))


def shown(*findings: Finding, lang: str = "en") -> str:
    """The table, on a phone."""
    console = Console(width=80)
    with console.capture() as said:
        console.print(table(findings, lang, {9: "meter-1"}))
    return said.get()


def test_every_phrase_is_in_both_languages() -> None:
    """Of all three modules."""
    for texts in (found.TEXT, scan.TEXT, probe.TEXT):
        assert set(texts) == set(words.LANGUAGES)
        assert texts["en"].keys() == texts["vi"].keys()
        assert all(texts["en"][key].count("{") == texts["vi"][key].count("{") for key in texts["en"])


def test_rows_by_line_and_number() -> None:
    """What a person looks for; a garbled one stands where its device would."""
    said = shown(one(20), Garbled(NINE, 7), one(3, match()), one(1, way=Way("rtu", Line(4800))))
    places = [said.index(text) for text in (" 1 ", " 3 ", " 7 ", " 20 ")]
    assert places == sorted(places)
    assert "garbled" in said


def test_all_that_is_known_of_one() -> None:
    """Markup in a device's text is text; a known device has its name; others that it may be are named too."""
    other = Match(a_profile([a_field(0)]), Sureness.MAY_BE, 1.0, ("values",), ())
    said = shown(one(9, match(), other, texts=((0, "[red]Acme"), (1, "")), any_=True))
    for text in ("fits", "or test/thing@1", "holding_0 7", "its identity register", "[red]Acme", "known as meter-1"):
        assert text in said
    assert "answers to every unit_id" in said
    assert "refuses all that was asked" in device(Found(NINE, 1, Portrait({}, (), (), ())), "en", {})


@pytest.mark.parametrize(
    ("finding", "text", "program"),
    [
        (Garbled(NINE, 7), "7 @ 9600 8N1", {"garbled": 7, "line": "9600 8N1"}),
        (Chatter(NINE), "9600 8N1", {"chatter": "9600 8N1"}),
        (Skipped(NINE, "no [parity]"), "no \\[parity]", {"skipped": "9600 8N1", "cause": "no [parity]"}),
        (Nobody((NINE, TCP)), "Nobody answers", {"nobody": ["9600 8N1", "tcp"]}),
        (Progress(NINE, 1, 0, 0), "", None),
    ],
)
def test_what_is_no_device(finding: Finding, text: str, program: object) -> None:
    """A line for people, an object for programs."""
    assert text in remark(finding, "en")
    assert plain(finding) == program


def test_a_device_for_programs() -> None:
    """All of it, function codes as numbers."""
    told = plain(one(3, match(), texts=((0, "Acme"),)))
    assert told is not None
    assert (told["found"], told["functions"], told["says"]) == (3, [3], [[0, "Acme"]])
    assert told["matches"][0]["sureness"] == "fits"


def test_values_as_people_write_them() -> None:
    """With the field's decimals and a unit that is not UCUM's."""
    field = a_field(0)
    assert reading((field, 7.0)) == "holding_0 7"
    assert reading((field, True)) == "holding_0 1"
    assert title(PROFILE, "vi") == PROFILE.ref


def test_lines_for_a_host() -> None:
    """TCP has no line, RTU over TCP its framing; what may be is marked; a doubled number is a remark."""
    lines = site_lines("10.0.0.5:502", [one(1, match(Sureness.MAY_BE), way=TCP), Garbled(TCP, 5)], "en", {}, "")
    assert lines[:3] == ["[[bus]]", 'name = "tcp-1"', 'host = "10.0.0.5:502"']
    assert any(line.startswith("profile = ") and "# may be" in line for line in lines)
    assert "unit_id 5" in lines[-1]
    over = site_lines("10.0.0.5:502", [one(1, match(), way=Way("rtu_over_tcp"))], "en", {}, "")
    assert 'framing = "rtu"' in over


def test_a_variant_is_shown_and_copied() -> None:
    """In the table, for programs and in the lines for the site file."""
    variant = replace(match(), variant="em24-e1")
    assert "test/thing@1 em24-e1" in shown(one(1, variant))
    assert (plain(one(1, variant)) or {})["matches"][0]["variant"] == "em24-e1"
    assert 'variant = "em24-e1"' in site_lines("/dev/x", [one(1, variant)], "en", {}, "")
    assert not [line for line in site_lines("/dev/x", [one(1, match())], "en", {}, "") if "variant" in line]


def test_only_what_is_new_on_a_bus_of_the_gateway() -> None:
    """Nothing at all where all is known."""
    assert site_lines("/dev/x", [one(9, match())], "en", {9: "meter-1"}, "rs485-1") == []
    lines = site_lines("/dev/x", [one(9, match()), one(10, match())], "en", {9: "meter-1"}, "rs485-1")
    assert "[[bus]]" not in lines
    assert "unit_id = 10" in lines
    assert "unit_id = 9" not in lines
    assert site_lines("/dev/x", [Nobody((NINE,))], "en", {}, "") == []


def test_a_port_has_a_lasting_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that leads to the same device after a restart."""
    (tmp_path / "by-id").mkdir()
    (tmp_path / "tty").touch()
    (tmp_path / "by-id" / "usb-1").symlink_to(tmp_path / "tty")
    monkeypatch.setattr(found, "BY_ID", tmp_path / "by-id")
    assert lasting(str(tmp_path / "tty")) == "by-id/usb-1"
    assert lasting("/dev/other") == "/dev/other"
    monkeypatch.setattr(found, "BY_ID", tmp_path / "absent")
    assert lasting("/dev/other") == "/dev/other"


def test_each_model_of_a_sunspec_device_is_copied() -> None:
    """An inverter and the meter behind it are two devices at one unit_id; what only may be is not added."""
    models = [
        match(
            profile=replace(
                a_profile([a_field(0)], a_source(sunspec=Sunspec((number,), 50))), ref=f"sunspec/{number}@1"
            )
        )
        for number in (103, 203, 160)
    ]
    found_ = one(1, *models[:2], replace(models[2], sureness=Sureness.MAY_BE), match())
    lines = list(site_lines("/dev/x", [found_], "en", {}, ""))
    assert [line for line in lines if line.startswith("profile")] == [
        'profile = "sunspec/103@1"',
        'profile = "sunspec/203@1"',
    ]
    assert lines.count("unit_id = 1") == 2
    other = list(site_lines("/dev/x", [one(1, match(), *models)], "en", {}, ""))
    assert len([line for line in other if line.startswith("profile")]) == 1
