"""What happens to the wire itself: ports that vanish and come back, servers that hang up, peers that say no goodbye."""

import asyncio
import contextlib
import os
import pty
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.clock.kernel import SystemClock
from gateway.errors import LinkDown, NoReply
from gateway.profile.profile import Line
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.site import Bus
from gateway.south.links.pulse import LOST, REQUESTS_MIN
from tests.contract.bench import (
    ALL,
    COUNT,
    EVERY_LINK,
    OPEN,
    PATIENT_NS,
    TIMEOUT_NS,
    Bench,
    plugged,
)
from tests.contract.faults import late
from tests.support.modbus_server import HANG_UP, ModbusServer, content

DRIVERS = pytest.mark.parametrize("driver", ["own", "pymodbus"])
BY_TCP = pytest.mark.parametrize(("driver", "transport"), [link for link in ALL if link[1] != "rtu"])
REQUEST = ReadRequest(Table.HOLDING, 7, COUNT)


@EVERY_LINK
async def test_a_lost_port_is_told_at_once(driver: str, transport: str) -> None:
    """LinkDown long before the deadline, for the waiting request and for the next."""
    async with plugged(driver, transport) as bench:
        bench.server.faults[1] = lambda asked: [(0, asked.good()[:6]), (0.01, HANG_UP)]
        for unit_id in (1, 2):
            with pytest.raises(LinkDown):  # a timeout would outlast the test
                await bench.guard.request(unit_id, REQUEST, bench.after(60 * PATIENT_NS))


@EVERY_LINK
async def test_nobody_there_is_link_down(driver: str, transport: str, tmp_path: Path) -> None:
    """A missing port or a refused connection."""
    clock = SystemClock("system")
    endpoint = f"{tmp_path}/no-such-port" if transport == "rtu" else "127.0.0.1:1"
    with pytest.raises(LinkDown, match=endpoint):
        await OPEN[driver](Bus("bus", transport, driver, endpoint, Line(), ()), clock)
    clock.close()


@DRIVERS
async def test_a_replugged_adapter_is_found_by_its_id(driver: str, tmp_path: Path) -> None:
    """The kernel gives it another number; the name under by-id points there. Its old reply is still nobody's."""
    by_id = tmp_path / "usb-FTDI_A10K-if00"
    clock = SystemClock("system")
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(clock.close)
        first = await stack.enter_async_context(ModbusServer("rtu"))
        by_id.symlink_to(first.endpoint)
        bench = Bench(first, clock, Bus("bus", "rtu", driver, str(by_id), Line(115_200), ()))
        await bench.open()
        first.faults[2] = late
        assert await bench.ask(1, ReadRequest(Table.HOLDING, 7, COUNT + 1), PATIENT_NS)
        assert not await bench.ask(1, REQUEST)
        first.hang_up()
        with pytest.raises(LinkDown):
            await bench.guard.request(3, REQUEST, bench.after(PATIENT_NS))
        await bench.guard.close()
        by_id.unlink()
        with pytest.raises(LinkDown, match=by_id.name):
            await bench.open()
        stack.enter_context(contextlib.closing(os.fdopen(pty.openpty()[0])))  # takes the number that is free again
        second = await stack.enter_async_context(ModbusServer("rtu"))
        by_id.symlink_to(second.endpoint)
        await bench.open()
        assert bench.guard.barred(1, REQUEST) is not None
        assert await bench.ask(2, REQUEST, PATIENT_NS), bench.failed
        assert await bench.ask_when_free(1, REQUEST, PATIENT_NS)
        assert first.endpoint != second.endpoint
        assert len(second.asked) == 2
        assert bench.wrong == []
        await bench.guard.close()


@BY_TCP
async def test_a_server_that_comes_back_is_asked_again(driver: str, transport: str) -> None:
    """On the same port, after it hung up in the middle of a reply."""
    async with plugged(driver, transport) as bench:
        bench.server.faults[2] = lambda asked: [(0, asked.good()[:6]), (0.01, HANG_UP)]
        assert await bench.ask(1, REQUEST, PATIENT_NS)
        assert not await bench.ask(1, REQUEST)  # opens the next connection
        assert await bench.ask(2, REQUEST, PATIENT_NS)
        assert await bench.ask_when_free(1, REQUEST, PATIENT_NS)
        assert bench.failed == ["link_down"]
        assert bench.wrong == []


class Proxy:
    """Stands between, and stops to pass on what it goes on to accept: a half-open connection as the gateway sees it."""

    def __init__(self, endpoint: str) -> None:
        self._host, _, self._port = endpoint.rpartition(":")
        self.holds = False
        self.endpoint = ""
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        """Its endpoint is known inside."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.endpoint = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, back = await asyncio.open_connection(self._host, int(self._port))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, back), name="there")
                group.create_task(self._pump(there, writer), name="back")
        finally:
            writer.close()
            back.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            if not self.holds:
                writer.write(data)


@BY_TCP
async def test_a_half_open_connection_is_the_buss_failure(
    driver: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a bounded silence of everything on it: LinkDown; a new connection works, and the late rule still holds."""
    monkeypatch.setattr("gateway.south.links.pulse.MUTE_NS", 3 * TIMEOUT_NS)  # 10 s in the field
    async with plugged(driver, transport) as bench, Proxy(bench.server.endpoint).running() as proxy:
        await bench.guard.close()
        bench.bus = Bus("bus", transport, driver, proxy.endpoint, Line(), ())
        await bench.open()
        assert await bench.ask(1, REQUEST, PATIENT_NS)
        proxy.holds = True
        told: list[BaseException] = []
        for unit_id in range(2, 2 + 4 * REQUESTS_MIN):
            with pytest.raises((NoReply, LinkDown)) as caught:
                await bench.guard.request(unit_id, REQUEST, bench.after(TIMEOUT_NS))
            told.append(caught.value)
            if isinstance(caught.value, LinkDown):
                break
        assert str(told[-1]) == LOST
        assert REQUESTS_MIN <= len(told) <= 2 * REQUESTS_MIN
        proxy.holds = False
        await bench.guard.close()
        await bench.open()
        assert await bench.ask(1, REQUEST, PATIENT_NS)
        assert bench.wrong == []
        await bench.guard.close()


@BY_TCP
async def test_one_silent_device_among_others_is_not_the_buss_failure(
    driver: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any byte from anyone shows that the connection lives."""
    monkeypatch.setattr("gateway.south.links.pulse.MUTE_NS", TIMEOUT_NS)
    async with plugged(driver, transport) as bench:
        bench.server.dead.add(1)
        for count in range(1, 2 * REQUESTS_MIN):
            await bench.ask(1, ReadRequest(Table.HOLDING, 7, count))
            await bench.ask(2, REQUEST, PATIENT_NS)
        assert set(bench.failed) == {"no_reply"}


@pytest.fixture
def full() -> Iterator[str]:
    """An endpoint whose queue of connections is full, so that it leaves another unanswered, as an unroutable host."""
    with socket.socket() as server, contextlib.ExitStack() as stack:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        yield f"127.0.0.1:{server.getsockname()[1]}"


@DRIVERS
async def test_an_unroutable_host_disturbs_nobody(driver: str, full: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one bus waits for its connection, another is read as always; then the first is told down."""
    for module in ("modbus_links", "pymodbus_link"):
        monkeypatch.setattr(f"gateway.south.links.{module}.CONNECT_TIMEOUT_S", 1.0)
    async with plugged("own", "tcp") as healthy:
        opening = asyncio.ensure_future(_refusal(driver, full, healthy.clock))
        read = 0
        while not opening.done():
            assert await healthy.ask(1, ReadRequest(Table.HOLDING, read, COUNT), PATIENT_NS)
            read += 1
        assert full in await opening
        assert read > 10
        assert healthy.wrong == healthy.failed == []


async def _refusal(driver: str, endpoint: str, clock: SystemClock) -> str:
    with pytest.raises(LinkDown) as down:
        await OPEN[driver](Bus("far", "tcp", driver, endpoint, Line(), ()), clock)
    return str(down.value)


@pytest.mark.parametrize("transport", ["tcp", "rtu_over_tcp"])
async def test_two_requests_in_one_segment_are_both_answered(transport: str) -> None:
    """Two gateways behind one converter, or a client that does not wait: nothing of ours needs it, the server does."""
    async with plugged("own", transport) as bench:
        requests = [ReadRequest(Table.HOLDING, 7, COUNT), ReadRequest(Table.INPUT, 9, COUNT + 1)]
        wires = [bench.link._wire.ask(1, request) for request in requests]  # type: ignore[attr-defined]
        reader, writer = await asyncio.open_connection(*bench.server.endpoint.split(":"))
        writer.write(b"".join(wires))
        around = 9 if transport == "tcp" else 5
        for request in requests:
            data = content(1, request)
            assert data in await reader.readexactly(around + len(data))
        writer.close()
        await writer.wait_closed()
