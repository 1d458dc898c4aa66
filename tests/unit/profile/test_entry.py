"""gateway.profile.entry: every shape a field may have, and each combination of keys that makes no sense."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import toml_file
from gateway.errors import Problem
from gateway.profile.entry import Entry
from gateway.profile.profile import Field, Writable
from gateway.profile.schema import ProfileSchema
from gateway.protocols.modbus_pdu import Table
from tests.support.written import HEAD, write

STREAM = """line = "9600 8N1"
period = "1s"
framing = { kind = "line", end = "0D", max_bytes = 9 }
parse = { kind = "split" }
"""
BINARY = """line = "9600 8N1"
period = "1s"
framing = { kind = "fixed", length = 3, max_bytes = 3 }
parse = { kind = "binary", layout = ">Bh", names = ["status", "number"] }
"""


def built(folder: Path, source: str, keys: str, name: str = "it") -> tuple[Field, list[Problem]]:
    """A field with these keys, by itself."""
    read = toml_file.read_located(
        write(folder / "p.toml", f"{HEAD}{source}\n[fields]\n{name} = {{ {keys} }}\n"), ProfileSchema
    )
    entry = Entry(name, read.value.fields[name], read.value, read.places)
    return entry.build(), entry.problems


def registers(folder: Path, keys: str, name: str = "it") -> tuple[Field, list[Problem]]:
    """A field of holding registers, unless its keys say another table."""
    return built(folder, '[modbus]\ntable = "holding"\norder = "CDAB"', keys, name)


PLAIN = Field("it", "uv_index", "1", "f", 0, table=Table.HOLDING, address=7, type="u16")
NUMBER = 'address = 7, type = "u16", unit = "1", quantity = "uv_index"'
STATE = 'address = 7, unit = "1", quantity = "device_state"'
FLAG = 'address = 7, type = "u16", unit = "1", quantity = "relay"'


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (NUMBER, {}),
        (f"{NUMBER}, bit = 3", {"bits": (3, 1)}),
        (f"{NUMBER}, bits = [4, 2]", {"bits": (4, 2)}),
        (f"{FLAG}, bit = 15", {"quantity": "relay", "letter": "b", "bits": (15, 1)}),
        (NUMBER.replace("u16", "u8"), {"type": "u8", "bits": (0, 8)}),
        (f"{NUMBER.replace('u16', 'i8')}, byte = \"high\"", {"type": "i8", "bits": (8, 8)}),
        (
            f"{NUMBER.replace('u16', 'bcd32')}, scale = 0.1",
            {"type": "bcd32", "order": "CDAB", "tens": 1, "decimals": 1},
        ),
        (f"{NUMBER}, not_fitted = true", {"not_fitted": True}),
        (f"{NUMBER}, scale = -1, decimals = 0", {"scale": -1.0}),
        (f"{NUMBER}, counter = true, restarts = true", {"counter": True, "restarts": True}),
        (f"{NUMBER}, writable = {{ low = 1, high = 9 }}", {"write": Writable(1, 9)}),
        (f"{NUMBER}, writable = {{ values = [1, 5] }}", {"write": Writable(values=(1, 5))}),
        (f"{NUMBER}, parameter = true", {"parameter": True}),
        (
            'address = 7, type = "u16", parameter = true',
            {"quantity": "", "parameter": True},
        ),
        (
            f'{STATE}, type = "u16", labels = {{ 0 = "off", 0x10 = "on" }}, writable = true',
            {"quantity": "device_state", "letter": "s", "labels": ((0, "off"), (16, "on")), "write": Writable()},
        ),
        (
            f'{STATE}, type = "i16", bits = [0, 2], labels = {{ -1 = "back" }}',
            {"quantity": "device_state", "letter": "s", "type": "i16", "bits": (0, 2), "labels": ((-1, "back"),)},
        ),
        (
            f'{STATE}, type = "text", length = 4',
            {"quantity": "device_state", "letter": "s", "type": "text", "length": 4},
        ),
        (
            f'{STATE}, type = "text", length = 4, order = "BADC", encoding = "latin-1"',
            {
                "quantity": "device_state", "letter": "s", "type": "text", "length": 4, "order": "BADC",
                "encoding": "latin-1",
            },
        ),
        (
            'address = 7, type = "bit", table = "coil", unit = "1", quantity = "relay", writable = true',
            {"quantity": "relay", "letter": "b", "type": "bit", "table": Table.COIL, "write": Writable()},
        ),
    ],
)  # fmt: skip
def test_every_shape_compiles(tmp_path: Path, keys: str, expected: dict[str, Any]) -> None:
    """Everything that is written arrives, and nothing else changes."""
    state = expected.get("letter", "f") != "f" or expected.get("counter", False)
    plain = replace(PLAIN, aggregate="last") if state else PLAIN
    assert registers(tmp_path, keys) == (replace(plain, **expected), [])


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        (f"{NUMBER}, bit = 1, bits = [1, 2]", ("bad_bits", "")),
        (f'{NUMBER}, byte = "low"', ("bad_bits", "byte")),
        (NUMBER.replace("u16", "u8") + ", bits = [0, 4]", ("bad_bits", "type")),
        (NUMBER.replace("u16", "u32") + ", bit = 3", ("bad_bits", "type")),
        (NUMBER.replace("u16", "f32") + ", decimals = 1, bit = 3", ("bad_bits", "type")),
        (f"{FLAG}, bits = [0, 2]", ("wrong_letter", "type")),
        (f"{FLAG}, bit = 3, scale = 0.1", ("keys_clash", "scale")),
        (f'{FLAG}, bit = 3, labels = {{ 0 = "off" }}', ("wrong_letter", "type")),
        (f'{NUMBER}, labels = {{ 0 = "off" }}', ("wrong_letter", "type")),
        (f'{STATE}, type = "f32", labels = {{ 0 = "off" }}', ("bad_labels", "type")),
        (f'{STATE}, type = "bcd16", labels = {{ 0 = "off" }}', ("bad_labels", "type")),
        (f'{STATE}, type = "u16", labels = {{ 0 = "off" }}, scale = 0.1', ("keys_clash", "scale")),
        (f'{STATE}, type = "u16", labels = {{ 0 = "off" }}, decimals = 1', ("keys_clash", "decimals")),
        (f'{STATE}, type = "u16"', ("wrong_letter", "type")),
        (f'{STATE}, type = "text"', ("bad_text", "length")),
        (f'{STATE}, type = "text", length = 2, order = "CDAB"', ("type_order", "order")),
        (f'{STATE}, type = "text", length = 2, sentinels = ["0"]', ("keys_clash", "sentinels")),
        (f'{STATE}, type = "text", length = 2, bit = 1', ("keys_clash", "bit")),
        (f'{STATE}, type = "text", length = 2, not_fitted = true', ("keys_clash", "not_fitted")),
        (f'{STATE}, type = "text", length = 2, writable = true', ("bad_writable", "writable")),
        (f"{NUMBER}, length = 2", ("keys_clash", "length")),
        (f'{NUMBER}, encoding = "latin-1"', ("keys_clash", "encoding")),
        (f"{NUMBER}, restarts = true", ("keys_clash", "restarts")),
        (NUMBER.replace("u16", "u8") + ', sentinels = ["0x1FF"]', ("out_of_bounds", "sentinels[0]")),
        (f"{NUMBER}, writable = true", ("bad_writable", "writable")),
        (f"{NUMBER}, writable = {{ low = 0, high = 70000 }}", ("bad_writable", "writable")),
        (f"{NUMBER}, writable = {{ values = [0.5] }}", ("bad_writable", "writable")),
        (f"{NUMBER}, bit = 3, writable = {{ values = [1] }}", ("bad_writable", "writable")),
        (f'{NUMBER}, table = "input", writable = {{ values = [1] }}', ("bad_writable", "writable")),
        (
            f'{STATE}, type = "u16", labels = {{ 0 = "off" }}, writable = {{ values = [0] }}',
            ("bad_writable", "writable"),
        ),
        (f'{NUMBER}, scale_from = "x", decimals = 1, writable = {{ values = [1] }}', ("bad_writable", "writable")),
        (f'{NUMBER}, scale_from = "x"', ("missing_key", "decimals")),
        (f'{NUMBER}, parameter = true, every = "slow"', ("keys_clash", "every")),
        ('address = 7, type = "u16", hidden = true, range = [0, 1]', ("keys_clash", "range")),
        ('address = 7, type = "u16", hidden = true, parameter = true', ("keys_clash", "parameter")),
        ('address = 7, type = "u16", quantity = "uv_index"', ("missing_key", "unit")),
        ('address = 7, type = "u16", quantity = "uv_indx", parameter = true', ("unknown_quantity", "quantity")),
        (
            'address = 7, type = "bit", table = "coil", unit = "1", quantity = "relay", sentinels = ["1"]',
            ("keys_clash", "sentinels"),
        ),
        (
            'address = 7, type = "bit", table = "discrete", unit = "1", quantity = "relay", writable = true',
            ("bad_writable", "writable"),
        ),
    ],
)
def test_keys_that_make_no_sense(tmp_path: Path, keys: str, problem: tuple[str, str]) -> None:
    """Each is a problem of its own, at its key."""
    _, problems = registers(tmp_path, keys)
    code, key = problem
    assert (code, f"fields.it{key and f'.{key}'}") in [(found.code, found.path) for found in problems]


def test_parts_have_shapes_too(tmp_path: Path) -> None:
    """A text of a split frame, a label of one, bits of a number of a binary one."""
    text, problems = built(tmp_path, f"[serial]\n{STREAM}", 'part = "0", unit = "1"', "device_state")
    assert (text.type, text.letter, problems) == ("text", "s", [])
    keys = 'part = "0", unit = "1", labels = { 3 = "bulk" }'
    label, problems = built(tmp_path, f"[serial]\n{STREAM}", keys, "device_state")
    assert (label.type, label.labels, problems) == ("", ((3, "bulk"),), [])
    bit, problems = built(tmp_path, f"[serial]\n{BINARY}", 'part = "status", unit = "1", bit = 7', "relay")
    assert (bit.type, bit.bits, bit.letter, problems) == ("u8", (7, 1), "b", [])


@pytest.mark.parametrize(
    ("source", "keys", "problem"),
    [
        (BINARY, 'part = "status", unit = "1", bit = 8', ("bad_bits", "type")),
        (BINARY, 'part = "number", unit = "1", bit = 1', ("bad_bits", "type")),
        (STREAM, 'part = "0", unit = "1", bit = 1', ("bad_bits", "type")),
        (STREAM, 'part = "0", unit = "1", writable = true', ("unknown_key", "writable")),
        (STREAM, 'part = "0", unit = "1", hidden = true', ("unknown_key", "hidden")),
        (STREAM, 'part = "0", unit = "1", length = 2', ("unknown_key", "length")),
    ],
)
def test_keys_that_make_no_sense_in_a_stream(tmp_path: Path, source: str, keys: str, problem: tuple[str, str]) -> None:
    """What is of registers, and bits of what has none."""
    _, problems = built(tmp_path, f"[serial]\n{source}", keys, "relay")
    assert (problem[0], f"fields.relay.{problem[1]}") in [(found.code, found.path) for found in problems]
