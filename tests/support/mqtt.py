"""Connections of ours for tests against a real broker, and what a test asks of them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from gateway.errors import ConnectionLost, PeerError
from gateway.model import UtcMs
from gateway.mqtt.connection import PahoConnect, PahoConnection
from gateway.seams import Broker, Connection, Message, Tls
from tests.support.servers import Mosquitto

NOW = UtcMs(1_795_521_600_000)  # 2026-11-24T12:00:00Z
LONG_S = 10.0  # for what must happen: a bound, not a measure


@contextmanager
def nothing_left_behind() -> Iterator[None]:
    """No thread and no file descriptor outlives the block."""
    others, descriptors = set(threading.enumerate()), _descriptors()
    yield
    assert set(threading.enumerate()) <= others
    assert _descriptors() <= descriptors


@asynccontextmanager
async def connected(
    server: Mosquitto | int,
    client_id: str = "a",
    *,
    tls: Tls | None = None,
    now: UtcMs | None = NOW,
    floor: UtcMs = NOW,
    will: tuple[str, bytes] | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[PahoConnection]:
    """A connection that is closed after."""
    port = server if isinstance(server, int) else server.port
    broker = Broker(host, port, client_id, tls)
    made = await PahoConnect(lambda: (now, floor))(broker, will=will)
    assert isinstance(made, PahoConnection)
    try:
        yield made
    finally:
        await made.close()


async def next_message(connection: Connection) -> Message:
    """The next one, within 10 s."""
    async with asyncio.timeout(LONG_S):
        async for message in connection.messages():
            return message
    raise AssertionError("no message")


async def loss_of(connection: Connection) -> ConnectionLost:
    """How it ended, within 10 s."""
    try:
        async with asyncio.timeout(LONG_S):
            async for _ in connection.messages():
                pass
    except ConnectionLost as lost:
        return lost
    raise AssertionError("messages() ended without an error")


async def outcome(wait: Awaitable[object]) -> object:
    """What it returns or raises; errors of ours only."""
    try:
        return await wait
    except PeerError as error:
        return error


@asynccontextmanager
async def threads_end() -> AsyncIterator[None]:
    """Threads that were started in the block and given up end by themselves, soon; those of others do not count."""
    others = set(threading.enumerate())
    yield
    async with asyncio.timeout(LONG_S):
        while set(threading.enumerate()) - others:  # noqa: ASYNC110 - a thread of paho's own cannot be awaited
            await asyncio.sleep(0.02)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
