"""RTU on a pty, asked by hand and by a foreign client."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pymodbus.client import AsyncModbusSerialClient

from gateway.protocols.modbus_frame import Frame, RtuReader, encode_rtu, reply_length
from gateway.protocols.modbus_pdu import ReadRequest, Table, encode_request
from simulators.device import ModbusDevice
from simulators.lane import TURNAROUND_NS
from simulators.line import character_ns
from simulators.moments import boot_ns
from simulators.run import Run
from simulators.serve_rtu import RtuServer
from simulators.truth import TruthLog
from tests.unit.simulators.worlds import METER, RELAYS, bus, constants, idle, modbus_device, until

VALUES = constants(voltage=230.2, power=-12.3, energy=70000.25, setting=7.0, far=9.0)
READ = encode_request(ReadRequest(Table.INPUT, 0, 10))


@asynccontextmanager
async def served(folder: Path, baud: int = 115200) -> AsyncIterator[Path]:
    """A bus with a meter at unit_id 1 and a relay at unit_id 2; its port."""
    port = folder / "rs485-1"
    log = TruthLog(folder / "truth")
    devices = {
        1: ModbusDevice(modbus_device("meter-1", METER), VALUES),
        2: ModbusDevice(modbus_device("relay-1", RELAYS, 2), constants(**{field.name: False for field in RELAYS})),
    }
    async with RtuServer(bus("rtu", str(port), baud=baud), devices, Run(log)) as server, asyncio.TaskGroup() as group:
        task = group.create_task(server.run(), name="bus")
        yield port
        task.cancel()
    log.close()


class Asker:
    """The gateway's end of the port."""

    def __init__(self, port: Path) -> None:
        self.fd = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self.reader = RtuReader(reply_length)
        self.frames: list[Frame] = []
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.fd, self._read)

    def write(self, data: bytes) -> None:
        """As it stands."""
        os.write(self.fd, data)

    async def wait(self, count: int) -> list[Frame]:
        """Until so many replies have come."""
        while len(self.frames) < count:
            self._more.clear()
            await self._more.wait()
        return self.frames

    def close(self) -> None:
        """The gateway goes."""
        asyncio.get_running_loop().remove_reader(self.fd)
        os.close(self.fd)

    def _read(self) -> None:
        self.frames += self.reader.feed(os.read(self.fd, 4096))
        self._more.set()


def truth(folder: Path) -> list[dict[str, object]]:
    """All entries."""
    return [json.loads(line) for line in (folder / "truth").read_text().splitlines()]


async def test_a_foreign_client_reads_and_writes(tmp_path: Path) -> None:
    """Pymodbus decodes what the profile encodes; writes stick; each read is in the log."""
    async with served(tmp_path) as port:
        client = AsyncModbusSerialClient(str(port), baudrate=115200, timeout=5, retries=0)
        await client.connect()
        try:
            reply = await client.read_input_registers(0, count=10, device_id=1)
            assert client.convert_from_registers(reply.registers[:2], client.DATATYPE.FLOAT32) == 230.1999969482422
            assert reply.registers[4:6] == [0x10000 - 123, 0xFFFF]
            assert (await client.read_input_registers(500, count=1, device_id=1)).exception_code == 2
            assert not (await client.write_coil(3, True, device_id=2)).isError()
            assert (await client.read_coils(0, count=8, device_id=2)).bits[:4] == [False, False, False, True]
        finally:
            client.close()
    entries = truth(tmp_path)
    assert [(entry["field"], entry["value"]) for entry in entries[:3]] == [
        ("voltage", 230.2), ("power", -12.3), ("energy", 70000.25),
    ]  # fmt: skip
    assert entries[0] | {"boot_ns": 0, "utc_ms": 0} == {
        "device": "meter-1", "field": "voltage", "kind": "energy_meter", "raw": "43663333", "value": 230.2,
        "boot_ns": 0, "utc_ms": 0, "via": "modbus", "n": 1, "group": 0, "every_ms": 1000,
    }  # fmt: skip
    assert [entry["value"] for entry in entries if entry["device"] == "relay-1"][3] is True


async def test_a_request_takes_its_time_and_so_does_the_reply(tmp_path: Path) -> None:
    """8 characters to hear, a turnaround to think, and the log names the moment of the first byte."""
    async with served(tmp_path, baud=9600) as port:
        asker = Asker(port)
        begin_ns = boot_ns()
        asker.write(encode_rtu(Frame(1, READ)))
        await asker.wait(1)
        end_ns = boot_ns()
        asker.close()
    char_ns = character_ns(bus("rtu", "").line)
    left_ns = truth(tmp_path)[0]["boot_ns"]
    assert isinstance(left_ns, int)
    assert begin_ns + 9 * char_ns + TURNAROUND_NS <= left_ns <= end_ns
    assert end_ns - begin_ns >= (8 + 25) * char_ns + TURNAROUND_NS


async def test_nobody_answers_for_a_device_that_is_not_there(tmp_path: Path) -> None:
    """An unknown unit_id and a broken checksum are silence; the next request is answered."""
    async with served(tmp_path) as port:
        asker = Asker(port)
        asker.write(encode_rtu(Frame(9, READ)))
        await idle(70)
        asker.write(encode_rtu(Frame(1, READ))[:-1] + b"\x00")
        await idle(70)
        asker.write(encode_rtu(Frame(2, encode_request(ReadRequest(Table.COIL, 0, 8)))))
        frames = await asker.wait(1)
        asker.close()
    assert [frame.unit_id for frame in frames] == [2]


async def test_half_a_request_is_given_up(tmp_path: Path) -> None:
    """A gateway that died while it wrote does not spoil the first request of the next."""
    async with served(tmp_path) as port:
        asker = Asker(port)
        asker.write(encode_rtu(Frame(1, READ))[:5])
        await idle(70)
        asker.close()
        asker = Asker(port)
        asker.write(encode_rtu(Frame(1, READ)))
        assert len(await asker.wait(1)) == 1
        asker.close()


async def test_the_gateway_may_come_and_go(tmp_path: Path) -> None:
    """Ten times; each time the first request is answered."""
    async with served(tmp_path) as port:
        for _ in range(10):
            asker = Asker(port)
            asker.write(encode_rtu(Frame(1, READ)))
            assert len(await asker.wait(1)) == 1
            asker.close()
    assert [entry["n"] for entry in truth(tmp_path) if entry["field"] == "voltage"] == list(range(1, 11))


async def test_a_reply_that_nobody_hears_is_no_truth(tmp_path: Path) -> None:
    """The gateway goes while the device answers."""
    async with served(tmp_path, baud=1200) as port:
        asker = Asker(port)
        asker.write(encode_rtu(Frame(1, READ)))
        await until(lambda: asker.reader.held_bytes > 0)
        asker.close()
        await idle(70)
        asker = Asker(port)
        asker.write(encode_rtu(Frame(2, encode_request(ReadRequest(Table.COIL, 0, 8)))))
        await asker.wait(1)
        asker.close()
    assert {entry["device"] for entry in truth(tmp_path)} == {"relay-1"}


async def test_an_unknown_function_is_refused(tmp_path: Path) -> None:
    """Though only the silence behind it tells where such a request ends."""
    async with served(tmp_path) as port:
        asker = Asker(port)
        asker.write(encode_rtu(Frame(1, b"\x07")))
        await asker.wait(1)
        asker.write(encode_rtu(Frame(2, bytes.fromhex("18 00 00"))))
        frames = await asker.wait(2)
        asker.close()
    assert [(frame.unit_id, frame.pdu) for frame in frames] == [(1, b"\x87\x01"), (2, b"\x98\x01")]
