"""A link behind the guard on one end of a wire, a server that misbehaves on the other, and who compares."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gateway.clock.kernel import SystemClock
from gateway.counters import Counters
from gateway.errors import BadReply, DeviceException, LinkDown, NoReply
from gateway.profile.profile import Line
from gateway.protocols.modbus_pdu import ReadRequest, Request, Table
from gateway.seams import Clock
from gateway.site import Bus
from gateway.south.links import pymodbus_link
from gateway.south.links.guard import Guard, silence_ns
from gateway.south.links.late import LateReplies
from gateway.south.links.link import Link
from gateway.south.links.modbus_links import open_own
from tests.support.modbus_server import ModbusServer, content

OWN = (("own", "tcp"), ("own", "rtu"), ("own", "rtu_over_tcp"))
PYMODBUS = (("pymodbus", "tcp"), ("pymodbus", "rtu"))
ALL = (*OWN, *PYMODBUS)
IDS = ["-".join(link) for link in ALL]
EVERY_LINK = pytest.mark.parametrize(("driver", "transport"), ALL, ids=IDS)
OPEN: dict[str, Callable[[Bus, Clock], Awaitable[Link]]] = {"own": open_own, "pymodbus": pymodbus_link.open_link}

TIMEOUT_NS = 80_000_000
TIMEOUT_S = TIMEOUT_NS / 1e9
LATE_NS = 3 * TIMEOUT_NS  # in the field it is at least 2 s; the rule is the same
PATIENT_NS = 10_000_000_000
COUNT = 10


@dataclass
class Bench:
    """Asks as a bus loop does, opens a lost link again, and compares what comes with what must."""

    server: ModbusServer
    clock: SystemClock
    bus: Bus
    counters: Counters = field(default_factory=Counters)
    good: int = 0
    wrong: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.late = LateReplies(shared_queue=self.bus.transport != "rtu")

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
            link: Link | Guard = self.link if bare else self.guard
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

    async def ask_when_free(self, unit_id: int, request: Request, timeout_ns: int = TIMEOUT_NS) -> bool:
        """The same, as soon as its shape is not barred: a bus loop does other things meanwhile."""
        while (until_ns := self.guard.barred(unit_id, request)) is not None:
            await self.clock.wire_wait(min(until_ns, self.after(TIMEOUT_NS // 16)))
        return await self.ask(unit_id, request, timeout_ns)

    async def poll(self, times: int = 6) -> None:
        """Reads of one shape at changing addresses, each followed by one of another length and another unit_id."""
        for at in range(times):
            await self.ask(1, ReadRequest(Table.HOLDING, 100 + 16 * at, COUNT))
            await self.ask(1, ReadRequest(Table.HOLDING, 101 + 16 * at, COUNT + 1 + at % 2))
            await self.ask(2, ReadRequest(Table.HOLDING, 102 + 16 * at, COUNT))

    async def recover(self) -> None:
        """The first shape is answered again; bounded by the timeout of the test."""
        while not await self.ask_when_free(1, ReadRequest(Table.HOLDING, 500, COUNT)):
            pass


@asynccontextmanager
async def plugged(driver: str, transport: str) -> AsyncIterator[Bench]:
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


async def cancelled_in_flight(bench: Bench, unit_id: int, request: Request) -> None:
    """Ask, and go away as soon as the server has the request."""
    bench.server.arrived.clear()
    async with asyncio.TaskGroup() as group:
        caller = group.create_task(bench.ask(unit_id, request), name="caller")
        await bench.server.arrived.wait()
        caller.cancel()
