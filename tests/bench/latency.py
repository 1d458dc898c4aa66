"""From a reading, and from an alarm, to the database: the real chain, each row and event timed one by one.

Devices that fall silent and come back make the alarms (`device_down`, `device_up`: urgent events, sent as every alarm
is); the time counts from the event's own. A proxy before influxd tells when a line was stored.
"""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.app.demo_site import ioc_text
from tests.bench import site
from tests.bench.proxy import Seen, proxied
from tests.bench.table import Budget, Row, quantile
from tests.bench.world import BROKER, command, run
from tests.support.modbus_server import ModbusServer
from tests.support.servers import Influxd, Mosquitto

READING = Budget("reading -> in InfluxDB, p99 (wired: max_age 1 s)", "<= max_age + 0.5 s")
ALARM = Budget("alarm (device_down, device_up) -> in InfluxDB, p99", "<= 150 ms")
BUDGETS = (READING, ALARM)
READING_MS, ALARM_MS = 1500.0, 150.0
STEADY, WAVERING = 10, 60
RUN_S, WARM_S = 45.0, 5.0
TURN_S = 8.0  # how long a wavering device is silent, then answers
ALARMS = (b"device_down", b"device_up")
ALARMS_LEAST = 100


def measure(folder: Path) -> Iterator[Row]:
    """One run for both."""
    with ExitStack() as stack:
        broker = stack.enter_context(Mosquitto(folder, settings=BROKER))
        influxd = stack.enter_context(Influxd(folder))
        influxd.create_database("city")
        seen = stack.enter_context(proxied(influxd.port))
        devices = stack.enter_context(_serving())
        buses = [site.Bus(f"tcp-{at}", f'host = "{where}"', 1, 10, "1s") for at, where in enumerate(devices.endpoints)]
        path = site.write_site(folder, broker.port, buses)
        ioc = folder / "ioc.toml"
        ioc.write_text(ioc_text(folder, broker.port, f'url = "{seen.url}"\ndatabase = "city"'))
        ingest = command(stack, folder, "ingest", "gateway", "ioc", "ingest", str(ioc), "--name", "bench")
        gateway = command(stack, folder, "gateway", *run(path))
        devices.waver(RUN_S)
        assert gateway.alive(), gateway.tail()
        assert ingest.alive(), ingest.tail()
    yield from _rows(seen)


def stored_events_ms(seen: Seen, codes: Sequence[bytes], begin_ms: float) -> list[float]:
    """How long after its own time each event of these codes was in the database; of those stored after `begin_ms`."""
    return [
        at_ms - int(line.rpartition(b" ")[2]) // 1_000_000
        for at_ms, line in seen.lines
        if at_ms > begin_ms and line.startswith(b"gw_event") and any(b"code=" + code in line for code in codes)
    ]


def quantile_row(budget: Budget, taken_ms: Sequence[float], most_ms: float) -> Row:
    """Judged by the 99th percentile."""
    half, p99, worst = (quantile(taken_ms, share) for share in (0.5, 0.99, 1.0))
    measured = f"{p99:.0f} ms; median {half:.0f}, worst {worst:.0f}, n {len(taken_ms)}"
    return budget.row(measured, within=p99 <= most_ms)


def _rows(seen: Seen) -> Iterator[Row]:
    begin_ms = seen.lines[0][0] + 1000 * WARM_S
    lines = [(at_ms, line) for at_ms, line in seen.lines if at_ms > begin_ms]
    readings = [at_ms - int(line.rpartition(b" ")[2]) for at_ms, line in lines if line.startswith(b"bench")]
    alarms = stored_events_ms(seen, ALARMS, begin_ms)
    assert len(alarms) >= ALARMS_LEAST, f"only {len(alarms)} alarms: the devices do not waver"
    yield quantile_row(READING, readings, READING_MS)
    yield quantile_row(ALARM, alarms, ALARM_MS)


@dataclass(slots=True)
class _Devices:
    """Modbus servers in a thread of their own; the first STEADY of them always answer."""

    servers: Sequence[ModbusServer]
    loop: asyncio.AbstractEventLoop

    @property
    def endpoints(self) -> list[str]:
        return [server.endpoint for server in self.servers]

    def waver(self, seconds: float) -> None:
        """Wait so long, while the others fall silent and come back, each at its own time."""
        wavering = asyncio.run_coroutine_threadsafe(self._waver(seconds), self.loop)
        try:
            wavering.result()
        finally:
            wavering.cancel()

    async def _waver(self, seconds: float) -> None:
        wavering = self.servers[STEADY:]
        step_s = TURN_S / len(wavering)
        for at in range(int(seconds / step_s)):
            wavering[at % len(wavering)].dead ^= {1}
            await asyncio.sleep(step_s)


@contextmanager
def _serving() -> Iterator[_Devices]:
    ready, loop = threading.Event(), asyncio.new_event_loop()
    servers = [ModbusServer("tcp") for _ in range(STEADY + WAVERING)]
    stop = asyncio.Event()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            for server in servers:
                await stack.enter_async_context(server)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="devices", daemon=True)
    thread.start()
    assert ready.wait(10), "the devices did not start"
    try:
        yield _Devices(servers, loop)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
