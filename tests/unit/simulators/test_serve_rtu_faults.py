"""RTU on a pty with faults: late, torn, to all, at another baud, unplugged."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import serial

from gateway.protocols.modbus_frame import Frame, encode_rtu
from gateway.protocols.modbus_pdu import ReadRequest, Table, WriteRegisters, encode_request
from simulators.device import ModbusDevice
from simulators.fault import Target
from simulators.faults import fault
from simulators.in_force import InForce
from simulators.moments import boot_ns
from simulators.run import Run
from simulators.serve_rtu import RtuServer
from simulators.truth import TruthLog
from tests.unit.simulators.test_serve_rtu import Asker
from tests.unit.simulators.worlds import METER, bus, constants, idle, modbus_device, until

VALUES = constants(voltage=230.2, power=-12.3, energy=70000.25, setting=7.0, far=9.0)
READ = encode_request(ReadRequest(Table.INPUT, 0, 2))
GOOD = bytes.fromhex("04 04 43663333")
LATE_MS = 300  # a request that has to come meanwhile does, also on a machine that does other things too


@asynccontextmanager
async def served(folder: Path, *tables: dict[str, object]) -> AsyncIterator[tuple[Path, RtuServer]]:
    """Meters at unit_ids 1 and 2; the faults are of the first."""
    in_force = InForce(1)
    for table in tables:
        in_force.add(fault("meter-1", Target("device", "rtu"), table))
    run = Run(TruthLog(folder / "truth"), in_force)
    devices = {unit: ModbusDevice(modbus_device(f"meter-{unit}", METER, unit), VALUES) for unit in (1, 2)}
    port = folder / "rs485-1"
    async with RtuServer(bus("rtu", str(port), baud=115200), devices, run) as server, asyncio.TaskGroup() as group:
        task = group.create_task(server.run(), name="bus")
        yield port, server
        task.cancel()
    run.truth.close()


async def heard(client: serial.Serial, size: int) -> bytes:
    """So many bytes, or more."""
    got = bytearray()

    def enough() -> bool:
        got.extend(client.read(256))
        return len(got) >= size

    await until(enough)
    return bytes(got)


def truth(folder: Path) -> list[tuple[str, str, bool]]:
    """(device, fault, whether it has a value) of each line, in order."""
    lines = [json.loads(line) for line in (folder / "truth").read_text().splitlines()]
    return [(line["device"], line.get("fault", ""), "value" in line) for line in lines]


def is_late(server: RtuServer) -> bool:
    """A reply waits: its request was heard, and the next one stands alone."""
    return bool(server._waiting)


async def test_a_late_device_does_not_hold_its_neighbour_up(tmp_path: Path) -> None:
    """It answers in order what it was asked meanwhile; the other one answers between."""
    async with served(tmp_path, {"kind": "late", "by_ms": LATE_MS}) as (port, server):
        asker = Asker(port)
        begin_ns = boot_ns()
        asker.write(encode_rtu(Frame(1, READ)))
        await until(lambda: is_late(server))
        asker.write(encode_rtu(Frame(2, READ)))
        await asker.wait(1)
        asker.write(encode_rtu(Frame(1, READ)))
        frames = await asker.wait(3)
        asker.close()
    assert [frame.unit_id for frame in frames] == [2, 1, 1]
    assert boot_ns() - begin_ns >= 2 * LATE_MS * 1_000_000
    assert truth(tmp_path) == [
        ("meter-2", "", True), ("meter-1", "late", False), ("meter-1", "late", True), ("meter-1", "late", False),
        ("meter-1", "late", True),
    ]  # fmt: skip


async def test_one_that_does_not_queue_does_not_hear(tmp_path: Path) -> None:
    """While it is late."""
    async with served(tmp_path, {"kind": "late", "by_ms": LATE_MS, "times": 1, "queue": False}) as (port, server):
        asker = Asker(port)
        asker.write(encode_rtu(Frame(1, READ)))
        await until(lambda: is_late(server))
        asker.write(encode_rtu(Frame(1, READ)))
        assert len(await asker.wait(1)) == 1
        await idle(30)
        assert len(asker.frames) == 1
        asker.write(encode_rtu(Frame(1, READ)))
        assert len(await asker.wait(2)) == 2
        asker.close()


async def test_a_torn_reply_comes_with_the_next(tmp_path: Path) -> None:
    """Right before it; a neighbour's reply is not spoiled."""
    async with served(tmp_path, {"kind": "torn", "keep": 3, "times": 1}) as (port, _):
        mine, other = encode_rtu(Frame(1, GOOD)), encode_rtu(Frame(2, GOOD))
        with serial.Serial(str(port), 115200, timeout=0) as client:
            for unit, expected in ((1, mine[:3]), (2, other), (1, mine[3:] + mine)):
                client.write(encode_rtu(Frame(unit, READ)))
                assert await heard(client, len(expected)) == expected
    assert truth(tmp_path) == [("meter-1", "torn", False), ("meter-2", "", True), ("meter-1", "", True)]


async def test_broadcasts_are_carried_out_in_silence(tmp_path: Path) -> None:
    """By every device."""
    async with served(tmp_path) as (port, _):
        asker = Asker(port)
        asker.write(encode_rtu(Frame(0, encode_request(WriteRegisters(2, (42,))))))
        await idle(50)
        asker.write(encode_rtu(Frame(2, encode_request(ReadRequest(Table.HOLDING, 2, 1)))))
        (frame,) = await asker.wait(1)
        asker.close()
    assert (frame.unit_id, frame.pdu) == (2, b"\x03\x02\x00\x2a")


async def test_at_another_baud_nobody_is_there(tmp_path: Path) -> None:
    """The request is garbage to every device; at the line's own baud it is answered."""
    async with served(tmp_path) as (port, _):
        with serial.Serial(str(port), 57600, timeout=0) as client:
            client.write(encode_rtu(Frame(1, READ)))
            await idle(60)
            assert client.read(256) == b""
        with serial.Serial(str(port), 115200, timeout=0) as client:
            client.write(encode_rtu(Frame(1, READ)))
            assert await heard(client, 9) == encode_rtu(Frame(1, GOOD))


async def test_the_port_vanishes_and_comes_back(tmp_path: Path) -> None:
    """While a client has it open; whoever opens it again is answered."""
    async with served(tmp_path) as (port, server):
        asker = Asker(port)
        asker.write(encode_rtu(Frame(1, READ)))
        await asker.wait(1)
        asyncio.get_running_loop().remove_reader(asker.fd)
        await server.turn("vanish")
        assert os.read(asker.fd, 1) == b""
        os.close(asker.fd)
        assert not port.exists()
        await server.turn("")
        asker = Asker(port)
        asker.write(encode_rtu(Frame(2, READ)))
        assert [frame.unit_id for frame in await asker.wait(1)] == [2]
        asker.close()
