"""Every link behind the guard: no fault of a device or a line makes a wrong value, and the bus works again afterwards."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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
from gateway.south.link import Link
from gateway.south.modbus_links import open_own
from tests.support.modbus_server import HANG_UP, Answer, Asked, ModbusServer, content

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
async def plugged(driver: str, transport: str) -> AsyncIterator[tuple[ModbusServer, Link, SystemClock]]:
    """A server and the bare link to it."""
    clock = SystemClock("system")
    async with ModbusServer(transport) as server:
        bus = Bus("bus", transport, driver, server.endpoint, Line(115_200), ())
        link = await OPEN[driver](bus, clock)
        try:
            yield server, link, clock
        finally:
            await link.close()
            clock.close()


def guarded(link: Link, clock: SystemClock, transport: str) -> Guard:
    """The link behind a guard."""
    return Guard(link, clock, Counters(), bus="bus", silence_ns=silence_ns(transport, Line(115_200)))


@dataclass
class Poller:
    """Asks as a bus loop does, and compares what comes with what must."""

    link: Link
    clock: SystemClock
    good: int = 0
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    async def ask(self, unit_id: int, request: Request, timeout_ns: int = TIMEOUT_NS) -> bool:
        """Whether a reply came; a wrong one is noted."""
        try:
            reply = await self.link.request(unit_id, request, self.clock.boot_ns() + timeout_ns)
        except (NoReply, BadReply, DeviceException) as error:
            self.failed.append(error.code)
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
    return [(LATE_S, asked.good())]


def late_under_the_next_transaction(asked: Asked, server: ModbusServer) -> list[Answer]:
    """A converter that puts the transaction of its newest request on whatever its serial line brings."""
    return [(LATE_S, lambda: asked.wire(asked.pdu(), tid=server.asked[-1].frame.tid))]


def late_exception(asked: Asked) -> list[Answer]:
    return [(LATE_S, asked.wire(encode_exception(3, 6)))]


def silent(_asked: Asked) -> list[Answer]:
    return []


def truncated(asked: Asked) -> list[Answer]:
    return [(0, asked.good()[:-4])]


def rest_with_the_next(asked: Asked) -> list[Answer]:
    return [(0, asked.good()[:-4]), (LATE_S, asked.good()[-4:])]


def slow_bytes(asked: Asked) -> list[Answer]:
    good = asked.good()
    return [(LATE_S * at / len(good), good[at : at + 1]) for at in range(len(good))]


def wrong_crc(asked: Asked) -> list[Answer]:
    return [(0, asked.good()[:-1] + bytes((asked.good()[-1] ^ 0x10,)))]


def wrong_data_byte(asked: Asked) -> list[Answer]:
    good = bytearray(asked.good())
    good[8] ^= 0x40
    return [(0, bytes(good))]


def wrong_length_byte(asked: Asked) -> list[Answer]:
    good = bytearray(asked.good())
    good[-(2 * COUNT + (1 if asked.frame.tid is not None else 3))] ^= 0x04
    return [(0, bytes(good))]


def wrong_unit(asked: Asked) -> list[Answer]:
    return [(0, asked.wire(asked.pdu(), unit_id=7))]


def wrong_function(asked: Asked) -> list[Answer]:
    return [(0, asked.wire(b"\x04" + asked.pdu()[1:]))]


def fewer_registers(asked: Asked) -> list[Answer]:
    pdu = asked.pdu()
    return [(0, asked.wire(bytes((pdu[0], pdu[1] - 4)) + pdu[2:-4]))]


def wrong_transaction(asked: Asked) -> list[Answer]:
    return [(0, asked.wire(asked.pdu(), tid=(asked.frame.tid or 0) + 77))]


def garbage_before(asked: Asked) -> list[Answer]:
    return [(0, b"\xff\x01\x03" + asked.good())]


def echo_before(asked: Asked) -> list[Answer]:
    return [(0, asked.raw + asked.good())]


def twice(asked: Asked) -> list[Answer]:
    return [(0, asked.good()), (0, asked.good())]


EVERYWHERE = (late, late_exception, silent, truncated, rest_with_the_next, slow_bytes, wrong_length_byte, wrong_unit)
EVERYWHERE += (wrong_function, fewer_registers, garbage_before, twice)
ON_RTU = (wrong_crc, wrong_data_byte, echo_before)


@pytest.mark.parametrize(("driver", "transport"), ALL, ids=IDS)
@pytest.mark.parametrize("fault", [*EVERYWHERE, *ON_RTU, wrong_transaction], ids=lambda fault: fault.__name__)
async def test_one_fault_makes_no_wrong_value(
    driver: str, transport: str, fault: Callable[[Asked], list[Answer]]
) -> None:
    """P8: whatever one reply looks like, the reads around it are right or refused, and the shape comes back."""
    if fault in ON_RTU and transport == "tcp":
        pytest.skip("TCP has no checksum and no echo")
    if fault is wrong_transaction and transport != "tcp":
        pytest.skip("only TCP has transactions")
    async with plugged(driver, transport) as (server, link, clock):
        poller = Poller(guarded(link, clock, transport), clock)
        server.faults[4] = fault
        try:
            await poller.poll()
            await poller.recover()
        except LinkDown:  # lost step on TCP: the owner opens another
            assert transport == "tcp"
            assert driver == "own" or fault is garbage_before
        assert poller.wrong == []
        assert poller.good >= 3


@pytest.mark.parametrize(("driver", "transport"), ALL, ids=IDS)
async def test_late_replies_in_a_row_make_no_wrong_value(driver: str, transport: str) -> None:
    """P8: three requests are answered after their timeouts, while others wait for theirs."""
    async with plugged(driver, transport) as (server, link, clock):
        poller = Poller(guarded(link, clock, transport), clock)
        server.faults |= dict.fromkeys((4, 5, 6), late)
        await poller.poll()
        await poller.recover()
        assert poller.wrong == []


@pytest.mark.parametrize("driver", ["own", "pymodbus"])
async def test_a_converter_that_mixes_transactions_makes_no_wrong_value(driver: str) -> None:
    """P8: on TCP too the shape decides, not the transaction alone."""
    async with plugged(driver, "tcp") as (server, link, clock):
        poller = Poller(guarded(link, clock, "tcp"), clock)
        server.faults |= dict.fromkeys((4, 5), lambda asked: late_under_the_next_transaction(asked, server))
        await poller.poll()
        await poller.recover()
        assert poller.wrong == []


@pytest.mark.parametrize(("driver", "transport"), ALL, ids=IDS)
async def test_a_cancel_in_flight_makes_no_wrong_value(driver: str, transport: str) -> None:
    """P8: the reply of a request whose caller was cancelled is nobody else's."""
    async with plugged(driver, transport) as (server, link, clock):
        poller = Poller(guarded(link, clock, transport), clock)
        server.faults[1] = lambda asked: [(LATE_S / 4, asked.good())]
        async with asyncio.TaskGroup() as group:
            caller = group.create_task(poller.ask(1, ReadRequest(Table.HOLDING, 7, COUNT)), name="caller")
            await server.arrived.wait()
            caller.cancel()
        assert poller.good == 0
        await poller.poll()
        await poller.recover()
        assert poller.wrong == []


@pytest.mark.parametrize(("driver", "transport"), ALL, ids=IDS)
async def test_a_dead_device_is_no_reply_and_the_others_go_on(driver: str, transport: str) -> None:
    """A unit_id that never answers costs its timeouts and nothing else."""
    async with plugged(driver, transport) as (server, link, clock):
        poller = Poller(guarded(link, clock, transport), clock)
        server.dead.add(1)
        await poller.poll(2)
        assert set(poller.failed) == {"no_reply"}
        assert await poller.ask(2, ReadRequest(Table.INPUT, 1, 1), PATIENT_NS)
        assert poller.wrong == []


@pytest.mark.parametrize(("driver", "transport"), ALL, ids=IDS)
async def test_a_lost_port_is_told_at_once(driver: str, transport: str) -> None:
    """LinkDown long before the deadline, for the waiting request and for the next."""
    async with plugged(driver, transport) as (server, link, clock):
        guard = guarded(link, clock, transport)
        server.faults[1] = lambda asked: [(0, asked.good()[:6]), (0.01, HANG_UP)]
        request = ReadRequest(Table.HOLDING, 1, COUNT)
        with pytest.raises(LinkDown):
            await guard.request(1, request, clock.boot_ns() + 600 * PATIENT_NS)  # a timeout would outlast the test
        with pytest.raises(LinkDown):
            await guard.request(2, request, clock.boot_ns() + 600 * PATIENT_NS)


@pytest.mark.parametrize(("driver", "transport"), ALL, ids=IDS)
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
    ids=lambda request: f"{type(request).__name__}-{getattr(request, 'table', '')}",
)
async def test_every_function(driver: str, transport: str, request_: Request) -> None:
    """Each request of modbus_pdu is carried there and back."""
    async with plugged(driver, transport) as (_, link, clock):
        guard = guarded(link, clock, transport)
        reply = await guard.request(17, request_, clock.boot_ns() + PATIENT_NS)
        assert reply.data == content(17, request_)
        assert reply.t_sent_ns <= reply.t_first_ns <= reply.t_done_ns


@pytest.mark.parametrize(("driver", "transport"), ALL, ids=IDS)
async def test_an_exception_is_the_device_saying_no(driver: str, transport: str) -> None:
    """Exception 2 comes through with its number."""
    async with plugged(driver, transport) as (server, link, clock):
        server.faults[1] = lambda asked: [(0, asked.wire(encode_exception(3, 2)))]
        with pytest.raises(DeviceException) as refused:
            await guarded(link, clock, transport).request(
                1, ReadRequest(Table.HOLDING, 1, 1), clock.boot_ns() + PATIENT_NS
            )
        assert refused.value.exception == 2


@pytest.mark.parametrize(("driver", "transport"), [("own", "rtu"), ("own", "rtu_over_tcp"), ("pymodbus", "rtu")])
async def test_without_the_guard_a_late_reply_is_believed(driver: str, transport: str) -> None:
    """What the suite is worth: the same polls over the bare link do take a late reply for the next one's."""
    async with plugged(driver, transport) as (server, link, clock):
        poller = Poller(link, clock)
        server.faults[1] = late
        assert not await poller.ask(1, ReadRequest(Table.HOLDING, 1, COUNT))
        assert await poller.ask(1, ReadRequest(Table.HOLDING, 50, COUNT), PATIENT_NS)
        assert len(poller.wrong) == 1


@pytest.mark.parametrize(("driver", "transport"), ALL, ids=IDS)
async def test_nobody_there_is_link_down(driver: str, transport: str, tmp_path: Path) -> None:
    """A missing port or a refused connection."""
    clock = SystemClock("system")
    endpoint = f"{tmp_path}/no-such-port" if transport == "rtu" else "127.0.0.1:1"
    bus = Bus("bus", transport, driver, endpoint, Line(), ())
    with pytest.raises(LinkDown, match=endpoint):
        await OPEN[driver](bus, clock)
    clock.close()
