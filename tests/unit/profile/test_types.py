"""gateway.profile.types: the small things people write."""

from collections.abc import Callable

import pytest
from pydantic_core import PydanticCustomError

from gateway.profile import types
from gateway.profile.profile import Line


@pytest.mark.parametrize(
    ("text", "ms"),
    [("500ms", 500), ("10s", 10_000), ("1m", 60_000), ("2h", 7_200_000), ("1d", 86_400_000), ("5 s", 5000)],
)
def test_durations(text: str, ms: int) -> None:
    """A whole number and its unit."""
    assert types.duration_ms(text) == ms


@pytest.mark.parametrize(("text", "line"), [("9600 8N1", Line(9600, 8, "N", 1)), ("19200 7E2", Line(19200, 7, "E", 2))])
def test_lines(text: str, line: Line) -> None:
    """Speed, data bits, parity, stop bits."""
    assert types.serial_line(text) == line


def test_hex() -> None:
    """Bytes as people copy them from a manual."""
    assert types.hex_bytes("42 4D") == b"BM"


@pytest.mark.parametrize(
    ("parse", "text", "code"),
    [
        (types.duration_ms, "10", "bad_duration"),
        (types.duration_ms, "1.5s", "bad_duration"),
        (types.duration_ms, "-1s", "bad_duration"),
        (types.serial_line, "9600,8N1", "bad_line"),
        (types.serial_line, "9600 8M1", "bad_line"),
        (types.hex_bytes, "4", "bad_hex"),
        (types.identifier, "Hc-1", "bad_id"),
        (types.identifier, "-a", "bad_id"),
        (types.identifier, "a" * 33, "bad_id"),
        (types.identifier, "", "bad_id"),
        (types.identifier, "a/b", "bad_id"),
        (types.field_name, "1st", "bad_name"),
        (types.field_name, "a-b", "bad_name"),
        (types.field_name, "a" * 65, "bad_name"),
        (types.field_name, "qc", "reserved_name"),
        (types.field_name, "time", "reserved_name"),
        (types.field_name, "level_min", "reserved_name"),
        (types.field_name, "level_max", "reserved_name"),
        (types.field_name, "level_n", "reserved_name"),
        (types.kind_name, "gw_batch", "reserved_name"),
        (types.kind_name, "device", "reserved_name"),
    ],
)
def test_refusals_have_a_code(parse: Callable[[str], object], text: str, code: str) -> None:
    """What is refused says why, with a code that text/ knows."""
    with pytest.raises(PydanticCustomError) as caught:
        parse(text)
    assert (caught.value.context or {})["code"] == code


def test_the_longest_names() -> None:
    """32 characters for an id, 64 for a field."""
    assert types.identifier("a" * 32) == "a" * 32
    assert types.field_name("a" * 64) == "a" * 64
