"""There is no way to switch verification off: not in the code, a file or the environment, nor by an old TLS."""

import ast
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.config.ioc import read_ioc
from gateway.errors import Invalid, PeerError, StoreBusy
from gateway.ioc.store.http import HttpSession
from gateway.ioc.store.influx import InfluxSettings, V2Writer
from gateway.model import UtcMs
from gateway.mqtt.tls import Dates, context
from gateway.seams import Tls
from tests.support.certificates import Authority, Issued
from tests.support.mqtt import NOW, connected
from tests.support.written import SITE, codes, write

ROOT = Path(__file__).parents[2]
SOURCES = [path for room in ("gateway", "simulators") for path in (ROOT / room).rglob("*.py")]
SWITCHES = {
    "CERT_NONE",
    "CERT_OPTIONAL",
    "check_hostname",
    "verify_mode",
    "tls_insecure_set",
    "tls_set",
    "_create_unverified_context",
    "_create_default_https_context",
    "PROTOCOL_TLS",
    "PROTOCOL_SSLv23",
    "verify_ssl",
    "ssl_verify",
    "assert_hostname",
    "cert_reqs",
    "disable_warnings",
}
ENVIRONMENT = {  # systemd's, and what says how much is logged, in which language, and where the sockets are
    "CREDENTIALS_DIRECTORY",
    "GATEWAY_LANG",
    "GATEWAY_LOG",
    "GATEWAY_PUSH_SOCKET",
    "GATEWAY_SOCKET",
    "NOTIFY_SOCKET",
    "RUNTIME_DIRECTORY",
    "STATE_DIRECTORY",
    "WATCHDOG_USEC",
}
IOC = """config_version = 1
[broker]
url = "mqtts://ioc.example"
ca = "ca.pem"
[store]
url = "sqlite:/store.db"
[ingest]
dead_letters = "/dead"
"""
KEYS = ("insecure", "verify", "tls_insecure", "check_hostname", "skip_verify", "verify_ssl")


def names_in(tree: ast.AST) -> Iterator[str]:
    """Every name, attribute and keyword; words in docstrings are none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg
        elif isinstance(node, ast.alias):
            yield node.name.rpartition(".")[2]


def uses(word: str) -> set[str]:
    """The files that name it."""
    return {
        str(path.relative_to(ROOT)) for path in SOURCES if word in names_in(ast.parse(path.read_text(encoding="utf-8")))
    }


@pytest.mark.parametrize("switch", sorted(SWITCHES))
def test_no_code_names_a_switch(switch: str) -> None:
    """Neither to turn it off nor to turn it on: what is on by default needs no word."""
    assert uses(switch) == set()


def test_the_search_finds_names() -> None:
    """The tests above can fail."""
    tree = ast.parse("import ssl\nc.check_hostname = False\nf(verify_ssl=False)\nssl.CERT_NONE\n'''tls_set'''")
    assert {"check_hostname", "verify_ssl", "CERT_NONE"} <= set(names_in(tree))
    assert "tls_set" not in set(names_in(tree))


def test_contexts_are_made_in_two_places() -> None:
    """One for brokers, one for databases; the dates are left to us in the first alone."""
    assert uses("SSLContext") == {"gateway/mqtt/tls.py"}
    assert uses("create_default_context") == {"gateway/ioc/store/http.py"}
    assert uses("verify_flags") == {"gateway/mqtt/tls.py"}


def test_the_environment_says_nothing_about_trust() -> None:
    """A variable is a switch that leaves no trace in any file."""
    read = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"os.environ.get", "os.getenv"}:
                read.add(ast.literal_eval(node.args[0]))
            if isinstance(node, ast.keyword) and node.arg == "envvar":
                read.add(ast.literal_eval(node.value))
    assert read <= ENVIRONMENT


@pytest.mark.parametrize("key", KEYS)
def test_no_file_takes_a_switch(tmp_path: Path, key: str) -> None:
    """An unknown key is a problem, never ignored: nobody can believe to have switched something."""
    from gateway.config.compile import compile_file

    text = SITE.replace('url = "mqtt://127.0.0.1:1883"', f'url = "mqtts://ioc.example"\n{key} = false')
    with pytest.raises(Invalid) as invalid:
        compile_file(write(tmp_path / "gateway.toml", text))
    assert codes(invalid.value.problems) == ["unknown_key"]
    for table in ("broker", "store"):
        with pytest.raises(Invalid) as invalid:
            read_ioc(write(tmp_path / "ioc.toml", IOC.replace(f"[{table}]", f"[{table}]\n{key} = false")))
        assert codes(invalid.value.problems) == ["unknown_key"]


def test_what_a_context_demands(authority: Authority) -> None:
    """Chain, name and TLS 1.2 or later, with a clock and without one."""
    for now in (None, NOW):
        made = context(Tls(str(authority.certificate)), Dates(now, UtcMs(0)))
        assert (made.verify_mode, made.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert made.minimum_version == ssl.TLSVersion.TLSv1_2


async def test_an_old_tls_is_refused(authority: Authority, server: Issued) -> None:
    """A server that can do no better than TLS 1.1 gets no CONNECT; one of TLS 1.2 does."""
    with listening(server, newest="TLSv1_1") as (port, heard), pytest.raises(PeerError, match=r"(?i)tls|ssl|version"):
        async with connected(port, "secret-client", tls=Tls(str(authority.certificate))):
            pass
    assert b"".join(heard) == b""
    with listening(server, newest="TLSv1_2") as (port, heard), pytest.raises(PeerError):
        async with connected(port, "secret-client", tls=Tls(str(authority.certificate))):
            pass
    assert b"secret-client" in b"".join(heard)


def test_a_database_of_another_authority_is_refused(tmp_path: Path, authority: Authority, server: Issued) -> None:
    """Its token is not sent; with the right authority it would be."""
    headers = {"Authorization": "Token s3cr3t"}
    other = Authority(tmp_path, "other-ca")
    for ca, told in ((other, False), (authority, True)):
        with listening(server) as (port, heard):
            session = HttpSession(f"https://127.0.0.1:{port}", timeout_s=5, headers=headers, ca=str(ca.certificate))
            with pytest.raises(StoreBusy):
                session.post("/write", {}, b"")
            session.close()
        assert (b"s3cr3t" in b"".join(heard)) == told


def test_the_databases_own_client_verifies_too() -> None:
    """influxdb-client, which writes to version 2, is made without its switch."""
    writer = V2Writer(InfluxSettings("https://127.0.0.1:1", "city", token="t", ca="/nowhere.pem"))
    assert writer._client.api_client.configuration.verify_ssl is True
    assert writer._client.api_client.configuration.ssl_ca_cert == "/nowhere.pem"
    writer.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Made once: openssl takes a while."""
    return Authority(tmp_path_factory.mktemp("tls"), "city-ca")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Issued:
    """On loopback."""
    return authority.issue("server")


@contextmanager
def listening(server: Issued, *, newest: str = "TLSv1_3") -> Iterator[tuple[int, list[bytes]]]:
    """A TLS server that takes one connection, notes the first thing said in it, and hangs up."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_ciphers("DEFAULT:@SECLEVEL=0")  # TLS 1.1 would be possible
    made.load_cert_chain(server.certificate, server.key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of naming TLS 1.1 at all
        made.minimum_version, made.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion[newest]
    listener, heard = socket.create_server(("127.0.0.1", 0)), list[bytes]()

    def serve() -> None:
        plain, _ = listener.accept()
        plain.settimeout(10)
        try:
            with made.wrap_socket(plain, server_side=True) as connection:
                heard.append(connection.recv(10_000))
        except OSError:  # the handshake was refused
            plain.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        thread.join(20)
        listener.close()
