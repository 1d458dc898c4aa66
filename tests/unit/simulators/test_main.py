"""The command: a site file in, devices that answer, a log of what they said."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.config.compile import compile_file
from gateway.protocols.modbus_frame import Frame, RtuReader, TcpReader, encode_rtu, encode_tcp, reply_length
from gateway.protocols.modbus_pdu import ReadRequest, Table, encode_request
from simulators import ctl
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
def running(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command as people start it; killed if the test forgot."""
    process = subprocess.Popen(
        [sys.executable, "-m", "simulators", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
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
    with running(str(site), "--truth", str(truth), "--ports", str(ports), "--seed", "3") as process:
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


FAULTS = """
[fault.meter-1]
kind = "wrong_tid"
[[fault.meter-2]]
kind = "exception"
code = 6
[fault."meter-2.voltage_l2"]
kind = "jump"
by = 7
[fault.rs485-1]
kind = "vanish"
[converter.tcp-1]
absent = 11
timeout = "0ms"
"""


@pytest.fixture
def faulty_site(site: Path) -> Path:
    """The same with faults and a converter."""
    site.write_text(site.read_text() + FAULTS)
    return site


async def test_a_site_fails_on_purpose_and_is_changed_while_it_runs(tmp_path: Path, faulty_site: Path) -> None:
    """[fault] and [converter] of the file; then simctl clears one and sets a value."""
    ports, control = tmp_path / "ports", tmp_path / "sim.sock"
    with running(str(faulty_site), "--ports", str(ports), "--control", str(control)):
        await until(ports.exists)
        endpoint = json.loads(ports.read_text())["tcp-1"]
        assert ask(endpoint, 2) == b"\x84\x06"
        assert ask(endpoint, 9) == b"\x84\x0b"
        await until(lambda: not (tmp_path / "rs485-1").is_symlink())
        assert ctl.main([str(control), "clear", "meter-2"]) == 0
        assert ctl.main([str(control), "set", "meter-2.voltage_l1", "0"]) == 0
        assert ctl.main([str(control), "clear", "rs485-1"]) == 0
        assert ask(endpoint, 2) == bytes.fromhex("0404 00000000")
        await until((tmp_path / "rs485-1").is_char_device)


async def test_a_trace_is_replayed(tmp_path: Path) -> None:
    """In place of a site file."""
    ports, trace = tmp_path / "ports", tmp_path / "trace.jsonl"
    request = encode_tcp(Frame(3, encode_request(ReadRequest(Table.INPUT, 0, 2)), 1)).hex()
    reply = encode_tcp(Frame(3, b"\x04\x04\x01\x02\x03\x04", 1)).hex()
    trace.write_text(
        '{"v":1,"bus":"b","transport":"tcp"}\n'
        f'{{"t_ns":0,"way":"out","bytes":"{request}"}}\n{{"t_ns":5,"way":"in","bytes":"{reply}"}}\n'
    )
    with running("--replay", str(trace), "--tcp", "0", "--ports", str(ports)) as process:
        await until(ports.exists)
        assert ask(json.loads(ports.read_text())["replay"], 3) == b"\x04\x04\x01\x02\x03\x04"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[fault.meter-1]\nkind = "wobble"\n', "[fault]"),
        ('[fault.meter-9]\nkind = "silent"\n', "meter-9"),
        ("[converter.rs485-1]\n", "rs485-1"),
        ("[converter.tcp-1]\nabsent = 12\n", "converter.tcp-1.absent"),
    ],
)
def test_a_wrong_fault_is_told(site: Path, capsys: pytest.CaptureFixture[str], text: str, told: str) -> None:
    """One that does not exist, of what does not exist, a converter where there is none."""
    site.write_text(f"{site.read_text()}{text}")
    assert main([str(site)]) == 2
    assert told in capsys.readouterr().err


def test_a_wrong_trace_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its file."""
    (tmp_path / "t").write_text("{}\n")
    assert main(["--replay", str(tmp_path / "t"), "--tcp", "0"]) == 2
    assert "line 1" in capsys.readouterr().err
    assert main(["--replay", str(tmp_path / "none"), "--tcp", "0"]) == 1


def say(process: subprocess.Popen[bytes], last: bytes) -> str:
    """What it writes, up to the line that begins so."""
    assert process.stdout is not None
    lines: list[bytes] = []
    while not (lines and lines[-1].startswith(last)):
        lines.append(process.stdout.readline())
        assert lines[-1], b"".join(lines)
    return b"".join(lines).decode()


def test_one_device_of_the_library_needs_no_file() -> None:
    """--profile: it answers with values that move, and says what a gateway's site file needs."""
    with running("--profile", "waveshare/relay8", "--tcp", "0", "--unit-id", "9") as process:
        said = say(process, b"unit_id")
        host, port = re.search(r'host = "([0-9.]+):(\d+)"', said).groups()  # type: ignore[union-attr]
        request = encode_tcp(Frame(9, encode_request(ReadRequest(Table.COIL, 0, 8)), 1))
        with socket.create_connection((host, int(port))) as sock:
            sock.sendall(request)
            (frame,) = TcpReader().feed(sock.recv(300))
        assert frame.pdu[:2] == b"\x01\x01"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert "unit_id = 9" in said


def test_a_serial_device_that_is_asked_is_served_behind_a_host() -> None:
    """--tcp: the bytes of its own protocol, and a site file with a host."""
    with running("--profile", "gill/windsonic-polled", "--tcp", "0") as process:
        said = say(process, b"address")
        host, port = re.search(r'host = "([0-9.]+):(\d+)"', said).groups()  # type: ignore[union-attr]
        with socket.create_connection((host, int(port)), timeout=20) as sock:
            sock.sendall(b"Q")
            heard = b""
            while not heard.endswith(b"\r\n"):
                heard += sock.recv(100)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert heard.startswith(b"\x02Q,")


def test_the_twin_of_a_site_is_served_and_a_gateway_can_read_it(tmp_path: Path, site: Path) -> None:
    """--twin: the file that it writes is right, and names where the buses are."""
    with running("--twin", str(site), "--into", str(tmp_path / "twin")) as process:
        said = say(process, b"needs")
        twin = compile_file(tmp_path / "twin" / "twin.toml").site
        endpoints = {bus.name: bus.endpoint for bus in twin.buses}
        assert ask(endpoints["tcp-1"], 2) == bytes.fromhex("0404 43610000")
        assert Path(endpoints["rs485-1"]).is_char_device()
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    assert f"gateway run {tmp_path}/twin/twin.toml\n" in said


def test_a_device_on_a_real_port_answers() -> None:
    """--serial: no pty of ours, no link; whoever is wired to that port is answered, whole."""
    wire, slave = os.openpty()
    tty.setraw(wire)
    port = os.ttyname(slave)
    os.close(slave)
    request = encode_rtu(Frame(1, encode_request(ReadRequest(Table.INPUT, 1, 2))))
    with running("--profile", "xy/md02", "--serial", port) as process:
        said = say(process, b"unit_id")
        os.write(wire, request)
        reply = b""
        while len(reply) < 9:
            assert select.select([wire], [], [], 20)[0]
            reply += os.read(wire, 100)
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
    os.close(wire)
    (frame,) = RtuReader(reply_length).feed(reply)
    assert (frame.unit_id, frame.pdu[:2]) == (1, b"\x04\x04")
    assert f'port = "{port}"' in said


def test_what_does_not_fit_a_profile_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 2, with the nearest name."""
    assert main(["--profile", "xy/md20", "--tcp", "0"]) == 2
    assert "nearest is xy/md02@1" in capsys.readouterr().err
    assert main(["--profile", "xy/md02", "--serial", "/nowhere/port"]) == 1
    assert "/nowhere/port" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--replay"),
        (["a.toml", "--replay", "t"], "--replay"),
        (["--replay", "t"], "--replay"),
        (["--replay", "t", "--serial", "p"], "--replay"),
        (["--profile", "xy/md02"], "--profile needs"),
        (["--profile", "xy/md02", "--pty", "a", "--tcp", "1"], "--profile needs"),
        (["--twin", "a/b.toml", "--into", "a"], "--into"),
    ],
)
def test_one_thing_at_one_place(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A site, a trace, a device or a twin; the second and third need a place."""
    with pytest.raises(SystemExit):
        main(arguments)
    assert told in capsys.readouterr().err


async def test_it_stops_by_itself(site: Path) -> None:
    """--seconds."""
    with running(str(site), "--seconds", "0.1") as process:
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
