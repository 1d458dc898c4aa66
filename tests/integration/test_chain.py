"""The whole chain under kill -9: every value that a device answered is in the database once, right, at its time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from gateway.app.demo import embedded_broker
from gateway.app.demo_site import GATEWAY, broker_text
from tests.support import checker, store_points
from tests.support.chain import Chain
from tests.support.servers import Influxd, Mosquitto, free_port

SECONDS = float(os.environ.get("CHAIN_SECONDS", "60"))
VALUE_HALF_MS, VALUE_MAX_MS = 20, 500  # of each value, later replies of a row included: a row has its first one's time
# Others may be using this machine. What was asked may be read late, up to its timeout: it is never another poll's. What
# a stream sends is refused when the gateway may have read it 200 ms late; the rest is for the simulator to be late in.
LIMITS = checker.Limits(within_ms=500, p99_ms=500)
STREAMS, STREAM_MAX_MS = ("wind-1", "dust-1"), 300
SEED = int(os.environ.get("CHAIN_SEED", "20261124"))


class EmbeddedBroker:
    """iotcore, on one port for ever; `kill` is what it offers and loses all it held."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._config = folder / "broker.toml"
        self._config.write_text(broker_text(self.port))

    def start(self) -> None:
        """Return when it listens."""
        self._broker = embedded_broker(self._config)

    def kill(self) -> None:
        """SIGKILL: it keeps nothing on disk."""
        self._broker._process.kill()
        self._broker.stop()

    stop = kill


@contextmanager
def chain_of(
    folder: Path, broker: Mosquitto | EmbeddedBroker, database: Influxd | None, store: str, driver: str = "own"
) -> Iterator[Chain]:
    """A running chain; nothing of it outlives the test, and a failure shows the logs."""
    broker.start()
    chain = Chain(folder, broker, broker.port, database, store, driver)
    try:
        chain.start()
        yield chain
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n{chain.logs()}") from failure
    finally:
        chain.kill_all()
        broker.kill()
        if database is not None:
            database.kill()


def torment(chain: Chain, seed: int) -> None:
    """A minute of kills, then peace until all is settled."""
    chain.torment(Random(seed), SECONDS)
    chain.drain()
    chain.stop()
    assert set(chain.killed) >= {"gateway", "ingest", "broker"}


def judge(chain: Chain, points: list[store_points.Point]) -> None:
    """The checker finds nothing wrong, and the audit is clean."""
    report = checker.check(checker.read_truth(chain.truth), points, chain.outages(), LIMITS, chain.refused)
    print(f"seed {SEED}, killed {', '.join(chain.killed)}\n{report.text()}")
    assert report.ok, report.text()
    streams = [dts for device, dts in report.device_dt_ms.items() if device in STREAMS]
    assert max((abs(dts[-1]) for dts in streams), default=0) <= STREAM_MAX_MS, report.text()
    assert report.value_ms(0.5) <= VALUE_HALF_MS, report.text()
    assert report.value_ms(1.0) <= VALUE_MAX_MS, report.text()
    code, said = chain.audit()
    print(said)
    assert code == 0, said
    assert "pending 0" in said, said
    assert not (chain.folder / "dead").exists() or not list((chain.folder / "dead").iterdir())


@pytest.fixture
def influxd(tmp_path: Path) -> Iterator[Influxd]:
    """A real InfluxDB 1.6 with an empty database `city`."""
    with Influxd(tmp_path) as server:
        server.create_database("city")
        yield server


@pytest.mark.server
@pytest.mark.timeout(SECONDS + 180)
@pytest.mark.parametrize("driver", ["own", "pymodbus"])
def test_nothing_is_lost_with_real_servers(tmp_path: Path, influxd: Influxd, driver: str) -> None:
    """With mosquitto and influxd, own links and pymodbus; everything is killed at seeded random times."""
    store = f'url = "{influxd.url}"\ndatabase = "city"'
    with chain_of(tmp_path, Mosquitto(tmp_path), influxd, store, driver) as chain:
        torment(chain, SEED)
        judge(chain, store_points.from_influx(influxd.url, "city", GATEWAY))


@pytest.mark.timeout(SECONDS + 180)
def test_nothing_is_lost_with_what_is_embedded(tmp_path: Path) -> None:
    """With iotcore and the SQLite store: no server to install."""
    path = tmp_path / "store.db"
    with chain_of(tmp_path, EmbeddedBroker(tmp_path), None, f'url = "sqlite:{path}"') as chain:
        torment(chain, SEED)
        series = {(truth.kind, truth.device) for truth in checker.read_truth(chain.truth)}
        judge(chain, store_points.from_sqlite(path, GATEWAY, series))
