"""TLS against a real mosquitto: chain, name, dates, revocation; each refusal with its cause, before CONNECT."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import PeerError, Refused
from gateway.model import UtcMs
from gateway.seams import Tls
from tests.support.certificates import Authority, Issued
from tests.support.mqtt import NOW, connected, nothing_left_behind
from tests.support.servers import Mosquitto, ServerTls

pytestmark = pytest.mark.server


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with nothing_left_behind():
        yield


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Made once: openssl takes a while."""
    return Authority(tmp_path_factory.mktemp("tls"), "city-ca")


@pytest.fixture(scope="module")
def ioc(authority: Authority) -> Issued:
    """The broker's."""
    return authority.issue("ioc")


@pytest.fixture(scope="module")
def box(authority: Authority) -> Issued:
    """The gateway's."""
    return authority.issue("hc-0001", san="DNS:hc-0001")


async def test_mutual_tls_names_the_gateway(tmp_path: Path, authority: Authority, ioc: Issued, box: Issued) -> None:
    """The CN is the user name: the ACL lets it into its own tree and no other."""
    acl = "pattern write city/%u/up/#\npattern read city/%u/down/#\n"
    tls = Tls(str(authority.certificate), str(box.certificate), str(box.key))
    with Mosquitto(tmp_path, tls=_server(authority, ioc, require=True), acl=acl) as server:
        async with connected(server, "hc-0001", tls=tls) as connection:
            assert await connection.publish("city/hc-0001/up/data", b"1") == 16
            assert await connection.publish("city/hc-0002/up/data", b"1") == 135


async def test_without_our_certificate_the_cause_is_told(tmp_path: Path, authority: Authority, ioc: Issued) -> None:
    """TLS 1.3 tells it after the handshake: paho alone would report a lost connection without a word."""
    server = _server(authority, ioc, require=True)
    with Mosquitto(tmp_path, tls=server) as broker, pytest.raises(PeerError, match=r"(?i)certificate"):
        async with connected(broker, tls=Tls(str(authority.certificate))):
            pass


async def test_another_authority_is_refused(tmp_path: Path, authority: Authority, ioc: Issued) -> None:
    """Chain."""
    other = Authority(tmp_path, "other-ca")
    await _refused(
        tmp_path,
        _server(authority, ioc),
        Tls(str(other.certificate)),
        19,
        "self-signed certificate in certificate chain",
    )


async def test_another_name_is_refused(tmp_path: Path, authority: Authority) -> None:
    """Name: the certificate is good, but somebody else's."""
    other = authority.issue("elsewhere", san="DNS:elsewhere.example")
    await _refused(tmp_path, _server(authority, other), Tls(str(authority.certificate)), 64, "mismatch")


async def test_an_expired_certificate_is_refused_with_its_date(tmp_path: Path, authority: Authority) -> None:
    """Checked by us: with a clock against now, without one against the floor."""
    old = authority.issue("old", valid=("20200101000000Z", "20261124000000Z"))
    server, tls = _server(authority, old), Tls(str(authority.certificate))
    await _refused(tmp_path, server, tls, 10, "old expired on Nov 24 00:00:00 2026")
    await _refused(tmp_path, server, tls, 10, "expired", now=None, floor=NOW)
    with Mosquitto(tmp_path, tls=server) as broker:
        async with connected(broker, tls=tls, now=None, floor=UtcMs(NOW - 86_400_000)) as connection:
            assert await connection.publish("t", b"1") == 16


async def test_a_certificate_of_tomorrow_needs_a_trusted_clock_to_be_refused(
    tmp_path: Path, authority: Authority
) -> None:
    """A box that thinks it is 1970 must get in, to be told the time."""
    young = authority.issue("young", valid=("20261125000000Z", "20991231235959Z"))
    server, tls = _server(authority, young), Tls(str(authority.certificate))
    await _refused(tmp_path, server, tls, 9, "not valid before Nov 25")
    with Mosquitto(tmp_path, tls=server) as broker:
        async with connected(broker, tls=tls, now=None, floor=UtcMs(0)) as connection:
            assert await connection.publish("t", b"1") == 16


async def test_an_expired_authority_is_refused(tmp_path: Path) -> None:
    """The dates of the whole chain count, not the leaf's alone."""
    old = Authority(tmp_path, "old-ca", valid=("20200101000000Z", "20261124000000Z"))
    await _refused(tmp_path, _server(old, old.issue("ioc")), Tls(str(old.certificate)), 10, "old-ca expired")


async def test_a_revoked_certificate_is_refused(tmp_path: Path) -> None:
    """CRL: before it is revoked it gets in, after it does not."""
    own = Authority(tmp_path, "own-ca")
    stolen = own.issue("stolen")
    tls = Tls(str(own.certificate), crl=str(own.crl()))
    with Mosquitto(tmp_path, tls=_server(own, stolen)) as broker:
        async with connected(broker, tls=tls) as connection:
            assert await connection.publish("t", b"1") == 16
    own.revoke(stolen)
    own.crl()
    await _refused(tmp_path, _server(own, stolen), tls, 23, "revoked")


async def test_nothing_is_sent_before_the_dates_are_checked(tmp_path: Path, authority: Authority) -> None:
    """The server never sees a CONNECT, so neither a client id nor a password nor a will."""
    old = authority.issue("old2", valid=("20200101000000Z", "20261124000000Z"))
    with Mosquitto(tmp_path, tls=_server(authority, old)) as broker:
        with pytest.raises(Refused):
            async with connected(broker, "secret-client", tls=Tls(str(authority.certificate))):
                pass
        assert "secret-client" not in broker.log_tail()


async def test_a_server_without_tls_is_refused(tmp_path: Path, authority: Authority) -> None:
    """A TLS client that meets plain MQTT says so, and sends nothing."""
    with Mosquitto(tmp_path) as plain:
        with pytest.raises(PeerError):
            async with connected(plain, "secret-client", tls=Tls(str(authority.certificate))):
                pass
        assert "secret-client" not in plain.log_tail()


async def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    """The technician reads which one."""
    with pytest.raises(Refused, match=r"nowhere\.pem"):
        async with connected(1, tls=Tls(str(tmp_path / "nowhere.pem"))):
            pass


def _server(authority: Authority, issued: Issued, *, require: bool = False) -> ServerTls:
    return ServerTls(authority.certificate, issued.certificate, issued.key, require)


async def _refused(
    folder: Path, server: ServerTls, tls: Tls, code: int, why: str, *, now: UtcMs | None = NOW, floor: UtcMs = NOW
) -> None:
    with Mosquitto(folder, tls=server) as broker, pytest.raises(Refused, match=why) as refused:
        async with connected(broker, tls=tls, now=now, floor=floor):
            pass
    assert refused.value.reason == code
