"""What the kernel says of a running process."""

import time
from dataclasses import dataclass
from pathlib import Path

KB_PER_MB = 1024  # as ps and top count


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process, over some time."""

    cpu: float  # cores
    wakeups_per_s: float  # of all its threads: they waited, and something came


def cpu_s(pid: int) -> float:
    """User and system time of all threads, by the process's own clock (clock_getcpuclockid(3)): ns, not ticks."""
    return time.clock_gettime_ns((~pid << 3) | 2) / 1e9


def rss_mb(pid: int, field: str = "VmRSS") -> float:
    """Resident memory now; `VmHWM` is the most it ever was."""
    return _status(Path(f"/proc/{pid}/status"), field) / KB_PER_MB


def pss_mb(pid: int) -> float:
    """Resident memory without what others share of it: their part of a library is theirs."""
    return _status(Path(f"/proc/{pid}/smaps_rollup"), "Pss") / KB_PER_MB


def watch(pid: int, seconds: float) -> Usage:
    """Wait so long, and say what the process did meanwhile."""
    cpu, woken, at = cpu_s(pid), _wakeups(pid), time.perf_counter()
    time.sleep(seconds)
    cpu, woken, took = cpu_s(pid) - cpu, _wakeups(pid) - woken, time.perf_counter() - at
    return Usage(cpu / took, woken / took)


def _wakeups(pid: int) -> int:
    return sum(_switches(thread) for thread in Path(f"/proc/{pid}/task").iterdir())


def _switches(thread: Path) -> int:
    try:
        return _status(thread / "status", "voluntary_ctxt_switches")
    except FileNotFoundError:  # it ended just now, and counts for nothing
        return 0


def _status(path: Path, field: str) -> int:
    for text in path.read_text().splitlines():
        name, _, value = text.partition(":")
        if name == field:
            return int(value.split()[0])
    raise ValueError(f"{path} has no {field}")
