"""Modbus TCP, asked by hand and by a foreign client."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pymodbus.client import AsyncModbusTcpClient

from gateway.protocols.modbus_frame import Frame, RtuReader, TcpReader, encode_rtu, encode_tcp, reply_length
from gateway.protocols.modbus_pdu import ReadRequest, Table, encode_request
from simulators.device import ModbusDevice
from simulators.run import Run
from simulators.serve_tcp import Desk, TcpServer
from simulators.truth import TruthLog
from tests.unit.simulators.worlds import METER, constants, modbus_device

VALUES = constants(voltage=230.2, power=-12.3, energy=70000.25, setting=7.0, far=9.0)
READ = encode_request(ReadRequest(Table.INPUT, 0, 10))


@asynccontextmanager
async def served(folder: Path, transport: str = "tcp", host: str = "127.0.0.1") -> AsyncIterator[tuple[str, int]]:
    """Meters at units 1 and 2 behind one endpoint."""
    log = TruthLog(folder / "truth")
    devices = {unit: ModbusDevice(modbus_device(f"meter-{unit}", METER, unit), VALUES) for unit in (1, 2)}
    async with TcpServer(transport, f"{host}:0", Desk(transport, devices, Run(log))) as server:
        at, _, port = server.endpoint.rpartition(":")
        yield at.strip("[]"), int(port)
    log.close()


async def test_a_foreign_client_reads_both_units(tmp_path: Path) -> None:
    """Pymodbus decodes what the profile encodes."""
    async with served(tmp_path) as (host, port):
        client = AsyncModbusTcpClient(host, port=port, timeout=5, retries=0)
        await client.connect()
        try:
            for unit in (1, 2):
                reply = await client.read_input_registers(0, count=10, device_id=unit)
                assert client.convert_from_registers(reply.registers[8:10], client.DATATYPE.UINT32) == 7_000_025
        finally:
            client.close()
    entries = [json.loads(line) for line in (tmp_path / "truth").read_text().splitlines()]
    assert [(entry["device"], entry["n"]) for entry in entries] == [("meter-1", 1)] * 3 + [("meter-2", 1)] * 3


async def test_requests_in_one_segment_are_all_answered(tmp_path: Path) -> None:
    """Pipelined, and cut anywhere; a unit_id that is not there is silence."""
    requests = b"".join(encode_tcp(Frame(unit, READ, tid)) for tid, unit in enumerate((1, 2, 9, 1, 2)))
    async with served(tmp_path) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(requests[:30])
        await writer.drain()
        writer.write(requests[30:])
        frames: list[Frame] = []
        replies = TcpReader()
        while len(frames) < 4:
            frames += replies.feed(await reader.read(4096))
        writer.close()
        await writer.wait_closed()
    assert [(frame.tid, frame.unit_id) for frame in frames] == [(0, 1), (1, 2), (3, 1), (4, 2)]


async def test_rtu_frames_over_tcp(tmp_path: Path) -> None:
    """What a transparent converter carries."""
    async with served(tmp_path, "rtu_over_tcp") as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(encode_rtu(Frame(2, READ)))
        replies = RtuReader(reply_length)
        frames: list[Frame] = []
        while not frames:
            frames += replies.feed(await reader.read(4096))
        writer.close()
        await writer.wait_closed()
    assert frames[0].unit_id == 2
    assert len(frames[0].pdu) == 22


async def test_a_client_that_lost_step_is_cut_off(tmp_path: Path) -> None:
    """Nothing that follows could be understood."""
    async with served(tmp_path) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_clients_are_cut_off_at_the_end(tmp_path: Path) -> None:
    """A server that stops does not wait for its clients."""
    async with served(tmp_path) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(encode_tcp(Frame(1, READ, 0)))
        assert await reader.read(100)
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
