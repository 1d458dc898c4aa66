"""The pymodbus adapter where it differs from our links; the shared behaviour is in tests/contract/test_links.py."""

import logging
import socket
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from gateway.clock.kernel import SystemClock
from gateway.errors import BadReply, LinkDown, NoReply
from gateway.profile.profile import Line
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.site import Bus
from gateway.south.links.link import NotSent
from gateway.south.links.ports import UNANSWERED_MAX_MS
from gateway.south.links.pymodbus_link import open_link
from gateway.south.links.trace import Trace
from tests.support.modbus_server import ModbusServer

FAR_NS = 20_000_000_000
REQUEST = ReadRequest(Table.HOLDING, 1, 4)


def test_the_entry_point_names_it() -> None:
    """`driver = "pymodbus"` finds this module by the group gateway.links and no import."""
    project = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["gateway.links"]["pymodbus"].partition(":")
    assert getattr(import_module(module), name) is open_link


async def test_the_first_byte_is_timed_before_the_last() -> None:
    """By pymodbus' own hook."""
    clock = SystemClock("system")
    async with ModbusServer("tcp") as server:
        server.faults[1] = lambda asked: [(0.02, asked.good()[:5]), (0.06, asked.good()[5:])]
        link = await open_link(Bus("b", "tcp", "pymodbus", server.endpoint, Line(), ()), clock)
        reply = await link.request(1, REQUEST, clock.boot_ns() + FAR_NS)
        assert reply.t_sent_ns < reply.t_first_ns < reply.t_done_ns
        await link.close()
    clock.close()


async def test_it_is_blind_and_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """It cannot show what it heard, and what it says is not logged."""
    clock = SystemClock("system")
    async with ModbusServer("tcp") as server:
        link = await open_link(Bus("b", "tcp", "pymodbus", server.endpoint, Line(), ()), clock)
        server.dead.add(1)
        with caplog.at_level(logging.DEBUG), pytest.raises(NoReply):
            await link.request(1, REQUEST, clock.boot_ns() + 1_000_000)
        assert link.drain() is None
        assert [record for record in caplog.records if record.name.startswith("pymodbus")] == []
        await link.close()
    clock.close()


async def test_what_goes_over_the_wire_is_noted_once() -> None:
    """Each chunk as it came, though pymodbus looks at what it holds again and again; a wake byte too."""
    clock, trace = SystemClock("system"), Trace()
    async with ModbusServer("rtu") as server:
        server.faults[1] = lambda asked: [(0, asked.good()[:5]), (0.03, asked.good()[5:])]
        link = await open_link(Bus("b", "rtu", "pymodbus", server.endpoint, Line(115_200), ()), clock, trace)
        link.wake(b"\0")
        await clock.wire_wait(clock.boot_ns() + 20_000_000)
        await link.request(1, REQUEST, clock.boot_ns() + FAR_NS)
        await link.close()
        sent = b"".join(chunk.data for chunk in trace.chunks() if chunk.sent)
        came = b"".join(chunk.data for chunk in trace.chunks() if not chunk.sent)
        assert (sent, came) == (b"\0" + server.asked[0].raw, server.asked[0].good())
        with pytest.raises(NotSent):
            link.wake(b"\0")
    clock.close()


async def test_a_frame_that_it_cannot_take_apart_is_bad_and_ends_nothing() -> None:
    """By itself pymodbus lets its exception run into the event loop, which ends the connection."""
    clock = SystemClock("system")
    async with ModbusServer("tcp") as server:
        server.faults[1] = lambda asked: [(0, asked.wire(bytes.fromhex("03 08 0001 0002")))]
        link = await open_link(Bus("b", "tcp", "pymodbus", server.endpoint, Line(), ()), clock)
        with pytest.raises(BadReply):
            await link.request(1, REQUEST, clock.boot_ns() + FAR_NS)
        await link.request(1, REQUEST, clock.boot_ns() + FAR_NS)
        await link.close()
    clock.close()


async def test_a_vanished_peer_is_noticed_by_the_kernel() -> None:
    """The socket has our bound on bytes that nobody acknowledges."""
    clock = SystemClock("system")
    async with ModbusServer("tcp") as server:
        link = await open_link(Bus("b", "tcp", "pymodbus", server.endpoint, Line(), ()), clock)
        connection = link._client.ctx.transport.get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNANSWERED_MAX_MS
        await link.close()
    clock.close()


async def test_a_response_of_another_count_is_bad() -> None:
    """By itself pymodbus gives three registers for four."""
    clock = SystemClock("system")
    async with ModbusServer("rtu_over_tcp") as server:
        server.faults[1] = lambda asked: [(0, asked.wire(bytes.fromhex("03 06 0001 0002 0003")))]
        link = await open_link(Bus("b", "rtu_over_tcp", "pymodbus", server.endpoint, Line(), ()), clock)
        with pytest.raises(BadReply):
            await link.request(1, REQUEST, clock.boot_ns() + FAR_NS)
        await link.close()
    clock.close()


async def test_closed_is_down() -> None:
    """Close is idempotent; a closed link does not reconnect."""
    clock = SystemClock("system")
    async with ModbusServer("tcp") as server:
        link = await open_link(Bus("b", "tcp", "pymodbus", server.endpoint, Line(), ()), clock)
        await link.close()
        await link.close()
        with pytest.raises(LinkDown):
            await link.request(1, REQUEST, clock.boot_ns() + FAR_NS)
        assert server.asked == []
    clock.close()


@pytest.mark.parametrize(("transport", "endpoint"), [("tcp", "502"), ("stream", "127.0.0.1:1")])
async def test_a_bus_that_it_cannot_open_is_link_down(transport: str, endpoint: str) -> None:
    """With its endpoint in the text."""
    clock = SystemClock("system")
    with pytest.raises(LinkDown, match=endpoint):
        await open_link(Bus("b", transport, "pymodbus", endpoint, Line(), ()), clock)
    clock.close()
