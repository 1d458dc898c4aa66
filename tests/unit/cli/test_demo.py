"""gateway demo: its lines, its table, its exit status; the chain itself is shown in tests/unit/app/test_demo.py."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import pytest
from rich.console import Console

from gateway.app.demo import DemoFailed, Snapshot, Verdict
from gateway.app.matching import Point
from gateway.cli import demo

STATUS = {"pending": 3, "in_flight": 2, "devices_down": ["air-2"]}
ROW: dict[str, Any] = {
    "device": "meter-1",
    "age_ms": 400,
    "values": {"a": 1.5, "b": None, "c": "[/]", "d": True, "e": 2.0},
}
SNAPSHOT = Snapshot(7.25, STATUS, (ROW,), 9)
MISSING = tuple(Point(("meter-1", "a"), at, 1.5) for at in range(7))


class FakeDemo:
    """A chain that shows two looks and ends as it is told."""

    def __init__(self, verdict: Verdict, *, fails: str = "", interrupts: int = 0) -> None:
        self.verdict, self.fails, self.interrupts, self.left = verdict, fails, interrupts, False

    def __call__(self, _clock: object) -> Self:
        """In place of the class."""
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.left = True

    async def snapshots(self, _seconds: float | None) -> AsyncIterator[Snapshot]:
        """Two, or for ever until Ctrl-C."""
        if self.fails:
            raise DemoFailed(self.fails)
        yield SNAPSHOT
        if self.interrupts:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        yield SNAPSHOT

    async def finish(self) -> Verdict:
        """The second Ctrl-C comes here."""
        if self.interrupts > 1:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        return self.verdict


def shown(monkeypatch: pytest.MonkeyPatch, fake: FakeDemo) -> int:
    """The exit status of `gateway demo --plain` with this chain; it must have been left."""
    monkeypatch.setattr(demo, "Demo", fake)
    status = demo.show(None, plain=True)
    assert fake.left
    return status


def test_all_stored_is_exit_0(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A line a look, then the verdict."""
    assert shown(monkeypatch, FakeDemo(Verdict(50, 50, ()))) == 0
    line = "  7.2 s  rows  1  waiting 3  in flight 2  stored batches 9\n"
    assert capsys.readouterr().out == 2 * line + "read 50 stored 50 missing 0\n"


def test_a_missing_value_is_exit_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The first few by name."""
    assert shown(monkeypatch, FakeDemo(Verdict(50, 43, MISSING))) == 1
    told = capsys.readouterr()
    assert told.out.endswith("read 50 stored 43 missing 7\n")
    assert told.err.splitlines() == [f"missing meter-1.a = 1.5 at {at}" for at in range(demo.SHOWN_MAX)]


def test_a_part_that_fails_is_exit_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Which, and no traceback."""
    assert shown(monkeypatch, FakeDemo(Verdict(0, 0, ()), fails="ingest ended with 1")) == 1
    assert capsys.readouterr().err == "demo failed: ingest ended with 1\n"


def test_ctrl_c_ends_the_watching_and_compares(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once: everything is ended in order."""
    assert shown(monkeypatch, FakeDemo(Verdict(50, 50, ()), interrupts=1)) == 0
    assert capsys.readouterr().out.endswith("read 50 stored 50 missing 0\n")


def test_ctrl_c_twice_ends_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 130, a sentence, no traceback."""
    assert shown(monkeypatch, FakeDemo(Verdict(50, 50, ()), interrupts=2)) == 130
    assert capsys.readouterr().err == "ended at once: nothing was compared\n"


def test_the_table() -> None:
    """The newest values of each device as they are, what is down, where the batches are."""
    console = Console(width=160)
    with console.capture() as captured:
        console.print(demo.table(SNAPSHOT))
    said = captured.get()
    assert "a 1.5  c [/]  d True  +2" in said
    assert "0.4 s" in said
    assert "air-2" in said
    assert "does not answer" in said
    assert said.rstrip().endswith("7 s   Ctrl-C ends and compares")
