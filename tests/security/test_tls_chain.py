"""The real daemon and the real ingest over TLS with the shipped broker: what comes through, and what is refused.

A refusal is seen where people look: in the journal and in `gateway status`. And nothing was said before it.
"""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from tests.support.certificates import Authority, Issued
from tests.support.chain import Command, wait_until
from tests.support.city import GATEWAY, City, Tap

pytestmark = pytest.mark.server
SOON_S = 20.0
LONG_AGO = ("20200101000000Z", "20211111000000Z")
SECRETS = (b"MQTT", b"city/", GATEWAY.encode(), b"ioc-ingest", b"ingest-1")  # of a CONNECT, a topic, a certificate


@pytest.fixture
def city(tmp_path: Path) -> City:
    """With keys of its own."""
    return City(tmp_path)


@contextmanager
def running(*commands: Command) -> Iterator[None]:
    """Started, and ended whatever happens; a failure shows what they said."""
    try:
        for command in commands:
            command.start()
        yield
    except AssertionError as failure:
        raise AssertionError("\n".join([str(failure), *(command.tail() for command in commands)])) from failure
    finally:
        for command in commands:
            command.kill()


def test_a_batch_and_its_receipt_over_mutual_tls(city: City) -> None:
    """Through both doors of the shipped broker; nothing can be read on the way, certificates included."""
    with city.broker() as broker, Tap(broker.port) as outside, Tap(broker.centre_port) as inside:
        with running(city.ingest(inside.port), city.gateway(outside.port)):
            wait_until(lambda: settled(city), SOON_S, "a receipt")
            status = city.status()
            assert (status["online"], status["refusal"]) == (True, "")
        assert stored(city) >= 1
        for tap in (outside, inside):
            assert len(tap.heard) > 1000
            assert [secret for secret in SECRETS if secret in tap.heard] == []


Wrong = Callable[[City], tuple[Issued | None, Path | None, Path | None]]  # the server's, our CA, our CRL


def wrong_authority(city: City) -> tuple[Issued | None, Path | None, Path | None]:
    """We trust somebody else."""
    return None, Authority(city.folder, "other-ca").certificate, None


def wrong_name(city: City) -> tuple[Issued | None, Path | None, Path | None]:
    """A good certificate of another server."""
    return city.authority.issue("elsewhere", san="DNS:elsewhere.example"), None, None


def expired(city: City) -> tuple[Issued | None, Path | None, Path | None]:
    """A good one, of yesterday."""
    return city.authority.issue("old", valid=LONG_AGO), None, None


def revoked(city: City) -> tuple[Issued | None, Path | None, Path | None]:
    """A good one, stolen."""
    stolen = city.authority.issue("stolen")
    city.authority.revoke(stolen)
    return stolen, None, city.authority.crl()


CASES = [
    (wrong_authority, "self-signed certificate in certificate chain"),
    (wrong_name, "IP address mismatch"),
    (expired, "old expired on Nov 11 00:00:00 2021"),
    (revoked, "certificate revoked"),
]


@pytest.mark.parametrize(("wrong", "cause"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_the_daemon_refuses(city: City, wrong: Wrong, cause: str) -> None:
    """It stays up, keeps what it has, and tells the cause in journal, status, and on the technician's screen."""
    server, ca, crl = wrong(city)
    with city.broker(server) as broker, Tap(broker.port) as tap:
        with running(city.gateway(tap.port, ca=ca, crl=crl)) as _, city_status(city, lambda s: bool(s["refusal"])) as s:
            assert cause in str(s["refusal"])
            assert (s["online"], s["connected"]) == (False, False)
            assert int(str(s["pending"])) >= 0
            assert cause in screen(city)
            journal = (city.folder / "gateway.log").read_text()
            assert re.search(rf"event code=uplink_refused .*{re.escape(cause)}", journal), journal
        assert [secret for secret in SECRETS if secret in tap.heard] == []
        assert GATEWAY not in broker.log_tail()


@pytest.mark.parametrize(("wrong", "cause"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_ingest_refuses(city: City, wrong: Wrong, cause: str) -> None:
    """It has no socket to ask: the journal says it, at every attempt."""
    server, ca, crl = wrong(city)
    with city.broker(server) as broker, Tap(broker.centre_port) as tap:
        worker = city.ingest(tap.port, ca=ca, crl=crl)
        with running(worker):
            wait_until(lambda: "interrupted" in worker.tail(), SOON_S, "a refusal")
            assert re.search(rf"interrupted code=refused .*{re.escape(cause)}", worker.tail()), worker.tail()
            assert worker.alive()
        assert [secret for secret in SECRETS if secret in tap.heard] == []
        assert "ingest-1" not in broker.log_tail()


def our_authority(city: City) -> Path | None:
    """Our certificate is of another city."""
    city.box = Authority(city.folder, "other-ca").issue(GATEWAY)
    return None


def our_date(city: City) -> Path | None:
    """Nobody renewed it."""
    city.box = city.authority.issue("old-box", san=f"DNS:{GATEWAY}", valid=LONG_AGO)
    return None


def our_theft(city: City) -> Path | None:
    """The cabinet was broken open, and the certificate is on the broker's list."""
    city.authority.revoke(city.box)
    return city.authority.crl()


@pytest.mark.parametrize(
    ("ours", "cause"),
    [
        (our_authority, "(?i:unknown ca|certificate)"),
        (our_date, "certificate expired"),
        (our_theft, "certificate revoked"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_broker_refuses_us(city: City, ours: Callable[[City], Path | None], cause: str) -> None:
    """The daemon learns why, though TLS 1.3 tells it after the handshake; nothing is settled."""
    crl = ours(city)
    with city.broker(crl=crl) as broker, running(city.gateway(broker.port)):
        journal = city.folder / "gateway.log"
        wait_until(lambda: re.search(r"uplink_(down|refused)", journal.read_text()) is not None, SOON_S, "a refusal")
        assert re.search(rf"event code=uplink_(down|refused) .*{cause}", journal.read_text()), journal.read_text()
        assert city.status()["last_receipt_ms"] is None


def test_a_server_without_tls_hears_nothing(city: City) -> None:
    """`mqtts://` never falls back: a listener in the broker's place gets the first message of TLS, and waits."""
    with Tap() as tap, running(city.gateway(tap.port)):
        wait_until(lambda: bool(tap.heard), SOON_S, "a handshake")
        assert tap.heard[:2] == b"\x16\x03"
        assert [secret for secret in SECRETS if secret in tap.heard] == []


@contextmanager
def city_status(city: City, holds: Callable[[dict[str, object]], bool]) -> Iterator[dict[str, object]]:
    """The status, once it is so."""
    found: dict[str, object] = {}

    def so() -> bool:
        try:
            found.update(city.status())
        except GatewayError:
            return False
        return holds(found)

    wait_until(so, SOON_S, "a status")
    yield found


def settled(city: City) -> bool:
    """Whether something was sent and nothing waits."""
    try:
        status = city.status()
    except GatewayError:
        return False
    return status["pending"] == 0 and status["last_receipt_ms"] is not None


def screen(city: City) -> str:
    """What `gateway status` prints, in one line."""
    command = [sys.executable, "-m", "gateway", "status", "--socket", str(city.control)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=os.environ | {"COLUMNS": "300"}
    )
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


def stored(city: City) -> int:
    """Ledger points."""
    db = sqlite3.connect(city.store)
    try:
        query = "SELECT count(*) FROM point JOIN series ON id = series WHERE measurement = 'gw_batch' AND gateway = ?"
        return int(db.execute(query, (GATEWAY,)).fetchone()[0])
    finally:
        db.close()
