"""Modbus TCP with faults, behind converters, in states."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.profile.profile import Line
from gateway.protocols.modbus_frame import Frame, RtuReader, TcpReader, encode_rtu, encode_tcp, reply_length
from gateway.protocols.modbus_pdu import ReadRequest, Table, WriteRegisters, encode_request
from simulators.device import ModbusDevice
from simulators.fault import Target
from simulators.faults import fault
from simulators.in_force import InForce
from simulators.lane import TURNAROUND_NS, Converter
from simulators.line import character_ns
from simulators.moments import boot_ns
from simulators.run import Run
from simulators.serve_tcp import Desk, TcpServer
from simulators.truth import TruthLog
from tests.unit.simulators.worlds import METER, constants, idle, modbus_device

VALUES = constants(voltage=230.2, power=-12.3, energy=70000.25, setting=7.0, far=9.0)
READ = encode_request(ReadRequest(Table.INPUT, 0, 2))
GOOD = bytes.fromhex("04 04 43663333")
NS_PER_MS = 1_000_000


@dataclass
class Bench:
    """A server with meters at unit_ids 1 and 2, and how to ask it."""

    server: TcpServer
    run: Run
    transport: str

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection."""
        host, _, port = self.server.endpoint.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    def ask(self, writer: asyncio.StreamWriter, unit: int, tid: int, pdu: bytes = READ) -> None:
        """One request."""
        frame = Frame(unit, pdu, tid)
        writer.write(encode_tcp(frame) if self.transport == "tcp" else encode_rtu(frame))

    async def heard(self, reader: asyncio.StreamReader, count: int) -> list[Frame]:
        """So many replies."""
        replies = TcpReader() if self.transport == "tcp" else RtuReader(reply_length)
        frames: list[Frame] = []
        while len(frames) < count:
            frames += replies.feed(await reader.read(4096))
        return frames

    async def asked(self, *units: int) -> tuple[list[tuple[int | None, int]], float]:
        """All at once on one connection: (transaction, unit_id) of each reply in order, and ms until the last one."""
        reader, writer = await self.open()
        begin_ns = boot_ns()
        for tid, unit in enumerate(units):
            self.ask(writer, unit, tid)
        frames = await self.heard(reader, len(units))
        writer.close()
        await writer.wait_closed()
        return [(frame.tid, frame.unit_id) for frame in frames], (boot_ns() - begin_ns) / NS_PER_MS


async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Wait for the end of a connection, by an end of file or a reset."""
    with suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    with suppress(ConnectionResetError):
        await writer.wait_closed()


@asynccontextmanager
async def served(
    folder: Path,
    *tables: dict[str, object],
    transport: str = "tcp",
    converter: Converter | None = None,
) -> AsyncIterator[Bench]:
    """The faults are of meter-1, whose timeout is a second."""
    in_force = InForce(1)
    for table in tables:
        in_force.add(fault("meter-1", Target("device", transport), table))
    run = Run(TruthLog(folder / "truth"), in_force)
    devices = {unit: ModbusDevice(modbus_device(f"meter-{unit}", METER, unit), VALUES) for unit in (1, 2)}
    async with TcpServer(transport, "127.0.0.1:0", Desk(transport, devices, run, converter)) as server:
        yield Bench(server, run, transport)
    run.truth.close()


def truth(folder: Path) -> list[tuple[str, str, bool]]:
    """(device, fault, whether it has a value) of each line, in order."""
    lines = [json.loads(line) for line in (folder / "truth").read_text().splitlines()]
    return [(line["device"], line.get("fault", ""), "value" in line) for line in lines]


async def test_a_late_device_answers_in_order(tmp_path: Path) -> None:
    """What it is asked meanwhile waits, each by its own delay; its neighbour does not."""
    async with served(tmp_path, {"kind": "late", "by_ms": [60, 10]}) as bench:
        replies, took_ms = await bench.asked(1, 1, 2)
    assert replies == [(2, 2), (0, 1), (1, 1)]
    assert took_ms >= 70
    assert truth(tmp_path) == [
        ("meter-2", "", True), ("meter-1", "late", False), ("meter-1", "late", True), ("meter-1", "late", False),
        ("meter-1", "late", True),
    ]  # fmt: skip


async def test_one_that_does_not_queue_does_not_hear(tmp_path: Path) -> None:
    """The second request is lost; the next one after that is not."""
    async with served(tmp_path, {"kind": "late", "by_ms": 40, "times": 1, "queue": False}) as bench:
        reader, writer = await bench.open()
        bench.ask(writer, 1, 1)
        bench.ask(writer, 1, 2)
        assert [frame.tid for frame in await bench.heard(reader, 1)] == [1]
        bench.ask(writer, 1, 3)
        assert [frame.tid for frame in await bench.heard(reader, 1)] == [3]
        writer.close()
        await writer.wait_closed()


async def test_a_torn_reply_comes_with_the_next(tmp_path: Path) -> None:
    """Its rest stands before it, on the same connection; only the next one is true."""
    async with served(tmp_path, {"kind": "torn", "keep": 5, "times": 1}) as bench:
        reader, writer = await bench.open()
        bench.ask(writer, 1, 1)
        first = await reader.readexactly(5)
        bench.ask(writer, 1, 2)
        rest = await reader.readexactly(2 * (7 + len(GOOD)) - 5)
        writer.close()
        await writer.wait_closed()
    assert first + rest == encode_tcp(Frame(1, GOOD, 1)) + encode_tcp(Frame(1, GOOD, 2))
    assert truth(tmp_path) == [("meter-1", "torn", False), ("meter-1", "", True)]


async def test_slow_bytes(tmp_path: Path) -> None:
    """One by one."""
    async with served(tmp_path, {"kind": "slow", "byte_ms": 2}) as bench:
        replies, took_ms = await bench.asked(1)
    assert replies == [(0, 1)]
    assert took_ms >= 2 * (6 + len(GOOD))


async def test_it_hangs_up_in_the_middle(tmp_path: Path) -> None:
    """Some bytes, then the end; the next connection is served."""
    async with served(tmp_path, {"kind": "hang_up", "keep": 4, "times": 1}) as bench:
        reader, writer = await bench.open()
        bench.ask(writer, 1, 1)
        assert await reader.read() == encode_tcp(Frame(1, GOOD, 1))[:4]
        writer.close()
        await writer.wait_closed()
        assert (await bench.asked(1))[0] == [(0, 1)]


async def test_a_client_that_asks_too_much_of_a_late_device_is_cut_off(tmp_path: Path) -> None:
    """What waits is bounded."""
    async with served(tmp_path, {"kind": "late", "by_ms": 60_000}) as bench:
        reader, writer = await bench.open()
        for tid in range(1001):
            bench.ask(writer, 1, tid)
        await cut_off(reader, writer)


async def test_broadcasts_are_carried_out_in_silence(tmp_path: Path) -> None:
    """By every device."""
    async with served(tmp_path) as bench:
        reader, writer = await bench.open()
        bench.ask(writer, 0, 1, encode_request(WriteRegisters(2, (42,))))
        for unit in (1, 2):
            bench.ask(writer, unit, unit, encode_request(ReadRequest(Table.HOLDING, 2, 1)))
        frames = await bench.heard(reader, 2)
        writer.close()
        await writer.wait_closed()
    assert [(frame.tid, frame.pdu) for frame in frames] == [(1, b"\x03\x02\x00\x2a"), (2, b"\x03\x02\x00\x2a")]


async def test_a_half_open_server_says_nothing(tmp_path: Path) -> None:
    """It accepts, on old and new connections, and never answers; then it does again."""
    async with served(tmp_path) as bench:
        reader, writer = await bench.open()
        await bench.server.turn("half_open")
        bench.ask(writer, 1, 1)
        await idle(30)
        await bench.server.turn("")
        bench.ask(writer, 1, 2)
        assert [frame.tid for frame in await bench.heard(reader, 1)] == [2]
        writer.close()
        await writer.wait_closed()


async def test_a_server_that_refuses_comes_back_at_the_same_port(tmp_path: Path) -> None:
    """Connections are cut and new ones refused meanwhile."""
    async with served(tmp_path) as bench:
        endpoint = bench.server.endpoint
        reader, writer = await bench.open()
        bench.ask(writer, 1, 1)
        await bench.heard(reader, 1)
        await bench.server.turn("refuse")
        await cut_off(reader, writer)
        with pytest.raises(ConnectionRefusedError):
            await bench.open()
        await bench.server.turn("")
        assert bench.server.endpoint == endpoint
        assert (await bench.asked(1))[0] == [(0, 1)]


@pytest.mark.parametrize("transport", ["tcp", "rtu_over_tcp"])
async def test_a_converter_has_one_queue_at_the_speed_of_its_line(tmp_path: Path, transport: str) -> None:
    """One exchange after the other, whoever is asked."""
    line = Line(19200)
    pairs = ((1, 0), (2, 1)) if transport == "tcp" else ((1, None), (2, None))
    async with served(tmp_path, transport=transport, converter=Converter(line)) as bench:
        replies, took_ms = await bench.asked(1, 2)
    around = 7 if transport == "tcp" else 3
    exchange_ns = (8 + around + len(GOOD)) * character_ns(line) + TURNAROUND_NS
    assert replies == [(tid, unit) for unit, tid in pairs]
    assert took_ms >= 2 * exchange_ns / NS_PER_MS


async def test_a_stall_does_not_change_the_order_of_a_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the process stands still after it has taken two requests, both replies are due: the first stays first."""
    stalls_s = [0.05, 0.0]

    def stalling() -> int:
        time.sleep(stalls_s.pop() if stalls_s else 0.0)  # noqa: TID251 - stands still on purpose
        return boot_ns()

    async with served(tmp_path, converter=Converter(Line(19200))) as bench:
        reader, writer = await bench.open()
        bench.ask(writer, 1, 0)
        await bench.heard(reader, 1)
        monkeypatch.setattr("simulators.serve_tcp.boot_ns", stalling)
        for tid in (1, 2):
            bench.ask(writer, tid, tid)
        assert [frame.unit_id for frame in await bench.heard(reader, 2)] == [1, 2]
        writer.close()
        await writer.wait_closed()


async def test_an_absent_device_blocks_a_converter(tmp_path: Path) -> None:
    """For its timeout; then it makes up an exception, and the next one has its turn. That exception is no truth."""
    async with served(tmp_path, converter=Converter(absent_exception=11, timeout_ms=50)) as bench:
        reader, writer = await bench.open()
        begin_ns = boot_ns()
        bench.ask(writer, 9, 1)
        bench.ask(writer, 1, 2)
        frames = await bench.heard(reader, 2)
        took_ms = (boot_ns() - begin_ns) / NS_PER_MS
        writer.close()
        await writer.wait_closed()
    assert [(frame.tid, frame.unit_id, frame.pdu) for frame in frames] == [(1, 9, b"\x84\x0b"), (2, 1, GOOD)]
    assert took_ms >= 50
    assert truth(tmp_path) == [("meter-1", "", True)]


async def test_a_silent_device_blocks_a_converter_too(tmp_path: Path) -> None:
    """Unless it has a queue for each."""
    for shared, least_ms in ((True, 50), (False, 0)):
        converter = Converter(timeout_ms=50, shared=shared)
        async with served(tmp_path, {"kind": "silent"}, converter=converter) as bench:
            reader, writer = await bench.open()
            begin_ns = boot_ns()
            bench.ask(writer, 1, 1)
            bench.ask(writer, 2, 2)
            assert [frame.tid for frame in await bench.heard(reader, 1)] == [2]
            assert (boot_ns() - begin_ns) / NS_PER_MS >= least_ms
            writer.close()
            await writer.wait_closed()
