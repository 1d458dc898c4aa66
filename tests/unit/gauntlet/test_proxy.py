"""The ways between the processes: ill as told, and never otherwise: no byte is changed, reordered or left out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.gauntlet.database_way import DatabaseWay
from tests.gauntlet.proxy import WELL, Mood, Way
from tests.support.servers import free_port

SOME = bytes(range(256)) * 20


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A server that says what it hears."""

    async def serve(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        while data := await source.read(4096):
            to.write(data)
        to.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    "mood", [WELL, Mood("slice", bytes_max=7), Mood("latency", delay_s=0.02)], ids=lambda m: m.name
)
async def test_what_is_said_arrives_whole(mood: Mood) -> None:
    """In pieces or late, but all of it."""
    async with echo() as port, Way(free_port(), port) as way:
        way.mood = mood
        source, to = await asyncio.open_connection("127.0.0.1", way.port)
        to.write(SOME)
        assert await source.readexactly(len(SOME)) == SOME
        to.close()


async def test_a_stalled_way_goes_on_where_it_was() -> None:
    """Nothing comes while it is stalled, all of it after."""
    async with echo() as port, Way(free_port(), port) as way:
        source, to = await asyncio.open_connection("127.0.0.1", way.port)
        to.write(b"before")
        assert await source.readexactly(6) == b"before"
        way.mood = Mood("stall")
        to.write(b"after")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(source.readexactly(5), 0.2)
        way.mood = WELL
        assert await source.readexactly(5) == b"after"
        to.close()


async def test_behind_a_hole_nothing_is_said_any_more() -> None:
    """Half-open: what was swallowed is never skipped; the connection is cut when the way is well again."""
    async with echo() as port, Way(free_port(), port) as way:
        source, to = await asyncio.open_connection("127.0.0.1", way.port)
        to.write(b"before")
        assert await source.readexactly(6) == b"before"
        way.mood = Mood("half_open")
        to.write(b"lost")
        await asyncio.sleep(0.1)
        way.mood = WELL
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await source.readexactly(1)


async def test_refused_and_reset() -> None:
    """What is open is cut, what comes is refused, and it can come back on the same port."""
    async with echo() as port, Way(free_port(), port) as way:
        source, to = await asyncio.open_connection("127.0.0.1", way.port)
        to.write(b"x")
        await source.readexactly(1)
        await way.refuse()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await source.readexactly(1)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", way.port)
        await way.listen()
        source, to = await asyncio.open_connection("127.0.0.1", way.port)
        to.write(b"y")
        assert await source.readexactly(1) == b"y"
        to.close()


@pytest.mark.parametrize(
    ("mood", "lines", "status", "written"),
    [
        ("well", b"a\nb\nc\nd", 204, b"a\nb\nc\nd"),
        ("busy", b"a\nb", 503, b""),
        ("unauthorised", b"a\nb", 401, b""),
        ("partial", b"a\nb\nc\nd", 400, b"a\nb"),
        ("partial", b"a", 204, b"a"),
        ("max_series", b"a\nb\nc\nd", 400, b"a\nb"),
    ],
)
async def test_the_way_to_the_database_answers_in_its_place(
    mood: str, lines: bytes, status: int, written: bytes
) -> None:
    """A partial answer has written its half; one line alone is always told the truth."""
    heard = bytearray()

    async def database(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        head = await source.readuntil(b"\r\n\r\n")
        length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
        heard.extend(await source.readexactly(length))
        to.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        to.close()

    server = await asyncio.start_server(database, "127.0.0.1", 0)
    async with server, DatabaseWay(free_port(), server.sockets[0].getsockname()[1]) as way:
        way.mood = Mood(mood)
        source, to = await asyncio.open_connection("127.0.0.1", way.port)
        to.write(b"POST /write?db=city HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(lines), lines))
        answer = await source.readline()
        assert answer.split()[1] == str(status).encode()
        assert bytes(heard) == written
        to.close()
