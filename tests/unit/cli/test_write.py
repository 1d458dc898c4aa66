"""gateway write: seen before it is sent, and never without a record."""

import asyncio
from collections.abc import AsyncGenerator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.write import parsed, write
from gateway.control.server import Handler
from gateway.model import Value
from gateway.text import words
from tests.support.daemon import daemon, says

OFFSET: dict[str, Any] = {
    "field": "zero_offset",
    "value": 0.2,
    "quality": "",
    "unit": "m",
    "letter": "f",
    "limits": "-5 … 5",
    "writable": True,
}
DONE = {"code": "ok", "detail": "", "before": 0.2, "after": 0.25}


class Terminal(StringIO):
    """Somebody sits there."""

    def isatty(self) -> bool:
        """Yes."""
        return True


class Daemon:
    """Answers a read with a field, a write with what it is told; keeps what it was asked."""

    def __init__(self, done: dict[str, Any] | None = None, **field: object) -> None:
        self.written: list[dict[str, object]] = []
        self.done = DONE if done is None else done
        self.found = OFFSET | field

    @property
    def handlers(self) -> dict[str, Handler]:
        """For a control socket."""
        return {"read": says({"code": "ok", "detail": "", "fields": [self.found]}), "write": self._write}

    async def _write(self, arguments: dict[str, object]) -> AsyncGenerator[object, None]:
        self.written.append(arguments)
        yield {"waiting": True}
        yield self.done


async def wrote(
    path: Path,
    answers: Daemon,
    text: str = "0.25",
    *,
    lang: str = "en",
    sure: bool = True,
) -> int:
    """The exit status."""
    async with daemon(path, answers.handlers):
        return await asyncio.to_thread(lambda: write(path, "level-1", "zero_offset", text, lang, sure=sure))


async def test_what_it_is_and_what_it_will_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Old value, new value, limits; then what was read back."""
    answers = Daemon()
    assert await wrote(tmp_path / "s", answers) == 0
    said = capsys.readouterr().out
    for line in ("now: 0.2 m", "new: 0.25 m", "limits: -5 … 5", "read back: 0.25 m"):
        assert line in said
    assert answers.written == [{"device": "level-1", "field": "zero_offset", "value": 0.25}]


@pytest.mark.parametrize(
    ("lang", "typed", "status", "times"),
    [("en", "y\n", 0, 1), ("en", "\n", 1, 0), ("en", "no\n", 1, 0), ("vi", "c\n", 0, 1), ("vi", "K\n", 1, 0)],
)
async def test_a_person_is_asked(
    tmp_path: Path, lang: str, typed: str, status: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a yes is one."""
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    answers = Daemon()
    assert await wrote(tmp_path / "s", answers, lang=lang, sure=False) == status
    assert len(answers.written) == times


async def test_a_person_who_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C or Ctrl-D at the question: no event loop is there to take it, and nothing is written; exit 130."""
    loops: list[object] = []

    def leaves(_: str) -> str:
        with pytest.raises(RuntimeError):
            loops.append(asyncio.get_running_loop())
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Terminal(""))
    answers = Daemon()
    assert await wrote(tmp_path / "s", answers, sure=False) == 130  # the end of its input
    monkeypatch.setattr("builtins.input", leaves)
    assert await wrote(tmp_path / "s", answers, sure=False) == 130
    assert (answers.written, loops) == ([], [])
    assert capsys.readouterr().out.count("Nothing was written.") == 2


async def test_a_script_has_to_say_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody could be asked: exit 2, nothing sent."""
    monkeypatch.setattr("sys.stdin", StringIO("y\n"))
    answers = Daemon()
    assert await wrote(tmp_path / "s", answers, sure=False) == 2
    assert answers.written == []
    assert "--yes" in capsys.readouterr().err


async def test_what_the_gateway_refuses_anyway_is_not_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says why."""
    monkeypatch.setattr("sys.stdin", StringIO(""))
    refusal = {"code": "not_allowed", "detail": "the site", "before": None, "after": None}
    answers = Daemon(refusal, writable=False)
    assert await wrote(tmp_path / "s", answers, sure=False) == 1
    assert f"{words.title('not_allowed', 'en')}: the site" in capsys.readouterr().err


@pytest.mark.parametrize("lang", words.LANGUAGES)
async def test_a_device_that_holds_another_value(tmp_path: Path, lang: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, with that value."""
    answers = Daemon({"code": "not_confirmed", "detail": "", "before": 0.2, "after": 0.21})
    assert await wrote(tmp_path / "s", answers, lang=lang) == 1
    err = capsys.readouterr().err
    assert words.title("not_confirmed", lang) in err
    assert "0.21 m" in err


@pytest.mark.parametrize("lang", words.LANGUAGES)
async def test_without_a_daemon_nothing_is_written(
    tmp_path: Path, lang: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody would record it: exit 3, and what to do."""
    status = await asyncio.to_thread(lambda: write(tmp_path / "s", "level-1", "zero_offset", "1", lang, sure=True))
    assert status == 3
    err = capsys.readouterr().err
    assert words.title("unrecorded", lang) in err
    assert words.next_step("unrecorded", lang) in err


@pytest.mark.parametrize(
    ("text", "letter", "value"),
    [
        ("0.25", "f", 0.25),
        ("-3", "f", -3.0),
        ("x", "f", "x"),
        ("on", "b", True),
        ("0", "b", False),
        ("maybe", "b", "maybe"),
        ("1", "s", "1"),
        ("auto", "s", "auto"),
    ],
)
def test_what_is_typed_is_of_the_fields_type(text: str, letter: str, value: Value) -> None:
    """What is not stays a text, and the gateway refuses it."""
    found = parsed(text, letter)
    assert found == value
    assert type(found) is type(value)
