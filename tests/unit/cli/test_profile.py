"""gateway profile check: an author's tool."""

from io import StringIO
from pathlib import Path

import pytest

from gateway.cli import profile
from gateway.text import words
from tests.support.written import PROFILE, VECTORS, line_of, write, write_profile


def checked(*folders: Path, shipped: bool = False, lang: str = "en") -> tuple[int, str]:
    """Exit status and text."""
    out = StringIO()
    return profile.check(folders, lang, out, shipped=shipped), out.getvalue()


def test_a_good_profile(tmp_path: Path) -> None:
    """One line each: how many fields, how far its map is to be believed."""
    write_profile(tmp_path)
    assert checked(tmp_path) == (0, "acme/probe@1: 1 fields, one source\n")


def test_the_shipped_ones_are_checked_without_a_folder_or_when_asked(tmp_path: Path) -> None:
    """`--all`, or nothing named."""
    write_profile(tmp_path)
    alone, both, mine = checked(), checked(tmp_path, shipped=True), checked(tmp_path)
    assert [code for code, _ in (alone, both, mine)] == [0, 0, 0]
    assert ["eastron/sdm630@1: " in said for _, said in (alone, both, mine)] == [True, True, False]
    assert ["acme/probe@1: " in said for _, said in (alone, both, mine)] == [False, True, True]


def test_every_problem_of_profile_and_vectors(tmp_path: Path) -> None:
    """Exit 2; each with its place and next step."""
    text = PROFILE.replace('unit = "Cel"', 'unit = "F"')
    path = write_profile(tmp_path, text, VECTORS)
    write_profile(tmp_path / "more", PROFILE, VECTORS.replace("30.5", "31.5"))
    code, said = checked(tmp_path)
    assert code == 2
    assert f"{path}:{line_of(text, 'temperature')}: fields.temperature.unit\n" in said
    assert f"{tmp_path}/more/acme/probe.vectors.toml:1: vector[0]\n" in said
    assert f"-> {words.next_step('vector_mismatch', 'en')}" in said


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_a_folder_that_is_not_there_is_no_success(tmp_path: Path, lang: str) -> None:
    """A slip in its path."""
    code, said = checked(tmp_path / "none", lang=lang)
    assert code == 2
    assert words.title("file_unreadable", lang) in said


def test_an_override_is_a_note(tmp_path: Path) -> None:
    """Visible, and no problem."""
    write_profile(tmp_path / "a")
    write_profile(tmp_path / "b")
    code, said = checked(tmp_path / "a", tmp_path / "b")
    assert code == 0
    assert words.title("profile_overridden", "en") in said


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_list_and_show_say_what_is_replaced_and_deprecated(tmp_path: Path, lang: str) -> None:
    """Visible without a check; wiring, too, is for who stands there with a screwdriver."""
    own = 'wiring = { en = "To 12 V.", vi = "Cấp 12 V." }\n[modbus]'
    write_profile(tmp_path / "a")
    write_profile(tmp_path / "b", PROFILE.replace("[modbus]", own))
    old = 'deprecated = { by = "acme/probe@1", why = { en = "Scale", vi = "Hệ số" } }\n[modbus]'
    write(tmp_path / "b/acme/probe@2.toml", PROFILE.replace("version = 1", "version = 2").replace("[modbus]", old))
    write(tmp_path / "b/acme/probe@2.vectors.toml", VECTORS)
    said = profile.TEXT[lang]
    listed, shown, older = StringIO(), StringIO(), StringIO()
    folders = (tmp_path / "a", tmp_path / "b")
    assert profile.list_(["acme"], folders, lang, listed) == profile.show("acme/probe@1", folders, lang, shown) == 0
    assert profile.show("acme/probe", folders, lang, older) == 0
    assert said["replaces"].format("")[:8] in listed.getvalue()
    assert said["deprecated"].format("acme/probe@1") in " ".join(listed.getvalue().split())
    assert {"en": "Wiring: To 12 V.", "vi": "Đấu dây: Cấp 12 V."}[lang] in shown.getvalue()
    assert said["replaces"].format(tmp_path / "a/acme/probe.toml") in shown.getvalue().replace("\n", "")
    assert {"en": "deprecated by acme/probe@1: Scale", "vi": "bằng acme/probe@1: Hệ số"}[lang] in older.getvalue()


def test_the_list_is_searched_by_words() -> None:
    """In id, kind and either title, whatever their case; none is exit 1."""
    out = StringIO()
    assert profile.list_(["RENKE", "gió"], (), "vi", out) == 0
    assert "renke/rs-fsjt-n01@1" in out.getvalue()
    assert "renke/rs-zs-n01@1" not in out.getvalue()
    assert profile.list_(["nothing"], (), "en", out) == 1
    assert "nothing" in out.getvalue()


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_one_is_shown_whole(lang: str) -> None:
    """By its id, with or without its version: warnings, variants, each field and where it stands."""
    bare, exact = StringIO(), StringIO()
    assert profile.show("xy/md02", (), lang, bare) == profile.show("xy/md02@1", (), lang, exact) == 0
    assert bare.getvalue() == exact.getvalue()
    for part in ("xy/md02@1", "Kind: air_climate", "9600 8N1", "hundredths", "temperature_offset", "input 0x0001 i16"):
        assert part in bare.getvalue()
    assert profile.show("xy/md03", (), lang, bare) == 1


def test_fields_of_one_register_are_told_apart() -> None:
    """By their bits: sixteen lamps share a register."""
    out = StringIO()
    assert profile.show("intesis/inmbsdal", (), "en", out) == 0
    assert "holding 0x0000 u16, bit 0 " in out.getvalue()
    assert "holding 0x0000 u16, bit 15" in out.getvalue()


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_what_the_maker_does_not_say_is_not_shown_as_a_fact(lang: str) -> None:
    """Of a profile without serial and unit_id: what it is read with then is nothing that it comes with."""
    out = StringIO()
    assert profile.show("vaisala/gmw87", (), lang, out) == 0
    assert "8N1" not in out.getvalue()
    assert f"unit_id {profile.TEXT[lang]['unknown']}, {profile.TEXT[lang]['line']}" in out.getvalue()


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_a_device_that_is_asked_is_shown(lang: str) -> None:
    """With the address that it comes with, if it has one."""
    out = StringIO()
    assert profile.show("vaisala/wxt520", (), lang, out) == profile.show("megatec/q1", (), lang, out) == 0
    part_of = "part" if lang == "en" else "phần"
    for part in ("19200 8N1", f" {'address' if lang == 'en' else 'địa chỉ'} 0", "2400 8N1", "Q1", f" {part_of} Ta"):
        assert part in out.getvalue()


def test_a_broken_library_is_told_by_all(tmp_path: Path) -> None:
    """As by `check`."""
    write_profile(tmp_path, PROFILE.replace('unit = "Cel"', 'unit = "F"'), VECTORS)
    assert profile.list_((), (tmp_path,), "en", StringIO()) == 2
    assert profile.show("acme/probe", (tmp_path,), "en", StringIO()) == 2


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_a_sunspec_profile_says_that_its_place_is_looked_for(lang: str) -> None:
    """Its addresses are the model's, not the device's."""
    out = StringIO()
    assert profile.show("sunspec/inverter", (), lang, out) == 0
    for part in ("101, 102, 103", "model 0x000e i16"):
        assert part in out.getvalue()
    assert "holding" not in out.getvalue()
