"""A small city with real keys: the shipped broker, and the daemon and ingest as real processes that talk TLS to it.

    city = City(tmp_path)                    # a throw-away CA, certificates for broker, gateway, ingest
    with city.broker() as broker: ...        # the shipped mosquitto.conf with the city's keys
    gateway = city.gateway(broker.port)      # `gateway run`, not started; its spool is in city.folder / "spool"

`Tap` stands between two ends and keeps every byte that went through, to say what could be read on the way.
"""

import asyncio
import contextlib
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.control.client import SocketClient, first
from tests.integration.test_shipped_broker import ShippedBroker
from tests.support.certificates import Authority, Issued
from tests.support.chain import Command

GATEWAY = "hc-0001"
READ_BYTES = 65_536


class City:
    """Its authority and who has a certificate of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder, "city-ca")
        self.box = self.authority.issue(GATEWAY)
        self.ingest_keys = self.authority.issue("ioc-ingest")
        self.operator_keys = self.authority.issue("ioc-operator")
        self.server = self.authority.issue("broker")

    @contextlib.contextmanager
    def broker(self, server: Issued | None = None, *, crl: Path | None = None) -> Iterator[ShippedBroker]:
        """Running, with this certificate or its own; with `crl` the shipped `crlfile` lines are switched on."""
        keys = Path(tempfile.mkdtemp(prefix="keys-", dir=self.folder))
        used = server or self.server
        for name, source in (
            ("ca.pem", self.authority.certificate),
            ("broker.pem", used.certificate),
            ("broker.key", used.key),
        ):
            shutil.copy(source, keys / name)
        broker = ShippedBroker(keys)
        if crl is not None:
            shutil.copy(crl, keys / "crl.pem")
            config = broker.folder / "conf"
            config.write_text(config.read_text().replace("#crlfile", "crlfile"))
        with broker:
            yield broker

    def gateway(self, port: int, *, ca: Path | None = None, crl: Path | None = None, more: str = "") -> Command:
        """The daemon of a site without devices: what it sends is the event of its start, and its status."""
        site = self.folder / "site.toml"
        site.write_text(f"""config_version = 1
[gateway]
id = "{GATEWAY}"
[clock]
trust = "system"
[spool]
path = "spool"
quota = "100 MB"
[[uplink]]
name = "ioc"
[[uplink.server]]
url = "mqtts://127.0.0.1:{port}"
{_keys(ca or self.authority.certificate, self.box, crl)}{more}
""")
        return Command(self.folder, "gateway", "gateway", "run", str(site))

    def ingest(self, port: int, *, ca: Path | None = None, crl: Path | None = None) -> Command:
        """A worker with the embedded store."""
        file = self.folder / "ioc.toml"
        file.write_text(f"""config_version = 1
[broker]
url = "mqtts://127.0.0.1:{port}"
{_keys(ca or self.authority.certificate, self.ingest_keys, crl)}
[store]
url = "sqlite:{self.store}"
[ingest]
dead_letters = "{self.folder}/dead"
""")
        return Command(self.folder, "ingest", "gateway", "ioc", "ingest", str(file), "--name", "ingest-1")

    @property
    def store(self) -> Path:
        """The embedded store's file."""
        return self.folder / "store.db"

    @property
    def control(self) -> Path:
        """The daemon's socket."""
        return self.folder / "spool" / "control.sock"

    def status(self) -> dict[str, object]:
        """What the daemon says of itself; raises GatewayError while there is none."""
        answer = asyncio.run(first(SocketClient(self.control), "status"))
        assert isinstance(answer, dict)
        return answer


class Tap:
    """A TCP port that leads to another one (or, with 0, nowhere: it swallows), and what was said on it."""

    def __init__(self, to: int = 0) -> None:
        self.heard = bytearray()
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one in (self._listener, *self._open):
            _end(one)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:  # closed: the test is over
                return
            far = socket.create_connection(("127.0.0.1", self._to)) if self._to else None
            self._open += [near] if far is None else [near, far]
            threading.Thread(target=self._pump, args=(near, far), daemon=True).start()
            if far is not None:
                threading.Thread(target=self._pump, args=(far, near), daemon=True).start()

    def _pump(self, source: socket.socket, to: socket.socket | None) -> None:
        try:
            while data := source.recv(READ_BYTES):
                self.heard += data
                if to is not None:
                    to.sendall(data)
        except OSError:  # one end is gone: so is the other
            pass
        for one in (source, to):
            if one is not None:
                _end(one)


def _keys(ca: Path, own: Issued, crl: Path | None) -> str:
    lines = [f'ca = "{ca}"', f'certificate = "{own.certificate}"', f'key = "{own.key}"']
    return "\n".join([*lines, *([f'crl = "{crl}"'] if crl else [])])


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it was never connected, or is gone
        one.shutdown(socket.SHUT_RDWR)
    one.close()
