"""The command: a site file in, devices that answer, a log of what they said."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.protocols.modbus_frame import Frame, TcpReader, encode_tcp
from gateway.protocols.modbus_pdu import ReadRequest, Table, encode_request
from simulators.__main__ import main
from tests.unit.simulators.worlds import until

SITE = """
config_version = 1
[gateway]
id = "hc-0001"
[clock]
trust = "system"
[spool]
path = "{folder}/spool"
[[uplink]]
name = "ioc"
[[uplink.server]]
url = "mqtt://127.0.0.1:1"
[[bus]]
name = "tcp-1"
host = "127.0.0.1:0"
[[bus]]
name = "rs485-1"
port = "{folder}/rs485-1"
[[bus]]
name = "dust-line"
port = "{folder}/dust-line"
[[device]]
name = "meter-1"
bus = "tcp-1"
unit_id = 1
profile = "eastron/sdm630@1"
[[device]]
name = "meter-2"
bus = "tcp-1"
unit_id = 2
profile = "eastron/sdm630@1"
[[device]]
name = "relay-1"
bus = "rs485-1"
unit_id = 1
profile = "waveshare/relay8@1"
[[device]]
name = "dust-1"
bus = "dust-line"
profile = "plantower/pms5003@1"
[signal]
"meter-2.voltage_l1" = {{ kind = "constant", value = 225.0 }}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site on a free port."""
    path = tmp_path / "site.toml"
    path.write_text(SITE.format(folder=tmp_path))
    return path


@contextmanager
def running(site: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command as people start it; killed if the test forgot."""
    process = subprocess.Popen([sys.executable, "-m", "simulators", str(site), *more], stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ask(endpoint: str, unit_id: int) -> bytes:
    """The voltage register of a meter."""
    host, _, port = endpoint.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(encode_tcp(Frame(unit_id, encode_request(ReadRequest(Table.INPUT, 0, 2)), 7)))
        return TcpReader().feed(connection.recv(300))[0].pdu


async def test_a_whole_site_is_served_until_told_to_stop(tmp_path: Path, site: Path) -> None:
    """Ports told, TCP answered, links there, stream heard; SIGTERM leaves a whole log and no links."""
    ports, truth = tmp_path / "ports", tmp_path / "truth"
    with running(site, "--truth", str(truth), "--ports", str(ports), "--seed", "3") as process:
        await until(ports.exists)
        endpoints = json.loads(ports.read_text())
        assert sorted(endpoints) == ["dust-line", "rs485-1", "tcp-1"]
        assert ask(endpoints["tcp-1"], 2) == bytes.fromhex("0404 43610000")
        assert ask(endpoints["tcp-1"], 1)[0] == 4
        assert (tmp_path / "rs485-1").is_char_device()
        stream = os.open(tmp_path / "dust-line", os.O_RDWR | os.O_NOCTTY)
        assert os.read(stream, 1) == b"\x42"
        await until(lambda: b"dust-1" in truth.read_bytes())
        os.close(stream)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    entries = [json.loads(line) for line in truth.read_text().splitlines()]
    assert {"meter-1", "meter-2", "dust-1"} == {entry["device"] for entry in entries}
    (voltage,) = [entry for entry in entries if entry["device"] == "meter-2"]
    assert (voltage["value"], voltage["raw"]) == (225.0, "43610000")
    assert not (tmp_path / "rs485-1").is_symlink()
    assert not (tmp_path / "dust-line").is_symlink()


async def test_it_stops_by_itself(site: Path) -> None:
    """--seconds."""
    with running(site, "--seconds", "0.1") as process:
        assert process.wait() == 0


def test_the_problems_of_a_file_are_told(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With line and code; exit code 2."""
    site.write_text(site.read_text().replace("eastron/sdm630@1", "eastron/none@1"))
    assert main([str(site)]) == 2
    assert re.search(r"site\.toml:\d+: device\[0\]\.profile: ", capsys.readouterr().err)


@pytest.mark.parametrize(
    "table", ['"meter-1.voltage_l1" = { kind = "wobble" }', '"meter-9.voltage_l1" = { kind = "ramp" }']
)
def test_a_wrong_signal_is_told(site: Path, capsys: pytest.CaptureFixture[str], table: str) -> None:
    """One that does not exist, or of a field that does not."""
    site.write_text(f"{site.read_text()}{table}\n")
    assert main([str(site)]) == 2
    assert "[signal]: " in capsys.readouterr().err


def test_a_taken_port_is_told(tmp_path: Path, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and what was there is still there; the other links are gone."""
    (tmp_path / "dust-line").write_text("mine")
    assert main([str(site)]) == 1
    assert "dust-line exists" in capsys.readouterr().err
    assert (tmp_path / "dust-line").read_text() == "mine"
    assert not (tmp_path / "rs485-1").is_symlink()
