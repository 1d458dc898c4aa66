"""From `exec` of the daemon to the first request on the wire, seen by the device. The site was compiled before."""

import asyncio
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from gateway.app import lastrun
from gateway.south.links.late import late_max_ns
from gateway.south.links.link import NS_PER_MS
from tests.bench import backlog
from tests.bench.site import Bus, write_site
from tests.bench.table import Budget, Row, middle
from tests.bench.world import command, run
from tests.support.servers import free_port

BATCHES = 5_000_000
EMPTY = Budget("start to the first poll, empty spool", "<= 0.5 s")
FULL = Budget("start to the first poll, 5 000 000 batches kept", "<= 0.5 s")
KILLED = Budget("start to the first poll, after a kill: late replies waited out", "<= 0.5 s + how late one may be")
OPEN = Budget("spool: open, 5 000 000 batches kept", "< 50 ms")
BUDGETS = (EMPTY, FULL, KILLED, OPEN)
START_S = 0.5
OPEN_S = 0.05
TIMEOUT_MS = 200  # of the devices of `site`
LATE_S = TIMEOUT_MS / 1000 + late_max_ns(TIMEOUT_MS * NS_PER_MS) / 1e9
RUNS = 7
CONNECT_S = 30.0


def measure(folder: Path) -> Iterator[Row]:
    """No broker is there: nothing waits for one."""
    site = folder / "site"
    site.mkdir()
    device = socket.create_server(("127.0.0.1", free_port()))
    with device:
        device.settimeout(CONNECT_S)
        where = f'host = "127.0.0.1:{device.getsockname()[1]}"'
        path = write_site(site, free_port(), [Bus("tcp-1", where, 1, 50, "1s")])
        cold_s = _start_s(path, device)
        taken = [_start_s(path, device) for _ in range(RUNS)]
        yield EMPTY.row(f"{middle(taken)} s; {cold_s:.2f} when the files must be compiled", within=_good(taken))
        killed_s = _start_s(path, device, killed=True)
        yield KILLED.row(f"{killed_s:.2f} s", within=killed_s <= START_S + LATE_S)
        shutil.rmtree(site / "spool")
        backlog.kept(site / "spool", BATCHES)
        _forget(site / "spool" / "spool.db")
        first_s = _start_s(path, device)
        taken = [_start_s(path, device) for _ in range(RUNS)]
        yield FULL.row(f"{middle(taken)} s, {first_s:.2f} when not cached", within=_good(taken))
    _forget(site / "spool" / "spool.db")
    first_s = _open_s(site / "spool")
    taken = [_open_s(site / "spool") for _ in range(RUNS)]
    what = f"{middle([1000 * one for one in taken])} ms, {1000 * first_s:.1f} when not cached"
    yield OPEN.row(what, within=median(taken) < OPEN_S)


def _good(taken: list[float]) -> bool:
    return median(taken) <= START_S


def _start_s(site: Path, device: socket.socket, *, killed: bool = False) -> float:
    if not killed:  # as after a boot: each run here ends with a reply owed
        (site.parent / "spool" / lastrun.FILE).unlink(missing_ok=True)
    with ExitStack() as stack:
        began = time.perf_counter()
        command(stack, site.parent, "gateway", *run(site))
        connection, _ = device.accept()
        stack.callback(connection.close)
        connection.settimeout(CONNECT_S)
        assert connection.recv(64), "it hung up without a request"
        return time.perf_counter() - began


def _open_s(folder: Path) -> float:
    """Lock, open, first status: what stands between a daemon and its first append."""
    began = time.perf_counter()
    spool = asyncio.run(backlog.open_here(folder))
    taken_s = time.perf_counter() - began
    asyncio.run(spool.close())
    return taken_s


def _forget(path: Path) -> None:
    """Let the kernel drop what it has cached of this file."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
