"""A bus that is polled and served at once: the polls keep their periods, and everyone gets right values."""

import asyncio
import socket
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from random import Random

from pymodbus.client import AsyncModbusTcpClient

from gateway.clock.kernel import SystemClock
from gateway.counters import Counters
from gateway.model import Event, Row
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.site import Serve
from gateway.south.bus import BusLoop
from gateway.south.served import BusServer
from tests.support.modbus_server import ModbusServer, content
from tests.support.south import a_bus, a_device, a_field

PERIOD_MS = 500
READS = 20
LATE_MS = 150  # this machine is shared: a row may be so late, and still no poll is missed


def words(unit_id: int, address: int, count: int) -> list[int]:
    """What the simulated device holds."""
    data = content(unit_id, ReadRequest(Table.HOLDING, address, count))
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]


async def test_polls_and_clients_share_a_bus() -> None:
    """Two clients of a foreign make read as fast as they can while two devices are polled."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        port = int(taken.getsockname()[1])
    devices = [a_device(f"m{n}", ([a_field(0), a_field(1)], PERIOD_MS), unit_id=n) for n in (1, 2)]
    clock, counters = SystemClock("system"), Counters()
    rows: list[Row] = []
    events: list[Event] = []
    async with ModbusServer("rtu") as server:
        bus = replace(a_bus(*devices), endpoint=server.endpoint, serve=Serve("127.0.0.1", port))
        loop = BusLoop(bus, clock, counters, Random(1), rows.append, events.append)
        assert bus.serve
        assert loop.asks is not None
        serving = BusServer(bus, bus.serve, loop.asks, clock, counters, events.append)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(loop.run())
            served = tasks.create_task(serving.run())
            await asyncio.sleep(1)
            got = await asyncio.gather(_reads(port, 1), _reads(port, 2))
            await asyncio.sleep(2 * PERIOD_MS / 1000)
            served.cancel()
            loop.stop()
    assert list(got) == [[words(unit_id, n, 3) for n in range(READS)] for unit_id in (1, 2)]
    assert events == []
    for device in devices:
        mine = [row for row in rows if row.group.device == device.name]
        assert {row.values for row in mine} == {tuple(map(float, words(device.unit_id, 0, 2)))}
        assert all(later.at - earlier.at < PERIOD_MS + LATE_MS for earlier, later in pairwise(mine))
    assert counters.total("polls_missed") == 0
    assert counters.get("served", bus="bus-1") == 2 * READS


async def _reads(port: int, unit_id: int) -> list[list[int]]:
    """One client's reads, one after the other."""
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=10)
    assert await client.connect()
    try:
        replies = [await client.read_holding_registers(n, count=3, device_id=unit_id) for n in range(READS)]
    finally:
        client.close()
    assert not any(reply.isError() for reply in replies)
    return [list(reply.registers) for reply in replies]
