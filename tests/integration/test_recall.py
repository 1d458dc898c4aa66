"""P9: the database is replaced by an older copy under load; `recall --missing` brings back every row."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest

from gateway.app.demo_site import GATEWAY
from tests.support import checker, store_points
from tests.support.chain import OFFLINE_BOUND_MS, READY_S, Chain, Command, now_ms, wait_until
from tests.support.checker import Outage
from tests.support.servers import Influxd, Mosquitto

BEFORE_S, LOST_S = 4.0, 10.0  # of load: before the copy is taken, and between the copy and the loss
AUDIT_S = 90.0  # the gateway's next status may be a minute away
RECALL_S = 120
AWAY_S = 6.0
LIMITS = checker.Limits(
    within_ms=1_500, p99_ms=1_500, half_ms=1_500
)  # nothing is lost or made up; how exact times are, others test

Points: TypeAlias = Callable[[], list[store_points.Point]]  # what the store holds now
Step: TypeAlias = Callable[[], None]
Recalled: TypeAlias = Callable[[Chain], tuple[int, str]]


@contextmanager
def chain_of(folder: Path, database: Influxd | None, store: str) -> Iterator[tuple[Chain, list[Command]]]:
    """A running chain with two ingest workers; a failure shows the logs."""
    broker = Mosquitto(folder)
    broker.start()
    chain = Chain(folder, broker, broker.port, database, store)
    second = Command(folder, "ingest-2", "gateway", "ioc", "ingest", str(chain.ioc), "--name", "ingest-2")
    workers = [chain.ingest, second]
    try:
        chain.start()
        second.start()
        yield chain, workers
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n{chain.logs()}\n{second.tail()}") from failure
    finally:
        chain.kill_all()
        second.kill()
        broker.kill()


def lost_and_recalled(chain: Chain, points: Points, take: Step, restore: Step, recalled: Recalled) -> None:
    """Load, a copy, more load, the copy put back under load; recall; then the checker and the audit judge."""
    wait_until(lambda: bool(points()), READY_S, "the first rows")
    time.sleep(BEFORE_S)
    take()
    time.sleep(LOST_S)
    whole = len(points())
    restore()
    assert len(points()) < whole
    wait_until(lambda: "unexplained 0" not in chain.audit()[1], AUDIT_S, "the audit to see the loss")
    code, said = chain.audit()
    assert code == 1, said
    code, said = recalled(chain)
    print(said)
    assert code == 0, said
    assert "Back in the store: " in said
    chain.drain()
    wait_until(lambda: chain.audit()[0] == 0, AUDIT_S, "a clean audit")
    chain.stop()
    report = checker.check(checker.read_truth(chain.truth), points(), chain.outages(), LIMITS)
    print(report.text())
    assert report.ok, report.text()
    code, said = chain.audit()
    print(said)
    assert code == 0, said
    for name in ("explained", "pending", "expired", "unexplained"):
        assert f"{name} 0" in said, said


def recall(chain: Chain) -> tuple[int, str]:
    """`gateway ioc recall --missing`: its exit status and what it printed."""
    return ended(started(chain))


def recall_while_away(chain: Chain) -> tuple[int, str]:
    """The same, begun while the gateway is dead: it is waited for."""
    at = now_ms()
    chain.gateway.kill()
    running = started(chain)
    time.sleep(AWAY_S)
    assert running.poll() is None
    chain.gateway.start()
    chain.gateway_away.append(Outage(at, now_ms(), OFFLINE_BOUND_MS))
    code, said = ended(running)
    assert "away, waiting for it" in said, said
    return code, said


def started(chain: Chain) -> "subprocess.Popen[str]":
    """The command, running."""
    command = [
        sys.executable,
        "-m",
        "gateway",
        "ioc",
        "recall",
        str(chain.ioc),
        "--missing",
        "--expires",
        str(RECALL_S),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def ended(running: "subprocess.Popen[str]") -> tuple[int, str]:
    """Its exit status and what it printed."""
    try:
        said, _ = running.communicate(timeout=RECALL_S + 30)
    finally:
        running.kill()
    return running.returncode, said


@pytest.mark.server
@pytest.mark.timeout(420)
def test_an_influxd_that_was_set_back_gets_every_row_again(tmp_path: Path) -> None:
    """Its data folder is replaced by an older copy while two workers write to it."""
    with Influxd(tmp_path) as database:
        database.create_database("city")
        copy = tmp_path / "copy"

        def take() -> None:
            database.stop()  # a copy of a database that writes would be torn: not what is tested here
            shutil.copytree(database.folder, copy)
            database.start()

        def restore() -> None:
            database.kill()
            for name in ("meta", "data", "wal"):
                shutil.rmtree(database.folder / name)
                shutil.copytree(copy / name, database.folder / name)
            database.start()

        store = f'url = "{database.url}"\ndatabase = "city"'
        with chain_of(tmp_path, database, store) as (chain, _):
            lost_and_recalled(
                chain, lambda: store_points.from_influx(database.url, "city", GATEWAY), take, restore, recall
            )


@pytest.mark.timeout(420)
def test_an_embedded_store_that_was_set_back_gets_every_row_again(tmp_path: Path) -> None:
    """The same with the SQLite file, whose workers stand still meanwhile; and the gateway is away when it is asked."""
    path, copy = tmp_path / "store.db", tmp_path / "copy.db"
    with chain_of(tmp_path, None, f'url = "sqlite:{path}"') as (chain, workers):

        def still(step: Step) -> None:
            for worker in workers:
                worker.kill()
            step()
            for worker in workers:
                worker.start()

        def points() -> list[store_points.Point]:
            series = {(truth.kind, truth.device) for truth in checker.read_truth(chain.truth)}
            return store_points.from_sqlite(path, GATEWAY, series) if path.exists() else []

        def put_back() -> None:
            for beside in tmp_path.glob("store.db*"):
                beside.unlink()
            for kept in tmp_path.glob("copy.db*"):
                shutil.copy(kept, tmp_path / kept.name.replace("copy", "store"))

        def take() -> None:
            for file in tmp_path.glob("store.db*"):
                shutil.copy(file, copy.with_name(file.name.replace("store", "copy")))

        lost_and_recalled(chain, points, lambda: still(take), lambda: still(put_back), recall_while_away)
