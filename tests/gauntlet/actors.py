"""The processes of one run and the ways between them; each fault of a timetable is begun and ended here.

    simulators == serial, TCP == gateway == uplink == mosquitto == ingest-1, ingest-2 == ingest == store == influxd

What is done is noted in `did.jsonl`, with times: the judge reads it, and nothing else that this module knows.
"""

import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeAlias

from gateway.app.demo_site import GATEWAY, ioc_text, site_text
from gateway.control.client import SocketClient, first
from gateway.errors import GatewayError
from tests.gauntlet.database_way import DatabaseWay
from tests.gauntlet.plan import AMNESIA, SERIAL, TCP, TMPFS, Fault
from tests.gauntlet.proxy import WELL, Mood, Way
from tests.support.chain import Command, now_ms
from tests.support.servers import Influxd, Mosquitto, free_port

DATABASE = "city"
DISK_BYTES = 160 << 20
STUFFED_BYTES = (1 << 20, 4096)  # piece by piece: the gateway writes meanwhile
READY_S = 30.0
LOOK_S = 0.2
STEPPED = Path(__file__).with_name("stepped")
SIM_ANSWER_S = 10.0

Process: TypeAlias = Command | Influxd | Mosquitto
Ended: TypeAlias = Callable[[], Awaitable[None]]


class Simulators(Command):
    """`python -m simulators`, with a truth log for each of its lives."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._seed, self._lives = folder, seed, 0
        super().__init__(folder, "simulators")

    def start(self) -> None:
        """In a new life: the log of the one before is kept."""
        truth = self._folder / f"truth-{self._lives}.jsonl"
        self._lives += 1
        for port in SERIAL:  # what a kill -9 left may lead to somebody else's terminal by now
            (self._folder / port).unlink(missing_ok=True)
        self._arguments = [sys.executable, "-m", "simulators", str(self._folder / "site.toml"), "--truth", str(truth)]
        self._arguments += ["--control", str(self._folder / "sim.sock"), "--seed", str(self._seed)]
        super().start()


class SteppedGateway(Command):
    """`gateway run` whose wall clock is off by as many seconds as the file `clock` says: see `stepped`."""

    def start(self) -> None:
        """With our folder on its path."""
        ours = {"PYTHONPATH": str(STEPPED), "GAUNTLET_CLOCK": str(self.log.with_name("clock"))}
        before = {name: os.environ.get(name) for name in ours}
        os.environ.update(ours)
        try:
            super().start()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def missing_here() -> set[str]:
    """What faults need and this machine does not have."""
    missing = set()
    if os.geteuid():
        missing.add(TMPFS)
    asked = [sys.executable, "-m", "gateway", "ioc", "recall", "--help"]
    if subprocess.run(asked, capture_output=True, check=False, timeout=READY_S).returncode:
        missing.add(AMNESIA)
    return missing


class World:
    """Everything of one run. `family` says what it is started on: a disk of its own, a clock that can be stepped."""

    def __init__(self, folder: Path, seed: int, family: str) -> None:
        self.folder = folder
        self.gateway_id = GATEWAY
        self.own_disk = family in {"disk", "mixed"} and not os.geteuid()
        self.broker, self.influxd = Mosquitto(folder), Influxd(folder)
        self.ways = {
            "uplink": Way(free_port(), self.broker.port),
            "ingest-1": Way(free_port(), self.broker.port),
            "ingest-2": Way(free_port(), self.broker.port),
            "store": DatabaseWay(free_port(), self.influxd.port),
        }
        self._write_files()
        (folder / "clock").write_text("0")
        daemon = SteppedGateway if family == "clock" else Command
        self.gateway = daemon(folder, "gateway", "gateway", "run", str(folder / "site.toml"))
        self.ingests = [
            Command(folder, name, "gateway", "ioc", "ingest", str(folder / f"{name}.toml"), "--name", name)
            for name in ("ingest-1", "ingest-2")
        ]
        self.simulators = Simulators(folder, seed)
        self.processes: dict[str, Process] = {
            "gateway": self.gateway,
            "ingest-1": self.ingests[0],
            "ingest-2": self.ingests[1],
            "broker": self.broker,
            "influxd": self.influxd,
            "simulators": self.simulators,
        }
        self._journal = (folder / "did.jsonl").open("a")
        self._online = False
        self._frozen: set[int] = set()
        self._copy: Path | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everything, ended by pid whatever happens."""
        async with AsyncExitStack() as stack:
            stack.callback(self._end)
            if self.own_disk:
                self._mount()
            self.broker.start()
            self.influxd.start()
            self.influxd.create_database(DATABASE)
            for way in self.ways.values():
                await stack.enter_async_context(way)
            self.simulators.start()
            await until((self.folder / "rs485-1").exists, READY_S, "the simulators' port")
            self.gateway.start()
            for ingest in self.ingests:
                ingest.start()
            yield

    # -- what is noted

    def note(self, what: str, target: str, from_ms: int) -> None:
        """One line for the judge: it is over now."""
        line = {"what": what, "target": target, "from_ms": from_ms, "to_ms": now_ms()}
        self._journal.write(json.dumps(line) + "\n")
        self._journal.flush()

    async def keep_looking(self) -> None:
        """Note when the gateway was seen without a connection: what it may lose then is more."""
        while True:
            at = now_ms()
            online = (await self.status()).get("connected") is True
            if not online:
                self.note("offline", "gateway", at)
            await asyncio.sleep(LOOK_S)

    async def status(self) -> dict[str, object]:
        """What `gateway status` shows; {} while no daemon answers."""
        try:
            answer = await first(SocketClient(self.folder / "spool" / "control.sock", 1.0), "status")
        except GatewayError:
            return {}
        return answer if isinstance(answer, dict) else {}

    # -- faults

    async def suffer(self, fault: Fault) -> None:
        """One fault from its beginning to its end."""
        begun_ms = now_ms()
        ended = await self._begin(fault)
        try:
            await asyncio.sleep(fault.for_s)
        finally:
            await ended()
        self.note(fault.kind, fault.target, begun_ms)

    async def _begin(self, fault: Fault) -> Ended:
        """What ends it."""
        settings = dict(fault.settings)
        if fault.target in self.ways:
            return await self._ill_way(fault.target, fault.kind, settings)
        match fault.kind:
            case "kill":
                ended = await self._killed(fault.target)
            case "freeze":
                ended = self._stopped(fault.target)
            case "amnesia":
                ended = await self._forgetting()
            case "full":
                ended = self._full_disk()
            case "io_errors":
                ended = self._broken_disk()
            case "step":
                ended = self._stepped(settings["by_s"])
            case _:
                ended = await self._ill_field(fault)
        return ended

    async def _ill_way(self, name: str, kind: str, settings: dict[str, str]) -> Ended:
        way = self.ways[name]
        if kind == "reset":
            way.reset()
            return _nothing
        if kind == "refuse":
            await way.refuse()
            return way.listen
        way.mood = Mood(kind, int(settings.get("bytes", "65536")), int(settings.get("ms", "0")) / 1000)

        async def end() -> None:
            way.mood = WELL

        return end

    async def _killed(self, name: str) -> Ended:
        process = self.processes[name]
        await asyncio.to_thread(process.kill)

        async def end() -> None:
            await asyncio.to_thread(process.start)

        return end

    def _stopped(self, name: str) -> Ended:
        pid = self.processes[name].pid
        os.kill(pid, signal.SIGSTOP)
        self._frozen.add(pid)

        async def end() -> None:
            self._frozen.discard(pid)
            os.kill(pid, signal.SIGCONT)

        return end

    async def _forgetting(self) -> Ended:
        """The database goes on as it was some seconds ago."""
        copy = self.folder / "older"
        await asyncio.to_thread(self.influxd.kill)
        await asyncio.to_thread(_copied, self.influxd.folder, copy)
        await asyncio.to_thread(self.influxd.start)

        async def end() -> None:
            await asyncio.to_thread(self.influxd.kill)
            await asyncio.to_thread(_copied, copy, self.influxd.folder)
            await asyncio.to_thread(self.influxd.start)

        return end

    def _full_disk(self) -> Ended:
        stuffing = self.folder / "spool" / "stuffing"
        with stuffing.open("wb") as file:
            for size in STUFFED_BYTES:
                with contextlib.suppress(OSError):  # nothing of that size fits any more: what this is for
                    for _ in range(DISK_BYTES // size):
                        os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), size)

        async def end() -> None:
            stuffing.unlink()

        return end

    def _broken_disk(self) -> Ended:
        """No write to any file works: the kernel answers EFBIG, and SQLite calls it an input/output error."""
        pid = self.gateway.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

        async def end() -> None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))

        return end

    def _stepped(self, by_s: str) -> Ended:
        _set(self.folder / "clock", by_s)

        async def end() -> None:
            _set(self.folder / "clock", "0")

        return end

    async def _ill_field(self, fault: Fault) -> Ended:
        words = " ".join(f"{name}={value}" for name, value in fault.settings)
        await self._tell(f"fault {fault.target} {fault.kind} {words} for={int(fault.for_s * 1000)}ms")

        async def end() -> None:
            if fault.target in SERIAL + TCP:
                await asyncio.sleep(LOOK_S)  # until it is back in its place

        return end

    async def _tell(self, line: str) -> None:
        async with asyncio.timeout(SIM_ANSWER_S):
            source, to = await asyncio.open_unix_connection(self.folder / "sim.sock")
            try:
                to.write(line.encode() + b"\n")
                said = (await source.readline()).decode().strip()
            finally:
                to.close()
        assert said == "ok", f"{line}: {said}"

    # -- files

    def _write_files(self) -> None:
        tcp = free_port(), free_port()
        # no simulator serves what the box says of itself: the judge could not know it
        site = site_text(self.folder, self.ways["uplink"].port, tcp) + "[box]\non = false\n"
        (self.folder / "site.toml").write_text(site)
        store = f'url = "http://127.0.0.1:{self.ways["store"].port}"\ndatabase = "{DATABASE}"'
        for name in ("ingest-1", "ingest-2"):
            (self.folder / f"{name}.toml").write_text(ioc_text(self.folder, self.ways[name].port, store))
        direct = f'url = "{self.influxd.url}"\ndatabase = "{DATABASE}"'
        (self.folder / "audit.toml").write_text(ioc_text(self.folder, self.broker.port, direct))

    def _mount(self) -> None:
        spool = self.folder / "spool"
        spool.mkdir()
        size = f"size={DISK_BYTES},mode=0700"
        subprocess.run(["mount", "-t", "tmpfs", "-o", size, "gauntlet", str(spool)], check=True)

    def _end(self) -> None:
        for pid in self._frozen:
            os.kill(pid, signal.SIGCONT)
        for process in self.processes.values():
            process.kill()
        if self.own_disk:
            spool = self.folder / "spool"
            kept = self.folder / "spool-kept"
            (spool / "stuffing").unlink(missing_ok=True)
            shutil.copytree(spool, kept, ignore=shutil.ignore_patterns("control.sock", "ballast"))
            subprocess.run(["umount", str(spool)], check=True)
            spool.rmdir()
            kept.rename(spool)
        self._journal.close()


async def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll; raise AssertionError when it did not come true in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds} s for {what}"
        await asyncio.sleep(LOOK_S)


async def _nothing() -> None:
    """A fault that ends by itself."""


def _set(file: Path, text: str) -> None:
    """Whole or not at all: it is read at any time."""
    new = file.with_name(file.name + ".new")
    new.write_text(text)
    new.replace(file)


def _copied(source: Path, to: Path) -> None:
    """meta, data and wal of an influxd."""
    for name in ("meta", "data", "wal"):
        shutil.rmtree(to / name, ignore_errors=True)
        shutil.copytree(source / name, to / name)
