"""A district on a laptop: what a request costs the simulators, 1,000 TCP devices in one process, each asked in turn.

The devices are those of a site: values that move, encoded by the profile at each request, all of them new. No ground
truth is written, as when one only wants to see a district. `facts`: a server of fixed bytes takes 8 us.
"""

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.bench import site
from tests.bench.process import cpu_s, rss_mb
from tests.bench.table import Budget, Row, middle
from tests.bench.world import READY_S, command
from tests.support.chain import wait_until
from tests.support.servers import free_port

REGISTERS = 10
ROUNDS = 5
CASES = ((1000, 1), (4, 250))  # endpoints, devices behind each
LIMIT_US, LIMIT_MB = 100, 100
BUDGETS = tuple(
    Budget(f"simulators, {buses} x {devices} devices: CPU a request of {REGISTERS} registers", f"<= {LIMIT_US} us")
    for buses, devices in CASES
)
HEADER_BYTES = 9  # of a TCP reply, before its registers


def measure(folder: Path) -> Iterator[Row]:
    """Each case in a process of its own."""
    for budget, (buses, devices) in zip(BUDGETS, CASES, strict=True):
        yield _row(budget, folder / f"{buses}x{devices}", buses, devices)


def _row(budget: Budget, folder: Path, buses: int, devices: int) -> Row:
    folder.mkdir()
    named = [site.Bus(f"b{n}", f'host = "127.0.0.{1 + n % 4}:0"', devices, REGISTERS, "1s") for n in range(buses)]
    path = site.write_site(folder, free_port(), named)
    with ExitStack() as stack:
        process = command(stack, folder, "devices", "tests.bench.devices", str(path), str(site.profiles(folder)))
        wait_until(path.with_suffix(".ports").exists, READY_S, "the simulators")
        endpoints = json.loads(path.with_suffix(".ports").read_text())
        asked = [_Asked(stack, endpoint, devices) for endpoint in endpoints.values()]
        _round(asked)  # what is remembered is remembered now
        costs = [_cost_us(process.pid, asked, buses * devices) for _ in range(ROUNDS)]
        rss = rss_mb(process.pid)
    measured = f"{middle(costs)} us, {rss:.0f} MB"
    return budget.row(measured, within=sorted(costs)[ROUNDS // 2] <= LIMIT_US and rss <= LIMIT_MB)


class _Asked:
    """One endpoint, asked for all of its devices at once."""

    def __init__(self, stack: ExitStack, endpoint: str, devices: int) -> None:
        host, _, port = endpoint.rpartition(":")
        self._connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=READY_S))
        self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests = b"".join(
            bytes.fromhex("0001 0000 0006") + bytes((unit_id, 3)) + bytes((0, 0, 0, REGISTERS))
            for unit_id in range(1, devices + 1)
        )
        self._reply_bytes = devices * (HEADER_BYTES + 2 * REGISTERS)

    def ask(self) -> None:
        self._connection.sendall(self._requests)

    def hear(self) -> None:
        left = self._reply_bytes
        while left:
            left -= len(self._connection.recv(left))


def _round(asked: Sequence[_Asked]) -> None:
    for one in asked:
        one.ask()
    for one in asked:
        one.hear()


def _cost_us(pid: int, asked: Sequence[_Asked], requests: int) -> float:
    before = cpu_s(pid)
    _round(asked)
    return (cpu_s(pid) - before) / requests * 1e6
