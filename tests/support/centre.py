"""A centre and a box as processes, for tests that send them what they should not get."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.control.client import SocketClient, first
from gateway.errors import GatewayError
from tests.support import cabinet, station
from tests.support.cabinet import WAIT_S
from tests.support.chain import Command, wait_until
from tests.unit.ioc.test_deadletter import letters_in


class HasPort(Protocol):
    """A broker on loopback."""

    @property
    def port(self) -> int:
        """Where it listens."""
        ...


@dataclass(frozen=True, slots=True)
class Centre:
    """A real broker and a worker in a process of its own."""

    broker: HasPort
    ingest: Command
    folder: Path

    def dead_letters(self) -> list[dict[str, object]]:
        """Kept so far."""
        return letters_in(self.folder / "dead")


@contextmanager
def centre_in(folder: Path, broker: HasPort, root: str = "city") -> Iterator[Centre]:
    """The worker is ended by SIGTERM and must have lived until then."""
    folder.mkdir(exist_ok=True)
    (folder / "ioc.toml").write_text(f'root = "{root}"\n' + cabinet.ioc_text(broker.port, folder))
    ingest = Command(folder, "ingest", "gateway", "ioc", "ingest", str(folder / "ioc.toml"))
    ingest.start()
    try:
        # Not merely started: what is published before it has subscribed goes to nobody, and nobody sends it again.
        wait_until(lambda: " listening " in ingest.tail(), WAIT_S, "the worker to listen")
        yield Centre(broker, ingest, folder)
        assert ingest.alive(), ingest.tail()
        ingest.stop()
    finally:
        ingest.kill()


def stored_by(centre: Centre, measurement: str, gateway: str) -> list[cabinet.Stored]:
    """The points of one measurement and gateway."""
    points = cabinet.read_store(centre.folder / "store.db")
    return [p for p in points if p.measurement == measurement and p.tags["gateway"] == gateway]


def events_of(centre: Centre, gateway: str) -> list[str]:
    """Codes of the stored events of a gateway."""
    return [p.tags["code"] for p in stored_by(centre, "gw_event", gateway)]


class Box:
    """A gateway's files and its daemon."""

    def __init__(self, folder: Path, gateway: str, broker_port: int) -> None:
        self.folder, self.site, self.profiles = folder, folder / "site.toml", folder / "profiles"
        folder.mkdir(exist_ok=True)
        station.write_station(self.profiles)
        self.site.write_text(cabinet.site_head(folder, broker_port).replace("hc-0001", gateway))
        self.arguments = ("gateway", "run", str(self.site), "--profiles", str(self.profiles))
        self.daemon = Command(folder, "gateway", *self.arguments)
        self._socket = SocketClient(folder / "spool" / "control.sock")

    def status(self) -> dict[str, object]:
        """What it says of itself; nothing while it does not answer."""
        try:
            answer = asyncio.run(first(self._socket, "status"))
        except GatewayError:
            return {}
        assert isinstance(answer, dict)
        return answer

    @contextmanager
    def running(self) -> Iterator[dict[str, object]]:
        """Its status once it answers; it must live until it is told to end, and end well."""
        self.daemon.start()
        try:
            wait_until(lambda: bool(self.status()), WAIT_S, "the daemon")
            yield self.status()
            assert self.daemon.alive(), self.daemon.tail()
            self.daemon.stop()
        finally:
            self.daemon.kill()

    def refused(self) -> tuple[int, str]:
        """It does not start: exit status and what it says."""
        done = subprocess.run(
            [sys.executable, "-m", *self.arguments], capture_output=True, text=True, timeout=WAIT_S, check=False
        )
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr

    def kept(self) -> Path:
        """The last good site."""
        return self.site.with_name(".site.toml.last-good.json")
