"""What dead devices cost the living ones: four RTU lines at 9600, 32 devices each, of which 0, 1, 5 and 20 are silent.

All four run at once, each with a bus loop of its own and a line of its own speed. The period of a device is the mean
over the window, after every silent one has been missed; a dropped poll shows as a longer period.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from gateway.clock.kernel import SystemClock
from gateway.config.compile import compile_file
from gateway.counters import Counters
from gateway.model import BootMs, Row
from gateway.site import Site
from gateway.south.bus import loops
from tests.bench import site, table
from tests.bench.table import Budget
from tests.bench.world import READY_S, command
from tests.support.chain import wait_until
from tests.support.servers import free_port

DEAD = (1, 5, 20)
BUDGETS = tuple(
    Budget(f"{dead} dead of 32 devices on one RTU bus: period of the living", "moves <= 5 %") for dead in DEAD
)
MOVES = 0.05
DEVICES, REGISTERS, EVERY = 32, 10, "2s"  # two thirds of the line
WARM_MS, WINDOW_MS = 14_000, 26_000


@dataclass(slots=True)
class _Rows:
    """When the rows of each device came."""

    at: dict[str, list[BootMs]] = field(default_factory=lambda: defaultdict(list))

    def put(self, row: Row) -> None:
        self.at[row.group.device].append(row.at)

    def periods(self, bus: str, since: BootMs) -> Sequence[float]:
        """The mean of each device that answers, in ms."""
        kept = [[at for at in times if at >= since] for name, times in self.at.items() if _bus_of(name) == bus]
        return [(times[-1] - times[0]) / (len(times) - 1) for times in kept if len(times) > 1]


def measure(folder: Path) -> Iterator[table.Row]:
    """All in one run."""
    buses = [
        site.Bus(_line(dead), f'port = "{folder}/{_line(dead)}"\nline = "9600 8N1"', DEVICES, REGISTERS, EVERY)
        for dead in (0, *DEAD)
    ]
    path = site.write_site(folder, free_port(), buses)
    compiled = compile_file(path, (site.profiles(folder),)).site
    silent = [name for dead in DEAD for name in _silent(_line(dead), dead)]
    with ExitStack() as stack:
        command(stack, folder, "devices", "tests.bench.devices", str(path), str(site.profiles(folder)), *silent)
        wait_until(path.with_suffix(".ports").exists, READY_S, "the simulators")
        rows, since = asyncio.run(_run(compiled))
    quiet = rows.periods(_line(0), since)
    assert len(quiet) == DEVICES, f"{len(quiet)} of {DEVICES} devices were read"
    for dead, budget in zip(DEAD, BUDGETS, strict=True):
        yield _row(budget, rows.periods(_line(dead), since), quiet, DEVICES - dead)


def _row(budget: Budget, periods: Sequence[float], quiet: Sequence[float], living: int) -> table.Row:
    assert len(periods) == living, f"{len(periods)} of {living} devices were read"
    mean, before = sum(periods) / len(periods), sum(quiet) / len(quiet)
    moves = max(periods) / before - 1
    measured = f"{100 * (mean / before - 1):+.1f} %, the worst {100 * moves:+.1f} % (none dead: {before:.0f} ms)"
    return budget.row(measured, within=moves <= MOVES)


async def _run(compiled: Site) -> tuple[_Rows, BootMs]:
    """The rows, and from when on they count."""
    clock, rows = SystemClock("system"), _Rows()
    since = BootMs(clock.boot_ms() + WARM_MS)
    buses = loops(compiled, clock, Counters(), Random(7), rows.put, lambda _: None)
    async with asyncio.TaskGroup() as tasks:
        for bus in buses:
            tasks.create_task(bus.run(), name="bus")
        await clock.sleep_until(BootMs(since + WINDOW_MS))
        for bus in buses:
            bus.stop()
    clock.close()
    return rows, since


def _silent(bus: str, dead: int) -> Iterator[str]:
    """Every so-manieth one: they are spread over the bus."""
    return (f"{bus}-{1 + at * DEVICES // dead}" for at in range(dead))


def _line(dead: int) -> str:
    return f"line-{dead}"


def _bus_of(device: str) -> str:
    return device.rpartition("-")[0]
