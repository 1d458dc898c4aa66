"""CPU of one read of 100 registers: our links and pymodbus, each behind the guard, TCP and RTU, in turns.

Only what this process burns counts; the simulator that answers is another one. The RTU line is as fast as a pty can
be, so that the CPU is that of a loop without pauses: on a slow line each read is dearer, for every driver alike.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median

from gateway.clock.kernel import SystemClock
from gateway.config.compile import compile_file
from gateway.counters import Counters
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.seams import Clock
from gateway.site import Bus
from gateway.south.links.guard import Guard, silence_ns
from gateway.south.links.link import Link
from gateway.south.links.modbus_links import open_own
from gateway.south.links.pymodbus_link import open_link
from tests.bench import site
from tests.bench.table import Budget, Row
from tests.bench.world import READY_S, command
from tests.support.chain import wait_until
from tests.support.servers import free_port

TRANSPORTS = ("tcp", "rtu")
BUDGETS = tuple(Budget(f"CPU of one {name} read of 100 registers", "less than pymodbus") for name in TRANSPORTS)
OPENERS: dict[str, Callable[[Bus, Clock], Awaitable[Link]]] = {"own": open_own, "pymodbus": open_link}
REGISTERS = 100
ROUNDS = 5
READS = 300
TIMEOUT_NS = 2_000_000_000
LINE = "4000000 8N1"


def measure(folder: Path) -> Iterator[Row]:
    """Both drivers against the same simulator."""
    tcp = site.Bus("tcp", f'host = "127.0.0.1:{free_port()}"', 1, REGISTERS, "1s")
    rtu = site.Bus("rtu", f'port = "{folder}/line"\nline = "{LINE}"', 1, REGISTERS, "1s")
    path = site.write_site(folder, free_port(), [tcp, rtu])
    compiled = compile_file(path, (site.profiles(folder),)).site
    with ExitStack() as stack:
        command(stack, folder, "devices", "tests.bench.devices", str(path), str(site.profiles(folder)))
        wait_until(path.with_suffix(".ports").exists, READY_S, "the simulators")
        for budget, bus in zip(BUDGETS, compiled.buses, strict=True):
            yield _row(budget, bus)


def _row(budget: Budget, bus: Bus) -> Row:
    rounds: dict[str, list[float]] = {driver: [] for driver in OPENERS}
    for _ in range(ROUNDS):
        for driver, taken in rounds.items():
            taken.append(asyncio.run(_read_us(driver, replace(bus, driver=driver))))
    own, peer = (median(rounds[driver]) for driver in OPENERS)
    return budget.row(f"{own:.0f} us; pymodbus {peer:.0f} us; ratio {own / peer:.2f}", within=own < peer)


async def _read_us(driver: str, bus: Bus) -> float:
    clock = SystemClock("system")
    silence = silence_ns(bus.transport, bus.line)
    guard = Guard(await OPENERS[driver](bus, clock), clock, Counters(), bus=bus.name, silence_ns=silence)
    request = ReadRequest(Table.HOLDING, 0, REGISTERS)
    began_s = time.process_time()
    for _ in range(READS):
        await guard.request(1, request, clock.boot_ns() + TIMEOUT_NS)
    taken_s = time.process_time() - began_s
    await guard.close()
    clock.close()
    return taken_s / READS * 1e6
