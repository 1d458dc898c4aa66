"""The ground-truth log: its format is a contract, and it is on disk in time."""

import asyncio
import json
from pathlib import Path

import simulators.truth
from gateway.model import UtcMs
from simulators.device import Answer
from simulators.moments import Instant
from simulators.registers import Reported, Served
from simulators.truth import BUFFER_BYTES_MAX, TruthLog
from tests.unit.simulators.worlds import until

AT = Instant(81_234_567_890_123, UtcMs(1_795_484_390_240))
ANSWER = Answer(
    b"",
    17,
    (Served("voltage_l1", bytes.fromhex("43663333"), 230.2, Reported(0, 1000)), Served("on", b"\x01", True, None)),
)
LINE = {
    "device": "meter-1", "field": "voltage_l1", "kind": "energy_meter", "raw": "43663333", "value": 230.2,
    "boot_ns": 81_234_567_890_123, "utc_ms": 1_795_484_390_240, "via": "modbus", "n": 17, "group": 0, "every_ms": 1000,
}  # fmt: skip


def test_the_format(tmp_path: Path) -> None:
    """One object a value; the example in the module's text is one of them."""
    log = TruthLog(tmp_path / "truth")
    log.left("meter-1", "energy_meter", ANSWER, AT, "modbus")
    log.close()
    log.close()
    entries = [json.loads(line) for line in (tmp_path / "truth").read_text().splitlines()]
    assert entries == [LINE, LINE | {"field": "on", "raw": "01", "value": True, "group": None, "every_ms": None}]
    told = next(line for line in (simulators.truth.__doc__ or "").splitlines() if line.lstrip().startswith('{"device"'))
    assert told.strip()[:100] in json.dumps(LINE, separators=(",", ":"))


def test_faults_are_told(tmp_path: Path) -> None:
    """A line of its own without a value; a value that may have been lost says so."""
    log = TruthLog(tmp_path / "truth")
    log.fault("meter-1", "echo", 17, "modbus")
    log.left("meter-1", "energy_meter", ANSWER, AT, "modbus", "echo")
    log.close()
    first, second, _ = (json.loads(line) for line in (tmp_path / "truth").read_text().splitlines())
    moment = {"boot_ns": first["boot_ns"], "utc_ms": first["utc_ms"]}
    assert first == {"device": "meter-1", "fault": "echo", "via": "modbus", "n": 17} | moment
    assert second == LINE | {"fault": "echo"}


async def test_it_is_flushed_while_it_is_open(tmp_path: Path) -> None:
    """By its own task; without one, only when much waits."""
    log = TruthLog(tmp_path / "truth")
    log.left("meter-1", "energy_meter", ANSWER, AT, "modbus")
    assert not (tmp_path / "truth").read_bytes()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(log.keep_flushing(), name="truth")
        await until(lambda: (tmp_path / "truth").stat().st_size > 0)
        task.cancel()
    log.close()


def test_what_waits_is_bounded(tmp_path: Path) -> None:
    """A burst is written at once."""
    log = TruthLog(tmp_path / "truth")
    text = Answer(b"", 1, (Served("x", bytes(BUFFER_BYTES_MAX), 1.0, None),))
    log.left("meter-1", "energy_meter", text, AT, "modbus")
    assert (tmp_path / "truth").stat().st_size > BUFFER_BYTES_MAX
    log.close()


def test_no_file_no_log() -> None:
    """--truth is optional."""
    log = TruthLog(None)
    log.left("meter-1", "energy_meter", ANSWER, AT, "modbus")
    log.flush()
    log.close()
