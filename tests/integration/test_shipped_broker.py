"""The broker configuration as it is shipped, in a real mosquitto: who may come in, and what the ACL lets them touch."""

import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paho.mqtt.client import Client, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tests.support.servers import Server, free_port, require

pytestmark = pytest.mark.server

SHIPPED = Path(__file__).parents[2] / "systemd/mosquitto"
WAIT_S = 20.0
GOOD, NOBODY_THERE, REFUSED, NOT_AUTHORISED = 0, 16, 128, 135
PACKET_MAX_BYTES = 131_072
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*arguments: str) -> None:
    """Must succeed."""
    subprocess.run([require("openssl"), *arguments], capture_output=True, check=True)


def authority(folder: Path, name: str) -> None:
    """A certificate that signs others."""
    files = ("-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.pem")
    openssl("req", "-x509", *NEW_KEY, "-subj", f"/CN={name}", "-days", "2", *files)


def issue(folder: Path, name: str, use: str = "extendedKeyUsage=clientAuth", by: str = "ca") -> None:
    """A key and a certificate whose CN is `name`."""
    base = f"{folder}/{name}"
    openssl("req", "-new", *NEW_KEY, "-keyout", f"{base}.key", "-subj", f"/CN={name}", "-out", f"{base}.csr")
    Path(f"{base}.ext").write_text(use)
    signed = ("-CA", f"{folder}/{by}.pem", "-CAkey", f"{folder}/{by}.key", "-CAcreateserial", "-days", "2")
    openssl("x509", "-req", "-in", f"{base}.csr", *signed, "-extfile", f"{base}.ext", "-out", f"{base}.pem")


class ShippedBroker(Server):
    """mosquitto with the shipped files; only their paths, the port and the log's place are others."""

    binary = "mosquitto"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.centre_port = free_port()
        text = (SHIPPED / "mosquitto.conf").read_text()
        for old, new in (
            ("listener 8883", f"listener {self.port} 127.0.0.1"),
            ("listener 8884 127.0.0.1", f"listener {self.centre_port} 127.0.0.1"),
            ("pid_file /run/mosquitto/mosquitto.pid", f"pid_file {self.folder}/pid"),
            ("user mosquitto", "user root"),  # as root it would become `mosquitto`, who may not read a test's folder
            ("log_dest syslog", "log_dest stdout"),
            ("/etc/mosquitto/gateway/acl", str(SHIPPED / "acl")),
            ("/etc/mosquitto/gateway/", f"{folder}/"),
            ("/var/lib/mosquitto/", f"{self.folder}/"),
        ):
            assert old in text, old
            text = text.replace(old, new)
        assert not re.search(r"^[^#\n]* /(etc|var|run)/", text, re.MULTILINE)
        (self.folder / "conf").write_text(text)

    def arguments(self) -> list[str]:
        """Its configuration file."""
        return ["-c", str(self.folder / "conf")]

    def ready(self) -> bool:
        """Whether both listeners are there: the second one comes after the first."""
        return all(_listens(port) for port in (self.port, self.centre_port))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The keys of a small city, and of somebody who is not in it."""
    folder = tmp_path_factory.mktemp("city")
    authority(folder, "ca")
    authority(folder, "other-ca")
    issue(folder, "broker", "subjectAltName=IP:127.0.0.1")
    for name in ("hc-0001", "hc-0002", "ioc-ingest", "ioc-operator"):
        issue(folder, name)
    issue(folder, "stranger", by="other-ca")
    return folder


@pytest.fixture(scope="module")
def broker(folder: Path) -> Iterator[ShippedBroker]:
    """Running."""
    with ShippedBroker(folder) as broker:
        yield broker


def greeted(broker: ShippedBroker, context: ssl.SSLContext) -> bytes:
    """What the broker says to a CONNECT; raises when it hangs up. TLS 1.3 refuses after our side of the handshake."""
    with (
        socket.create_connection(("127.0.0.1", broker.port), timeout=WAIT_S) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x0f\x00\x00\x00")
        answer = connection.recv(100)
    if not answer:
        raise ConnectionError("hung up")
    return answer


class Peer:
    """One MQTT 5 client, by its certificate."""

    def __init__(self, folder: Path, broker: ShippedBroker, name: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.packet_max_bytes: int | None = None
        self._come = threading.Condition()
        self._answers: dict[tuple[str, int], int] = {}
        self._client = client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTv5)
        pem, key = (str(folder / f"{name}.{end}") for end in ("pem", "key"))
        client.tls_set(str(folder / "ca.pem"), *((pem, key) if Path(pem).exists() else (None, None)))
        client.on_connect = self._on_connect
        client.on_publish = lambda _client, _data, mid, reason, _properties: self._answer("publish", mid, reason)
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.connect("127.0.0.1", broker.centre_port if name.startswith("ioc-") else broker.port)
        client.loop_start()

    def connected(self) -> int:
        """The reason of the CONNACK."""
        return self._wait("connect", 0)

    def publish(self, topic: str, payload: bytes = b"x") -> int:
        """The reason of the PUBACK."""
        return self._wait("publish", self._client.publish(topic, payload, qos=1).mid)

    def subscribe(self, topic: str) -> int:
        """The reason of the SUBACK."""
        _, mid = self._client.subscribe(topic, qos=1)
        assert mid is not None
        return self._wait("subscribe", mid)

    def hear(self, count: int) -> list[tuple[str, bytes]]:
        """What came, when so many have."""
        with self._come:
            assert self._come.wait_for(lambda: len(self.heard) >= count, WAIT_S)
            return list(self.heard)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _answer(self, what: str, mid: int, reason: ReasonCode) -> None:
        with self._come:
            self._answers[what, mid] = int(reason.value)
            self._come.notify_all()

    def _on_connect(
        self, _client: Client, _data: object, _flags: object, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self.packet_max_bytes = getattr(properties, "MaximumPacketSize", None)
        self._answer("connect", 0, reason)

    def _on_subscribe(
        self, _client: Client, _data: object, mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        self._answer("subscribe", mid, reasons[0])

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        with self._come:
            self.heard.append((message.topic, bytes(message.payload)))
            self._come.notify_all()

    def _wait(self, what: str, mid: int) -> int:
        with self._come:
            assert self._come.wait_for(lambda: (what, mid) in self._answers, WAIT_S), f"no answer to {what}"
            return self._answers[what, mid]


@contextmanager
def peer(folder: Path, broker: ShippedBroker, name: str) -> Iterator[Peer]:
    """Connected."""
    peer = Peer(folder, broker, name)
    try:
        assert peer.connected() == GOOD
        yield peer
    finally:
        peer.close()


def test_batches_go_up_and_receipts_come_down(folder: Path, broker: ShippedBroker) -> None:
    """A gateway's own topics, and ingest's share of all of them."""
    with peer(folder, broker, "ioc-ingest") as ingest, peer(folder, broker, "hc-0001") as gateway:
        assert ingest.subscribe("$share/ingest/city/+/up/data") < REFUSED
        assert gateway.subscribe("city/hc-0001/down/#") < REFUSED
        assert gateway.publish("city/hc-0001/up/data", b"batch") == GOOD
        assert ingest.hear(1) == [("city/hc-0001/up/data", b"batch")]
        assert ingest.publish("city/hc-0001/down/receipt", b"receipt") == GOOD
        assert gateway.hear(1) == [("city/hc-0001/down/receipt", b"receipt")]


def test_the_operator_hears_who_is_online_and_what_became_of_commands(folder: Path, broker: ShippedBroker) -> None:
    """W-18: outcomes and statuses; no data."""
    with peer(folder, broker, "ioc-operator") as operator, peer(folder, broker, "hc-0001") as gateway:
        for topic in ("city/+/up/outcome", "city/+/up/status", "city/+/up/data"):
            operator.subscribe(topic)
        for name in ("data", "status", "outcome"):
            gateway.publish(f"city/hc-0001/up/{name}", name.encode())
        assert operator.hear(2) == [("city/hc-0001/up/status", b"status"), ("city/hc-0001/up/outcome", b"outcome")]


@pytest.mark.parametrize(
    "topic",
    [
        "city/hc-0002/up/data",
        "city/hc-0002/down/command",
        "city/hc-0002/down/receipt",
        "city/hc-0001/down/command",
        "town/hc-0001/up/data",
        "anything",
    ],
)
def test_a_gateway_writes_only_what_is_its_own(folder: Path, broker: ShippedBroker, topic: str) -> None:
    """Anything else is answered "not authorised", which an uplink raises as an alarm."""
    with peer(folder, broker, "hc-0001") as gateway:
        assert gateway.publish(topic) == NOT_AUTHORISED


def test_a_gateway_hears_only_what_is_its_own(folder: Path, broker: ShippedBroker) -> None:
    """Whatever it subscribes to, nothing of another gateway comes."""
    with peer(folder, broker, "hc-0001") as gateway, peer(folder, broker, "hc-0002") as other:
        for topic in ("#", "city/+/up/#", "city/hc-0002/down/#", "city/hc-0001/down/#", "$share/ingest/city/+/up/data"):
            gateway.subscribe(topic)
        with peer(folder, broker, "ioc-ingest") as ingest:
            assert other.publish("city/hc-0002/up/data", b"not yours") in {GOOD, NOBODY_THERE}
            assert ingest.publish("city/hc-0002/down/receipt", b"not yours") in {GOOD, NOBODY_THERE}
            assert ingest.publish("city/hc-0001/down/receipt", b"yours") == GOOD
        assert {payload for _, payload in gateway.hear(1)} == {b"yours"}


def test_nobody_there_is_told(folder: Path, broker: ShippedBroker) -> None:
    """Reason 16: the free alarm "nobody stores"."""
    with peer(folder, broker, "hc-0001") as gateway:
        assert gateway.publish("city/hc-0001/up/data") == NOBODY_THERE


def test_a_certificate_of_ours_comes_in(folder: Path, broker: ShippedBroker) -> None:
    """What the next test does is right but for the certificate."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "hc-0001.pem", folder / "hc-0001.key")
    assert greeted(broker, context)[:1] == b"\x20"


@pytest.mark.parametrize("name", ["stranger", "nobody"])
def test_without_a_certificate_of_ours_nobody_comes_in(folder: Path, broker: ShippedBroker, name: str) -> None:
    """One of another authority, and none at all."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if (folder / f"{name}.pem").exists():
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        greeted(broker, context)


def test_the_largest_batch_fits(folder: Path, broker: ShippedBroker) -> None:
    """64 KiB and a header; the limit is told in the CONNACK."""
    with peer(folder, broker, "hc-0001") as gateway:
        assert gateway.packet_max_bytes == PACKET_MAX_BYTES
        assert gateway.publish("city/hc-0001/up/data", bytes(65_536 + 1024)) == NOBODY_THERE
