"""A trace that `gateway trace --record` wrote is played back, and the gateway reads what was recorded.

Recorded once, from a running gateway on a serial line and on TCP, whose devices never say the same twice; then the
devices are gone, and only the recording answers.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.control.client import SocketClient
from gateway.errors import GatewayError
from tests.support.cabinet import bus_text, device_text, site_head
from tests.support.chain import Command
from tests.support.servers import free_port

pytestmark = pytest.mark.timeout(120)

BUSES = ("rtu", "tcp")
FIELDS = ("temperature", "humidity")
LINE = "38400 8N1"
POLLS = 14  # of each device, at the shortest period of its profile
SIGNALS = """[signal]
"air-rtu.temperature" = { kind = "ramp", start = 10.0, step = 0.1 }
"air-rtu.humidity" = { kind = "ramp", start = 20.0, step = 0.1 }
"air-tcp.temperature" = { kind = "ramp", start = 30.0, step = 0.1 }
"air-tcp.humidity" = { kind = "ramp", start = 60.0, step = 0.1 }
"""

Pair = tuple[float, ...]


@dataclass(frozen=True)
class Recorded:
    """What one run left: a recording of each bus, and what its device served, in order."""

    folder: Path

    def trace(self, bus: str) -> Path:
        """Its recording."""
        return self.folder / f"{bus}.jsonl"

    def served(self, bus: str) -> list[Pair]:
        """The values of each poll."""
        polls: dict[int, dict[str, float]] = {}
        for line in (self.folder / "truth").read_text().splitlines():
            told = json.loads(line)
            if told["device"] == f"air-{bus}" and "value" in told:
                polls.setdefault(told["n"], {})[told["field"]] = told["value"]
        return [tuple(poll[name] for name in FIELDS) for _, poll in sorted(polls.items())]


def site_text(folder: Path, ports: dict[str, str], *more: str) -> str:
    """Both devices, on the endpoints that are given."""
    parts = [site_head(folder, free_port())]
    for bus, endpoint in ports.items():
        parts.append(bus_text(bus, endpoint, *more))
        parts.append(device_text(f"air-{bus}", bus, 1, "xy/md02@1", every="500ms"))
    return "\n".join(parts)


def until(holds: Callable[[], object]) -> None:
    """The test's timeout is the limit."""
    while not holds():
        time.sleep(0.05)


@contextmanager
def running(folder: Path, name: str, *arguments: str | Path) -> Iterator[None]:
    """A process of our own."""
    command = Command(folder, name, *map(str, arguments))
    command.start()
    try:
        yield
        command.stop()
    finally:
        command.kill()


def gateway(folder: Path, *arguments: str | Path) -> str:
    """What a command says on standard output; nothing on a terminal's."""
    command = [sys.executable, "-m", "gateway", *map(str, arguments), "--socket", str(folder / "spool/control.sock")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """The run: devices, gateway, `gateway trace BUS --record FILE`."""
    folder = tmp_path_factory.mktemp("recorded")
    found = Recorded(folder)
    line, host = f'port = "{folder}/line"\nline = "{LINE}"', f'host = "127.0.0.1:{free_port()}"'
    site = site_text(folder, {"rtu": line, "tcp": host})
    (folder / "site.toml").write_text(site)
    (folder / "sim.toml").write_text(site + SIGNALS)
    with running(folder, "devices", "simulators", folder / "sim.toml", "--truth", folder / "truth"):
        until((folder / "line").is_symlink)
        with running(folder, "daemon", "gateway", "run", folder / "site.toml"):
            until(lambda: all(len(found.served(bus)) >= POLLS for bus in BUSES))
            for bus in BUSES:
                gateway(folder, "trace", bus, "--record", found.trace(bus))
    return found


@contextmanager
def replayed(recorded: Recorded, folder: Path, bus: str, *options: str) -> Iterator[str]:
    """The recording of a bus plays; the key of a [[bus]] that leads to it."""
    to = ("--pty", folder / "port") if bus == "rtu" else ("--tcp", "0")
    ports = folder / "ports.json"
    with running(folder, "replay", "simulators", "--replay", recorded.trace(bus), *to, "--ports", ports, *options):
        until(ports.exists)
        endpoint = json.loads(ports.read_text())["replay"]
        yield f'port = "{endpoint}"\nline = "{LINE}"' if bus == "rtu" else f'host = "{endpoint}"'


@pytest.mark.parametrize("bus", BUSES)
def test_what_was_recorded_is_read_again(recorded: Recorded, tmp_path: Path, bus: str) -> None:
    """One poll after the other, by `gateway read`, which opens the bus itself; then by `gateway probe`."""
    served = recorded.served(bus)
    assert len(set(served)) == len(served)
    with replayed(recorded, tmp_path, bus) as endpoint:
        site = tmp_path / "site.toml"
        site.write_text(site_text(tmp_path, {bus: endpoint}))
        for expected in served[:3]:
            told = json.loads(gateway(tmp_path, "read", f"air-{bus}", *FIELDS, "--site", site, "--json"))
            assert tuple(field["value"] for field in told["fields"]) == expected
        target = endpoint.split('"')[1]
        line = ("--line", LINE) if bus == "rtu" else ()
        told = json.loads(gateway(tmp_path, "probe", target, "1", "1-2", "--table", "input", "--json", *line))
        assert tuple(told["words"].values()) == tuple(round(10 * value) for value in served[3])


@pytest.mark.parametrize("bus", BUSES)
def test_a_recording_is_shown_without_a_gateway(recorded: Recorded, tmp_path: Path, bus: str) -> None:
    """Each frame, in words and as JSON; the registers are those that were served."""
    text = gateway(tmp_path, "trace", recorded.trace(bus), "--last", "0")
    assert text.count("read 2 input registers from 0x0001") >= POLLS
    frames = [json.loads(line) for line in gateway(tmp_path, "trace", recorded.trace(bus), "--json").splitlines()]
    assert {frame["code"] for frame in frames} <= {"trace_read_input", "trace_registers", "trace_no_reply"}
    temperature, humidity = recorded.served(bus)[2]
    assert f": {round(10 * temperature)} {round(10 * humidity)}\n" in text


def test_the_whole_line_again_for_a_gateway_that_listens(recorded: Recorded, tmp_path: Path) -> None:
    """Both sides of it, `--as-bus`: what `mode = "listen"` hears is what was recorded."""
    heard: set[Pair] = set()
    with replayed(recorded, tmp_path, "rtu", "--as-bus") as endpoint:
        (tmp_path / "site.toml").write_text(site_text(tmp_path, {"rtu": endpoint}, 'mode = "listen"'))
        with running(tmp_path, "daemon", "gateway", "run", tmp_path / "site.toml"):
            while len(heard) < 3:
                heard |= {tuple(row["values"][name] for name in FIELDS) for row in rows(tmp_path)}
                time.sleep(0.2)
    assert heard <= set(recorded.served("rtu"))


def rows(folder: Path) -> list[Any]:
    """The newest of the running gateway; none before it runs."""

    async def ask() -> list[Any]:
        return [row async for row in SocketClient(folder / "spool/control.sock").ask("rows")]

    try:
        return asyncio.run(ask())
    except GatewayError:
        return []
