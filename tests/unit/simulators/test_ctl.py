"""simctl: the command, as people call it."""

import asyncio
import io
from pathlib import Path

import pytest

from gateway.model import UtcMs
from simulators import ctl
from simulators.signals import Moment
from tests.unit.simulators.test_commands import KEY
from tests.unit.simulators.test_control import listening


async def simctl(path: Path, *words: str) -> int:
    """The command, as people call it."""
    return await asyncio.to_thread(ctl.main, [str(path), *words])


async def test_values_and_faults_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0, and what is listed is printed."""
    async with listening(tmp_path) as (path, made):
        assert await simctl(path, "set", KEY, "231.5") == 0
        assert made.knobs[KEY](Moment(UtcMs(0))) == 231.5
        assert await simctl(path, "fault", "meter-1", "late", "by_ms=800") == 0
        assert await simctl(path, "list") == 0
    assert capsys.readouterr().out == f"{KEY} = 231.5\n* meter-1 late by_ms=800\n"


async def test_what_is_refused_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, with exit status 1."""
    async with listening(tmp_path) as (path, _):
        assert await simctl(path, "fault", "meter-9", "silent") == 1
    assert "meter-9" in capsys.readouterr().err


async def test_many_commands_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one connection; the worst of them is the exit status."""
    async with listening(tmp_path) as (path, made):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"set {KEY} 1\nclear meter-1\nset {KEY} 2\n"))
        assert await simctl(path, "-") == 1
        assert made.knobs[KEY].held == 2.0


async def test_nobody_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2."""
    assert await simctl(tmp_path / "none.sock", "list") == 2
    assert "none.sock" in capsys.readouterr().err
