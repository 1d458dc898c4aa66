"""gateway.text.words: every code has a title and a next step, in both languages."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import gateway
from gateway.errors import NoReply, Problem
from gateway.model import Quality
from gateway.text import words

ROOT = Path(gateway.__file__).parent
CODE_AT = {
    "problem": 0,
    "report": 0,
    "_report": 0,
    "note": 0,
    "refused": 0,
    "_refused": 2,
    "Event": 2,
    "_tell": 0,
    "title": 0,
}
EVENTS = {  # that the design names, or that are not written out where they are made
    "device_down", "device_up", "bus_down", "bus_up", "field_refused", "rows_dropped", "epoch_start", "restart",
    "clock_step", "clock_set", "receipt_mismatch", "batch_parked", "site_file_broken", "spool_failed",
    "seq_used_twice", "uplink_down", "uplink_up", "no_receipts", "nobody_stores", "identity_used_twice",
    "version_refused", "quota", "disk_full", "corrupt", "refused", "ring_full", "by_hand",
}  # fmt: skip


def entries(lang: str) -> dict[str, dict[str, str]]:
    """One file, as it stands."""
    return tomllib.loads((ROOT / "text" / f"{lang}.toml").read_text("utf-8"))


def called(call: ast.Call) -> str:
    """The name of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def codes_in(path: Path) -> Iterator[str]:
    """The codes that are written out in one module."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and (at := CODE_AT.get(called(node))) is not None and len(node.args) > at:
            code = node.args[at]
            if isinstance(code, ast.Constant) and isinstance(code.value, str) and re.fullmatch(r"[a-z_]+", code.value):
                yield code.value
        if isinstance(node, ast.ClassDef):
            yield from class_code(node)


def class_code(node: ast.ClassDef) -> Iterator[str]:
    """`code = "..."` of an error."""
    for item in node.body:
        targets = (
            item.targets if isinstance(item, ast.Assign) else [item.target] if isinstance(item, ast.AnnAssign) else []
        )
        named = any(isinstance(target, ast.Name) and target.id == "code" for target in targets)
        value = getattr(item, "value", None)
        if named and isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value


LABELS = {
    "online",
    "offline",
    "clock",
    "pending",
    "uplink_settled",
    "uplink_parked",
    "by_puback",
    "device",
    "field",
    "value",
    "age",
    "writable",
    "yes",
}  # words of tables: no next step
PHRASES = ("trace_", "exception_")  # sentences of `gateway trace`: no next step
WRITTEN_OUT = {code for path in ROOT.rglob("*.py") for code in codes_in(path)}


def test_both_languages_have_the_same_entries() -> None:
    """In the same order, so that a reader can compare them."""
    assert list(entries("en")) == list(entries("vi"))


@pytest.mark.parametrize("lang", words.LANGUAGES)
def test_every_entry_is_whole(lang: str) -> None:
    """A title in one line, a next step that is a sentence, nothing else."""
    for code, entry in entries(lang).items():
        if code in LABELS or code.startswith(PHRASES):
            assert set(entry) == {"title"}
            continue
        assert set(entry) == {"title", "next"}, code
        assert "\n" not in entry["title"], code
        assert entry["next"].endswith("."), code
        assert not entry["title"].endswith("."), code


def test_vietnamese_is_vietnamese() -> None:
    """No entry was left in English, and every next step has its diacritics."""
    english, vietnamese = entries("en"), entries("vi")
    for code, entry in vietnamese.items():
        assert entry["title"] != english[code]["title"], code
        assert re.search(r"[à-ỹđ]", entry.get("next", entry["title"]).lower()), code


def test_every_code_has_words() -> None:
    """Codes of errors, problems, notes and events that the source writes out, and those of the wire."""
    assert len(WRITTEN_OUT) > 60
    assert (WRITTEN_OUT | EVENTS | {str(quality) for quality in Quality}) - set(entries("en")) == set()


def test_pydantics_findings_have_words_too() -> None:
    """The codes that toml_file gives to what pydantic found."""
    from gateway import toml_file

    assert set(toml_file._CODES.values()) | {"wrong_type", "bad_value"} <= set(entries("en"))


def test_title_and_next_step() -> None:
    """By code, by error, by problem; each in its language."""
    assert words.title("no_reply", "en") == "The device does not answer"
    assert words.title("no_reply", "vi") == "Thiết bị không trả lời"
    assert words.next_step(NoReply(), "vi") == words.next_step("no_reply", "vi") != ""
    assert words.next_step(Problem("f", 1, "", "missing_key", ""), "en").startswith("Add the key")


def test_what_is_not_known_is_shown_as_it_is() -> None:
    """A code of a newer version, or another language, breaks nothing."""
    assert words.title("of_tomorrow", "vi") == "of_tomorrow"
    assert words.next_step("of_tomorrow", "vi") == ""
    assert words.title("no_reply", "fr") == words.title("no_reply", "en")
