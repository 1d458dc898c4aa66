"""Serial devices that are asked, behind a converter that passes bytes on: our own loop, over TCP, to simulators' ports.

The converter is a program of this test: a TCP server before the pty of a simulated line, that may hold bytes back. What
came of it is judged by the checker, from the log of the devices.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from gateway.clock.kernel import SystemClock
from gateway.config.compile import compile_simulator_file
from gateway.counters import Counters
from gateway.model import Event
from gateway.profile.profile import Line
from gateway.seams import ByteStream, Clock
from gateway.site import Site
from gateway.south.bus import loops
from gateway.south.links.ports import open_serial
from tests.integration.test_simulators import Rows, asked_at, head, simulators
from tests.support import checker

PROFILES = ("gill/windsonic-polled@1", "megatec/q1@1", "lufft/ws-umb@1", "nova/sds011-query@1")
HELD_S = 1.3  # more than any timeout of these


@dataclass
class Converter:
    """TCP on one side, a serial port on the other; `hold_s` = how long what comes from the port is kept."""

    port: str
    line: Line
    clock: Clock
    hold_s: float = 0.0
    connections: int = 0
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Its endpoint."""
        stream = await open_serial(self.port, self.line, self.clock)
        server = await asyncio.start_server(lambda reader, writer: self._serve(stream, reader, writer), "127.0.0.1", 0)
        async with server, asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self._back(stream), name="back")
            yield "{}:{}".format(*server.sockets[0].getsockname()[:2])
            task.cancel()
            self.hang_up()
        await stream.close()

    def hang_up(self) -> None:
        """On all who are connected."""
        for writer in self.writers:
            writer.close()
        self.writers.clear()

    async def _serve(self, stream: ByteStream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        while data := await reader.read(1024):
            stream.write(data)

    async def _back(self, stream: ByteStream) -> None:
        while True:
            data, _ = await stream.read(1024, self.clock.boot_ns() + 3_600_000_000_000)
            if self.hold_s:
                await asyncio.sleep(self.hold_s)
            for writer in self.writers:
                writer.write(data)


async def test_asked_over_tcp_and_no_late_answer_is_taken_for_another(tmp_path: Path) -> None:
    """Each device sends what the gateway reads; held answers and a lost connection bring no wrong value."""
    path = tmp_path / "site.toml"
    path.write_text(head(tmp_path) + "".join(_device(tmp_path, n, ref) for n, ref in enumerate(PROFILES)))
    with simulators(path, "--seed", "5") as endpoints:
        site = asked_at(compile_simulator_file(path, ()).site, endpoints)
        rows, events, converters = await _read(site)
    points = list(rows.points())
    wanted = {device.name for bus in site.buses for device in bus.devices}
    assert {point.device for point in points} == wanted
    last = max(point.at_ms for point in points)
    assert {point.device for point in points if point.at_ms > last - 4000} == wanted
    report = checker.check(checker.read_truth(tmp_path / "truth"), points)
    assert report.matched
    assert [str(one) for one in report.offences if one.what != "missing"] == []
    assert all(one.connections >= 2 for one in converters)
    assert {event.code for event in events} <= {"device_down", "device_up", "bus_down", "bus_up"}


def _device(folder: Path, number: int, ref: str) -> str:
    return f"""[[bus]]
name = "bus-{number}"
port = "{folder}/port-{number}"
[[device]]
name = "device-{number}"
bus = "bus-{number}"
profile = "{ref}"
every = "500ms"
"""


async def _read(site: Site) -> tuple[Rows, list[Event], list[Converter]]:
    """Some seconds well, some with every answer held back, a hang-up, and some well again."""
    clock, events = SystemClock("system"), list[Event]()
    rows = Rows(clock)
    converters = [Converter(bus.endpoint, bus.line, clock) for bus in site.buses]
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        ends = [await stack.enter_async_context(one.running()) for one in converters]
        behind = replace(
            site,
            buses=tuple(
                replace(bus, transport="talk_over_tcp", endpoint=end) for bus, end in zip(site.buses, ends, strict=True)
            ),
        )
        buses = loops(behind, clock, Counters(), Random(7), rows.rows.append, events.append)
        for bus in buses:
            tasks.create_task(bus.run(), name=bus.name)
        for hold_s, for_s in ((0.0, 4.0), (HELD_S, 6.0), (0.0, 12.0)):
            for one in converters:
                one.hold_s = hold_s
            await asyncio.sleep(for_s)
            if hold_s:
                for one in converters:
                    one.hang_up()
        for bus in buses:
            bus.stop()
    return rows, events, converters
