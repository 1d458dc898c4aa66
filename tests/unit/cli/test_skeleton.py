"""gateway profile new: two files to fill in, and a check that says what is left."""

import re
from io import StringIO
from pathlib import Path

import pytest

from gateway.cli import skeleton
from gateway.errors import Invalid
from gateway.profile import load
from gateway.text import words

HEAD = {
    'kind = "" # that': 'kind = "air_climate" # that',
    'title = { en = "", vi = "" }': 'title = { en = "Acme TH10", vi = "Cảm biến Acme TH10" }',
    'sources = [""]': 'sources = ["its manual, page 7"]',
    'confidence = ""': 'confidence = "one source"',
    'wiring = { en = "", vi = "" }': 'wiring = { en = "12 V.", vi = "12 V." }',
}
VECTOR = {
    'about = ""': 'about = "a day"',
    'evidence = ""': 'evidence = "constructed"',
    'source = ""': 'source = "page 7"',
}
MODBUS = {'table = ""': 'table = "holding"', 'type = ""': 'type = "i16"'}
EXCHANGE = {
    'request = ""': 'request = "01 03 00 00 00 01 84 0A"',
    'response = ""': 'response = "01 03 02 00 FA 38 07"',
    "[vector.values]": "[vector.values]\ntemperature = 25.0",
}
SERIAL = {'kind = "" # "line"': 'kind = "line" # "line"', 'kind = "" # "split"': 'kind = "split" # "split"'}
SERIAL |= {'# end = "0D 0A"': 'end = "0D 0A"'}
FRAME = {'frame = ""': 'frame = "31 32 33 34 0D 0A"', "[vector.values]": "[vector.values]\ndistance = 1.234"}


def made(folder: Path, *, serial: bool) -> tuple[Path, Path]:
    """The two files."""
    assert skeleton.new("acme/th10", folder, "en", StringIO(), serial=serial) == 0
    return folder / "acme" / "th10.toml", folder / "acme" / "th10.vectors.toml"


def problems(folder: Path) -> list[str]:
    """Where the check finds something."""
    with pytest.raises(Invalid) as caught:
        load.load([folder])
    return [problem.path for problem in caught.value.problems]


def fill(path: Path, *what: dict[str, str]) -> None:
    """As a person does."""
    text = path.read_text("utf-8")
    for old, new in (pair for one in what for pair in one.items()):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text, "utf-8")


@pytest.mark.parametrize("serial", [False, True])
def test_what_is_empty_is_a_problem_and_what_is_filled_in_is_none(tmp_path: Path, *, serial: bool) -> None:
    """First the profile's, then the vectors'; a device that nobody described is never taken for one."""
    path, beside = made(tmp_path, serial=serial)
    own = {"serial.framing.kind", "serial.parse.kind"} if serial else {"modbus.table", "fields.temperature.type"}
    head = {"profile.kind", "profile.title.en", "profile.title.vi", "profile.sources[0]", "profile.confidence"}
    assert set(problems(tmp_path)) == {*own, *head, "profile.wiring.en", "profile.wiring.vi"}
    fill(path, HEAD, SERIAL if serial else MODBUS)
    first = {"vector[0].about", "vector[0].evidence", "vector[0].source"}
    assert set(problems(tmp_path)) == first
    fill(beside, VECTOR)
    assert problems(tmp_path)
    fill(beside, FRAME if serial else EXCHANGE)
    (profile,) = load.load([tmp_path]).profiles.values()
    assert profile.ref == "acme/th10@1"


@pytest.mark.parametrize("there", ["th10.toml", "th10.vectors.toml"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    """Neither file when one of them is there; exit 1."""
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / there).write_text("mine")
    out = StringIO()
    assert skeleton.new("acme/th10", tmp_path, "en", out, serial=False) == 1
    assert there in out.getvalue()
    assert [path.name for path in (tmp_path / "acme").iterdir()] == [there]
    assert (tmp_path / "acme" / there).read_text() == "mine"


@pytest.mark.parametrize("wanted", ["acme", "Acme/TH10", "acme/", "acme/../th10"])
def test_an_id_that_is_none_is_refused(tmp_path: Path, wanted: str) -> None:
    """Exit 2, and no file: an id is a path too."""
    out = StringIO()
    assert skeleton.new(wanted, tmp_path, "en", out, serial=False) == 2
    assert "vendor/model" in out.getvalue()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_it_says_how_to_go_on(tmp_path: Path, lang: str) -> None:
    """With the command to type."""
    out = StringIO()
    skeleton.new("acme/th10", tmp_path, lang, out, serial=True)
    assert f"gateway profile check --profiles {tmp_path}" in out.getvalue()


def test_a_wrong_checksum_is_told_with_the_right_one(tmp_path: Path) -> None:
    """Nobody computes it by head."""
    path, beside = made(tmp_path, serial=False)
    fill(path, HEAD, MODBUS)
    fill(beside, VECTOR, EXCHANGE | {'request = ""': 'request = "01 03 00 00 00 01"'})
    with pytest.raises(Invalid) as caught:
        load.load([tmp_path])
    assert any(re.search(r"or have 84 0A added", problem.detail) for problem in caught.value.problems)
