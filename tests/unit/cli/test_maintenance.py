"""gateway maintenance: what is asked of the daemon, and what a person is told."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from gateway.cli.maintenance import Work, ask
from gateway.text import words
from tests.support.daemon import daemon, says

WORK = Work("level-1", "2h", "LVH", "", calibration=True)


@pytest.mark.parametrize(("length", "for_ms", "said"), [("2h", 7_200_000, "on"), ("0s", 0, "off")])
async def test_what_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], length: str, for_ms: int, said: str
) -> None:
    """The words of the command line in the daemon's units; the state that came of it."""
    asked: list[dict[str, object]] = []

    async def answers(arguments: dict[str, object]) -> AsyncGenerator[object, None]:
        asked.append(arguments)
        yield {"code": "ok"}

    work = Work("level-1", length, "LVH", "a new float", calibration=True)
    async with daemon(tmp_path / "c.sock", {"maintenance": answers}):
        assert await asyncio.to_thread(ask, tmp_path / "c.sock", work, "vi") == 0
    assert asked == [{"device": "level-1", "for_ms": for_ms, "by": "LVH", "why": "a new float", "calibration": True}]
    assert capsys.readouterr().out == f"level-1: {words.title(f'maintenance_{said}', 'vi')}\n"


@pytest.mark.parametrize("answer", [{"code": "no_such_device"}, {"code": "bad_arguments", "detail": "for_ms"}])
async def test_a_refusal_is_exit_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], answer: dict[str, object]
) -> None:
    """With the device, and what to do next."""
    async with daemon(tmp_path / "c.sock", {"maintenance": says(answer)}):
        assert await asyncio.to_thread(ask, tmp_path / "c.sock", WORK, "en") == 1
    code = str(answer["code"])
    assert capsys.readouterr().err == f"{words.title(code, 'en')}: level-1\n{words.next_step(code, 'en')}\n"


async def test_who_answers_otherwise_is_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A daemon of another version: nothing is taken for done."""
    async with daemon(tmp_path / "c.sock", {"maintenance": says("done")}):
        assert await asyncio.to_thread(ask, tmp_path / "c.sock", WORK, "en") == 1
    assert capsys.readouterr().out == ""


def test_a_time_that_is_none_is_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is asked."""
    assert ask(tmp_path / "c.sock", Work("level-1", "two hours", "LVH", "", calibration=False), "en") == 2
    assert words.title("bad_duration", "en") in capsys.readouterr().err


def test_no_daemon_is_exit_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Maintenance is the daemon's to know: without one nothing is set."""
    assert ask(tmp_path / "c.sock", WORK, "en") == 3
    assert words.title("not_running", "en") in capsys.readouterr().err
