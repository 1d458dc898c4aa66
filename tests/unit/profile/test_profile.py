"""gateway.profile.profile: what a compiled profile says of itself."""

import pytest

from gateway.profile.load import load
from gateway.profile.profile import Field
from gateway.sources import shipped


@pytest.mark.parametrize(
    ("type_", "length", "words"),
    [
        ("u16", 0, 1), ("i8", 0, 1), ("bit", 0, 1), ("bcd16", 0, 1), ("bcd32", 0, 2), ("f32", 0, 2), ("u64", 0, 4),
        ("text", 7, 7), ("", 0, 1),
    ],
)  # fmt: skip
def test_words(type_: str, length: int, words: int) -> None:
    """How many registers a field takes."""
    assert Field("x", "x", "1", "f", 0, type=type_, length=length).words == words


def test_mask() -> None:
    """The bits of its register, or all of them."""
    assert Field("x", "x", "1", "f", 0, type="u16", bits=(4, 3)).mask == 0x70
    assert Field("x", "x", "1", "f", 0, type="u32").mask == 0xFFFF


def test_reported() -> None:
    """Neither what is read for others, nor settings."""
    profile = load([shipped()]).profiles["qdy/qdy30a@1"]
    assert [field.name for field in profile.fields] == ["level", "places", "unit_code"]
    assert [field.name for field in profile.reported] == ["level"]
