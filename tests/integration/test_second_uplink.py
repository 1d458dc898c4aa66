"""A second uplink with real processes: a plain subscriber gets every row, and the centre's receipts do not notice.

Its broker is restarted in order, with its sessions on its disk: what a broker that is killed had acknowledged is gone,
and nothing of ours can bring it back. That is what `settle = "puback"` gives up (docs/how-to/second-uplink.md).
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest

from gateway.app.demo_site import GATEWAY
from gateway.errors import GatewayError
from gateway.ioc.store.point import parse
from tests.support import checker, store_points
from tests.support.chain import Chain, wait_until
from tests.support.checker import Outage
from tests.support.servers import Influxd, Mosquitto
from tests.support.store_points import Point
from tests.support.subscriber import Subscriber

WAIT_S = 60.0
NS_PER_MS = 1_000_000
LEDGER = "gw_"
RowsOf: TypeAlias = Callable[[bytes], Iterator[Point]]


@contextmanager
def two_ways(folder: Path, form: str) -> Iterator[tuple[Chain, Mosquitto, Subscriber]]:
    """Simulators, gateway and ingest with the centre's broker, and another broker with somebody who subscribes."""
    (folder / "other").mkdir()
    with Mosquitto(folder) as broker, Mosquitto(folder / "other", persistence=True) as other:
        chain = Chain(folder, broker, broker.port, None, f'url = "sqlite:{folder / "store.db"}"')
        with chain.site.open("a") as site:
            site.write(
                f'[[uplink]]\nname = "telegraf"\nformat = "{form}"\nsettle = "puback"\n'
                f'[[uplink.server]]\nurl = "mqtt://127.0.0.1:{other.port}"\n'
            )
        with Subscriber(other.port, f"city/{GATEWAY}/+") as subscriber:
            try:
                chain.start()
                yield chain, other, subscriber
            except AssertionError as failure:
                raise AssertionError(f"{failure}\n{chain.logs()}") from failure
            finally:
                chain.kill_all()


def uplink(chain: Chain, at: int) -> dict[str, Any]:
    """What the status says of it; nothing while no daemon answers."""
    try:
        return cast("list[dict[str, Any]]", chain.status()["uplinks"])[at]
    except GatewayError:
        return {"connected": False, "pending": -1, "settled": -1}


def kill(chain: Chain) -> None:
    """The daemon, with whatever it had in RAM; and back again."""
    at = time.time_ns() // NS_PER_MS
    chain.gateway.kill()
    chain.gateway.start()
    wait_until(lambda: uplink(chain, 0)["connected"], WAIT_S, "the daemon to be back")
    chain.gateway_away.append(Outage(at, time.time_ns() // NS_PER_MS, checker.BOUND_MS + 9_000))


def only_the_other_waits(chain: Chain) -> None:
    """Its batches gather on the disk, the centre's go on being settled."""
    wait_until(lambda: uplink(chain, 1)["pending"] > 5, WAIT_S, "batches to wait for the other broker")
    settled = uplink(chain, 0)["settled"]
    wait_until(lambda: uplink(chain, 0)["settled"] > settled + 2, WAIT_S, "the centre to go on meanwhile")


def rows_of_json(payload: bytes) -> Iterator[Point]:
    """An object as the checker compares it."""
    said = json.loads(payload)
    if not said["kind"].startswith(LEDGER):
        yield from store_points.of_row(said["device"], said["kind"], said["time_ms"], said["fields"])


def rows_of_lines(payload: bytes) -> Iterator[Point]:
    """Lines as the checker compares them."""
    for line in payload.split(b"\n"):
        point = parse(line, "ns")
        if not point.measurement.startswith(LEDGER):
            device = dict(point.tags)["device"]
            yield from store_points.of_row(device, point.measurement, point.time_ns // NS_PER_MS, point.fields)


@pytest.mark.server
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("form", "rows_of"), [("json", rows_of_json), ("influx", rows_of_lines)])
def test_a_plain_subscriber_gets_every_row(tmp_path: Path, form: str, rows_of: RowsOf) -> None:
    """Through restarts of its broker and kill -9 of the daemon; what arrives is what the centre stored, and true."""
    with two_ways(tmp_path, form) as (chain, other, subscriber):
        wait_until(lambda: len(subscriber.messages) > 20, WAIT_S, "the first messages")
        kill(chain)
        other.stop()
        only_the_other_waits(chain)
        kill(chain)
        assert uplink(chain, 1)["pending"] > 5, "what waited waits on the disk"
        other.start()
        wait_until(lambda: 0 <= uplink(chain, 1)["pending"] < 5, WAIT_S, "the backlog to go")
        os.kill(other.pid, signal.SIGSTOP)  # neither dead nor alive: connections stay, nothing is answered
        only_the_other_waits(chain)
        os.kill(other.pid, signal.SIGCONT)
        kill(chain)
        chain.drain()
        wait_until(lambda: uplink(chain, 1)["pending"] == 0, WAIT_S, "the second uplink to be done")
        chain.stop()
        truth = checker.read_truth(chain.truth)
        stored = store_points.from_sqlite(tmp_path / "store.db", GATEWAY, {(t.kind, t.device) for t in truth})

        def came() -> set[Point]:
            return {point for _, payload in list(subscriber.messages) for point in rows_of(payload)}

        wait_until(lambda: came() >= set(stored), WAIT_S, "the subscriber to have what the centre has")
        assert came() == set(stored)
        report = checker.check(truth, sorted(came(), key=lambda point: point.at_ms), chain.outages())
        print(f"{len(subscriber.messages)} messages\n{report.text()}")
        assert report.ok, report.text()
        assert chain.audit()[0] == 0


@pytest.mark.server
@pytest.mark.timeout(120)
def test_a_database_takes_the_lines_as_they_are(tmp_path: Path) -> None:
    """What a Telegraf does with them: every payload written to a real InfluxDB, in its default precision."""
    with Influxd(tmp_path) as influxd, two_ways(tmp_path, "influx") as (chain, _, subscriber):
        influxd.create_database("city")
        wait_until(lambda: len(subscriber.messages) > 50, WAIT_S, "messages")
        chain.drain()
        wait_until(lambda: uplink(chain, 1)["pending"] == 0, WAIT_S, "the second uplink to be done")
        chain.stop()
        stored = {(t.kind, t.device) for t in checker.read_truth(chain.truth)}
        centre = set(store_points.from_sqlite(tmp_path / "store.db", GATEWAY, stored))

        def lines() -> int:
            for _, payload in list(subscriber.messages):
                status, answer = influxd.write("city", payload, "ns")
                assert status == 204, answer
            return len(store_points.from_influx(influxd.url, "city", GATEWAY))

        wait_until(lambda: lines() >= len(centre), WAIT_S, "all lines")
        assert set(store_points.from_influx(influxd.url, "city", GATEWAY)) == centre
        events = influxd.query("city", "SELECT count(detail) FROM gw_event")
        assert events, "events travel too"
