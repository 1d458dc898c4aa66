"""The two runs in which a rival lost its data (docs/explanation/never-lose.md), with ours, at full length.

What the simulators said is compared with what is in the database; what may be missing is the durability bound before
the kill, no more. The figures are printed.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.app.demo_site import GATEWAY, ioc_text
from gateway.errors import GatewayError
from tests.support import checker, store_points
from tests.support.chain import READY_S, Chain, now_ms, wait_until
from tests.support.checker import Outage
from tests.support.checker_matching import matched
from tests.support.servers import Mosquitto
from tests.support.strait import Strait

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

DOWN_S, STALLED_S, BEFORE_S = 30.0, 20.0, 10.0
OFFLINE_BOUND_MS = 10_000 + 500  # an open batch is 10 s old at most while nobody listens, and one commit
VALUES_LEAST = 1000


def test_started_while_the_broker_is_away_then_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """30 s without a broker since the start, then kill -9: thingsboard-gateway lost 90 of 90 rows."""
    broker = Mosquitto(tmp_path)
    with chain_of(tmp_path, broker, broker.port) as chain:
        begin = now_ms()
        chain.gateway.start()
        time.sleep(DOWN_S)
        killed = now_ms()
        chain.gateway.kill()
        broker.start()
        chain.ingest.start()
        chain.gateway.start()
        judge(chain, (begin, killed), OFFLINE_BOUND_MS, capsys)


def test_the_network_stalls_then_killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The connection stays open and nothing gets through for 20 s, then kill -9: it lost 57 of 60 rows."""
    with Mosquitto(tmp_path) as broker, Strait(broker.port) as strait, chain_of(tmp_path, broker, strait.port) as chain:
        begin = now_ms()
        chain.ingest.start()
        chain.gateway.start()
        wait_until(lambda: _settled(chain), READY_S, "a first receipt")
        time.sleep(BEFORE_S)
        strait.stalled = True
        time.sleep(STALLED_S)
        killed = now_ms()
        chain.gateway.kill()
        strait.cut()
        strait.stalled = False
        chain.gateway.start()
        # It may have learnt of the dead connection by then, and be offline: the longer bound is allowed.
        judge(chain, (begin, killed), OFFLINE_BOUND_MS, capsys)


@contextmanager
def chain_of(folder: Path, broker: Mosquitto, gateway_port: int) -> Iterator[Chain]:
    """Simulators run; the test starts gateway and ingest. The gateway may reach the broker through another port."""
    store = f'url = "sqlite:{folder}/store.db"'
    chain = Chain(folder, broker, gateway_port, None, store)
    chain.ioc.write_text(ioc_text(folder, broker.port, store))
    try:
        chain.simulators.start()
        wait_until((folder / "rs485-1").exists, READY_S, "the simulators' port")
        yield chain
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n{chain.logs()}") from failure
    finally:
        chain.kill_all()
        broker.stop()


def judge(chain: Chain, run: tuple[int, int], bound_ms: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is missing but what was read within the bound before the kill; nothing is wrong, nothing is twice."""
    begin, killed = run
    back = now_ms()
    chain.drain()
    truths = checker.read_truth(chain.truth)
    series = {(truth.kind, truth.device) for truth in truths}
    points = store_points.from_sqlite(chain.folder / "store.db", GATEWAY, series)
    report = checker.check(truths, points, [Outage(killed, back, bound_ms)])
    before = [truth for truth in truths if begin <= truth.at_ms <= killed and truth.via != "stream"]
    stored = {id(truth) for truth, _ in matched(before, points, checker.WITHIN_MS)}
    lost = [killed - truth.at_ms for truth in before if id(truth) not in stored and truth.group is not None]
    with capsys.disabled():
        oldest = f", the oldest {max(lost) / 1000:.1f} s before the kill" if lost else ""
        print(f"\n{len(before)} values in {(killed - begin) / 1000:.0f} s before kill -9, lost {len(lost)}{oldest}")
    assert report.ok, report.text()
    assert len(before) >= VALUES_LEAST, report.text()
    assert all(age_ms <= bound_ms for age_ms in lost), report.text()
    code, said = chain.audit()
    assert code == 0, said


def _settled(chain: Chain) -> bool:
    try:
        return chain.status()["last_receipt_ms"] is not None
    except GatewayError:  # it starts
        return False
