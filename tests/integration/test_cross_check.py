"""Two foreign opinions: our client against a pymodbus server, and pymodbus' client against our simulator.

Every function of `modbus_pdu`, on TCP and RTU; every numeric type of the codec in every order that it knows, made and
taken apart by pymodbus. pymodbus has two orders; the other two are its own with the bytes of each register swapped.
"""

import asyncio
import contextlib
import itertools
import os
import pty
import socket
import tty
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.framer import FramerType
from pymodbus.pdu.device import ModbusDeviceIdentification
from pymodbus.pdu.mei_message import ReadDeviceInformationResponse
from pymodbus.server import ModbusSerialServer, ModbusTcpServer, ModbusUdpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gateway.clock.kernel import SystemClock
from gateway.counters import Counters
from gateway.errors import DeviceException, NoReply
from gateway.model import Group
from gateway.profile.codec import Block
from gateway.profile.profile import Field, Line, ModbusSource, Profile
from gateway.protocols.modbus_pdu import (
    ReadDeviceId,
    ReadRequest,
    Request,
    Table,
    WriteCoils,
    WriteRegisters,
    device_id,
    unpack_bits,
)
from gateway.site import Bus, Device, Polled, Site, SpoolSettings
from gateway.south.links.guard import Guard, silence_ns
from gateway.south.links.link import Link
from gateway.south.links.modbus_links import open_own
from gateway.south.links.pymodbus_link import open_link
from simulators.serve import serve
from simulators.signals import Signal

BOTH = pytest.mark.parametrize("transport", ["tcp", "rtu"])
UNIT_ID = 3
PATIENT_NS = 20_000_000_000
HASTY_NS = 300_000_000
FOREIGN = ("ascii", "udp")  # by pymodbus alone
LINE = Line(115_200)
TYPES = AsyncModbusTcpClient.DATATYPE
VALUES: dict[str, tuple[AsyncModbusTcpClient.DATATYPE, float]] = {
    "u16": (TYPES.UINT16, 60_001),
    "i16": (TYPES.INT16, -12_345),
    "u32": (TYPES.UINT32, 4_000_000_001),
    "i32": (TYPES.INT32, -1_234_567_890),
    "u64": (TYPES.UINT64, 2**53 - 1),  # a value is a double: up to here each whole number is one
    "i64": (TYPES.INT64, -(2**53) + 1),
    "f32": (TYPES.FLOAT32, -230.25),
    "f64": (TYPES.FLOAT64, 3.141592653589),
}
ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
COILS = [True, False, True, True, False, False, True, False, True, True]
WORDS = [0x0102, 0xFFFF, 0, 0x8000, 42]


def fields_of(table: Table) -> tuple[Field, ...]:
    """One for each type in each order, eight registers apart."""
    return tuple(
        Field(f"{type_}_{order.lower()}", "index", "1", "f", 12, table=table, address=8 * at, type=type_, order=order)
        for at, (type_, order) in enumerate(itertools.product(VALUES, ORDERS))
    )


def foreign(type_: str, order: str) -> list[int]:
    """The registers of a value by pymodbus."""
    data_type, value = VALUES[type_]
    words = AsyncModbusTcpClient.convert_to_registers(
        int(value) if value == int(value) and not type_.startswith("f") else value,
        data_type,
        word_order="big" if order in {"ABCD", "BADC"} else "little",
    )
    return swapped(words) if order in {"BADC", "DCBA"} else words


def understood(words: Sequence[int], type_: str, order: str) -> object:
    """The value of registers by pymodbus."""
    return AsyncModbusTcpClient.convert_from_registers(
        swapped(words) if order in {"BADC", "DCBA"} else list(words),
        VALUES[type_][0],
        word_order="big" if order in {"ABCD", "BADC"} else "little",
    )


def swapped(words: Sequence[int]) -> list[int]:
    """The two bytes of each register."""
    return [word >> 8 | (word & 0xFF) << 8 for word in words]


@contextlib.contextmanager
def joined() -> Iterator[tuple[str, str]]:
    """Two serial ports, each the other end of the other."""
    loop, fds = asyncio.get_running_loop(), [*pty.openpty(), *pty.openpty()]
    for slave in (fds[1], fds[3]):
        tty.setraw(slave)
    for here, there in ((fds[0], fds[2]), (fds[2], fds[0])):
        loop.add_reader(here, _pass_on, here, there)
    try:
        yield os.ttyname(fds[1]), os.ttyname(fds[3])
    finally:
        for fd in (fds[0], fds[2]):
            loop.remove_reader(fd)
        for fd in fds:
            os.close(fd)


def _pass_on(here: int, there: int) -> None:
    os.write(there, os.read(here, 4096))


@contextlib.asynccontextmanager
async def asking(transport: str, endpoint: str) -> AsyncIterator[Guard]:
    """Our link behind the guard."""
    clock = SystemClock("system")
    opener = open_link if transport in FOREIGN else open_own
    link: Link = await opener(Bus("b", transport, "", endpoint, LINE, ()), clock)
    guard = Guard(link, clock, Counters(), bus="b", silence_ns=silence_ns(transport, LINE))
    try:
        yield guard
    finally:
        await guard.close()
        clock.close()


async def ask(guard: Guard, request: Request) -> bytes:
    """The data of the reply."""
    return (await guard.request(UNIT_ID, request, guard._clock.boot_ns() + PATIENT_NS)).data


@contextlib.asynccontextmanager
async def pymodbus_server(transport: str) -> AsyncIterator[str]:
    """Four tables, all types in all orders in both tables of registers, and an identity."""
    registers = [0] * 512
    for field in fields_of(Table.HOLDING):
        assert field.address is not None
        registers[field.address : field.address + field.words] = foreign(field.type, field.order)
    bits = SimData(0, values=COILS, datatype=DataType.BITS)
    words = SimData(0, values=registers, datatype=DataType.REGISTERS)
    device = SimDevice(UNIT_ID, ([bits], [bits], [words], [words]))
    identity = ModbusDeviceIdentification(  # type: ignore[no-untyped-call]
        info_name={"VendorName": "Acme", "ProductCode": "AC", "MajorMinorRevision": "1"}
    )
    with contextlib.ExitStack() as stack:
        server: ModbusTcpServer | ModbusUdpServer | ModbusSerialServer
        if transport == "tcp":
            server = ModbusTcpServer(device, address=("127.0.0.1", 0), identity=identity)
            await server.serve_forever(background=True)
            assert isinstance(server.transport, asyncio.Server)
            endpoint = f"127.0.0.1:{server.transport.sockets[0].getsockname()[1]}"
        elif transport == "udp":
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
                free.bind(("127.0.0.1", 0))
                port = free.getsockname()[1]
            server = ModbusUdpServer(device, address=("127.0.0.1", port), identity=identity)
            await server.serve_forever(background=True)
            endpoint = f"127.0.0.1:{port}"
        else:
            ours, theirs = stack.enter_context(joined())
            framer = FramerType.ASCII if transport == "ascii" else FramerType.RTU
            server = ModbusSerialServer(device, framer=framer, port=theirs, baudrate=115_200, identity=identity)
            await server.serve_forever(background=True)
            endpoint = ours
        try:
            yield endpoint
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]
            await asyncio.sleep(0)


@BOTH
async def test_our_client_reads_every_table_of_pymodbus(transport: str) -> None:
    """Functions 1 to 4; what is not there is exception 2."""
    async with pymodbus_server(transport) as endpoint, asking(transport, endpoint) as guard:
        for table in (Table.COIL, Table.DISCRETE):
            for count in (1, 8, 9, 10):
                data = await ask(guard, ReadRequest(table, 0, count))
                assert list(unpack_bits(data, count)) == COILS[:count]
            assert list(unpack_bits(await ask(guard, ReadRequest(table, 3, 5)), 5)) == COILS[3:8]
        for table in (Table.HOLDING, Table.INPUT):
            fields = fields_of(table)
            for first in range(0, len(fields), 12):
                some = fields[first : first + 12]
                address = some[0].address or 0
                data = await ask(guard, ReadRequest(table, address, 8 * len(some)))
                decoded = Block(some, table, address, 8 * len(some)).decode(data)
                assert decoded.values == tuple(VALUES[field.type][1] for field in some)
            with pytest.raises(DeviceException) as refused:
                await ask(guard, ReadRequest(table, 5000, 1))
            assert refused.value.exception == 2


@pytest.mark.parametrize("transport", FOREIGN)
async def test_what_only_pymodbus_speaks(transport: str) -> None:
    """ASCII on a port and UDP, behind our guard: read, written, refused."""
    async with pymodbus_server(transport) as endpoint, asking(transport, endpoint) as guard:
        field = fields_of(Table.HOLDING)[0]
        words = foreign(field.type, field.order)
        data = await ask(guard, ReadRequest(Table.HOLDING, 0, 1))
        assert data == b"".join(word.to_bytes(2) for word in words)
        await ask(guard, WriteRegisters(400, tuple(WORDS), multiple=True))
        assert await ask(guard, ReadRequest(Table.HOLDING, 400, 5)) == b"".join(word.to_bytes(2) for word in WORDS)
        with pytest.raises(DeviceException):
            await ask(guard, ReadRequest(Table.HOLDING, 5000, 1))


async def test_a_silent_host_on_udp_is_no_reply() -> None:
    """It takes the packet, and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        async with asking("udp", f"127.0.0.1:{deaf.getsockname()[1]}") as guard:
            with pytest.raises(NoReply):
                await guard.request(UNIT_ID, ReadRequest(Table.HOLDING, 0, 1), guard._clock.boot_ns() + HASTY_NS)


@BOTH
async def test_our_client_writes_to_pymodbus(transport: str) -> None:
    """Functions 5, 6, 15 and 16; every type in every order, read back as it was written."""
    async with pymodbus_server(transport) as endpoint, asking(transport, endpoint) as guard:
        await ask(guard, WriteCoils(1, (True,)))
        await ask(guard, WriteCoils(2, (False, False, True), multiple=True))
        data = await ask(guard, ReadRequest(Table.COIL, 0, 10))
        assert list(unpack_bits(data, 10)) == [COILS[0], True, False, False, True, *COILS[5:]]
        await ask(guard, WriteRegisters(400, (WORDS[0],)))
        await ask(guard, WriteRegisters(401, tuple(WORDS[1:]), multiple=True))
        data = await ask(guard, ReadRequest(Table.HOLDING, 400, len(WORDS)))
        assert data == b"".join(word.to_bytes(2) for word in WORDS)
        for field in fields_of(Table.HOLDING):
            block = Block((field,), Table.HOLDING, field.address or 0, field.words)
            written = block.encode((VALUES[field.type][1],))
            words = tuple(int.from_bytes(written[at : at + 2]) for at in range(0, len(written), 2))
            assert list(words) == foreign(field.type, field.order)
            await ask(guard, WriteRegisters(300, words))
            assert await ask(guard, ReadRequest(Table.HOLDING, 300, field.words)) == written


@BOTH
async def test_our_client_reads_the_identity_of_pymodbus(transport: str) -> None:
    """Function 43/14, basic."""
    async with pymodbus_server(transport) as endpoint, asking(transport, endpoint) as guard:
        identity = device_id(await ask(guard, ReadDeviceId(1, 0)))
        assert dict(identity.objects) == {0: b"Acme", 1: b"AC", 2: b"1"}
        assert identity.next_object is None


@contextlib.asynccontextmanager
async def simulator(transport: str, folder: Path) -> AsyncIterator["AsyncModbusTcpClient | AsyncModbusSerialClient"]:
    """Ours, with all types in all orders; asked by pymodbus."""
    coils = tuple(
        Field(f"coil_{at}", "relay", "1", "b", 0, table=Table.COIL, address=at, type="bit") for at in range(10)
    )
    inputs = tuple(
        Field(f"input_{at}", "relay", "1", "b", 0, table=Table.DISCRETE, address=at, type="bit") for at in range(10)
    )
    holdings = tuple(replace(field, name=f"h_{field.name}") for field in fields_of(Table.HOLDING))
    fields = (*coils, *inputs, *holdings, *fields_of(Table.INPUT))
    profile = Profile("acme/every@1", "energy_meter", (), "guess", fields, ModbusSource(LINE, UNIT_ID))
    letters = "".join(field.letter for field in fields)
    group = Group("every-1", "energy_meter", "acme/every@1", tuple(field.name for field in fields), letters)
    device = Device("every-1", profile, UNIT_ID, (Polled(group, fields, 1000),))
    bus = Bus("bus-1", transport, "own", "127.0.0.1:0" if transport == "tcp" else str(folder / "port"), LINE, (device,))
    site = Site("hc-0001", "city", None, None, "system", SpoolSettings(str(folder), 1 << 30, 60), (), (bus,), ())
    signals = {"every-1": {field.name: constant(_value(field)) for field in fields}}
    async with asyncio.TaskGroup() as group_:
        serving = group_.create_task(serve(site, signals, ports=folder / "ports"), name="simulator")
        while not (folder / "ports").exists():  # noqa: ASYNC110 - a file tells that it serves
            await asyncio.sleep(0.01)
        client = _client(transport, orjson.loads((folder / "ports").read_bytes())["bus-1"])
        assert await client.connect()
        try:
            yield client
        finally:
            client.close()
            serving.cancel()


def constant(value: float | bool) -> Signal:
    """It never changes."""
    return lambda _: value


def _value(field: Field) -> float | bool:
    if field.type == "bit":
        return COILS[field.address or 0]
    return VALUES[field.type][1]


def _client(transport: str, endpoint: str) -> AsyncModbusTcpClient | AsyncModbusSerialClient:
    if transport == "tcp":
        host, _, port = endpoint.rpartition(":")
        return AsyncModbusTcpClient(host, port=int(port), timeout=20, retries=0)
    return AsyncModbusSerialClient(endpoint, framer=FramerType.RTU, baudrate=LINE.baud, timeout=20, retries=0)


@BOTH
async def test_pymodbus_reads_every_table_of_our_simulator(transport: str, tmp_path: Path) -> None:
    """Functions 1 to 4, every type in every order; what is not there is exception 2."""
    async with simulator(transport, tmp_path) as client:
        for read in (client.read_coils, client.read_discrete_inputs):
            for count in (1, 8, 9, 10):
                reply = await read(0, count=count, device_id=UNIT_ID)
                assert reply.bits[:count] == COILS[:count]
        for table, ask_for in (
            (Table.HOLDING, client.read_holding_registers),
            (Table.INPUT, client.read_input_registers),
        ):
            for field in fields_of(table):
                reply = await ask_for(field.address or 0, count=field.words, device_id=UNIT_ID)
                assert understood(reply.registers, field.type, field.order) == VALUES[field.type][1], field.name
            assert (await ask_for(5000, count=1, device_id=UNIT_ID)).exception_code == 2


@BOTH
async def test_pymodbus_writes_to_our_simulator(transport: str, tmp_path: Path) -> None:
    """Functions 5, 6, 15 and 16, read back as they were written."""
    async with simulator(transport, tmp_path) as client:
        assert not (await client.write_coil(1, value=True, device_id=UNIT_ID)).isError()
        assert not (await client.write_coils(2, [False, False, True], device_id=UNIT_ID)).isError()
        reply = await client.read_coils(0, count=10, device_id=UNIT_ID)
        assert reply.bits[:10] == [COILS[0], True, False, False, True, *COILS[5:]]
        assert not (await client.write_register(0, WORDS[0], device_id=UNIT_ID)).isError()
        reply = await client.read_holding_registers(0, count=1, device_id=UNIT_ID)
        assert reply.registers == WORDS[:1]
        for field in fields_of(Table.HOLDING):
            words = [word ^ 0x0101 for word in foreign(field.type, field.order)]
            assert not (await client.write_registers(field.address or 0, words, device_id=UNIT_ID)).isError()
            reply = await client.read_holding_registers(field.address or 0, count=field.words, device_id=UNIT_ID)
            assert reply.registers == words


@BOTH
async def test_pymodbus_reads_the_identity_of_our_simulator(transport: str, tmp_path: Path) -> None:
    """Function 43/14: the vendor and the model of its profile."""
    async with simulator(transport, tmp_path) as client:
        reply = await client.read_device_information(read_code=1, object_id=0, device_id=UNIT_ID)
        assert not reply.isError()
        assert isinstance(reply, ReadDeviceInformationResponse)
        assert [reply.information[number] for number in (0, 1)] == [b"acme", b"every"]
