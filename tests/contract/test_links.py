"""Every link behind the guard: no fault of a device or a line makes a wrong value, and the bus works afterwards."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from gateway.clock.kernel import SystemClock
from gateway.counters import Counters
from gateway.errors import BadReply, DeviceException, LinkDown, NoReply
from gateway.profile.profile import Line
from gateway.protocols.modbus_pdu import (
    ReadDeviceId,
    ReadRequest,
    Request,
    Table,
    WriteCoils,
    WriteRegisters,
    encode_exception,
)
from gateway.seams import Clock
from gateway.site import Bus
from gateway.south import pymodbus_link
from gateway.south.guard import Guard, silence_ns
from gateway.south.late import LateReplies
from gateway.south.link import Link
from gateway.south.modbus_links import open_own
from tests.support.modbus_server import HANG_UP, Answer, Asked, Fault, ModbusServer, content

OWN = (("own", "tcp"), ("own", "rtu"), ("own", "rtu_over_tcp"))
ALL = (*OWN, ("pymodbus", "tcp"), ("pymodbus", "rtu"))
IDS = ["-".join(link) for link in ALL]
OPEN: dict[str, Callable[[Bus, Clock], Awaitable[Link]]] = {"own": open_own, "pymodbus": pymodbus_link.open_link}
TIMEOUT_NS = 80_000_000
LATE_NS = 240_000_000
LATE_S = 0.12  # after the timeout, within LATE_NS of it
PATIENT_NS = 10_000_000_000
COUNT = 10


@pytest.fixture(autouse=True)
def short_late_max(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 s in the field; the rule is the same."""
    monkeypatch.setattr("gateway.south.late.LATE_MIN_NS", LATE_NS)


@asynccontextmanager
async def plugged(driver: str, transport: str) -> AsyncIterator["Bench"]:
    """A server, and a gateway's end of the wire to it."""
    clock = SystemClock("system")
    async with ModbusServer(transport) as server:
        bench = Bench(server, clock, Bus("bus", transport, driver, server.endpoint, Line(115_200), ()))
        await bench.open()
        try:
            yield bench
        finally:
            await bench.guard.close()
            clock.close()


@dataclass
class Bench:
    """Asks as a bus loop does, opens a lost link again, and compares what comes with what must."""

    server: ModbusServer
    clock: SystemClock
    bus: Bus
    counters: Counters = field(default_factory=Counters)
    late: LateReplies = field(default_factory=LateReplies)
    good: int = 0
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    async def open(self) -> None:
        """A new link behind a new guard; the bars stay."""
        self.link = await OPEN[self.bus.driver](self.bus, self.clock)
        self.guard = Guard(
            self.link,
            self.clock,
            self.counters,
            bus=self.bus.name,
            silence_ns=silence_ns(self.bus.transport, self.bus.line),
            late=self.late,
        )

    def after(self, ns: int) -> int:
        """Boot ns from now."""
        return self.clock.boot_ns() + ns

    async def ask(self, unit_id: int, request: Request, timeout_ns: int = TIMEOUT_NS, *, bare: bool = False) -> bool:
        """Whether a reply came; a wrong one is noted."""
        try:
            link: Link = self.link if bare else self.guard
            reply = await link.request(unit_id, request, self.after(timeout_ns))
        except (NoReply, BadReply, DeviceException, LinkDown) as error:
            self.failed.append(error.code)
            if isinstance(error, LinkDown):
                await self.guard.close()
                await self.open()
            return False
        if reply.data != content(unit_id, request):
            self.wrong.append(f"{unit_id} {request}: {reply.data.hex(' ')}")
        self.good += 1
        return True

    async def poll(self, times: int = 6) -> None:
        """Reads of one shape at other and other addresses, each followed by one of another length and another unit."""
        for at in range(times):
            await self.ask(1, ReadRequest(Table.HOLDING, 100 + 16 * at, COUNT))
            await self.ask(1, ReadRequest(Table.HOLDING, 101 + 16 * at, COUNT + 1 + at % 2))
            await self.ask(2, ReadRequest(Table.HOLDING, 102 + 16 * at, COUNT))

    async def recover(self) -> None:
        """The first shape is answered again; bounded by the timeout of the test."""
        while not await self.ask(1, ReadRequest(Table.HOLDING, 500, COUNT), PATIENT_NS):
            pass


def late(asked: Asked) -> list[Answer]:
    """After the timeout."""
    return [(LATE_S, asked.good())]


def late_under_the_next_transaction(server: ModbusServer, asked: Asked) -> list[Answer]:
    """A converter that puts the transaction of its newest request on whatever its serial line brings."""
    return [(LATE_S, lambda: asked.wire(asked.pdu(), tid=server.asked[-1].frame.tid))]


def late_exception(asked: Asked) -> list[Answer]:
    """Busy, after the timeout."""
    return [(LATE_S, asked.wire(encode_exception(3, 6)))]


def silent(_asked: Asked) -> list[Answer]:
    """Never."""
    return []


def truncated(asked: Asked) -> list[Answer]:
    """The end never comes."""
    return [(0, asked.good()[:-4])]


def rest_with_the_next(asked: Asked) -> list[Answer]:
    """The end comes after the timeout."""
    return [(0, asked.good()[:-4]), (LATE_S, asked.good()[-4:])]


def slow_bytes(asked: Asked) -> list[Answer]:
    """Byte by byte, until after the timeout."""
    good = asked.good()
    return [(LATE_S * at / len(good), good[at : at + 1]) for at in range(len(good))]


def wrong_crc(asked: Asked) -> list[Answer]:
    """One bit of the checksum."""
    return [(0, asked.good()[:-1] + bytes((asked.good()[-1] ^ 0x10,)))]


def wrong_data_byte(asked: Asked) -> list[Answer]:
    """One bit of a register."""
    good = bytearray(asked.good())
    good[8] ^= 0x40
    return [(0, bytes(good))]


def wrong_length_byte(asked: Asked) -> list[Answer]:
    """One bit of the byte count."""
    good = bytearray(asked.good())
    good[-(2 * COUNT + (1 if asked.frame.tid is not None else 3))] ^= 0x04
    return [(0, bytes(good))]


def wrong_unit(asked: Asked) -> list[Answer]:
    """Somebody else answers."""
    return [(0, asked.wire(asked.pdu(), unit_id=7))]


def wrong_function(asked: Asked) -> list[Answer]:
    """Input registers for holding registers."""
    return [(0, asked.wire(b"\x04" + asked.pdu()[1:]))]


def fewer_registers(asked: Asked) -> list[Answer]:
    """Two are missing; the frame is sound."""
    pdu = asked.pdu()
    return [(0, asked.wire(bytes((pdu[0], pdu[1] - 4)) + pdu[2:-4]))]


def wrong_transaction(asked: Asked) -> list[Answer]:
    """The frame of nobody's request."""
    return [(0, asked.wire(asked.pdu(), tid=(asked.frame.tid or 0) + 77))]


def garbage_before(asked: Asked) -> list[Answer]:
    """Line noise that looks like the head of a reply."""
    return [(0, b"\xff\x01\x03" + asked.good())]


def echo_before(asked: Asked) -> list[Answer]:
    """A two-wire adapter that hears itself."""
    return [(0, asked.raw + asked.good())]


def twice(asked: Asked) -> list[Answer]:
    """A repeater on the line."""
    return [(0, asked.good()), (0, asked.good())]


EVERYWHERE: tuple[Fault, ...] = (
    late,
    late_exception,
    silent,
    truncated,
    rest_with_the_next,
    slow_bytes,
    wrong_length_byte,
    wrong_unit,
    wrong_function,
    fewer_registers,
    garbage_before,
    twice,
)
ON_TCP: tuple[Fault, ...] = (wrong_transaction,)
ON_RTU: tuple[Fault, ...] = (wrong_crc, wrong_data_byte, echo_before)
ONE_FAULT = [
    pytest.param(driver, transport, fault, id=f"{driver}-{transport}-{getattr(fault, '__name__', '')}")
    for driver, transport in ALL
    for fault in (*EVERYWHERE, *(ON_TCP if transport == "tcp" else ON_RTU))
]
EVERY_LINK = pytest.mark.parametrize(("driver", "transport"), ALL, ids=IDS)


@pytest.mark.parametrize(("driver", "transport", "fault"), ONE_FAULT)
async def test_one_fault_makes_no_wrong_value(driver: str, transport: str, fault: Fault) -> None:
    """P8: whatever one reply looks like, the reads around it are right or refused, and the shape comes back."""
    async with plugged(driver, transport) as bench:
        bench.server.faults[4] = fault
        await bench.poll()
        await bench.recover()
        assert bench.wrong == []
        assert len(bench.server.asked) > 4
        assert "device_exception" not in bench.failed  # the only one was late: it says nothing of whoever waited
        assert "link_down" not in bench.failed or transport == "tcp"


@pytest.mark.parametrize("transport", ["rtu", "rtu_over_tcp"])
@pytest.mark.parametrize("fault", [garbage_before, echo_before, twice], ids=["garbage", "echo", "twice"])
async def test_our_links_lose_no_read_to_noise(transport: str, fault: Fault) -> None:
    """The answer stands behind it."""
    async with plugged("own", transport) as bench:
        bench.server.every = fault
        for at in range(5):
            assert await bench.ask(1, ReadRequest(Table.HOLDING, at, COUNT), PATIENT_NS)
        assert bench.wrong == []


@EVERY_LINK
async def test_late_replies_in_a_row_make_no_wrong_value(driver: str, transport: str) -> None:
    """P8: three requests are answered after their timeouts, while others wait for theirs."""
    async with plugged(driver, transport) as bench:
        bench.server.faults |= dict.fromkeys((4, 5, 6), late)
        await bench.poll()
        await bench.recover()
        assert bench.wrong == []


@EVERY_LINK
async def test_a_device_that_is_always_late_makes_no_wrong_value(driver: str, transport: str) -> None:
    """P8: 50 polls of a device slower than its timeout; its neighbour is heard."""
    async with plugged(driver, transport) as bench:
        bench.server.every = lambda asked: late(asked) if asked.frame.unit_id == 1 else [(0, asked.good())]
        await bench.poll(17)
        assert bench.wrong == []
        assert await bench.ask(2, ReadRequest(Table.INPUT, 1, 1), PATIENT_NS)


@pytest.mark.parametrize("driver", ["own", "pymodbus"])
async def test_a_converter_that_mixes_transactions_makes_no_wrong_value(driver: str) -> None:
    """P8: on TCP too the shape decides, not the transaction alone."""
    async with plugged(driver, "tcp") as bench:
        bench.server.faults |= dict.fromkeys((4, 5), partial(late_under_the_next_transaction, bench.server))
        await bench.poll()
        await bench.recover()
        assert bench.wrong == []


@EVERY_LINK
async def test_a_cancel_in_flight_makes_no_wrong_value(driver: str, transport: str) -> None:
    """P8: the reply of a request whose caller was cancelled is nobody else's."""
    async with plugged(driver, transport) as bench:
        bench.server.faults[1] = lambda asked: [(LATE_S / 4, asked.good())]
        async with asyncio.TaskGroup() as group:
            caller = group.create_task(bench.ask(1, ReadRequest(Table.HOLDING, 7, COUNT)), name="caller")
            await bench.server.arrived.wait()
            caller.cancel()
        assert bench.good == 0
        await bench.poll()
        await bench.recover()
        assert bench.wrong == []


@EVERY_LINK
async def test_a_dead_device_is_no_reply_and_the_others_go_on(driver: str, transport: str) -> None:
    """A unit_id that never answers costs its timeouts and nothing else."""
    async with plugged(driver, transport) as bench:
        bench.server.dead.add(1)
        await bench.ask(1, ReadRequest(Table.HOLDING, 7, COUNT))
        assert bench.failed == ["no_reply"]
        assert await bench.ask(2, ReadRequest(Table.HOLDING, 7, COUNT), PATIENT_NS)
        assert bench.wrong == []


@EVERY_LINK
async def test_a_lost_port_is_told_at_once(driver: str, transport: str) -> None:
    """LinkDown long before the deadline, for the waiting request and for the next."""
    async with plugged(driver, transport) as bench:
        bench.server.faults[1] = lambda asked: [(0, asked.good()[:6]), (0.01, HANG_UP)]
        for unit_id in (1, 2):
            with pytest.raises(LinkDown):  # a timeout would outlast the test
                await bench.guard.request(unit_id, ReadRequest(Table.HOLDING, 1, COUNT), bench.after(60 * PATIENT_NS))


@EVERY_LINK
@pytest.mark.parametrize(
    "request_",
    [
        ReadRequest(Table.COIL, 3, 11),
        ReadRequest(Table.DISCRETE, 3, 8),
        ReadRequest(Table.HOLDING, 0, 125),
        ReadRequest(Table.INPUT, 0xFFFF, 1),
        WriteCoils(5, (True,)),
        WriteCoils(5, (True, False, True)),
        WriteRegisters(5, (1234,)),
        WriteRegisters(5, (1, 2), multiple=True),
        ReadDeviceId(),
    ],
    ids=lambda request: f"{type(request).__name__}-{getattr(request, 'table', len(getattr(request, 'values', '')))}",
)
async def test_every_function(driver: str, transport: str, request_: Request) -> None:
    """Each request of modbus_pdu is carried there and back."""
    async with plugged(driver, transport) as bench:
        reply = await bench.guard.request(17, request_, bench.after(PATIENT_NS))
        assert reply.data == content(17, request_)
        assert reply.t_sent_ns <= reply.t_first_ns <= reply.t_done_ns


@EVERY_LINK
async def test_an_exception_is_the_device_saying_no(driver: str, transport: str) -> None:
    """Exception 2 comes through with its number."""
    async with plugged(driver, transport) as bench:
        bench.server.faults[1] = lambda asked: [(0, asked.wire(encode_exception(3, 2)))]
        with pytest.raises(DeviceException) as refused:
            await bench.guard.request(1, ReadRequest(Table.HOLDING, 1, 1), bench.after(PATIENT_NS))
        assert refused.value.exception == 2


@pytest.mark.parametrize(("driver", "transport"), [("own", "rtu"), ("own", "rtu_over_tcp"), ("pymodbus", "rtu")])
async def test_without_the_guard_a_late_reply_is_believed(driver: str, transport: str) -> None:
    """What the suite is worth: the same polls over the bare link do take a late reply for the next one's."""
    async with plugged(driver, transport) as bench:
        bench.server.faults[1] = late
        assert not await bench.ask(1, ReadRequest(Table.HOLDING, 1, COUNT), bare=True)
        assert await bench.ask(1, ReadRequest(Table.HOLDING, 50, COUNT), PATIENT_NS, bare=True)
        assert len(bench.wrong) == 1


@EVERY_LINK
async def test_nobody_there_is_link_down(driver: str, transport: str, tmp_path: Path) -> None:
    """A missing port or a refused connection."""
    clock = SystemClock("system")
    endpoint = f"{tmp_path}/no-such-port" if transport == "rtu" else "127.0.0.1:1"
    with pytest.raises(LinkDown, match=endpoint):
        await OPEN[driver](Bus("bus", transport, driver, endpoint, Line(), ()), clock)
    clock.close()
