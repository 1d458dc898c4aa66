"""mosquitto, influxd and victoria-metrics of Debian: each its own process, free loopback port and folder.

    with Mosquitto(tmp_path) as broker:
        ...               # broker.port
        broker.kill()     # SIGKILL: what a power cut leaves behind
        broker.start()    # the same port, the same data

A process is only ever ended by the handle that started it. `start` returns when the server answers, or raises with the
end of its log. A missing binary skips the test, but fails it where CI=true: there, nothing would have been tested.
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from random import SystemRandom
from types import TracebackType
from typing import Self

import pytest

READY_POLL_S = 0.02
READY_POLLS_MAX = 1000  # 20 s
STOP_S = 5.0
HTTP_S = 10.0
LOG_TAIL_BYTES = 2000
PORTS = range(20_000, 32_000)  # below the ephemeral ones: a client that retries a dead port can never meet itself there
PORT_TRIES_MAX = 100


def require(binary: str) -> str:
    """The full path of a server's binary; without it the test is skipped, or fails where CI=true."""
    found = shutil.which(binary, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin")))
    if found is not None:
        return found
    missing = f"{binary} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on now."""
    for _ in range(PORT_TRIES_MAX):
        port = SystemRandom().choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free loopback port")


class Server:
    """One process, its port, its folder, its log; subclasses say how it is started and when it is ready."""

    binary: str

    def __init__(self, folder: Path) -> None:
        self._path = require(self.binary)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{self.binary}-", dir=folder))
        self.log = self.folder / "log"
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def arguments(self) -> list[str]:
        """What follows the binary on its command line."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it answers now."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Return when it answers; raise with the end of its log when it dies or 20 s pass."""
        assert self._process is None, "it runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._path, *self.arguments()], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        for _ in range(READY_POLLS_MAX):
            if self.ready():
                return
            if self._died_within(READY_POLL_S):
                break
        self.kill()
        raise RuntimeError(f"{self.binary} did not start:\n{self.log_tail()}")

    def stop(self) -> None:
        """SIGTERM, then SIGKILL after 5 s; idempotent."""
        if self._process is not None:
            self._process.terminate()
            self._died_within(STOP_S)
            self.kill()

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is said; idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def log_tail(self) -> str:
        """The end of what it wrote."""
        return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _died_within(self, seconds: float) -> bool:
        assert self._process is not None
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


@dataclass(frozen=True, slots=True)
class ServerTls:
    """PEM files of a TLS listener; with `require_certificate` a client's CN is its user name."""

    ca: Path
    certificate: Path
    key: Path
    require_certificate: bool = False


class Mosquitto(Server):
    """mosquitto 2.0: one listener; everybody may come in unless `acl` or `tls` says otherwise.

    `settings` are further lines of its configuration: "receive_maximum 5", "max_packet_size 2000", ...
    """

    binary = "mosquitto"

    def __init__(
        self,
        folder: Path,
        *,
        tls: ServerTls | None = None,
        acl: str = "",
        persistence: bool = False,
        settings: tuple[str, ...] = (),
    ) -> None:
        super().__init__(folder)
        lines = [
            "user root",  # as root it would become `mosquitto`, who may not read a test's folder
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {str(tls is None or not tls.require_certificate).lower()}",
            "max_queued_messages 0",
            "max_inflight_messages 200",
            "set_tcp_nodelay true",  # as in the shipped configuration: without it, small packets wait 40 ms for an ACK
            "log_type all",
            f"persistence {str(persistence).lower()}",
        ]
        if persistence:
            lines += [f"persistence_location {self.folder}/"]
        if tls is not None:
            lines += [f"cafile {tls.ca}", f"certfile {tls.certificate}", f"keyfile {tls.key}"]
            if tls.require_certificate:
                lines += ["require_certificate true", "use_identity_as_username true"]
        if acl:
            (self.folder / "acl").write_text(acl)
            lines += [f"acl_file {self.folder}/acl"]
        (self.folder / "conf").write_text("\n".join((*lines, *settings)) + "\n")

    def arguments(self) -> list[str]:
        """Its configuration file."""
        return ["-c", str(self.folder / "conf")]

    def ready(self) -> bool:
        """Whether the listener takes connections."""
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=READY_POLL_S).close()
        except OSError:
            return False
        return True


class HttpServer(Server):
    """A server that is ready when it answers on a path."""

    ready_path: str

    @property
    def url(self) -> str:
        """Without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def ready(self) -> bool:
        """Whether `ready_path` answers 2xx."""
        try:
            status, _ = self.request(self.ready_path)
        except OSError:
            return False
        return status < HTTPStatus.MULTIPLE_CHOICES

    def request(self, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """GET, or POST when there is a body: status (4xx and 5xx too) and answer; raises OSError without an answer."""
        try:
            with urllib.request.urlopen(self.url + path, data=body, timeout=HTTP_S) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()


class Influxd(HttpServer):
    """influxd 1.6: the v1 API. A small `max_series` makes it refuse good points with 400."""

    binary = "influxd"
    ready_path = "/ping"

    def __init__(self, folder: Path, *, max_series: int = 0) -> None:
        super().__init__(folder)
        (self.folder / "conf").write_text(f"""
reporting-disabled = true
bind-address = "127.0.0.1:{free_port()}"
[meta]
  dir = "{self.folder}/meta"
[data]
  dir = "{self.folder}/data"
  wal-dir = "{self.folder}/wal"
  max-series-per-database = {max_series}
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{self.port}"
  log-enabled = false
[monitor]
  store-enabled = false
""")

    def arguments(self) -> list[str]:
        """Its configuration file."""
        return ["run", "-config", str(self.folder / "conf")]

    def create_database(self, name: str, *, duration: str = "") -> None:
        """With the default retention, or `duration`: "1h", "30d"."""
        retention = f" WITH DURATION {duration}" if duration else ""
        self.query("", f'CREATE DATABASE "{name}"{retention}')

    def write(self, database: str, lines: bytes, precision: str = "ms") -> tuple[int, bytes]:
        """Line protocol to `/write`: status and answer."""
        return self.request(f"/write?db={database}&precision={precision}", lines)

    def query(self, database: str, influxql: str) -> list[dict[str, object]]:
        """The series of the first statement; raises AssertionError when the server refuses it. Times are ns."""
        form = urllib.parse.urlencode({"db": database, "epoch": "ns", "q": influxql}).encode()
        status, answer = self.request("/query", form)
        assert status == HTTPStatus.OK, answer
        result = json.loads(answer)["results"][0]
        assert "error" not in result, result
        series: list[dict[str, object]] = result.get("series", [])
        return series


class VictoriaMetrics(HttpServer):
    """victoria-metrics 1.79: takes `/api/v2/write` and `/write`; stands in for a v2 store's write path only."""

    binary = "victoria-metrics"
    ready_path = "/health"

    def arguments(self) -> list[str]:
        """Address and data folder."""
        return [f"-httpListenAddr=127.0.0.1:{self.port}", f"-storageDataPath={self.folder}/data"]
