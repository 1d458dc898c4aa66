"""A second gateway on the same wire, which only listens: it stores what the first one reads, and sends not one byte.

The first gateway polls real frames over one terminal; a tap copies both directions to the terminal of the second.
"""

import asyncio
import contextlib
import os
import pty
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

from gateway.clock.kernel import SystemClock
from gateway.counters import Counters
from gateway.model import Event, Row
from gateway.protocols.modbus_frame import Frame, encode_rtu
from gateway.site import Bus
from gateway.south.bus import loops
from gateway.south.listen import ListenLoop
from tests.support.modbus_server import Asked, ModbusServer
from tests.support.south import a_bus, a_device, a_field, a_site

SAME_TIME_MS = 100  # two processes of one test on a busy machine see a byte so far apart
DOUBT_S = 3.5  # at the beginning nothing is believed for three timeouts


class Tap:
    """The wire between a master and its devices, and who else hangs on it."""

    def __init__(self, devices: str) -> None:
        self.from_listener = b""
        self._loop = asyncio.get_running_loop()
        self._devices = os.open(devices, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._fds = [self._devices]
        self._master, self.master = self._terminal()
        self._listener, self.listener = self._terminal()
        self._loop.add_reader(self._master, self._copy, self._master, self._devices)
        self._loop.add_reader(self._devices, self._copy, self._devices, self._master)
        self._loop.add_reader(self._listener, self._hear)

    def close(self) -> None:
        """Unplug all."""
        for fd in self._fds:
            self._loop.remove_reader(fd)
            os.close(fd)

    def noise(self, data: bytes) -> None:
        """Bytes that only the listener hears."""
        os.write(self._listener, data)

    def _terminal(self) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self._fds += [ours, theirs]
        return ours, os.ttyname(theirs)

    def _copy(self, source: int, to: int) -> None:
        data = os.read(source, 4096)
        os.write(to, data)
        with contextlib.suppress(BlockingIOError):  # nobody has opened it yet
            os.write(self._listener, data)

    def _hear(self) -> None:
        self.from_listener += os.read(self._listener, 4096)


class Gateway:
    """One bus loop on real time, and what it tells."""

    def __init__(self, bus: Bus) -> None:
        self.rows: list[Row] = []
        self.events: list[Event] = []
        self.counters = Counters()
        (self.loop,) = loops(
            a_site(bus), SystemClock("system"), self.counters, Random(1), self.rows.append, self.events.append
        )

    def values(self) -> list[tuple[str, tuple[object, ...]]]:
        """Of all rows."""
        return [(row.group.device, row.values) for row in self.rows]


def bus(endpoint: str, mode: str) -> Bus:
    """Two devices, one of them with two reads of one length."""
    first = a_device("m1", ([a_field(0), a_field(1), a_field(200), a_field(201)], 200), unit_id=1)
    second = a_device("m2", ([a_field(5), a_field(6)], 200), unit_id=2)
    return replace(a_bus(first, second), endpoint=endpoint, mode=mode)


@asynccontextmanager
async def wired(server: ModbusServer) -> AsyncIterator[tuple[Tap, Gateway, Gateway]]:
    """The tap, the gateway that asks, the gateway that listens; all running."""
    tap = Tap(server.endpoint)
    asks, listens = Gateway(bus(tap.master, "poll")), Gateway(bus(tap.listener, "listen"))
    try:
        async with asyncio.TaskGroup() as tasks:
            for one in (listens, asks):
                tasks.create_task(one.loop.run())
            yield tap, asks, listens
            for one in (asks, listens):
                one.loop.stop()
    finally:
        tap.close()


async def until_rows(gateway: Gateway, count: int) -> None:
    """Wait for so many more rows."""
    enough = len(gateway.rows) + count
    async with asyncio.timeout(20):
        while len(gateway.rows) < enough:  # noqa: ASYNC110 - rows have no event
            await asyncio.sleep(0.05)


async def test_the_listener_stores_what_the_other_reads_and_sends_nothing() -> None:
    """The same values at the same times; not a byte of ours on the wire."""
    async with ModbusServer("rtu") as server, wired(server) as (tap, asks, listens):
        assert isinstance(listens.loop, ListenLoop)
        await asyncio.sleep(DOUBT_S)
        await until_rows(listens, 20)
        assert tap.from_listener == b""
    assert set(listens.values()) == set(asks.values())
    assert {device for device, _ in listens.values()} == {"m1", "m2"}
    for row in listens.rows:
        assert any(abs(row.at - other.at) < SAME_TIME_MS for other in asks.rows if other.group == row.group)
    assert listens.events == []


async def test_a_line_full_of_faults_gives_true_values_only() -> None:
    """Late, torn, damaged and missing replies, noise and echoes: rows are fewer, and every value is right."""
    chance = Random(4)

    def fault(asked: Asked) -> list[tuple[float, bytes]]:
        good = asked.good()
        damaged = bytes((*good[:4], good[4] ^ 1, *good[5:]))
        return chance.choice(
            [
                *[[(0.0, good)]] * 8,
                [],
                [(0.3, good)],
                [(0.0, good[:-3])],
                [(0.0, damaged)],
                [(0.0, asked.raw + good)],
                [(0.0, b"\x00" + good)],
                [(0.0, asked.wire(b"\x83\x04"))],
            ]
        )

    async with ModbusServer("rtu") as server, wired(server) as (tap, _, listens):
        await asyncio.sleep(DOUBT_S)
        await until_rows(listens, 2)
        right = {one.group.fields: dict(zip(one.group.fields, one.values, strict=True)) for one in listens.rows}
        assert all(None not in values.values() for values in right.values())
        server.every = fault
        for _ in range(60):
            tap.noise(bytes(chance.randrange(256) for _ in range(chance.randrange(3))))
            await asyncio.sleep(0.1)
        assert tap.from_listener == b""
    for row in listens.rows:
        for name, value in zip(row.group.fields, row.values, strict=True):
            assert value in (None, right[row.group.fields][name])
    assert listens.counters.total("overheard_skipped_bytes") > 0


async def test_two_requests_for_us_from_a_stranger_are_no_readings() -> None:
    """A request of ours' unit_id alone, again and again: no row is made up, the device is told as not answering."""
    async with ModbusServer("rtu") as server:
        tap = Tap(server.endpoint)
        listens = Gateway(bus(tap.listener, "listen"))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listens.loop.run())
            for _ in range(20):
                with contextlib.suppress(BlockingIOError):
                    tap.noise(encode_rtu(Frame(1, b"\x03\0\0\0\2")))
                await asyncio.sleep(0.05)
            listens.loop.stop()
        tap.close()
        assert tap.from_listener == b""
    assert listens.rows == []
