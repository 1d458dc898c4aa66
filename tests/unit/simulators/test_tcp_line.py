"""`simulators.tcp_line`: a converter's one queue: what is heard, what all hear, its speed, and its states."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from gateway.profile.profile import Line
from simulators import tcp_line
from simulators.moments import boot_ns
from simulators.tcp_line import TcpLine
from tests.unit.simulators.worlds import idle, until

MS = 1_000_000


@contextmanager
def a_line(baud: int = 115200, endpoint: str = "127.0.0.1:0") -> Iterator[TcpLine]:
    """On a free port."""
    with TcpLine(endpoint, Line(baud)) as line:
        assert isinstance(line, TcpLine)
        yield line


@asynccontextmanager
async def client(line: TcpLine) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """One that is connected, and has been accepted."""
    host, _, port = line.endpoint.rpartition(":")
    before = len(line._clients)
    reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    await until(lambda: len(line._clients) > before)
    yield reader, writer
    writer.close()


async def test_all_write_into_one_queue_and_all_hear_the_answer() -> None:
    """In the order that the bytes came; what comes while the line speaks waits."""
    with a_line() as line:
        assert not line.listened_to()
        async with client(line) as (one, to_one), client(line) as (other, to_other):
            to_one.write(b"ab")
            assert (await line.receive())[0] == b"ab"
            to_other.write(b"cd")
            first = await line.send(b"answer", boot_ns() + 20 * MS)
            assert first is not None
            assert await one.readexactly(6) == await other.readexactly(6) == b"answer"
            assert (await line.receive())[0] == b"cd"


async def test_an_answer_takes_its_time_on_the_line() -> None:
    """Whole, when its last character has passed."""
    with a_line(9600) as line:
        async with client(line):
            begin_ns = boot_ns()
            first = await line.send(bytes(48), begin_ns)
            assert first is not None
            assert first.boot_ns - begin_ns >= 48 * line.char_ns


async def test_it_waits_no_longer_than_it_is_told() -> None:
    """And says so with nothing."""
    with a_line() as line:
        until_ns = boot_ns() + 5 * MS
        assert await line.receive(until_ns) == (b"", until_ns)


async def test_where_nobody_is_connected_nothing_is_heard() -> None:
    """An answer that nobody gets was not said; who comes later does not get it."""
    with a_line() as line:
        assert await line.send(b"old", boot_ns()) is None
        async with client(line) as (reader, _):
            assert await line.send(b"new", boot_ns()) is not None
            assert await reader.readexactly(3) == b"new"


async def test_refuse_hangs_up_and_the_same_port_comes_back() -> None:
    """Told again, a state changes nothing."""
    with a_line() as line:
        host, _, port = line.endpoint.rpartition(":")
        async with client(line) as (reader, _):
            line.turn("refuse")
            line.turn("refuse")
            assert await reader.read() == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(host, int(port))
        line.turn("")
        async with client(line) as (_, writer):
            writer.write(b"x")
            assert (await line.receive())[0] == b"x"


async def test_half_open_neither_hears_nor_answers() -> None:
    """The connection stands."""
    with a_line() as line:
        async with client(line) as (_, writer):
            line.turn("half_open")
            writer.write(b"lost")
            await idle(20)
            assert await line.send(b"x", boot_ns()) is None
            assert await line.receive(boot_ns() + MS) != (b"lost", 0)
            line.turn("")
            writer.write(b"x")
            assert (await line.receive())[0] == b"x"


async def test_who_floods_or_never_reads_is_cut_off() -> None:
    """Memory has a bound."""
    with a_line(100_000_000) as line:
        async with client(line) as (_, writer):
            writer.write(bytes(2 * tcp_line.WAITING_BYTES_MAX))
            await until(lambda: not line.listened_to())
        async with client(line):
            while line.listened_to():
                await line.send(bytes(1 << 20), 0)


async def test_more_clients_than_it_has_room_for_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others stay."""
    monkeypatch.setattr(tcp_line, "CLIENTS_MAX", 1)
    with a_line() as line:
        async with client(line):
            host, _, port = line.endpoint.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            assert await reader.read() == b""
            writer.close()
            assert line.listened_to()


async def test_a_port_that_is_taken_is_an_error() -> None:
    """And an IPv6 endpoint is written as one."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            TcpLine(f"127.0.0.1:{port}", Line())
    with a_line(endpoint="[::1]:0") as line:
        assert line.endpoint.startswith("[::1]:")
