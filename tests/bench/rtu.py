"""How much of an RTU line is used: our bus loop on a pty that is as slow as a wire, beside what the wire allows.

Allowed: request, the device's own time (the simulator's, 2 ms), reply, and the silence that the specification wants
before the next request; 10 bits a character as 8N1 sends them, 11 for the silence as the specification counts. The
groups are due all the time, so the loop does what it can. What the pty, the simulator and two processes on one machine
add is in the figure, and is more than the budget leaves where exchanges are short: so a bare client, which does nothing
but write and wait, is measured on the same line in the same run, and what it reaches is what this line allows.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import median

from gateway.clock.kernel import SystemClock
from gateway.config.compile import compile_file
from gateway.counters import Counters
from gateway.site import Bus, Device
from gateway.south.bus import BusLoop
from simulators.lane import TURNAROUND_NS
from tests.bench import bare_client, site
from tests.bench.table import Budget, Row, per_cent
from tests.bench.world import READY_S, command
from tests.support.chain import wait_until
from tests.support.servers import free_port

CASES = ((9600, 2), (9600, 100), (115200, 2), (115200, 100))  # baud, registers
BUDGETS = tuple(
    Budget(f"RTU at {baud}, {registers} registers: share of what it allows", ">= 97 %") for baud, registers in CASES
)
SHARE = 0.97
DRIVERS = ("own", "pymodbus", "bare")
ROUNDS = 4
ROUND_S = {2: 0.8, 100: 1.6}  # by registers
CHARACTERS = 13  # of request and reply, beside the registers


def measure(folder: Path) -> Iterator[Row]:
    """Each case with our link and with pymodbus, in turns."""
    buses = [
        site.Bus(_name(*case), f'port = "{folder}/{_name(*case)}"\nline = "{case[0]} 8N1"', 1, case[1], "1s")
        for case in CASES
    ]
    path = site.write_site(folder, free_port(), buses)
    compiled = compile_file(path, (site.profiles(folder),)).site
    with ExitStack() as stack:
        command(stack, folder, "devices", "tests.bench.devices", str(path), str(site.profiles(folder)))
        wait_until(path.with_suffix(".ports").exists, READY_S, "the simulators")
        for case, budget, bus in zip(CASES, BUDGETS, compiled.buses, strict=True):
            yield _row(budget, case, bus)


def _row(budget: Budget, case: tuple[int, int], bus: Bus) -> Row:
    rounds: dict[str, list[float]] = {driver: [] for driver in DRIVERS}
    for _ in range(ROUNDS):
        for driver, taken in rounds.items():
            taken.append(_exchange_s(driver, bus, case))
    allowed_s = _allowed_s(*case)
    own, peer, bare = (allowed_s / median(rounds[driver]) for driver in DRIVERS)
    measured = f"{per_cent(own)}; pymodbus {per_cent(peer)}, a bare client {per_cent(bare)}"
    row = budget.row(measured, within=own >= SHARE)
    if own < SHARE <= own / bare <= 1:
        return replace(row, verdict=f"ok (against bare: {per_cent(own / bare)})")
    return row


def _exchange_s(driver: str, bus: Bus, case: tuple[int, int]) -> float:
    """From one row to the next, on average."""
    baud, registers = case
    if driver == "bare":
        return bare_client.exchange_s(Path(bus.endpoint), registers, _silence_s(baud), ROUND_S[registers])
    came = asyncio.run(_polled(_busy(replace(bus, driver=driver)), ROUND_S[registers]))
    assert len(came) > 2, f"{bus.name} by {driver}: {len(came)} rows"
    return (came[-1] - came[0]) / (len(came) - 1)


async def _polled(bus: Bus, seconds: float) -> Sequence[float]:
    """When each row came."""
    came: list[float] = []
    clock = SystemClock("system")
    loop = BusLoop(bus, clock, Counters(), Random(7), lambda _: came.append(time.perf_counter()), _told)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(loop.run(), name="bus")
        await asyncio.sleep(seconds)
        loop.stop()
    clock.close()
    return came


def _told(event: object) -> None:
    raise AssertionError(f"the bus is ill: {event}")


def _busy(bus: Bus) -> Bus:
    """With groups that are always due."""
    return replace(bus, devices=tuple(_due(device) for device in bus.devices))


def _due(device: Device) -> Device:
    return replace(device, polled=tuple(replace(polled, period_ms=1) for polled in device.polled))


def _allowed_s(baud: int, registers: int) -> float:
    return (CHARACTERS + 2 * registers) * 10 / baud + TURNAROUND_NS / 1e9 + _silence_s(baud)


def _silence_s(baud: int) -> float:
    return max(3.5 * 11 / baud, 0.00175)


def _name(baud: int, registers: int) -> str:
    return f"rtu-{baud}-{registers}"
