"""One cabinet in which everything that can answer nonsense does so, and what came of it: one run, many tests.

Buses: `rs485-1` and `tcp-1` with a good station and one for each fault; `wind-line`, a stream with broken frames and
garbage between good ones; `far`, a TCP endpoint that goes away and comes back; `near`, a port that is not there yet.
The devices live in this process; daemon, ingest and broker are processes, the store is the embedded one.
"""

import asyncio
import os
import pty
import sqlite3
import tty
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from gateway.control.client import SocketClient, first
from tests.support import station
from tests.support.chain import Command
from tests.support.modbus_server import ModbusServer
from tests.support.servers import free_port
from tests.support.station import Response

WAIT_S = 25.0
ROWS = 3  # of each device, before anything goes away
LOST: Mapping[str, Response] = MappingProxyType(
    {
        "wrong-function": station.wrong_function,
        "wrong-count": station.wrong_count,
        "foreign": station.foreign,
        "garbage": station.garbage,
        "truncated": station.truncated,
        "late": station.late,
    }
)
SAID: Mapping[str, Response] = MappingProxyType(
    {"exception-2": station.exception_2, "exception-4": station.exception_4, "nonsense": station.nonsense}
)
RTU: Mapping[str, Response] = MappingProxyType({"wrong-crc": station.wrong_crc, **LOST, **SAID})
TCP: Mapping[str, Response] = MappingProxyType({**LOST, **SAID})
GOOD = ("rtu-good", "tcp-good", "near-1", "far-1", "mute-1")
GOOD_UNIT, MUTE_UNIT, FIRST_FAULT_UNIT = 1, 2, 10
WIND = b"\x02Q,229,002.74,M,00,\x0316\r\n"
NOISE = (
    WIND.replace(b"229", b"228"),  # its checksum is wrong now
    b"\xff\x00\x02\x02Q,,\r\n" * 3,
    WIND[:9],
    bytes(range(256)),
)


@dataclass(frozen=True, slots=True)
class Stored:
    """A point of the embedded store, as it lies in the file."""

    measurement: str
    tags: Mapping[str, str]
    time_ns: int
    fields: Mapping[str, object]


@dataclass(slots=True)
class Story:
    """What the run left behind."""

    points: Sequence[Stored] = ()
    counters: Sequence[tuple[str, Mapping[str, str], float]] = ()
    shown: Sequence[Mapping[str, object]] = ()  # what `rows` of the control socket said
    while_away: Mapping[str, object] = field(default_factory=dict)  # the status then

    def rows(self, device: str) -> list[Mapping[str, object]]:
        """The fields of its stored rows, in time order."""
        mine = [p for p in self.points if p.tags.get("device") == device and not p.measurement.startswith("gw_")]
        return [point.fields for point in sorted(mine, key=lambda point: point.time_ns)]

    def events(self, subject: str) -> list[tuple[str, object]]:
        """(code, detail), in time order; not what was due and good, which is told at every stop."""
        events = [p for p in self.points if p.measurement == "gw_event" and p.tags["code"] != "measured"]
        mine = [p for p in events if p.tags.get("subject", "") == subject]
        return [(p.tags["code"], p.fields.get("detail", "")) for p in sorted(mine, key=lambda p: p.time_ns)]

    def counted(self, name: str, **labels: str) -> float:
        """The sum over all counts with at least these labels."""
        return sum(n for known, has, n in self.counters if known == name and labels.items() <= has.items())


def read_store(path: Path) -> list[Stored]:
    """Every point; none before there is a store."""
    if not path.exists():
        return []
    query = "SELECT measurement, tags, time_ns, fields FROM point JOIN series ON id = series"
    file = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return [
            Stored(name, orjson.loads(tags), at, orjson.loads(fields)) for name, tags, at, fields in file.execute(query)
        ]
    except sqlite3.OperationalError:  # no tables yet
        return []
    finally:
        file.close()


async def until(holds: Callable[[], object], what: str) -> None:
    """Poll; raise AssertionError when it did not come true in time."""
    try:
        async with asyncio.timeout(WAIT_S):
            while not holds():  # noqa: ASYNC110 - files and other processes have no event
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"waited {WAIT_S} s for {what}") from None


class Cabinet:
    """Files, devices and processes of one run."""

    def __init__(self, folder: Path, broker_port: int) -> None:
        self._folder = folder
        self._store = folder / "store.db"
        self._ports = free_port(), free_port()
        self._site, ioc = folder / "site.toml", folder / "ioc.toml"
        profiles = station.write_station(folder / "profiles")
        self._site.write_text(_site(folder, broker_port, self._ports))
        ioc.write_text(ioc_text(broker_port, folder))
        self.gateway = Command(folder, "gateway", "gateway", "run", str(self._site), "--profiles", str(profiles))
        self.ingest = Command(folder, "ingest", "gateway", "ioc", "ingest", str(ioc))
        self._client = SocketClient(folder / "spool" / "control.sock")

    async def live(self) -> Story:
        """Nonsense from the start; then some go away; then they come back."""
        story = Story()
        async with AsyncExitStack() as open_:
            await self._live(open_, story)
        story.points = read_store(self._store)
        return story

    async def _live(self, open_: AsyncExitStack, story: Story) -> None:
        rtu = await open_.enter_async_context(ModbusServer("rtu"))
        tcp = await open_.enter_async_context(ModbusServer("tcp", self._ports[0]))
        rtu.every, tcp.every = station.answering(_units(RTU)), station.answering(_units(TCP))
        self._link("rs485-1", rtu.endpoint)
        tasks = await open_.enter_async_context(asyncio.TaskGroup())
        open_.callback(tasks.create_task(self._wind()).cancel)
        async with _station("tcp", self._ports[1]):
            self.ingest.start()
            self.gateway.start()
            await until(lambda: self._rows_of("far-1"), "a row")
            story.while_away = await self._first("status")
            near = await open_.enter_async_context(_station("rtu"))
            self._link("near", near.endpoint)
            await until(self._all_have_rows, "rows of every device")
            near.dead.add(MUTE_UNIT)
        await until(lambda: self._told("device_down", "bus_down"), "what went away to be told")
        near.dead.clear()
        await open_.enter_async_context(_station("tcp", self._ports[1]))
        await until(lambda: self._told("device_up", "bus_up"), "what came back to be told")
        story.counters = [(name, labels, n) for name, labels, n in await self._first("counters")]
        story.shown = [row async for row in self._client.ask("rows") if isinstance(row, dict)]
        await asyncio.to_thread(self.gateway.stop)
        await asyncio.to_thread(self.ingest.stop)

    def kill(self) -> None:
        """Whatever is left."""
        self.gateway.kill()
        self.ingest.kill()

    async def _first(self, name: str) -> Any:
        return await first(self._client, name)

    def _link(self, name: str, port: str) -> None:
        (self._folder / name).symlink_to(port)

    def _rows_of(self, device: str) -> int:
        return self._row_counts()[device]

    def _row_counts(self) -> Counter[str]:
        return Counter(p.tags["device"] for p in read_store(self._store) if not p.measurement.startswith("gw_"))

    def _all_have_rows(self) -> bool:
        counts = self._row_counts()
        patient = [*GOOD, *(f"rtu-{fault}" for fault in RTU), *(f"tcp-{fault}" for fault in TCP)]
        return all(counts[device] >= (1 if device.endswith("late") else ROWS) for device in patient)

    def _told(self, of_device: str, of_bus: str) -> bool:
        told = {
            (p.tags.get("subject", ""), p.tags["code"]) for p in read_store(self._store) if p.measurement == "gw_event"
        }
        return {("mute-1", of_device), ("far", of_bus), ("near", of_bus)} <= told

    async def _wind(self) -> None:
        """Frames and noise, twice a second."""
        master, slave = pty.openpty()
        try:
            tty.setraw(slave)
            os.set_blocking(master, False)
            self._link("wind-line", os.ttyname(slave))
            turn = 0
            while True:
                with suppress(BlockingIOError):  # nobody listens yet
                    os.write(master, NOISE[turn % len(NOISE)] + b"\r\n" + WIND)
                turn += 1
                await asyncio.sleep(0.5)
        finally:
            os.close(master)
            os.close(slave)


def _station(transport: str, port: int = 0) -> ModbusServer:
    server = ModbusServer(transport, port)
    server.every = station.answering({})
    return server


def _units(faults: Mapping[str, Response]) -> dict[int, Response]:
    return dict(enumerate(faults.values(), FIRST_FAULT_UNIT))


def ioc_text(broker_port: int, folder: Path, store: str = "") -> str:
    """ioc.toml with the embedded store, or another [store] table."""
    return f"""config_version = 1
[broker]
url = "mqtt://127.0.0.1:{broker_port}"
[store]
{store or f'url = "sqlite:{folder}/store.db"'}
[ingest]
dead_letters = "{folder}/dead"
"""


def site_head(folder: Path, broker_port: int) -> str:
    """gateway.toml without buses."""
    return f"""config_version = 1
[gateway]
id = "hc-0001"
[clock]
trust = "system"
[spool]
path = "{folder}/spool"
quota = "100 MB"
[[uplink]]
name = "ioc"
[[uplink.server]]
url = "mqtt://127.0.0.1:{broker_port}"
"""


def bus_text(name: str, *lines: str) -> str:
    """One [[bus]]."""
    return "\n".join(["[[bus]]", f'name = "{name}"', *lines, ""])


def device_text(name: str, bus: str, unit_id: int | None, profile: str = station.REF, every: str = "1s") -> str:
    """One [[device]]."""
    unit = "" if unit_id is None else f"unit_id = {unit_id}\n"
    return f'[[device]]\nname = "{name}"\nbus = "{bus}"\n{unit}profile = "{profile}"\nevery = "{every}"\n'


def _site(folder: Path, broker_port: int, ports: tuple[int, int]) -> str:
    parts = [
        site_head(folder, broker_port),
        bus_text("rs485-1", f'port = "{folder}/rs485-1"', 'line = "38400 8N1"'),
        bus_text("tcp-1", f'host = "127.0.0.1:{ports[0]}"'),
        bus_text("wind-line", f'port = "{folder}/wind-line"', 'line = "9600 8N1"'),
        bus_text("far", f'host = "127.0.0.1:{ports[1]}"'),
        bus_text("near", f'port = "{folder}/near"', 'line = "38400 8N1"'),
        device_text("wind-1", "wind-line", None, "gill/windsonic@1"),
        device_text("far-1", "far", 1),
        device_text("near-1", "near", 1),
        device_text("mute-1", "near", MUTE_UNIT, every="200ms"),
    ]
    for bus, prefix, faults in (("rs485-1", "rtu", RTU), ("tcp-1", "tcp", TCP)):
        parts.append(device_text(f"{prefix}-good", bus, GOOD_UNIT))
        parts += [device_text(f"{prefix}-{fault}", bus, unit) for unit, fault in enumerate(faults, FIRST_FAULT_UNIT)]
    return "\n".join(parts)
