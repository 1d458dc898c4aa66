"""`gateway demo`: the whole chain as real child processes, watched through their own doors.

Simulators, broker, daemon and ingest are started as commands; sockets and the store are asked: so the demo proves what
is installed. At the end the devices' ground-truth log (JSON lines; simulators/truth.py has its fields) is held against
the store's rows.
"""

import asyncio
import contextlib
import importlib
import json
import logging
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.app import demo_site
from gateway.app.matching import Point, Served, missing, required
from gateway.clock.kernel import SystemClock
from gateway.control.client import SocketClient, first
from gateway.errors import GatewayError
from gateway.ioc.store.sqlite import SqliteStore
from gateway.model import BootMs

TOLERANCE_MS = 500
START_S = 20.0
STOP_S = 10.0
LOOK_MS = 500

_log = logging.getLogger(__name__)


class DemoFailed(GatewayError):
    """A part of the demo could not be started or died; says which, and where its log is."""

    code = "demo_failed"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the live table shows."""

    seconds: float
    status: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...]
    stored: int  # batches in the store


@dataclass(frozen=True, slots=True)
class Verdict:
    """The last line: values that devices served, that the store holds, that are nowhere."""

    read: int
    stored: int
    missing: tuple[Point, ...]

    def line(self) -> str:
        """`read R stored S missing M`."""
        return f"read {self.read} stored {self.stored} missing {len(self.missing)}"


class Demo:
    """A context: entering starts everything, leaving ends everything that is left, whatever happened."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self.folder = Path(tempfile.mkdtemp(prefix="gateway-demo-"))
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._broker: Any = None
        self._store_path = self.folder / "store.db"
        self._control = SocketClient(self.folder / "spool" / "control.sock")
        self._started = clock.boot_ms()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        if error is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    async def snapshots(self, seconds: float | None) -> AsyncIterator[Snapshot]:
        """One each half second, until so many seconds have passed or a part has died (DemoFailed)."""
        store = SqliteStore(self._store_path)
        try:
            while seconds is None or self._seconds() < seconds:
                self._all_alive()
                with contextlib.suppress(GatewayError):  # not there yet: the next look will see it
                    yield await self._snapshot(store)
                await self._clock.sleep_until(BootMs(self._clock.boot_ms() + LOOK_MS))
        finally:
            await store.close()

    async def finish(self) -> Verdict:
        """End the gateway first: it finishes what it asked and waits for receipts; then the rest; then compare."""
        for name in ("gateway", "simulators", "ingest"):
            await self._stop(name)
        return await self._verdict()

    def _seconds(self) -> float:
        return (self._clock.boot_ms() - self._started) / 1000

    async def _start(self) -> None:
        broker_port, *tcp_ports = free_ports(3)
        site, ioc, broker = self.folder / "site.toml", self.folder / "ioc.toml", self.folder / "broker.toml"
        site.write_text(demo_site.site_text(self.folder, broker_port, tcp_ports))
        ioc.write_text(demo_site.ioc_text(self.folder, broker_port, f'url = "sqlite:{self._store_path}"'))
        broker.write_text(demo_site.broker_text(broker_port))
        self._broker = embedded_broker(broker)
        self._child("simulators", "simulators", str(site), "--truth", str(self.folder / "truth"))
        await self._until((self.folder / "dust-line").exists, "the simulators")
        self._child("ingest", "gateway", "ioc", "ingest", str(ioc), "--name", "demo")
        await self._until(self._store_path.exists, "the ingest")
        self._child("gateway", "gateway", "run", str(site))

    def _child(self, name: str, *arguments: str) -> None:
        """In a process group of its own: Ctrl-C reaches the demo only, which ends the others in order."""
        with (self.folder / f"{name}.log").open("wb") as log:
            self._children[name] = subprocess.Popen(
                [sys.executable, "-m", *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            )

    async def _until(self, holds: Callable[[], bool], what: str) -> None:
        end = self._seconds() + START_S
        while not holds():
            self._all_alive()
            if self._seconds() > end:
                raise DemoFailed(f"{what} did not start; logs in {self.folder}")
            await self._clock.sleep_until(BootMs(self._clock.boot_ms() + 50))

    def _all_alive(self) -> None:
        for name, child in self._children.items():
            if child.poll() is not None:
                raise DemoFailed(f"{name} ended with {child.returncode}:\n{self._tail(name)}")

    def _tail(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_bytes()[-2000:].decode(errors="replace")

    async def _snapshot(self, store: SqliteStore) -> Snapshot:
        status = await first(self._control, "status")
        rows = [row async for row in self._control.ask("rows")]
        stored = [len(await store.stored(*names)) for names in await store.gateways()]
        return Snapshot(self._seconds(), dict(status), tuple(rows), sum(stored))  # type: ignore[call-overload, arg-type]

    async def _stop(self, name: str) -> None:
        child = self._children.pop(name)
        child.terminate()
        try:
            code = await asyncio.to_thread(child.wait, STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            raise DemoFailed(f"{name} did not stop; logs in {self.folder}") from None
        if code:
            raise DemoFailed(f"{name} ended with {code}:\n{self._tail(name)}")

    async def _verdict(self) -> Verdict:
        truth = list(read_truth(self.folder / "truth"))
        store = SqliteStore(self._store_path)
        try:
            stored = [
                Point((device, field), at_ms, value)
                for kind, device in sorted({(served.kind, served.point.series[0]) for served in truth})
                async for at_ms, fields in store.rows(kind, demo_site.GATEWAY, device)
                for field, value in fields.items()
                if isinstance(value, float | bool | str)
            ]
        finally:
            await store.close()
        needed = required(truth, stored)
        lost = tuple(missing(needed, stored, TOLERANCE_MS))
        return Verdict(len(needed), len(needed) - len(lost), lost)

    def _end(self) -> None:
        for child in self._children.values():
            child.kill()
            child.wait()
        self._children.clear()
        if self._broker is not None:
            self._broker.stop()


def free_ports(n: int) -> list[int]:
    """Loopback ports that nobody listens on now; all different."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def embedded_broker(config: Path) -> Any:  # noqa: ANN401 - iotcore carries no types for what it returns
    """A running broker in a child process of its own; raises DemoFailed without the extra `demo`."""
    try:
        iotcore = importlib.import_module("iotcore")
    except ImportError as error:
        raise DemoFailed("the demo needs its broker: pip install 'sensor-gateway[demo]'") from error
    return iotcore.Broker(config_path=str(config)).start()


def read_truth(path: Path) -> Iterator[Served]:
    """What the devices said they served; a torn last line is no entry, another one raises ValueError."""
    with path.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                entry = json.loads(line)
                point = Point((entry["device"], entry["field"]), int(entry["utc_ms"]), entry["value"])
                yield Served(point, entry["kind"], entry["via"] == "stream")
