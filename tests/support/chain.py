"""The whole chain as real processes: simulators, broker, gateway, ingest, database; each can be killed and come back.

    chain = Chain(tmp_path, broker=..., database=..., driver="own")
    chain.start(); chain.torment(Random(seed), seconds=60); chain.drain(); chain.stop()

Processes are started as a user would start them, from the installed commands, and ended by pid.
"""

import asyncio
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Protocol

from gateway.app.demo_site import ioc_text, site_text
from gateway.control.client import SocketClient, first
from gateway.errors import GatewayError
from tests.support.checker import BOUND_MS, Outage, Refused
from tests.support.servers import free_port

STOP_S = 15.0
READY_S = 20.0
POLL_S = 0.1
DRAIN_S = 60.0
WAIT_SPAN_MS = 3_000  # of how long before a kill it counts that the gateway was kept from running
OFFLINE_BOUND_MS = BOUND_MS - 1_000 + 10_000  # while nobody listens an open batch may be 10 s old


class Restartable(Protocol):
    """What torment needs of anything it kills: tests.support.servers has the others."""

    def start(self) -> None:
        """Return when it works."""

    def kill(self) -> None:
        """SIGKILL."""

    def stop(self) -> None:
        """SIGTERM and wait."""


class Command:
    """One of our own commands as a child process, its output in a file."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self._arguments = [sys.executable, "-m", *arguments]
        self.log = folder / f"{name}.log"
        self.environment: Mapping[str, str] = {}  # on top of ours
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def waited_ms(self) -> float:
        """How long its threads stood ready and no processor took them, since they began: the kernel's own count."""
        waited_ns = 0
        for thread in Path(f"/proc/{self.pid}/task").glob("*/schedstat") if self._process else ():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
                waited_ns += int(thread.read_text().split()[1])
        return waited_ns / 1e6

    def start(self) -> None:
        """Return once started; it waits by itself for what it needs."""
        assert self._process is None
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )

    def kill(self) -> None:
        """SIGKILL; idempotent."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """SIGTERM; it must end by itself, with status 0."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            code = self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.log.name}: did not stop within {STOP_S} s:\n{self.tail()}") from None
        self._process = None
        assert code == 0, f"{self.log.name}: ended with {code}:\n{self.tail()}"

    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process is not None and self._process.poll() is None

    def tail(self) -> str:
        """The end of what it wrote."""
        return self.log.read_bytes()[-4000:].decode(errors="replace")


@dataclass
class Chain:
    """The processes of one run, and when the gateway was away."""

    folder: Path
    broker: Restartable
    broker_port: int
    database: Restartable | None
    store: str  # the [store] table of ioc.toml
    driver: str = "own"
    gateway_away: list[Outage] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    _offline_ms: int = 0
    _late: dict[str, int] = field(default_factory=dict)  # frames that this life of the gateway counts, by device
    _looked_ms: int = 0  # when it last told
    _waits: deque[tuple[int, float]] = field(default_factory=deque)  # (at ms, waited ms) of this life of the gateway

    def __post_init__(self) -> None:
        self.site, self.ioc, self.truth = self.folder / "site.toml", self.folder / "ioc.toml", self.folder / "truth"
        self.site.write_text(site_text(self.folder, self.broker_port, (free_port(), free_port()), link=self.driver))
        self.ioc.write_text(ioc_text(self.folder, self.broker_port, self.store))
        self.simulators = Command(
            self.folder, "simulators", "simulators", str(self.site), "--truth", str(self.truth), "--seed", "7"
        )
        self.gateway = Command(self.folder, "gateway", "gateway", "run", str(self.site))
        self.ingest = Command(self.folder, "ingest", "gateway", "ioc", "ingest", str(self.ioc), "--name", "ingest-1")

    def start(self) -> None:
        """Everything; the broker and the database run already."""
        self.simulators.start()
        wait_until((self.folder / "rs485-1").exists, READY_S, "the simulators' port")
        self.gateway.start()
        self.ingest.start()

    def torment(self, random: Random, seconds: float) -> None:
        """For so long: kill -9 of one process at a time, at random times, back after 0.3 to 3 s."""
        victims: list[tuple[str, Restartable]] = [
            ("gateway", self.gateway),
            ("ingest", self.ingest),
            ("broker", self.broker),
        ]
        if self.database is not None:
            victims.append(("database", self.database))
        end = time.monotonic() + seconds
        order: list[tuple[str, Restartable]] = []
        while time.monotonic() < end:
            order = order or random.sample(victims, len(victims))
            self._watch(random.uniform(1.5, 4.5))
            name, victim = order.pop()
            self._kill(name, victim, random.uniform(0.3, 3.0))

    def drain(self) -> None:
        """End the gateway well, silence the devices, then let it come back until every batch has its receipt."""
        wait_until(self._answers, READY_S, "the gateway to come back")
        self.gateway.stop()
        self.simulators.stop()
        self.gateway.start()
        wait_until(self._all_settled, DRAIN_S, "every batch to be settled")

    def stop(self) -> None:
        """Gateway and ingest by SIGTERM: both must end well."""
        self.gateway.stop()
        self.ingest.stop()

    def kill_all(self) -> None:
        """Whatever is left, whatever happened."""
        for command in (self.simulators, self.gateway, self.ingest):
            command.kill()

    def status(self) -> dict[str, object]:
        """What `gateway status` shows; raises GatewayError while no daemon answers."""
        answer = asyncio.run(first(SocketClient(self.folder / "spool" / "control.sock"), "status"))
        assert isinstance(answer, dict)
        return answer

    def audit(self) -> tuple[int, str]:
        """`gateway ioc audit`: its exit status and what it printed."""
        command = [sys.executable, "-m", "gateway", "ioc", "audit", str(self.ioc)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def outages(self) -> list[Outage]:
        """When the gateway was away, for the checker."""
        return self.gateway_away

    def logs(self) -> str:
        """The end of every log, for a failure's message."""
        commands = (self.simulators, self.gateway, self.ingest)
        return "\n".join(f"--- {c.log.name}\n{c.tail()}" for c in commands if c.log.exists())

    def _kill(self, name: str, victim: Restartable, away_s: float) -> None:
        at = now_ms()
        bound_ms = self._bound_ms(at) + (self._kept_waiting_ms() if name == "gateway" else 0)
        victim.kill()
        self.killed.append(name)
        time.sleep(away_s)
        victim.start()
        if name == "gateway":
            self._waits.clear()
            self._late.clear()
            self.gateway_away.append(Outage(at, now_ms(), bound_ms))

    def _watch(self, seconds: float) -> None:
        """Wait, and note when the gateway was last seen without a broker (or not at all): its bound is longer then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self._online():
                self._offline_ms = now_ms()
            self._kept_waiting_ms()
            self._note_refused()
            time.sleep(POLL_S)

    def _note_refused(self) -> None:
        """What a stream sent and the gateway counts as read too late, since the last look."""
        try:
            counters = asyncio.run(first(SocketClient(self.folder / "spool" / "control.sock"), "counters"))
        except GatewayError:
            return
        assert isinstance(counters, list)
        at = now_ms()
        for name, labels, value in counters:
            if name == "frames_late" and value > (before := self._late.get(labels["device"], 0)):
                self.refused.append(Refused(labels["device"], self._looked_ms, at, int(value) - before))
                self._late[labels["device"]] = int(value)
        self._looked_ms = at

    def _kept_waiting_ms(self) -> float:
        """How long the gateway was kept from running in the last WAIT_SPAN_MS: a bound is counted in time to work in.

        That is evidence of this process, not of the machine: where nothing keeps it, it adds nothing.
        """
        now, waited_ms = now_ms(), self.gateway.waited_ms()
        self._waits.append((now, waited_ms))
        while self._waits[0][0] < now - WAIT_SPAN_MS:
            self._waits.popleft()
        return min(max(0.0, waited_ms - self._waits[0][1]), WAIT_SPAN_MS)

    def _bound_ms(self, at_ms: int) -> float:
        """A batch that was opened offline may still have been open `BOUND_MS` after the gateway was seen offline."""
        return OFFLINE_BOUND_MS if at_ms - self._offline_ms <= BOUND_MS else BOUND_MS

    def _online(self) -> bool:
        try:
            return self.status()["connected"] is True
        except GatewayError:
            return False

    def _answers(self) -> bool:
        try:
            return bool(self.status())
        except GatewayError:
            return False

    def _all_settled(self) -> bool:
        for command in (self.gateway, self.ingest):
            assert command.alive(), f"{command.log.name} died:\n{command.tail()}"
        try:
            return self.status()["pending"] == 0
        except GatewayError:
            return False


def now_ms() -> int:
    """The wall clock: truth and kills are compared by it."""
    return time.time_ns() // 1_000_000


def wait_until(holds: "Holds", seconds: float, what: str) -> None:
    """Poll; raise AssertionError when it did not come true in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        time.sleep(POLL_S)


class Holds(Protocol):
    """A question."""

    def __call__(self) -> bool:
        """Its answer now."""
