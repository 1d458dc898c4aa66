"""gateway.south.served: what a client of a served bus gets, and what it cannot do."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest

from gateway.counters import Counters
from gateway.errors import BadReply, BusBusy, DeviceException, GatewayError, LinkDown, NoReply
from gateway.model import Event
from gateway.protocols.modbus_frame import Frame, encode_tcp
from gateway.protocols.modbus_pdu import ReadDeviceId, ReadRequest, Request, Table
from gateway.seams import Clock
from gateway.site import Serve
from gateway.south import served
from gateway.south.links.link import PLAIN, Manner, Reply
from gateway.south.served import BusServer
from gateway.testing.clock import FakeClock, turns
from tests.support.servers import free_port
from tests.support.south import a_bus, a_device, a_field

READ = b"\x03\0\x05\0\2"


class Asked:
    """`Asks` that keeps what it was asked, and answers each register with its address."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, Request, float, Manner]] = []
        self.failure: GatewayError | None = None
        self.go = asyncio.Event()
        self.go.set()

    async def ask(self, unit_id: int, request: Request, timeout_ms: float, manner: Manner = PLAIN) -> Reply:
        """As `Asks`."""
        self.asked.append((unit_id, request, timeout_ms, manner))
        await self.go.wait()
        if self.failure:
            raise self.failure
        if isinstance(request, ReadDeviceId):
            return Reply(bytes.fromhex("01 00 00 01 00 04") + b"Acme", 0, 0, 0)
        assert isinstance(request, ReadRequest)
        return Reply(b"".join((request.address + n).to_bytes(2) for n in range(request.count)), 0, 0, 0)


class Bench:
    """A server and what it tells."""

    def __init__(self, port: int = 0, clock: Clock | None = None) -> None:
        self.asks, self.counters = Asked(), Counters()
        self.events: list[Event] = []
        device = a_device(
            "m", ([a_field(0)], 1000), unit_id=3, min_gap_ms=2.0, never_read=((Table.HOLDING, 0x20, 0x2F),)
        )
        self.server = BusServer(
            a_bus(device),
            Serve("127.0.0.1", port),
            self.asks,
            clock or FakeClock(),
            self.counters,
            self.events.append,
        )


async def test_a_read_is_handed_on_and_its_reply_back() -> None:
    """With the device's own timeout and manner."""
    bench = Bench()
    assert await bench.server.answer(3, READ) == b"\x03\x04\0\5\0\6"
    assert bench.asks.asked == [(3, ReadRequest(Table.HOLDING, 5, 2), 200, Manner(2_000_000))]
    assert await bench.server.answer(3, b"\x2b\x0e\1\0") == b"\x2b\x0e\1" + bytes.fromhex("01 00 00 01 00 04") + b"Acme"


@pytest.mark.parametrize(
    ("unit_id", "pdu", "exception"),
    [
        (3, b"\x06\0\5\0\1", 1),
        (3, b"\x05\0\5\xff\0", 1),
        (3, b"\x10\0\5\0\1\2\0\1", 1),
        (3, b"\x0f\0\5\0\1\1\1", 1),
        (3, b"\x17\0\5", 1),
        (3, b"\x03\0\5\0\xff", 3),
        (3, b"\x03\0\x1f\0\2", 2),
        (3, b"\x03\0\x2f\0\2", 2),
        (4, READ, 10),
        (0, READ, 10),
        (255, READ, 10),
    ],
)
async def test_what_is_refused_never_reaches_the_bus(unit_id: int, pdu: bytes, exception: int) -> None:
    """Writes, unknown functions and counts, registers that must not be read, devices that are not here."""
    bench = Bench()
    assert await bench.server.answer(unit_id, pdu) == bytes((pdu[0] | 0x80, exception))
    assert bench.asks.asked == []
    assert bench.counters.get("served_exceptions", bus="bus-1", exception=str(exception)) == 1


@pytest.mark.parametrize(
    ("failure", "exception"),
    [(NoReply(), 11), (BadReply("torn"), 11), (LinkDown("gone"), 10), (BusBusy("full"), 6), (DeviceException(4), 4)],
)
async def test_a_failure_is_told_as_the_exception_for_it(failure: GatewayError, exception: int) -> None:
    """So that the client knows whom to blame."""
    bench = Bench()
    bench.asks.failure = failure
    assert await bench.server.answer(3, READ) == bytes((0x83, exception))


@asynccontextmanager
async def serving(bench: Bench) -> AsyncIterator[None]:
    """`run` beside the test."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(bench.server.run())
        yield
        task.cancel()


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client, once the server is there."""
    async with asyncio.timeout(5):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await turns()


async def test_clients_over_a_socket() -> None:
    """Requests in one segment are answered in order, one at a time; each with its own transaction."""
    bench = Bench(port := free_port())
    async with serving(bench):
        reader, writer = await connected(port)
        bench.asks.go.clear()
        writer.write(encode_tcp(Frame(3, READ, 7)) + encode_tcp(Frame(3, b"\x03\0\x09\0\1", 8)))
        while not bench.asks.asked:
            await turns()
        await turns()
        assert len(bench.asks.asked) == 1
        bench.asks.go.set()
        assert await reader.readexactly(13) == encode_tcp(Frame(3, b"\x03\x04\0\5\0\6", 7))
        assert await reader.readexactly(11) == encode_tcp(Frame(3, b"\x03\x02\0\x09", 8))
        writer.close()


async def test_one_client_too_many_is_hung_up_on() -> None:
    """The others are served on; a place that becomes free can be had."""
    bench = Bench(port := free_port())
    async with serving(bench):
        clients = [await connected(port) for _ in range(served.CLIENTS_MAX)]
        for reader, writer in clients:
            writer.write(encode_tcp(Frame(3, READ, 1)))
            await reader.readexactly(13)
        reader, writer = await connected(port)
        assert await reader.read() == b""
        assert bench.counters.get("served_turned_away", bus="bus-1") == 1
        clients[0][1].close()
        await clients[0][1].wait_closed()
        await turns(200)
        reader, again = await connected(port)
        again.write(encode_tcp(Frame(3, READ, 1)))
        assert await reader.readexactly(13)
        for one in (writer, again, *(one for _, one in clients)):
            one.close()


async def test_who_makes_no_sense_is_hung_up_on() -> None:
    """What follows a broken header cannot be understood."""
    bench = Bench(port := free_port())
    async with serving(bench):
        reader, writer = await connected(port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
    assert bench.counters.get("served_not_understood", bus="bus-1") == 1
    assert bench.asks.asked == []


async def test_who_asks_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place may be another's."""
    monkeypatch.setattr(served, "IDLE_S", 0.05)
    bench = Bench(port := free_port())
    async with serving(bench):
        reader, writer = await connected(port)
        assert await reader.read() == b""
        writer.close()


async def test_a_stop_hangs_up_on_all() -> None:
    """Nobody is left waiting for an answer that will not come."""
    bench = Bench(port := free_port())
    async with serving(bench):
        reader, writer = await connected(port)
        writer.write(encode_tcp(Frame(3, READ, 1)))
        await reader.readexactly(13)
    assert await reader.read() == b""
    writer.close()


async def test_a_port_in_use_is_told_once_and_tried_again() -> None:
    """It takes nothing along; when the port is free, it is had, and that is told too."""
    clock = FakeClock()
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = int(taken.getsockname()[1])
        bench = Bench(port, clock)
        async with serving(bench):
            await clock.advance(60_000)
            (event,) = bench.events
            assert (event.subject, event.code, event.urgent) == ("bus-1", "serve_failed", True)
            assert str(port) in str(event.detail)
            taken.close()
            await clock.advance(served.AGAIN_MS)
            _, writer = await connected(port)
            writer.close()
    assert [event.code for event in bench.events] == ["serve_failed", "serve_works"]
