"""What dead devices, and a scan, cost the living: five RTU lines at 9600 with 32 devices each, and a TCP converter.

Of four lines 0, 1, 5 and 20 devices are silent; on the fifth a job asks unit_ids that nobody has, one after the other,
all the time. All run at once, each with a bus loop of its own and a line of its own speed. The period of a device is
the mean over the window, after every silent one has been missed; a dropped poll shows as a longer period. Behind the
converter one of three devices is silent from the start.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random

from gateway.clock.kernel import SystemClock
from gateway.config.compile import compile_file
from gateway.counters import Counters
from gateway.errors import BusBusy, NoReply
from gateway.model import BootMs, Row
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.site import Site
from gateway.south.bus import Loop, loops
from tests.bench import site, table
from tests.bench.table import Budget
from tests.bench.world import READY_S, command, tcp_bus
from tests.support.chain import wait_until
from tests.support.servers import free_port

DEAD = (1, 5, 20)
CONVERTER = Budget("1 of 3 silent behind one TCP converter, 60 s: rows of the living", ">= 59 each, no gap > 1.1 s")
SCAN = Budget("a scan of silent unit_ids beside 32 polled devices: their period", "moves <= 5 %")
BUDGETS = (
    *(Budget(f"{dead} dead of 32 devices on one RTU bus: period of the living", "moves <= 5 %") for dead in DEAD),
    SCAN,
    CONVERTER,
)
MOVES = 0.05
DEVICES, REGISTERS, EVERY = 32, 10, "2s"  # two thirds of the line
WARM_MS, WINDOW_MS = 14_000, 60_000
BEHIND, SILENT, EVERY_MS, GAP_MS = 3, "converter-2", 1000, 1100
ROWS_MIN = WINDOW_MS // EVERY_MS - 1
SCANNED, SCAN_TIMEOUT_MS = range(100, 248), 200


@dataclass(slots=True)
class _Rows:
    """When the rows of each device came."""

    at: dict[str, list[BootMs]] = field(default_factory=lambda: defaultdict(list))

    def put(self, row: Row) -> None:
        self.at[row.group.device].append(row.at)

    def since(self, bus: str, since: BootMs) -> Sequence[Sequence[BootMs]]:
        """Those of each device that answers."""
        kept = [[at for at in times if at >= since] for name, times in self.at.items() if _bus_of(name) == bus]
        return [times for times in kept if len(times) > 1]

    def periods(self, bus: str, since: BootMs) -> Sequence[float]:
        """The mean of each, in ms."""
        return [(times[-1] - times[0]) / (len(times) - 1) for times in self.since(bus, since)]


def measure(folder: Path) -> Iterator[table.Row]:
    """All in one run."""
    lines = [*(_line(dead) for dead in (0, *DEAD)), "scanned"]
    buses = [
        site.Bus(line, f'port = "{folder}/{line}"\nline = "9600 8N1"', DEVICES, REGISTERS, EVERY) for line in lines
    ]
    path = site.write_site(folder, free_port(), [*buses, tcp_bus("converter", BEHIND, REGISTERS, f"{EVERY_MS}ms")])
    compiled = compile_file(path, (site.profiles(folder),)).site
    silent = [name for dead in DEAD for name in _silent(_line(dead), dead)]
    with ExitStack() as stack:
        command(stack, folder, "devices", "tests.bench.devices", str(path), str(site.profiles(folder)), SILENT, *silent)
        wait_until(path.with_suffix(".ports").exists, READY_S, "the simulators")
        rows, since, asked = asyncio.run(_run(compiled))
    quiet = rows.periods(_line(0), since)
    assert len(quiet) == DEVICES, f"{len(quiet)} of {DEVICES} devices were read"
    for dead, budget in zip(DEAD, BUDGETS, strict=False):
        yield _row(budget, rows.periods(_line(dead), since), quiet, DEVICES - dead)
    scanned = _row(SCAN, rows.periods("scanned", since), quiet, DEVICES)
    yield table.Row(scanned.what, scanned.budget, f"{scanned.measured}; {asked} unit_ids asked", scanned.verdict)
    yield _behind(rows.since("converter", since))


def _row(budget: Budget, periods: Sequence[float], quiet: Sequence[float], living: int) -> table.Row:
    assert len(periods) == living, f"{len(periods)} of {living} devices were read"
    mean, before = sum(periods) / len(periods), sum(quiet) / len(quiet)
    moves = max(periods) / before - 1
    measured = f"{100 * (mean / before - 1):+.1f} %, the worst {100 * moves:+.1f} % (none dead: {before:.0f} ms)"
    return budget.row(measured, within=moves <= MOVES)


def _behind(living: Sequence[Sequence[BootMs]]) -> table.Row:
    gaps = [later - earlier for times in living for earlier, later in pairwise(times)]
    counts = [len(times) for times in living]
    within = len(counts) == BEHIND - 1 and min(counts) >= ROWS_MIN and max(gaps) <= GAP_MS
    measured = f"{counts} rows in {WINDOW_MS // 1000} s, the longest gap {max(gaps, default=0)} ms"
    return CONVERTER.row(measured, within=within)


async def _run(compiled: Site) -> tuple[_Rows, BootMs, int]:
    """The rows, from when on they count, and how many unit_ids the scan had asked by the end."""
    clock, rows = SystemClock("system"), _Rows()
    since = BootMs(clock.boot_ms() + WARM_MS)
    buses = loops(compiled, clock, Counters(), Random(7), rows.put, lambda _: None)
    scan = _Scan(next(bus for bus in buses if bus.name == "scanned"))
    async with asyncio.TaskGroup() as tasks:
        for bus in buses:
            tasks.create_task(bus.run(), name="bus")
        scanning = tasks.create_task(scan.run(), name="scan")
        await clock.sleep_until(BootMs(since + WINDOW_MS))
        scanning.cancel()
        for bus in buses:
            bus.stop()
    clock.close()
    return rows, since, scan.asked


class _Scan:
    """A job that is always there."""

    def __init__(self, bus: Loop) -> None:
        assert bus.asks is not None, "nobody may ask here"
        self.asked = 0
        self._asks = bus.asks

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            for unit_id in SCANNED:
                await self._ask(unit_id)

    async def _ask(self, unit_id: int) -> None:
        try:
            await self._asks.ask(unit_id, ReadRequest(Table.HOLDING, 0, 1), SCAN_TIMEOUT_MS)
        except BusBusy:
            return  # the next one has more luck
        except NoReply:
            self.asked += 1


def _silent(bus: str, dead: int) -> Iterator[str]:
    """Every so-manieth one: they are spread over the bus."""
    return (f"{bus}-{1 + at * DEVICES // dead}" for at in range(dead))


def _line(dead: int) -> str:
    return f"line-{dead}"


def _bus_of(device: str) -> str:
    return device.rpartition("-")[0]
