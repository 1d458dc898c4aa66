"""Stands between ingest and influxd, and notes when each line was in the database: at its 204.

A question costs a millisecond more with it; so what it measures is an upper bound.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import time_ns
from typing import ClassVar

TIMEOUT_S = 10.0


@dataclass(slots=True)
class Seen:
    """What passed: (when in the database, ms; the line), and where to ask."""

    url: str = ""
    lines: list[tuple[float, bytes]] = field(default_factory=list)


@contextmanager
def proxied(port: int) -> Iterator[Seen]:
    """A proxy of the influxd on this port."""
    seen = Seen()

    class Handler(_Handler):
        target, told = port, seen

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    seen.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, name="proxy", daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One connection of ingest's, one of ours to the database."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = TIMEOUT_S
    target: ClassVar[int]
    told: ClassVar[Seen]

    def setup(self) -> None:
        """Once a connection."""
        super().setup()
        self._database = HTTPConnection("127.0.0.1", self.target, timeout=TIMEOUT_S)

    def finish(self) -> None:
        """At its end."""
        self._database.close()
        super().finish()

    def do_POST(self) -> None:
        """Pass it on, and the answer back."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self._database.request("POST", self.path, body, {"Content-Type": self.headers.get("Content-Type", "")})
        answer = self._database.getresponse()
        said = answer.read()
        if self.path.startswith("/write") and answer.status == 204:
            at_ms = time_ns() / 1e6
            self.told.lines.extend((at_ms, line) for line in body.split(b"\n"))
        self.send_response(answer.status)
        if answer.status != 204:
            self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Not on the terminal."""
