"""The simulators as a process, read by the gateway's own south and by a foreign client.

Each kind of fault has a bus of its own, on TCP and on a serial line; all of them are polled at once. What came of it is
judged by the checker, from the log of the devices: no fault makes a wrong value, and when it is over, values come.
"""

import asyncio
import json
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.pdu.mei_message import ReadDeviceInformationResponse

from gateway.clock.kernel import SystemClock
from gateway.config.compile import compile_simulator_file
from gateway.counters import Counters
from gateway.errors import BadReply, NoReply
from gateway.model import Row
from gateway.protocols.modbus_frame import Frame, encode_tcp
from gateway.protocols.modbus_pdu import ReadRequest, Table, encode_request
from gateway.seams import Clock
from gateway.site import Site
from gateway.south.bus import loops
from gateway.south.links.guard import Guard
from gateway.south.links.modbus_links import open_own
from tests.support import checker, station
from tests.support.chain import wait_until
from tests.support.checker_matching import Truth
from tests.support.store_points import Point

READY_S = 20.0
AFTER_S, FOR_S = 1.0, 1.5  # when the fault comes, and how long it is on
REST_S, RECOVERS_S = 2.0, 20.0  # how long it has been over at the end, at least and at most
EVERY = "200ms"
LATE_NS = 800_000_000
FAULTS: dict[str, str] = {  # of a reply; a timeout of the station is 150 ms
    "silent": "",
    "truncated": "",
    "torn": "keep = 4",
    "bit-flip": "",
    "wrong-unit-id": "",
    "wrong-function": "",
    "short": "",
    "long": "",
    "wrong-count": "",
    "late": "by_timeouts = 1.5\ntimes = 1",
    "late-in-a-row": "by_timeouts = [1.5, 2.2, 2.5, 3.5]\ntimes = 4",
    "late-alone": "by_timeouts = 1.5\nqueue = false",
    "exception": "code = 4",
    "exception-busy": "code = 6\nshare = 0.5",
    "exception-late": "code = 4\nby_timeouts = 1.5",
    "slow": "byte_ms = 2",
    "slow-too-slow": "byte_ms = 20",
    "garbage": "share = 0.5",
    "garbage-unit-id": "unit_id = true",
    "refuse-registers": "addresses = [20]",
}
ONLY: dict[str, dict[str, str]] = {"tcp": {"wrong-tid": "", "hang-up": ""}, "rtu": {"wrong-crc": "", "echo": ""}}
OF_BUS: dict[str, tuple[str, ...]] = {"tcp": ("refuse", "half-open"), "rtu": ("vanish",)}
OF_FIELD = {"jump": "by = 3", "stuck": "", "no-value": ""}
KINDS = {  # where a name is not the kind itself
    "late-in-a-row": "late", "late-alone": "late", "exception-busy": "exception", "exception-late": "exception",
    "slow-too-slow": "slow", "garbage-unit-id": "garbage",
}  # fmt: skip
FIELDS = {"temperature", "pressure", "frequency"}


@dataclass
class Rows:
    """What the gateway read."""

    clock: Clock
    rows: list[Row] = field(default_factory=list)

    def points(self) -> Iterator[Point]:
        """As a store would have them."""
        wall_ms = time.time_ns() // 1_000_000 - self.clock.boot_ms()
        for row in self.rows:
            for name, value in zip(row.group.fields, row.values, strict=True):
                if value is not None:
                    yield Point(row.group.device, name, row.group.kind, value, row.at + wall_ms)


@dataclass(frozen=True)
class Story:
    """One run."""

    truths: list[Truth]
    points: list[Point]
    faults: dict[str, set[str]]  # by device: the kinds that the log tells of
    ended_ms: float  # when the faults were over

    def offences(self, device: str) -> list[str]:
        """Against what the device said; a value that is only missing is none."""
        truths = [truth for truth in self.truths if truth.device == device]
        points = [point for point in self.points if point.device == device]
        report = checker.check(truths, points)
        assert report.matched
        return [str(one) for one in report.offences if one.what != "missing"]

    def afterwards(self, device: str) -> set[str]:
        """The fields that were read when the fault was over."""
        return {point.field for point in self.points if point.device == device and point.at_ms > self.ended_ms}


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Every fault at once."""
    folder = tmp_path_factory.mktemp("faults")
    station.write_station(folder / "profiles")
    path = folder / "site.toml"
    path.write_text(head(folder) + "".join(_buses(folder)))
    with simulators(path, "--seed", "11") as endpoints:
        site = asked_at(compile_simulator_file(path, (folder / "profiles",)).site, endpoints)
        began_ms = time.time_ns() / 1e6
        rows = asyncio.run(_polled(site))
    points = list(rows.points())
    lines = [json.loads(line) for line in (folder / "truth").read_text().splitlines()]
    told: dict[str, set[str]] = {}
    for line in lines:
        if "fault" in line:
            told.setdefault(line["device"], set()).add(line["fault"])
    return Story(checker.read_truth(folder / "truth"), points, told, began_ms + (AFTER_S + FOR_S) * 1000)


def _names(transport: str) -> list[str]:
    return [f"{transport}-{name}" for name in (*FAULTS, *ONLY[transport], *OF_BUS[transport], *OF_FIELD)]


DEVICES = [*_names("tcp"), *_names("rtu")]


@pytest.mark.parametrize("device", DEVICES)
def test_no_fault_makes_a_wrong_value(story: Story, device: str) -> None:
    """Wrong, foreign, shifted, doubled or at a wrong time: none is stored; what is lost is lost for a while."""
    assert story.offences(device) == []
    # A register that was refused is asked for again after an hour.
    assert story.afterwards(device) >= FIELDS - ({"frequency"} if device.endswith("refuse-registers") else set())


@pytest.mark.parametrize("device", [f"{bus}-{name}" for bus in ("tcp", "rtu") for name in (*FAULTS, *ONLY[bus])])
def test_the_log_tells_of_the_fault(story: Story, device: str) -> None:
    """Else the run would have proved nothing. Refused registers are an answer like any other."""
    name = device.partition("-")[2]
    expected = set() if name == "refuse-registers" else {KINDS.get(name, name).replace("-", "_")}
    assert story.faults.get(device, set()) == expected


@pytest.mark.parametrize(
    "where", ['host = "127.0.0.1:0"\nframing = "rtu"', 'port = "{folder}/rtu"\nline = "115200 8N1"']
)
async def test_reads_back_to_back_are_not_shifted(tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four replies in a row are late, the device queues, and every next read looks like the one before."""
    monkeypatch.setattr("gateway.south.links.late.LATE_MIN_NS", LATE_NS)  # 2 s in the field; the rule is the same
    station.write_station(tmp_path / "profiles")
    path = tmp_path / "site.toml"
    bus_text = f'[[bus]]\nname = "bus-1"\n{where.format(folder=tmp_path)}\n'
    path.write_text(f"{head(tmp_path)}{bus_text}{LATE}")
    with simulators(path) as endpoints:
        (bus,) = asked_at(compile_simulator_file(path, (tmp_path / "profiles",)).site, endpoints).buses
        clock = SystemClock("system")
        guard = Guard(await open_own(bus, clock), clock, Counters(), bus="bus-1", silence_ns=2_000_000)
        good = 0
        try:
            for turn in range(120):
                address = turn % 2  # the halves of the pressure: each read's answer is known
                request = ReadRequest(Table.INPUT, 1 + address, 1)
                while (barred_ns := guard.barred(1, request)) is not None:
                    await clock.wire_wait(barred_ns)
                with suppress(NoReply, BadReply):
                    reply = await guard.request(1, request, clock.boot_ns() + round(station.TIMEOUT_S * 1e9))
                    assert reply.data == struct.pack(">f", 1013.2)[2 * address : 2 * address + 2]
                    good += 1
        finally:
            await guard.close()
    assert good > 60


async def test_a_thousand_devices_answer_from_one_process(tmp_path: Path) -> None:
    """Each at an endpoint of its own; every answer is its own, and stands in the log."""
    station.write_station(tmp_path / "profiles")
    path = tmp_path / "site.toml"
    path.write_text(head(tmp_path) + _thousand())
    request = encode_tcp(Frame(1, encode_request(ReadRequest(Table.HOLDING, 20, 1)), 1))
    with simulators(path) as endpoints:
        assert len(endpoints) == THOUSAND
        found = {}
        for name, endpoint in endpoints.items():
            host, _, port = endpoint.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(request)
            found[name] = int.from_bytes((await reader.readexactly(len(request) - 1))[-2:])
            writer.close()
            await writer.wait_closed()
    assert found == {f"bus-{n}": n for n in range(1, THOUSAND + 1)}
    truths = checker.read_truth(tmp_path / "truth")
    assert {(one.device, one.value) for one in truths} == {(f"d-{n}", n / 100) for n in range(1, THOUSAND + 1)}


@pytest.mark.parametrize("transport", ["tcp", "rtu"])
async def test_a_foreign_client_reads_and_writes(tmp_path: Path, transport: str) -> None:
    """Pymodbus: every function, each type as the profile's encoder made it, and the device's own identification."""
    path = tmp_path / "site.toml"
    path.write_text(head(tmp_path) + FOREIGN.format(folder=tmp_path))
    with simulators(path) as endpoints:
        client = _foreign(transport, endpoints)
        assert await client.connect()
        try:
            volts = await client.read_input_registers(0, count=2, device_id=1)
            assert client.convert_from_registers(volts.registers, client.DATATYPE.FLOAT32) == pytest.approx(231.5)
            air = await client.read_input_registers(1, count=2, device_id=2)
            assert client.convert_from_registers(air.registers[:1], client.DATATYPE.INT16) == -45
            assert not (await client.write_register(0x0103, 0xFFF6, device_id=2)).isError()
            assert not (await client.write_registers(0x0103, [5, 6], device_id=2)).isError()
            assert (await client.read_holding_registers(0x0103, count=2, device_id=2)).registers == [5, 6]
            assert not (await client.write_coil(0, True, device_id=3)).isError()
            assert not (await client.write_coils(6, [True, True], device_id=3)).isError()
            assert (await client.read_coils(0, count=8, device_id=3)).bits[:8] == [True, *[False] * 5, True, True]
            told = await client.read_device_information(read_code=1, device_id=1)
            assert isinstance(told, ReadDeviceInformationResponse)
            assert told.information == {0: b"eastron", 1: b"sdm630", 2: b"1"}
            assert (await client.read_holding_registers(9999, count=1, device_id=1)).exception_code == 2
            assert (await client.read_exception_status(device_id=1)).exception_code == 1
        finally:
            client.close()


THOUSAND = 1000


def _thousand() -> str:
    """Stations on loopback ports of their own; each has another frequency."""
    numbers = range(1, THOUSAND + 1)
    return "".join(
        f'[[bus]]\nname = "bus-{n}"\nhost = "127.0.0.{1 + n % 4}:0"\n[[device]]\nname = "d-{n}"\nbus = "bus-{n}"\n'
        f'unit_id = 1\nprofile = "{station.REF}"\n'
        for n in numbers
    ) + "".join(("[signal]\n", *(f'"d-{n}.frequency" = {{ kind = "constant", value = {n / 100} }}\n' for n in numbers)))


LATE = f"""
[[device]]
name = "station-1"
bus = "bus-1"
unit_id = 1
profile = "{station.REF}"
[signal]
"station-1.pressure" = {{ kind = "constant", value = 1013.2 }}
[fault.station-1]
kind = "late"
by_timeouts = [1.5, 2.2, 2.5, 3.5]
times = 4
"""


# the site -----------------------------------------------------------------------------------------------------------

FOREIGN = (
    """
[[bus]]
name = "tcp"
host = "127.0.0.1:0"
[[bus]]
name = "rtu"
port = "{folder}/rtu"
line = "115200 8N1"
"""
    + "".join(
        f"""
[[device]]
name = "{transport}-{name}"
bus = "{transport}"
unit_id = {unit_id}
profile = "{profile}"
"""
        for transport in ("tcp", "rtu")
        for unit_id, (name, profile) in enumerate(
            {"meter": "eastron/sdm630@1", "air": "xy/md02@1", "relay": "waveshare/relay8@1"}.items(), 1
        )
    )
    + """
[signal]
"""
    + "".join(
        f"""
"{transport}-meter.voltage_l1" = {{{{ kind = "constant", value = 231.5 }}}}
"{transport}-air.temperature" = {{{{ kind = "constant", value = -4.5 }}}}
"""
        + "".join(f'"{transport}-relay.relay_{n}" = {{{{ kind = "constant", value = false }}}}\n' for n in range(1, 9))
        for transport in ("tcp", "rtu")
    )
)


def _foreign(transport: str, endpoints: Mapping[str, str]) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
    if transport == "rtu":
        return AsyncModbusSerialClient(endpoints["rtu"], baudrate=115200, timeout=5, retries=0)
    host, _, port = endpoints["tcp"].rpartition(":")
    return AsyncModbusTcpClient(host, port=int(port), timeout=5, retries=0)


@contextmanager
def simulators(site: Path, *more: str) -> Iterator[Mapping[str, str]]:
    """The process, and where its buses are; the log is `truth` beside the site file. It must end well."""
    folder = site.parent
    ports, log = folder / "ports", folder / "log"
    options = ["--truth", str(folder / "truth"), "--ports", str(ports), "--profiles", str(folder / "profiles"), *more]
    (folder / "profiles").mkdir(exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "simulators", str(site), *options], stdout=out, stderr=out)
    try:
        wait_until(lambda: ports.exists() or process.poll() is not None, READY_S, "the simulators")
        assert ports.exists(), log.read_text()
        yield json.loads(ports.read_text())
        process.terminate()
        assert process.wait(READY_S) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def head(folder: Path) -> str:
    """Of a site file."""
    return f"""config_version = 1
[gateway]
id = "hc-0001"
[clock]
trust = "system"
[spool]
path = "{folder}/spool"
[[uplink]]
name = "ioc"
[[uplink.server]]
url = "mqtt://127.0.0.1:1"
"""


def _buses(folder: Path) -> Iterator[str]:
    """A bus and a station for each fault, all values always new, then the faults."""
    for transport, names in (("tcp", _names("tcp")), ("rtu", _names("rtu"))):
        for name in names:
            where = 'host = "127.0.0.1:0"' if transport == "tcp" else f'port = "{folder}/{name}"\nline = "57600 8N1"'
            yield f'[[bus]]\nname = "bus-{name}"\n{where}\n'
            yield f'[[device]]\nname = "{name}"\nbus = "bus-{name}"\nunit_id = 1\nprofile = "{station.REF}"\n'
            yield f'every = "{EVERY}"\n'
    yield "[signal]\n"
    yield from (f'"{name}.{one}" = {{ kind = "ramp" }}\n' for name in DEVICES for one in sorted(FIELDS))
    yield from (_fault(name) for name in DEVICES)


def _fault(device: str) -> str:
    transport, _, name = device.partition("-")
    settings = (FAULTS | ONLY[transport] | OF_FIELD).get(name, "")
    target = f"bus-{device}" if name in OF_BUS[transport] else f"{device}.frequency" if name in OF_FIELD else device
    kind = KINDS.get(name, name).replace("-", "_")
    when = f'after = "{AFTER_S * 1000:.0f}ms"\nfor = "{FOR_S * 1000:.0f}ms"'
    return f'[fault."{target}"]\nkind = "{kind}"\n{when}\n{settings}\n'


def asked_at(site: Site, endpoints: Mapping[str, str]) -> Site:
    """The same, read where the simulators serve it."""
    buses = (replace(bus, endpoint=endpoints[bus.name]) for bus in site.buses)
    return replace(site, buses=tuple(buses))


async def _polled(site: Site) -> Rows:
    """By the gateway's own loops, until each device has been read again."""
    clock = SystemClock("system")
    rows = Rows(clock)
    buses = loops(site, clock, Counters(), Random(7), rows.rows.append, lambda _: None)
    async with asyncio.TaskGroup() as tasks:
        for bus in buses:
            tasks.create_task(bus.run(), name="bus")
        await asyncio.sleep(AFTER_S + FOR_S + REST_S)
        since = clock.boot_ms() - REST_S * 1000
        for _ in range(int((RECOVERS_S - REST_S) / 0.1)):
            if {row.group.device for row in rows.rows if row.at > since} >= set(DEVICES):
                break
            await asyncio.sleep(0.1)
        for bus in buses:
            bus.stop()
    return rows
