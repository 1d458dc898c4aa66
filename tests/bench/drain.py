"""How fast a backlog reaches the database, and what ingest pays for a row.

The backlog lies in the spool before the daemon starts; it is timed from the first batches in the database's ledger to
the last. A bare writer puts the same rows into the same influxd, over one kept-alive connection, in turns with the
drains: the better of its request sizes counts.
"""

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from gateway.app.demo_site import ioc_text
from gateway.wire import line_protocol
from gateway.wire.batch import open_body
from tests.bench import backlog
from tests.bench.process import cpu_s
from tests.bench.site import write_site
from tests.bench.table import Budget, Row, middle, per_cent
from tests.bench.world import BROKER, command, run
from tests.support.chain import Command, wait_until
from tests.support.servers import Influxd, Mosquitto

DRAIN = Budget("drain, 10 devices x 20 fields, 10 s batches, to InfluxDB", ">= 50 % of a bare writer")
LONG_COST = Budget("ingest: CPU a row of 20 fields, 100 rows a batch", "<= 15 us")
COST = Budget("ingest: CPU a row of 20 fields, 10 rows a batch", "<= 15 us")
TWO = Budget("ingest: CPU a row, 10 rows a batch, two workers", "<= x1.1 of one")
BUDGETS = (DRAIN, LONG_COST, COST, TWO)
SHARE, ROW_US, TWO_TIMES = 0.5, 15.0, 1.1
DEVICES = 10
LONG, SHORT = (1200, 10), (400, 1)  # batches, rows of each device in one
BARE_ROWS = (1000, 5000)  # a request; 1000 is what ingest gathers
RUNS = 3
READY_S, DRAIN_S, LOOK_S = 20.0, 60.0, 0.03
COUNT = "SELECT count(seq) FROM gw_batch"


@dataclass(frozen=True, slots=True)
class Drained:
    """How it went with one backlog."""

    rows_per_s: float
    gateway_us: float  # CPU a row
    ingest_us: float  # of all workers together


def measure(folder: Path) -> Iterator[Row]:
    """Long batches beside the bare writer; short ones with one worker and with two."""
    with Influxd(folder) as influxd:
        yield from _long(folder, influxd)
        yield from _short(folder, influxd)


def _long(folder: Path, influxd: Influxd) -> Iterator[Row]:
    batches = backlog.fill(folder / "long", backlog.telemetry(LONG[0], DEVICES, LONG[1]), read_back=True)
    lines = [line for batch in batches for line in line_protocol.rows(batch, open_body(batch))[0]]
    ours, bare = list[Drained](), list[float]()
    for _ in range(RUNS):
        ours.append(_drained(folder / "long", influxd, LONG, 1))
        bare += [_bare_rows_per_s(influxd, lines, size) for size in BARE_ROWS]
    rate, peer = median(drained.rows_per_s for drained in ours), max(bare)
    gateway_us = median(drained.gateway_us for drained in ours)
    measured = f"{per_cent(rate / peer)}: {rate:.0f} of {peer:.0f} rows/s; gateway {gateway_us:.1f} us a row"
    yield DRAIN.row(measured, within=rate / peer >= SHARE)
    yield _cost(LONG_COST, ours)


def _short(folder: Path, influxd: Influxd) -> Iterator[Row]:
    backlog.fill(folder / "short", backlog.telemetry(SHORT[0], DEVICES, SHORT[1]))
    pairs = [[_drained(folder / "short", influxd, SHORT, workers) for workers in (1, 2)] for _ in range(RUNS)]
    one, two = ([pair[at] for pair in pairs] for at in (0, 1))
    yield _cost(COST, one)
    ratio = median(drained.ingest_us for drained in two) / median(drained.ingest_us for drained in one)
    yield TWO.row(f"x{ratio:.2f}", within=ratio <= TWO_TIMES)


def _cost(budget: Budget, drained: Sequence[Drained]) -> Row:
    costs_us = [one.ingest_us for one in drained]
    return budget.row(f"{middle(costs_us)} us", within=median(costs_us) <= ROW_US)


def _drained(filled: Path, influxd: Influxd, shape: tuple[int, int], workers: int) -> Drained:
    """A copy of this spool, through so many workers, into a database of its own."""
    batches, rows = shape[0], shape[0] * shape[1] * DEVICES
    with ExitStack() as stack:
        folder = filled.with_name("run")
        stack.callback(shutil.rmtree, folder)
        shutil.copytree(filled, folder / "spool")
        database = _new_database(influxd)
        broker = stack.enter_context(Mosquitto(folder, settings=BROKER))
        ioc, site = folder / "ioc.toml", write_site(folder, broker.port, [])
        ioc.write_text(ioc_text(folder, broker.port, f'url = "{influxd.url}"\ndatabase = "{database}"'))
        names = [f"ingest-{at}" for at in range(workers)]
        ingests = [command(stack, folder, name, "gateway", "ioc", "ingest", str(ioc), "--name", name) for name in names]
        for ingest in ingests:  # what a start costs is not what a row costs
            wait_until(lambda log=ingest.log: b"listening" in log.read_bytes(), READY_S, "an ingest")
        before_s = sum(cpu_s(ingest.pid) for ingest in ingests)
        gateway = command(stack, folder, "gateway", *run(site))
        per_s = _batches_per_s(influxd, database, batches, [gateway, *ingests])
        ingest_s = sum(cpu_s(ingest.pid) for ingest in ingests) - before_s
        return Drained(per_s * rows / batches, 1e6 * cpu_s(gateway.pid) / rows, 1e6 * ingest_s / rows)


def _batches_per_s(influxd: Influxd, database: str, batches: int, processes: Sequence[Command]) -> float:
    """From the first look that finds some to the first that finds all."""
    end, first = time.perf_counter() + DRAIN_S, (0.0, 0)
    while (stored := _stored(influxd, database)) < batches:
        assert time.perf_counter() < end, f"{stored} batches of {batches}"
        for process in processes:
            assert process.alive(), process.tail()
        if stored and not first[1]:
            first = time.perf_counter(), stored
        time.sleep(LOOK_S)
    assert first[1], "it was over before anybody looked"
    return (batches - first[1]) / (time.perf_counter() - first[0])


def _stored(influxd: Influxd, database: str) -> int:
    series = influxd.query(database, COUNT)
    return int(str(series[0]["values"][0][1])) if series else 0  # type: ignore[index]  # as its JSON is


def _bare_rows_per_s(influxd: Influxd, lines: Sequence[bytes], size: int) -> float:
    database = _new_database(influxd)
    connection = HTTPConnection("127.0.0.1", influxd.port)
    began = time.perf_counter()
    for at in range(0, len(lines), size):
        connection.request("POST", f"/write?db={database}&precision=ms", b"\n".join(lines[at : at + size]))
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 204, answer.status
    took = time.perf_counter() - began
    connection.close()
    return len(lines) / took


def _new_database(influxd: Influxd) -> str:
    name = f"bench_{time.time_ns()}"
    influxd.create_database(name)
    return name
