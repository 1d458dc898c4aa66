"""scripts.reference: the pages are those of the code, and nothing in them is forgotten."""

import shutil
import tomllib
from pathlib import Path

import pytest

from gateway.config.gateway import BusConfig, DeviceConfig, GatewayConfig, SpoolConfig, UplinkConfig
from gateway.config.ioc import IngestTable
from gateway.profile.schema import FieldSchema, HeadSchema
from gateway.profile.vectors import VectorSchema
from gateway.text import words
from gateway.toml_file import Strict
from scripts import reference
from scripts.reference_keys import default, kind, sections


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The pages as they are."""
    return Path(shutil.copytree(reference.FOLDER, tmp_path / "reference"))


def test_no_page_is_stale(capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m scripts.reference` would change nothing."""
    assert reference.main(["--check"]) == 0, capsys.readouterr().out


def test_a_stale_page_is_named_and_mended(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Changed by hand, or missing: --check says which, and a run writes it again."""
    (copy / "codes.md").write_text("by hand\n")
    (copy / "devices.md").unlink()
    assert reference.main(["--check", "--folder", str(copy)]) == 1
    told = capsys.readouterr().out
    assert "codes.md is stale" in told
    assert "devices.md is stale" in told
    assert "commands.md" not in told
    assert reference.main(["--folder", str(copy)]) == 0
    assert reference.main(["--check", "--folder", str(copy)]) == 0


def test_the_page_of_a_device_that_is_gone_goes_too(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else it would be believed."""
    left = copy / "devices" / "acme-gone.md"
    left.parent.mkdir(exist_ok=True)
    left.write_text("by hand\n")
    assert reference.main(["--check", "--folder", str(copy)]) == 1
    assert "acme-gone.md is stale" in capsys.readouterr().out
    assert reference.main(["--folder", str(copy)]) == 0
    assert not left.exists()


def test_each_device_has_a_page_with_its_wiring() -> None:
    """The list links it; it shows what the profile says."""
    pages = reference.pages()
    assert "[`xy/md02@1`](devices/xy-md02.md)" in pages["devices.md"]
    page = pages["devices/xy-md02.md"]
    assert "- **Wiring:** RS485, two wires." in page
    assert "| `temperature` | `Cel` |" in page
    assert len([name for name in pages if name.startswith("devices/")]) == len(reference.models()) >= 40


@pytest.mark.parametrize(
    ("old", "new"), [('"clock.trust" =', '"clock.trusted" ='), ("[site_vi]", '[site_vi]\nx = "?"')]
)
def test_a_key_without_a_sentence_is_an_error(copy: Path, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And so is a sentence without a key."""
    keys = copy / "keys.toml"
    keys.write_text(keys.read_text("utf-8").replace(old, new), "utf-8")
    monkeypatch.setattr(reference, "FOLDER", copy)
    with pytest.raises(ValueError, match=r"keys\.toml"):
        [*reference.site_page("en"), *reference.site_page("vi")]


def test_every_sentence_ends() -> None:
    """They are sentences."""
    for entries in tomllib.loads((reference.FOLDER / "keys.toml").read_text("utf-8")).values():
        assert [text for text in entries.values() if not text.endswith(".")] == []


def test_every_code_is_on_its_page() -> None:
    """In both languages, each once."""
    page = reference.pages()["codes.md"]
    for code in tomllib.loads((reference.ROOT / "gateway" / "text" / "en.toml").read_text("utf-8")):
        assert page.count(f"| `{code}` |") == 1, code
        assert words.next_step(code, "vi") in page


@pytest.mark.parametrize(
    ("model", "name", "what", "otherwise"),
    [
        (GatewayConfig, "gateway", "table", "needed"),
        (GatewayConfig, "device", "tables", "-"),
        (DeviceConfig, "fields", "tables by name", "-"),
        (DeviceConfig, "unit_id", "whole number, from 1 to 255", "-"),
        (UplinkConfig, "network", '`"wired"`, `"mobile"`, `"scarce"`', '`"wired"`'),
        (BusConfig, "line", '`"9600 8N1"`', "-"),
        (SpoolConfig, "archive_days", "whole number, from 0 to 3650", "`60`"),
        (IngestTable, "retention_days", "whole number, from 1", "-"),
        (HeadSchema, "title", "`{ en, vi }`", "needed"),
        (HeadSchema, "warnings", "list of `{ en, vi }`", "-"),
        (FieldSchema, "range", "`[low, high]`", "-"),
        (FieldSchema, "counter", "true or false", "`false`"),
        (VectorSchema, "values", "table of number or true or false or text", "-"),
    ],
)
def test_what_may_be_written_is_said_in_words(model: type[Strict], name: str, what: str, otherwise: str) -> None:
    """Types, bounds and defaults as the model has them."""
    info = model.model_fields[name]
    assert kind(info) == what
    assert default(info, "needed") == otherwise


def test_every_table_of_a_file_is_a_section() -> None:
    """As people write its head."""
    heads = [section.head for section in sections(GatewayConfig)]
    assert heads[0] == ""
    assert {"[gateway.area]", "[[uplink.server]]", "[device.every]", "[device.fields.NAME]"} <= set(heads)


def test_a_table_escapes_its_bars() -> None:
    """A cell stays a cell."""
    assert list(reference.table(("a", "b"), [("x|y", "z")])) == ["| a | b |", "|---|---|", r"| x\|y | z |", ""]


def test_each_quantity_says_what_it_is_folded_into() -> None:
    """Directions and decibels as the list says, counters as the profiles have them, all else the mean."""
    rows = [line.split(" | ") for line in reference.pages()["quantities.md"].splitlines() if line.startswith("| `")]
    folded = {row[0].strip("| `"): row[3] for row in rows if len(row) > 5}
    wanted = {"wind_direction": "vector_mean", "sound_level": "energy_mean", "energy_import": "last", "relay": "last"}
    assert {name: folded[name] for name in [*wanted, "temperature"]} == {
        name: f"`{kind}`" for name, kind in [*wanted.items(), ("temperature", "mean")]
    }
    assert {kind for cell in folded.values() for kind in cell.replace("`", "").split(", ")} == set(reference.FOLDED)
