"""What an uplink carries, counted at a proxy, beside what `gateway plan` says: the demo's devices over mutual TLS.

Batches, receipts, acknowledgements, status and pings of a running daemon, both ways, as a provider counts them
(`tests.support.strait`), over segments of 1,400 bytes. The plan is asked for exactly as many batches and documents as
were seen, so that the comparison does not depend on how long it took; the month is then the plan's own arithmetic.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gateway.app import demo_site, traffic
from gateway.config.compile import compile_simulator_file
from gateway.control.client import SocketClient, first
from gateway.errors import GatewayError
from tests.bench.table import Budget, Row, per_cent
from tests.support.chain import Command, wait_until
from tests.support.city import City
from tests.support.servers import free_port
from tests.support.strait import MSS_BYTES, Strait

NETWORKS = ("wired", "mobile")
BUDGETS = tuple(Budget(f"uplink, {name}: a month, measured against `gateway plan`", "+-10 %") for name in NETWORKS)
OFF = 0.1
BATCHES = {"wired": 70, "mobile": 8}
READY_S, SETTLE_S = 30.0, 5.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One stretch of a running daemon, and the plan's figure for the same."""

    seconds: float
    batches: int
    documents: int
    measured: int  # bytes
    planned: float
    month_planned: int

    @property
    def off(self) -> float:
        """0.05: 5 % more than planned."""
        return self.measured / self.planned - 1

    def text(self) -> str:
        """One line."""
        each = self.measured / max(1, self.batches)
        return (
            f"{self.month_planned * (1 + self.off) / traffic.MB:.0f} against {self.month_planned / traffic.MB:.0f} MB"
            f" ({per_cent(self.off)}); {self.batches} batches and {self.documents} documents in {self.seconds:.0f} s,"
            f" {each:.0f} bytes a batch"
        )


def measure(folder: Path) -> Iterator[Row]:
    """Each network in a folder of its own."""
    for network, budget in zip(NETWORKS, BUDGETS, strict=True):
        measured = measured_on(folder / network, network, BATCHES[network])
        yield budget.row(measured.text(), within=abs(measured.off) <= OFF)


def measured_on(folder: Path, network: str, batches: int) -> Measured:
    """Until so many batches have their receipts."""
    folder.mkdir()
    city = City(folder)
    with ExitStack() as stack:
        broker = stack.enter_context(city.broker())
        strait = stack.enter_context(Strait(broker.port, mss_bytes=MSS_BYTES))
        ingest, gateway = city.ingest(broker.centre_port), city.gateway(strait.port, more=_buses(folder))
        site = folder / "site.toml"
        site.write_text(site.read_text().replace('name = "ioc"', f'name = "ioc"\nnetwork = "{network}"'))
        simulators = Command(folder, "simulators", "simulators", str(site), "--seed", "7")
        for command in (simulators, ingest, gateway):
            stack.callback(command.kill)
            command.start()
            if command is simulators:
                wait_until((folder / "rs485-1").exists, READY_S, "the simulators' port")
        wait_until(lambda: _settled(city) > 0, READY_S, "a first receipt")
        time.sleep(SETTLE_S)  # events of the start
        begin = _between(city, strait)
        end = begin
        while end[1] - begin[1] < batches:
            time.sleep(1)
            assert gateway.alive(), gateway.tail()
            end = _between(city, strait)
    compiled = compile_simulator_file(site).site
    uplink = compiled.uplinks[0]
    month = traffic.month(compiled, uplink)
    count, documents = end[1] - begin[1], end[2] - begin[2]
    statuses = traffic.MONTH_S * 1000 / uplink.status_interval_ms
    planned = count * (month.data + month.receipts) / month.batches + documents * month.status / statuses
    return Measured(end[0] - begin[0], count, documents, end[3] - begin[3], planned, month.total)


def _between(city: City, strait: Strait) -> tuple[float, int, int, int]:
    """Just after a receipt: time, batches settled, other documents published, bytes."""
    before = _settled(city)
    wait_until(lambda: _settled(city) > before, READY_S, "another receipt")
    time.sleep(0.3)  # its acknowledgement
    counters = _counters(city)
    settled = counters.get("batches_settled", 0)
    return time.monotonic(), settled, counters.get("publishes", 0) - settled, strait.traffic


def _settled(city: City) -> int:
    try:
        return _counters(city).get("batches_settled", 0)
    except GatewayError:
        return 0  # it starts


def _counters(city: City) -> dict[str, int]:
    counted = asyncio.run(first(SocketClient(city.control), "counters"))
    assert isinstance(counted, list)
    sums: dict[str, int] = {}
    for name, _, value in counted:
        sums[str(name)] = sums.get(str(name), 0) + int(value)
    return sums


def _buses(folder: Path) -> str:
    text = demo_site.site_text(folder, 1, (free_port(), free_port()))
    return "\n" + text[text.index("[[bus]]") :]
