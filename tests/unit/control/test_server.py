"""The control socket, served and asked for real."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from gateway.control import client, protocol
from gateway.control.client import SocketClient
from gateway.control.server import CLIENTS_MAX, Server
from gateway.errors import SpoolFailed


async def _count(arguments: dict[str, object]) -> AsyncGenerator[object, None]:
    for i in range(int(str(arguments["n"]))):
        yield i


async def _fails(_: dict[str, object]) -> AsyncGenerator[object, None]:
    yield 1
    raise SpoolFailed("disk")


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    """A running server's socket."""
    path = tmp_path / "control.sock"
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(Server(path, {"count": _count, "fails": _fails}).run(), name="server")
        while not path.exists():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.01)  # noqa: TID251 - a test waits for a real socket
        yield path
        running.cancel()


async def test_all_answers_come_in_order(path: Path) -> None:
    """One question may have many answers."""
    assert [data async for data in SocketClient(path).ask("count", n=3)] == [0, 1, 2]


async def test_unknown_requests_and_errors_have_codes(path: Path) -> None:
    """What can't be answered is answered with a stable code."""
    with pytest.raises(client.Refused, match="unknown_request"):
        await client.first(SocketClient(path), "nothing")
    with pytest.raises(client.Refused, match="spool_failed"):
        await client.first(SocketClient(path), "fails")


async def test_no_daemon_is_not_running(tmp_path: Path) -> None:
    """A missing socket is NotRunning, not an OSError."""
    with pytest.raises(client.NotRunning):
        await client.first(SocketClient(tmp_path / "none.sock"), "status")


async def test_garbage_gets_malformed_and_the_next_line_works(path: Path) -> None:
    """A broken request does not cost the connection."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"garbage\n" + protocol.encode_request(protocol.Request(2, "count", {"n": 1})))
    answers = [protocol.decode_answer(await reader.readline()) for _ in range(3)]
    writer.close()
    await writer.wait_closed()
    assert [(a.id, a.last, a.error) for a in answers] == [(0, True, "malformed"), (2, False, ""), (2, True, "")]


async def test_clients_are_bounded(path: Path) -> None:
    """One client too many is hung up on at once; the others stay."""
    writers = []
    for _ in range(CLIENTS_MAX):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(protocol.encode_request(protocol.Request(1, "count", {"n": 0})))
        assert protocol.decode_answer(await reader.readline()).last
        writers.append(writer)
    reader, extra = await asyncio.open_unix_connection(path)
    assert await reader.readline() == b""
    for writer in [*writers, extra]:
        writer.close()
        await writer.wait_closed()


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def test_the_socket_is_not_for_everybody(path: Path) -> None:
    """Only owner and group may ask."""
    assert _mode(path) == 0o660
