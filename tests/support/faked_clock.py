"""A gateway whose clock is set, stepped and taken away from outside, with a broker, an ingest and true devices."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gateway.control.client import SocketClient, first
from gateway.errors import GatewayError
from tests.support.cabinet import bus_text, device_text, ioc_text, read_store
from tests.support.chain import Command, now_ms, wait_until
from tests.support.checker import read_truth
from tests.support.checker_matching import Truth
from tests.support.servers import Mosquitto, free_port
from tests.support.store_points import Point, of_row

FOLDERS = Path("/usr/lib")
WAIT_S = 20.0
DEVICE, KIND = "meter-1", "energy_meter"


def faketime_library() -> Path:
    """Of Debian's package `faketime`; without it the test is skipped, or fails where CI=true."""
    found = sorted(FOLDERS.glob("*/faketime/libfaketime.so.1"))
    if found:
        return found[0]
    missing = "libfaketime (Debian's package faketime) is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


class FakedBox:
    """`boot`, `clock`, `stop`; `points` and `events` are what the centre has."""

    def __init__(self, folder: Path, broker: Mosquitto, trust: str, *, ca: Path | None = None) -> None:
        self.folder, self._library = folder, faketime_library()
        self.store = folder / "store.db"
        self._site, self._truth, ioc = folder / "site.toml", folder / "truth", folder / "ioc.toml"
        self._wall, self._kernel, self._run = folder / "wall", folder / "kernel", folder / "run-0"
        self._site.write_text(_site(folder, broker.port, trust, ca))
        ioc.write_text(ioc_text(broker.port, folder) if ca is None else _tls_ioc(broker.port, folder, ca))
        self._boots = 0
        self.simulators = Command(folder, "simulators", "simulators", str(self._site), "--truth", str(self._truth))
        self.ingest = Command(folder, "ingest", "gateway", "ioc", "ingest", str(ioc))
        run = ("tests.support.faked_gateway", str(self._kernel), str(self._site))
        self.gateway = Command(folder, "gateway", *run)

    def start(self) -> None:
        """What is around it."""
        self.simulators.start()
        self.ingest.start()

    def clock(self, off_s: float, kernel: str = "not yet") -> None:
        """The wall clock is this far from the truth; `kernel`: synchronised, refused, or not yet."""
        _replace(self._kernel, kernel)
        _replace(self._wall, f"{off_s:+.0f}")

    def boot(self) -> int:
        """Power on, with an empty run folder; returns when, in true ms UTC."""
        self._boots += 1
        self._run = self.folder / f"run-{self._boots}"
        self._run.mkdir()
        self.gateway.environment = {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._wall),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "RUNTIME_DIRECTORY": str(self._run),
        }
        at = now_ms()
        self.gateway.start()
        return at

    def status(self) -> Mapping[str, object]:
        """As `gateway status` shows it; empty while nobody answers."""
        assert self.gateway.alive(), self.gateway.tail()
        try:
            answer = asyncio.run(first(SocketClient(self._run / "control.sock"), "status"))
        except GatewayError:
            return {}
        assert isinstance(answer, dict)
        return answer

    def until(self, word: str) -> None:
        """The clock of the status is this."""
        self.wait(lambda: self.status().get("clock") == word, f"the clock to be {word}")

    def wait(self, holds: Callable[[], bool], what: str) -> None:
        """Bounded; the gateway's log comes with a failure."""
        try:
            wait_until(holds, WAIT_S, what)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.gateway.tail()}") from failure

    def drain(self) -> None:
        """End the daemon and silence the devices; the next run of the same boot sends what is left."""
        self.gateway.stop()
        self.simulators.stop()
        self.gateway.start()
        self.wait(lambda: self.status().get("pending") == 0, "every batch to be settled")

    def quiet(self) -> None:
        """Silence the devices, and let the daemon that runs send what is left."""
        self.simulators.stop()
        live(1.5)  # the batch that is open closes within a second
        self.wait(lambda: self.status().get("pending") == 0, "every batch to be settled")
        self.gateway.stop()

    def end(self) -> None:
        """Whatever is left."""
        for command in (self.gateway, self.ingest, self.simulators):
            command.kill()

    def truths(self, from_ms: int = 0, to_ms: int = 1 << 62) -> list[Truth]:
        """What the devices said in this time."""
        return [truth for truth in read_truth(self._truth) if from_ms <= truth.at_ms < to_ms]

    def points(self) -> dict[str, list[Point]]:
        """What is stored of them, by clock word ("" without one), in time order."""
        stored: dict[str, list[Point]] = {}
        for row in sorted(read_store(self.store), key=lambda row: row.time_ns):
            if row.measurement == KIND:
                points = of_row(DEVICE, KIND, row.time_ns // 1_000_000, row.fields)
                stored.setdefault(row.tags.get("clock", ""), []).extend(points)
        return stored

    def events(self) -> list[tuple[str, str]]:
        """(code, clock word) of all events of the gateway itself, in time order."""
        told = [row for row in read_store(self.store) if row.measurement == "gw_event"]
        return [(e.tags["code"], e.tags.get("clock", "")) for e in sorted(told, key=lambda e: e.time_ns)]


def live(seconds: float) -> None:
    """Let it run, to have something to judge."""
    time.sleep(seconds)


def _replace(path: Path, text: str) -> None:
    """In one step: it is read at any time."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text, "ascii")
    fresh.replace(path)


def _site(folder: Path, broker_port: int, trust: str, ca: Path | None) -> str:
    door = f"mqtt://127.0.0.1:{broker_port}" if ca is None else f"mqtts://127.0.0.1:{broker_port}"
    tls = "" if ca is None else f'ca = "{ca}"\n'
    head = f"""config_version = 1
[gateway]
id = "hc-0001"
[clock]
trust = "{trust}"
[spool]
path = "{folder}/spool"
quota = "100 MB"
[[uplink]]
name = "ioc"
[[uplink.server]]
url = "{door}"
{tls}"""
    bus = bus_text("tcp-1", f'host = "127.0.0.1:{free_port()}"')
    return "\n".join([head, bus, device_text(DEVICE, "tcp-1", 1, "eastron/sdm630@1")])


def _tls_ioc(broker_port: int, folder: Path, ca: Path) -> str:
    plain = ioc_text(broker_port, folder)
    url = f'url = "mqtt://127.0.0.1:{broker_port}"'
    return plain.replace(url, f'url = "mqtts://127.0.0.1:{broker_port}"\nca = "{ca}"')
