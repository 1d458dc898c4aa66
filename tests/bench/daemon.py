"""The daemon at work and at rest: memory, CPU, wake-ups. A real child process, read from outside, by the kernel."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench import process
from tests.bench.site import Bus
from tests.bench.table import Budget, Row, middle, per_cent
from tests.bench.world import daemon, polls_so_far, tcp_bus

MEMORY = Budget("daemon RSS, 10 devices x 50 registers at 1 s, spool and MQTT on", "<= 40 MB")
ONE_BUS = Budget("CPU, 50 devices x 50 registers at 1 s, behind one converter", "<= 2.0 % of a core")
OWN_BUSES = Budget("CPU, 50 devices x 50 registers at 1 s, each its own TCP bus", "<= 2.0 % of a core")
WAKEUPS = Budget("idle: wake-ups (10 devices, none due; broker connected)", "< 5 /s")
IDLE_CPU = Budget("idle: CPU", "< 0.2 % of a core")
BUDGETS = (MEMORY, ONE_BUS, OWN_BUSES, WAKEUPS, IDLE_CPU)

MEMORY_MB, CPU, IDLE, IDLE_WAKEUPS_PER_S = 40.0, 0.02, 0.002, 5.0
SETTLE_S = 4.0  # after the first receipt: what is done once is done
GROW_S = 25.0
WINDOWS, WINDOW_S = 5, 4.0


def measure(folder: Path) -> Iterator[Row]:
    """One daemon after the other."""
    yield _memory(folder / "memory")
    yield _cpu(folder / "one-bus", ONE_BUS, [tcp_bus("converter", 50, 50, "1s")])
    yield _cpu(folder / "own-buses", OWN_BUSES, [tcp_bus(f"tcp-{at}", 1, 50, "1s") for at in range(1, 51)])
    yield from _idle(folder / "idle")


def _memory(folder: Path) -> Row:
    with daemon(folder, [tcp_bus("converter", 10, 50, "1s")]) as pid:
        process.watch(pid, GROW_S)
        now, most, own = process.rss_mb(pid), process.rss_mb(pid, "VmHWM"), process.pss_mb(pid)
    return MEMORY.row(f"{now:.1f} MB after {GROW_S:.0f} s, at most {most:.1f}; PSS {own:.1f}", within=most <= MEMORY_MB)


def _cpu(folder: Path, budget: Budget, buses: Sequence[Bus]) -> Row:
    usages, polls_per_s = _watched(folder, buses)
    shares = [usage.cpu for usage in usages]
    cpu = sum(shares) / len(shares)
    figures = middle([100 * share for share in shares])
    return budget.row(
        f"{per_cent(cpu)}; {WINDOWS} x {WINDOW_S:.0f} s: {figures}; {polls_per_s:.1f} polls/s", within=cpu <= CPU
    )


def _idle(folder: Path) -> Iterator[Row]:
    usages, _ = _watched(folder, [tcp_bus("converter", 10, 50, "1d")])
    woken = [usage.wakeups_per_s for usage in usages]
    wakeups, cpu = sum(woken) / len(woken), sum(usage.cpu for usage in usages) / len(usages)
    measured = f"{wakeups:.1f} /s; {WINDOWS} x {WINDOW_S:.0f} s: {middle(woken)}"
    yield WAKEUPS.row(measured, within=wakeups < IDLE_WAKEUPS_PER_S)
    yield IDLE_CPU.row(per_cent(cpu), within=cpu < IDLE)


def _watched(folder: Path, buses: Sequence[Bus]) -> tuple[list[process.Usage], float]:
    """One usage a window, and how many polls a second there were: a daemon that reads nothing is cheap."""
    with daemon(folder, buses) as pid:
        process.watch(pid, SETTLE_S)
        polls, began = polls_so_far(folder), time.perf_counter()
        usages = [process.watch(pid, WINDOW_S) for _ in range(WINDOWS)]
        polls, took = polls_so_far(folder) - polls, time.perf_counter() - began
    return usages, polls / took
