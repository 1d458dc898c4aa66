"""The control socket: for owner and group alone, in a folder of ours, and never a way to stop the buses."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gateway.app import handlers as app_handlers
from gateway.control import server as control
from gateway.control.protocol import Request, encode_request
from gateway.control.server import CLIENTS_MAX, Server
from tests.support.chain import Command
from tests.support.modbus_server import ModbusServer
from tests.support.written import SITE, write, write_profile

ASK = encode_request(Request(1, "status"))
AHEAD = 500


async def _answer(_: dict[str, object]) -> AsyncIterator[object]:
    yield 1


@contextlib.asynccontextmanager
async def serving(path: Path, handler: control.Handler = _answer) -> AsyncIterator[None]:
    """A server of one handler, `status`."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(Server(path, {"status": handler}).run(), name="server")
        await until(
            lambda: path.is_socket() and not path.is_symlink() and path.stat().st_mode & 0o777 == control.SOCKET_MODE
        )
        yield
        running.cancel()


async def test_the_loop_turns_between_two_requests(tmp_path: Path) -> None:
    """A client that sends hundreds of requests ahead is answered one a turn: the buses have the others."""
    turns = asked = 0

    async def counted(_: dict[str, object]) -> AsyncIterator[object]:
        nonlocal asked
        asked += 1
        at.append(turns)
        yield asked

    async def turning() -> None:
        nonlocal turns
        while asked < AHEAD:
            turns += 1
            await asyncio.sleep(0)  # noqa: TID251 - counts turns

    at: list[int] = []
    async with serving(tmp_path / "s", counted):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(ASK * AHEAD)
        await turning()
        assert all(later > earlier for earlier, later in pairwise(at))
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        assert not reader.exception()


async def test_a_silent_client_gives_its_place_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight terminals that were left open do not lock the ninth technician out for ever."""
    monkeypatch.setattr(control, "IDLE_TIMEOUT_S", 0.05)
    async with serving(tmp_path / "s"):
        silent = [await asyncio.open_unix_connection(tmp_path / "s") for _ in range(CLIENTS_MAX)]
        assert await silent[0][0].read() == b""
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(ASK)
        assert b'"data":1' in await reader.readline()
        for _, one in [*silent, (reader, writer)]:
            one.close()


@pytest.mark.parametrize("line", [b"{" * 70_000 + b"\n", b"[" * 60_000 + b"\n", b"\xff\n", b"\n", b"{}\n"])
async def test_no_line_stops_the_server(tmp_path: Path, line: bytes) -> None:
    """Too long, too deep, no text, nothing: an answer or a hang up, and the next client is served."""
    async with serving(tmp_path / "s"):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        with contextlib.suppress(ConnectionError):
            writer.write(line)
            writer.write_eof()
            assert b'"data"' not in await reader.read()
        writer.close()
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(ASK)
        assert b'"data":1' in await reader.readline()
        writer.close()


@pytest.mark.parametrize("to", ["other", "nowhere"])
async def test_a_link_in_its_place_is_replaced_not_followed(tmp_path: Path, to: str) -> None:
    """Somebody else's socket behind it stays; the new one is ours. A link that leads nowhere is no reason to fail."""
    async with serving(tmp_path / "other"):
        (tmp_path / "s").symlink_to(to)
        async with serving(tmp_path / "s"):
            assert not (tmp_path / "s").is_symlink()
            assert (tmp_path / "other").is_socket()


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
async def test_owner_and_group_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    """Between bind and chmod the daemon's own umask (0077) holds: owner alone."""
    before = os.umask(mask)
    try:
        async with serving(tmp_path / "s"):
            assert (tmp_path / "s").stat().st_mode & 0o777 == 0o660
    finally:
        os.umask(before)


def test_it_only_answers_questions() -> None:
    """Nothing on the socket changes anything: whoever floods it can at most read."""
    nobody: Any = None  # none of them is asked
    asked = app_handlers.handlers(nobody, (), nobody, nobody, nobody)
    assert set(asked) == {"status", "counters", "rows"}


async def test_polls_go_on_under_a_flood(tmp_path: Path) -> None:
    """The real daemon: eight clients ask as fast as they can, and the device is still asked, again and again."""
    write_profile(tmp_path / "profiles")
    async with ModbusServer("tcp") as device:
        site = write(tmp_path / "site.toml", site_text(device.endpoint))
        daemon = Command(tmp_path, "gateway", "gateway", "run", str(site), "--profiles", str(tmp_path / "profiles"))
        daemon.start()
        try:
            socket = tmp_path / "spool" / "control.sock"
            await until(lambda: bool(device.asked) and socket.is_socket())
            async with asyncio.TaskGroup() as tasks:
                flood = [tasks.create_task(flooding(socket)) for _ in range(CLIENTS_MAX)]
                before = len(device.asked)
                await until(lambda: len(device.asked) >= before + 20)
                for one in flood:
                    one.cancel()
            assert sum(answers) > 1000
            assert daemon.alive(), daemon.tail()
            assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
            daemon.stop()
        finally:
            daemon.kill()


answers: list[int] = []


async def flooding(path: Path) -> None:
    """Requests ahead, always; answers are read and thrown away."""
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 20)
    answers.append(0)
    mine = len(answers) - 1

    async def ask() -> None:
        while True:
            writer.write(ASK * 100)
            await writer.drain()

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask())
            while await reader.readline():
                answers[mine] += 1
    finally:
        writer.close()


def site_text(endpoint: str) -> str:
    """One device, asked ten times a second."""
    return f"""{SITE}[clock]
trust = "system"
[spool]
path = "spool"
quota = "100 MB"
[[bus]]
name = "tcp-1"
host = "{endpoint}"
[[device]]
name = "probe-1"
bus = "tcp-1"
unit_id = 1
profile = "acme/probe@1"
every = "100ms"
"""


async def until(holds: Callable[[], bool]) -> None:
    """It is so; the test's own timeout is the bound."""
    while not holds():  # noqa: ASYNC110 - files and other processes have no event
        await asyncio.sleep(0.01)  # noqa: TID251 - as above
