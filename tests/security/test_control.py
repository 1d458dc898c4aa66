"""The control socket: for owner and group alone, in a folder of ours, and never a way to stop the buses."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.app import field_requests, jobs, trace_requests
from gateway.app import handlers as app_handlers
from gateway.app.fields import Fields
from gateway.control import server as control
from gateway.control.protocol import Request, encode_request
from gateway.control.server import CLIENTS_MAX, Server
from gateway.errors import GatewayError, NoReply
from gateway.protocols.modbus_pdu import ReadDeviceId, ReadRequest, WriteCoils, WriteRegisters
from gateway.protocols.modbus_pdu import Request as Question
from gateway.protocols.modbus_pdu import encode_request as encode_question
from gateway.south.links.link import PLAIN, Manner, Reply
from gateway.south.links.trace import Trace
from gateway.testing.clock import FakeClock
from tests.support.asks import level_bus
from tests.support.chain import Command
from tests.support.fields import FieldsBench
from tests.support.modbus_server import ModbusServer
from tests.support.written import polled_site, write, write_profile

ASK = encode_request(Request(1, "status"))
ASKED: dict[str, dict[str, object]] = {
    "ask": {"bus": "tcp-1", "unit_id": 1, "question": ["holding", 0, 1], "timeout_ms": 1},
    "trace": {"bus": "tcp-1"},
    "write": {"device": "probe-1", "field": "temperature", "value": 1},
    "read": {"device": "probe-1"},
}
JOBS = b"".join(encode_request(Request(1, name, arguments)) for name, arguments in ASKED.items())
AHEAD = 500
WORDS = st.sampled_from(
    ["bus-1", "level-1", "zero_offset", "relay", "mode", "span", "level", "holding", "coil", "/dev/test", "/dev/\0", ""]
)
SCALARS = st.one_of(WORDS, st.none(), st.booleans(), st.integers(-(2**65), 2**65), st.floats(), st.text(max_size=9))
ARGUMENTS = st.dictionaries(
    st.sampled_from(
        ["device", "field", "fields", "value", "bus", "target", "unit_id", "question", "timeout_ms", "follow", "x"]
    ),
    st.one_of(SCALARS, st.lists(SCALARS, max_size=4), st.dictionaries(WORDS, SCALARS, max_size=2)),
    max_size=4,
)
GOOD: dict[str, object] = {
    "bus": "bus-1", "device": "level-1", "fields": [], "field": "zero_offset", "value": 1, "target": "bus-1",
    "unit_id": 7, "question": ["holding", 0, 2], "timeout_ms": 50,
}  # fmt: skip


async def _answer(_: dict[str, object]) -> AsyncGenerator[object, None]:
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

    async def counted(_: dict[str, object]) -> AsyncGenerator[object, None]:
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


def test_one_request_changes_something() -> None:
    """`write`, where profile and site allow it, noted and told: all others only ask."""
    assert set(everything()) == {"status", "counters", "rows", "read", "write", "trace", "bus", "ask"}


def everything(fields: Fields | None = None) -> dict[str, control.Handler]:
    """Every request of a daemon with one level sensor; who asks what stands on the socket is not looked at."""
    nobody: Any = None
    bus = level_bus()
    return {
        **app_handlers.handlers(nobody, (), nobody, nobody, nobody),
        **field_requests.handlers(fields or nobody, "b00t", FakeClock()),
        **trace_requests.handlers([bus], [Loop()], FakeClock()),
        **jobs.job_handlers([bus], [Loop()]),
    }


class Loop:
    """The bus of that sensor."""

    def __init__(self) -> None:
        self.name, self.trace = "bus-1", Trace()
        self.asks = AnyAsks()


class AnyAsks:
    """Somebody who is asked what can be asked, and never answers."""

    async def ask(self, unit_id: int, request: Question, timeout_ms: float, manner: Manner = PLAIN) -> Reply:
        """As `Asks`."""
        assert type(unit_id) is int
        assert 0 <= unit_id <= 255
        assert 1 < timeout_ms <= 2000
        assert manner.min_gap_ns >= 0
        assert isinstance(request, ReadRequest | ReadDeviceId)
        assert encode_question(request)
        raise NoReply


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(["read", "write", "trace", "bus", "ask"]), arguments=ARGUMENTS)
def test_any_arguments(tmp_path_factory: pytest.TempPathFactory, name: str, arguments: dict[str, object]) -> None:
    """An answer or an error of ours, whatever stands where; nothing that was not allowed is written."""
    arguments = GOOD | arguments
    bench = FieldsBench(tmp_path_factory.mktemp("any"))

    async def answered() -> None:
        async with bench.running() as fields:
            asking = bench.tasks.create_task(first_answers(everything(fields)[name](arguments)), name="client")
            while not asking.done():
                await bench.clock.advance(250)

    asyncio.run(answered())
    for request in bench.asks.writes:
        assert isinstance(request, WriteRegisters | WriteCoils)
        assert request.address in {3, 10, 12, 20}


async def first_answers(answers: AsyncGenerator[object, None]) -> None:
    """A client that has seen enough after some."""
    async with contextlib.aclosing(answers):
        with contextlib.suppress(GatewayError):
            for _ in range(3):
                await anext(answers, None)


async def test_a_client_that_reads_nothing_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is dropped, descriptor and all: `close` would wait, for ever, until it has read what is left."""
    monkeypatch.setattr(control, "WRITE_TIMEOUT_S", 0.05)

    async def long(_: dict[str, object]) -> AsyncGenerator[object, None]:
        yield "x" * 500_000

    async with serving(tmp_path / "s", long):
        before = descriptors()
        with contextlib.ExitStack() as deaf:
            for _ in range(CLIENTS_MAX):
                client = deaf.enter_context(socket.socket(socket.AF_UNIX))
                client.connect(str(tmp_path / "s"))
                client.send(ASK)
            await until(lambda: descriptors() == before + 2 * CLIENTS_MAX)
            await until(lambda: descriptors() == before + CLIENTS_MAX)


def descriptors() -> int:
    """Open ones of this process: the server's and the clients' ends."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def test_who_follows_a_trace_and_reads_nothing_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However fast the bus is: its place and its trace are given up, and nothing piles up in the daemon."""
    monkeypatch.setattr(control, "WRITE_TIMEOUT_S", 0.05)
    loop = Loop()
    trace = trace_requests.handlers([level_bus()], [loop], FakeClock())["trace"]
    ended = asyncio.Event()

    async def watched(arguments: dict[str, object]) -> AsyncGenerator[object, None]:
        try:
            async with contextlib.aclosing(trace(arguments)) as answers:
                async for answer in answers:
                    yield answer
        finally:
            ended.set()

    async with serving(tmp_path / "s", watched):
        _, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(encode_request(Request(1, "status", {"bus": "bus-1", "follow": True})))
        for at in range(10_000):
            loop.trace.note(at, bytes(4096), sent=False)
            await asyncio.sleep(0)  # noqa: TID251 - the server's turn
            if ended.is_set():
                break
        async with asyncio.timeout(5):
            await ended.wait()
        writer.close()


async def test_polls_go_on_under_a_flood(tmp_path: Path) -> None:
    """The real daemon: eight clients ask all there is, as fast as they can; the device is still asked on time."""
    write_profile(tmp_path / "profiles")
    async with ModbusServer("tcp") as device:
        site = write(tmp_path / "site.toml", polled_site(device.endpoint))
        daemon = Command(tmp_path, "gateway", "gateway", "run", str(site), "--profiles", str(tmp_path / "profiles"))
        daemon.start()
        try:
            socket = tmp_path / "spool" / "control.sock"
            await until(lambda: bool(device.asked) and socket.is_socket())
            async with asyncio.TaskGroup() as tasks:
                flood = [tasks.create_task(flooding(socket, ASK)) for _ in range(CLIENTS_MAX // 2)]
                flood += [tasks.create_task(flooding(socket, JOBS)) for _ in range(CLIENTS_MAX // 2)]
                before = polls(device)
                await until(lambda: polls(device) >= before + 20)
                for one in flood:
                    one.cancel()
            assert sum(answers) > 1000
            assert {asked.frame.pdu[0] for asked in device.asked} == {3, 4}, "reads, of the flood too"
            assert daemon.alive(), daemon.tail()
            assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
            daemon.stop()
        finally:
            daemon.kill()


answers: list[int] = []


def polls(device: ModbusServer) -> int:
    """Of the daemon's own: the flood reads another table."""
    return sum(asked.frame.pdu == b"\x04\0\1\0\1" for asked in device.asked)


async def flooding(path: Path, lines: bytes) -> None:
    """Requests ahead, always; answers are read and thrown away."""
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 20)
    answers.append(0)
    mine = len(answers) - 1

    async def ask() -> None:
        while True:
            writer.write(lines * 100)
            await writer.drain()

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask())
            while await reader.readline():
                answers[mine] += 1
    finally:
        writer.close()


async def until(holds: Callable[[], bool]) -> None:
    """It is so; the test's own timeout is the bound."""
    while not holds():  # noqa: ASYNC110 - files and other processes have no event
        await asyncio.sleep(0.01)  # noqa: TID251 - as above
