"""gateway.app.watchdog: systemd's socket, a real one."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.app import watchdog
from gateway.model import BootMs
from gateway.testing.clock import FakeClock


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What systemd listens on: $NOTIFY_SOCKET, a path or a name in the abstract space."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listens:
        listens.setblocking(False)
        if request.param == "path":
            listens.bind(str(tmp_path / "notify"))
            monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        else:
            listens.bind("\0" + str(tmp_path)[-60:])
            monkeypatch.setenv("NOTIFY_SOCKET", "@" + str(tmp_path)[-60:])
        yield listens


def heard(listens: socket.socket) -> list[str]:
    """All that came so far."""
    messages = []
    while True:
        try:
            messages.append(listens.recv(1024).decode())
        except BlockingIOError:
            return messages


def test_a_message_arrives(systemd: socket.socket) -> None:
    """One datagram each, as it is."""
    watchdog.notify("READY=1")
    watchdog.notify("STOPPING=1")
    assert heard(systemd) == ["READY=1", "STOPPING=1"]


def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo, a test, a container."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    watchdog.notify("READY=1")


def test_a_socket_that_is_gone_is_told_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The readings matter more than systemd's opinion."""
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    watchdog.notify("READY=1")
    assert "notify_failed" in caplog.text


async def test_fed_at_a_third_of_the_interval_while_there_is_progress(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No progress: nothing is sent, so systemd ends us; progress again: it is fed again."""
    monkeypatch.setenv("WATCHDOG_USEC", "30000000")
    clock, moves, asked_at = FakeClock(), iter([True, False, True]), list[BootMs]()

    async def progress() -> bool:
        asked_at.append(clock.boot_ms())
        return next(moves)

    started = clock.boot_ms()
    fed = []
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watchdog.watch(clock, progress))
        for ms in (0, 1, 1):
            await clock.advance(ms)
            fed.append(heard(systemd))
            await clock.advance(9_999)
            assert heard(systemd) == []
        watching.cancel()
    assert fed == [["WATCHDOG=1"], [], ["WATCHDOG=1"]]
    assert [at - started for at in asked_at] == [0, 10_000, 20_000]
    assert "no_progress" in caplog.text


async def test_without_a_watchdog_it_returns_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No $WATCHDOG_USEC: nothing is asked, nothing is sent."""
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)

    async def progress() -> bool:
        raise AssertionError

    await watchdog.watch(FakeClock(), progress)
