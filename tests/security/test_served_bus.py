"""A bus that strangers may read through us: they get reads of the site's devices, and nothing that costs the others."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.gateway import served as listened
from gateway.errors import BadReply
from gateway.protocols.modbus_frame import TCP_MAX, Frame, TcpReader, encode_tcp
from gateway.protocols.modbus_pdu import ReadDeviceId, ReadRequest
from gateway.south import served
from gateway.south.served import CLIENTS_MAX, STALE_MS
from gateway.testing.clock import FakeClock
from gateway.text import words
from tests.support.chain import Command
from tests.support.modbus_server import ModbusServer
from tests.support.servers import free_port
from tests.support.written import polled_site, write, write_profile
from tests.unit.south.test_served import READ, Bench, connected, serving

MANY = settings(max_examples=150, deadline=None)
ASK = encode_tcp(Frame(3, READ, 1))
ANSWER_BYTES = 13
LONG = encode_tcp(Frame(3, b"\x03\0\x30\0\x7d", 1))  # 125 registers
REFUSED = encode_tcp(Frame(9, READ, 1))  # a unit_id that is not here: answered without the bus
POLL = b"\x04\0\1\0\1"
FLOOD = 300


@MANY
@given(unit_id=st.integers(0, 255), pdu=st.binary(min_size=1, max_size=253))
def test_any_request(unit_id: int, pdu: bytes) -> None:
    """An answer of its function or an exception to it, that fits in a frame; what reaches the bus is a read."""
    bench = Bench()
    answer = asyncio.run(bench.server.answer(unit_id, pdu))
    assert answer[0] in {pdu[0], pdu[0] | 0x80}
    assert encode_tcp(Frame(unit_id, answer, 1))
    for asked_unit, request, _, _ in bench.asks.asked:
        assert asked_unit == unit_id == 3
        assert isinstance(request, ReadRequest | ReadDeviceId)


@MANY
@given(st.lists(st.one_of(st.binary(max_size=40), st.just(ASK), st.just(REFUSED)), max_size=20))
def test_any_stream_in_any_pieces(pieces: list[bytes]) -> None:
    """The same frames as in one piece, or a step that is lost; no more than one frame is ever held."""
    whole, cut = TcpReader(), TcpReader()
    told: list[Frame] = []
    with contextlib.suppress(BadReply):
        for piece in pieces:
            told += cut.feed(piece)
            assert cut.held_bytes <= TCP_MAX
    with contextlib.suppress(BadReply):
        frames = whole.feed(b"".join(pieces))
        assert told == frames[: len(told)]


def test_without_an_address_it_is_for_this_box_alone() -> None:
    """Modbus TCP knows no password: a network has to be named."""
    assert listened(":1502") == "127.0.0.1:1502"
    assert listened("0.0.0.0:1502") == "0.0.0.0:1502"


async def test_a_port_that_is_for_root_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The unit has no capability: 502 cannot be had, and the next step says which can."""

    async def refused(*_: object, **__: object) -> asyncio.Server:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asyncio, "start_server", refused)
    bench = Bench(502)
    async with serving(bench):
        await until(lambda: bool(bench.events))
    (event,) = bench.events
    assert event.detail == "127.0.0.1:502: Permission denied"
    assert all("1024" in words.next_step(event.code, lang) for lang in ("en", "vi"))


async def test_a_client_that_reads_nothing_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answers pile up in the kernel, then it is dropped, descriptor and all: else a thousand would be the end."""
    monkeypatch.setattr(served, "WRITE_TIMEOUT_S", 0.05)
    bench = Bench(port := free_port())
    async with serving(bench):
        await served_once(port)
        before = descriptors()
        with contextlib.ExitStack() as deaf:
            for _ in range(2):
                deaf.enter_context(await stuffed(port))
            await until(lambda: descriptors() <= before + 2)
            await served_once(port)


async def test_a_client_that_leaves_its_answers_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """It hangs up its half with answers still to come that it never reads: the same."""
    monkeypatch.setattr(served, "WRITE_TIMEOUT_S", 0.5)
    bench = Bench(port := free_port())
    async with serving(bench):
        await served_once(port)
        before = descriptors()
        with await stuffed(port) as deaf:
            with contextlib.suppress(OSError):  # dropped already
                deaf.shutdown(socket.SHUT_WR)
            await until(lambda: descriptors() <= before + 1)


async def test_a_request_byte_by_byte_gives_no_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a request keeps a place for FRAME_S, however often another byte of it comes."""
    monkeypatch.setattr(served, "FRAME_S", 0.1)
    bench = Bench(port := free_port())
    async with serving(bench):
        reader, writer = await connected(port)
        sent = 0
        for byte in b"\0\1\0\0\0\xfe" + bytes(240):
            sent += 1
            writer.write(bytes((byte,)))
            await asyncio.sleep(0.01)  # noqa: TID251 - the client's pace
            if reader.at_eof() or reader.exception():
                break
        assert sent < 150
        writer.close()
    assert bench.asks.asked == []


async def test_peers_that_are_gone_give_their_places_back() -> None:
    """Eight clients that lost power do not lock the ninth out; one that still asks keeps its place."""
    clock = FakeClock()
    bench = Bench(port := free_port(), clock)
    async with serving(bench):
        gone = [await connected(port) for _ in range(CLIENTS_MAX - 1)]
        busy, asking = await connected(port)
        await until(lambda: len(bench.server._clients) == CLIENTS_MAX)
        assert await refused_at(port)
        await clock.advance(STALE_MS)
        asking.write(ASK)
        await busy.readexactly(ANSWER_BYTES)
        reader, writer = await connected(port)
        writer.write(ASK)
        assert len(await reader.readexactly(ANSWER_BYTES)) == ANSWER_BYTES
        with contextlib.suppress(ConnectionError):
            assert await gone[0][0].read() == b""
        asking.write(ASK)
        assert len(await busy.readexactly(ANSWER_BYTES)) == ANSWER_BYTES
        assert bench.counters.get("served_gave_place", bus="bus-1") == 1
        for _, one in [*gone, (reader, writer), (busy, asking)]:
            one.close()


async def test_a_flood_of_connections() -> None:
    """Each but the first eight is hung up on, and leaves nothing."""
    bench = Bench(port := free_port())
    async with serving(bench):
        await served_once(port)
        before = descriptors()
        flood = [await connected(port) for _ in range(100)]
        await until(lambda: bench.counters.get("served_turned_away", bus="bus-1") == len(flood) - CLIENTS_MAX)
        assert len(bench.server._clients) == CLIENTS_MAX
        for _, writer in flood:
            writer.close()
        await until(lambda: not bench.server._clients and descriptors() <= before)
        await served_once(port)


async def test_the_loop_turns_between_two_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refusals wait for nothing: sent ahead by the thousand, each still leaves the buses their turn."""
    turns, at = 0, list[int]()
    bench = Bench(port := free_port())
    answer = bench.server.answer

    async def noted(unit_id: int, pdu: bytes) -> bytes:
        at.append(turns)
        return await answer(unit_id, pdu)

    async def turning() -> None:
        nonlocal turns
        while len(at) < FLOOD:
            turns += 1
            await asyncio.sleep(0)  # noqa: TID251 - counts turns

    monkeypatch.setattr(bench.server, "answer", noted)
    async with serving(bench):
        _, writer = await connected(port)
        writer.write(REFUSED * FLOOD)
        await turning()
        writer.close()
    assert all(later > earlier for earlier, later in pairwise(at))


async def test_polls_go_on_under_a_flood(tmp_path: Path) -> None:
    """The real daemon: eight clients ask and refuse to stop, others come and go; no write ever reaches the device."""
    write_profile(tmp_path / "profiles")
    async with ModbusServer("tcp") as device:
        port = free_port()
        site = write(tmp_path / "site.toml", polled_site(device.endpoint, f'serve = {{ tcp = ":{port}" }}'))
        daemon = Command(tmp_path, "gateway", "gateway", "run", str(site), "--profiles", str(tmp_path / "profiles"))
        daemon.start()
        try:
            await until(lambda: bool(device.asked))
            async with asyncio.TaskGroup() as tasks:
                flood = [tasks.create_task(flooding(port)) for _ in range(CLIENTS_MAX)]
                flood.append(tasks.create_task(knocking(port)))
                before = polls(device)
                await until(lambda: polls(device) >= before + 30)
                for one in flood:
                    one.cancel()
            assert daemon.alive(), daemon.tail()
            assert "Traceback" not in daemon.log.read_text()
            daemon.stop()
        finally:
            daemon.kill()
        assert {asked.frame.pdu[0] for asked in device.asked} == {4}
        assert len(device.asked) > polls(device), "the flood reached nobody"


async def flooding(port: int) -> None:
    """Writes, unknown devices, and reads of what is there; answers are thrown away."""
    write_one = encode_tcp(Frame(1, b"\x06\0\1\0\7", 2)) + encode_tcp(Frame(1, b"\x10\0\1\0\1\2\0\7", 3))
    read_one = encode_tcp(Frame(1, b"\x04\0\2\0\1", 4))
    reader, writer = await connected(port)
    try:
        while True:
            writer.write((write_one + REFUSED) * 50 + read_one)
            await writer.drain()
            await reader.read(4096)
    finally:
        writer.close()


def polls(device: ModbusServer) -> int:
    """Of the daemon's own: the flood reads another register."""
    return sum(asked.frame.pdu == POLL for asked in device.asked)


async def knocking(port: int) -> None:
    """One connection after the other."""
    while True:
        reader, writer = await connected(port)
        try:
            with contextlib.suppress(ConnectionError):
                await reader.read(1)
        finally:
            writer.close()


async def served_once(port: int) -> None:
    """A client that asks, is answered and goes."""
    reader, writer = await connected(port)
    writer.write(ASK)
    assert len(await reader.readexactly(ANSWER_BYTES)) == ANSWER_BYTES
    writer.close()
    await writer.wait_closed()


async def refused_at(port: int) -> bool:
    """Whether one more client is hung up on."""
    reader, writer = await connected(port)
    try:
        return await reader.read() == b""
    finally:
        writer.close()


async def stuffed(port: int) -> socket.socket:
    """A client that asks until nothing goes any more, and has read nothing."""
    loop = asyncio.get_running_loop()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.setblocking(False)
    await loop.sock_connect(client, ("127.0.0.1", port))
    stuck = 0
    while stuck < 20:
        try:
            client.send(LONG * 200)
            stuck = 0
        except BlockingIOError:
            stuck += 1
            await asyncio.sleep(0.01)  # noqa: TID251 - the server's turn
        except OSError:  # dropped already
            break
    return client


def descriptors() -> int:
    """Open ones of this process: the server's and the clients' ends."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def until(holds: Callable[[], bool]) -> None:
    """It is so; the test's own timeout is the bound."""
    while not holds():  # noqa: ASYNC110 - sockets and other processes have no event
        await asyncio.sleep(0.01)  # noqa: TID251 - as above
