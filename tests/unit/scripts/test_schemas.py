"""scripts.schemas: what editors are told agrees with what is read."""

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator

from gateway.app.demo_site import ioc_text, site_text
from scripts import reference, schemas
from scripts.reference_keys import sections

ROOT = Path(__file__).parent.parent.parent.parent
LIBRARY = sorted((ROOT / "device_profiles").rglob("*.toml"))


def schema(name: str) -> dict[str, Any]:
    """One of them, as the reference writes it."""
    found: dict[str, Any] = json.loads(reference.pages()[f"schemas/{name}.json"])
    return found


def wrong(name: str, data: Mapping[str, Any]) -> list[str]:
    """What an editor would underline."""
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema(name)).iter_errors(data)]


@pytest.mark.parametrize("name", schemas.FILES)
def test_each_is_a_schema(name: str) -> None:
    """By its own dialect; and each key says what it is for."""
    Draft202012Validator.check_schema(schema(name))
    model, part = schemas.FILES[name]
    said = tomllib.loads((ROOT / "docs" / "reference" / "keys.toml").read_text("utf-8"))[part]
    text = json.dumps(schema(name), ensure_ascii=False)
    keys = [key.path for section in sections(model) for key in section.keys]
    assert [path for path in keys if json.dumps(said[path], ensure_ascii=False) not in text] == []


def test_every_shipped_profile_and_its_vectors_fit() -> None:
    """`writable = true` included, which the model turns into a table."""
    found: list[str] = []
    for path in LIBRARY:
        name = "vectors" if path.name.endswith(".vectors.toml") else "profile"
        found += [f"{path.name} {line}" for line in wrong(name, tomllib.loads(path.read_text("utf-8")))]
    assert found == []
    assert any("writable = true" in path.read_text("utf-8") for path in LIBRARY)


def examples() -> list[tuple[str, str]]:
    """Each site and centre file of the guides, the demo's, and one with periods by class."""
    pages = [ROOT / "docs" / "tutorial" / "first-site.md", *sorted((ROOT / "docs" / "how-to").glob("*.md"))]
    blocks = [block for page in pages for block in re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)]
    site = site_text(Path("/demo"), 1883, [1502, 1503])
    own = [
        ("site", site),
        ("site", site.replace('every = "1s"', 'every = { fast = "1s", slow = "1m" }')),
        ("ioc", ioc_text(Path("/demo"), 1883, 'url = "sqlite:/demo/x"')),
    ]
    return own + [("ioc" if "[broker]" in block else "site", block) for block in blocks if "config_version" in block]


def test_every_example_of_a_site_fits() -> None:
    """Those that the guides show are those that people begin with."""
    found = examples()
    assert len(found) > 6
    assert [line for name, text in found for line in wrong(name, orjson.loads(orjson.dumps(tomllib.loads(text))))] == []


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("profile", {"profile": {"colour": 1}}, "$.profile: Additional properties"),
        ("site", {"bus": [{"name": "a", "link": "other"}]}, "$.bus[0].link: 'other' is not one of"),
        ("site", {"device": [{"every": 5}]}, "$.device[0].every: 5 is not valid"),
    ],
)
def test_what_is_wrong_is_underlined(name: str, data: Mapping[str, Any], told: str) -> None:
    """An unknown key, a word that is none, a value of another kind."""
    assert any(line.startswith(told) for line in wrong(name, data))
