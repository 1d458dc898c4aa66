"""Measurement completeness from a dead device to the audit's screen: real daemon, broker, worker, command line."""

import asyncio
import json
import time
from functools import partial
from pathlib import Path

import pytest

from tests.integration.test_by_hand import typed
from tests.integration.test_chain import EmbeddedBroker
from tests.support import cabinet, station
from tests.support.cabinet import Stored, until
from tests.support.centre import centre_in
from tests.support.chain import Command
from tests.support.modbus_server import ModbusServer
from tests.support.servers import free_port

pytestmark = pytest.mark.timeout(90)
FIELDS, DEAD_UNIT, EVERY_MS, OFF_S, RUNS = len(station.GOOD), 2, 200, 1.5, 2


def of(folder: Path, measurement: str, **tags: str) -> list[Stored]:
    """What is stored of it, in time order."""
    found = [point for point in cabinet.read_store(folder / "store.db") if point.measurement == measurement]
    found = [point for point in found if all(point.tags.get(name, "") == tag for name, tag in tags.items())]
    return sorted(found, key=lambda point: point.time_ns)


async def runs(folder: Path, gateway: Command, port: int) -> list[int]:
    """Two runs in one boot, the daemon off between them; rows of the living device after each."""
    counts: list[int] = []

    def rows() -> int:
        return len([p for p in cabinet.read_store(folder / "store.db") if p.tags.get("device") == "alive"])

    async with ModbusServer("tcp", port) as server:
        server.every = station.answering({})
        server.dead.add(DEAD_UNIT)
        while len(counts) < RUNS:
            gateway.start()
            enough = rows() + 10
            await until(partial(lambda least: rows() >= least, enough), "rows of the living device")
            await asyncio.to_thread(gateway.stop)
            await until(lambda: len(of(folder, "gw_event", code="measured", subject="")) > len(counts), "a telling")
            counts.append(rows())
            await asyncio.sleep(OFF_S)
    return counts


def test_the_figure_is_what_was_done(tmp_path: Path) -> None:
    """W-49: a dead device owes by its period, so does the time the daemon is off; what is good is what is stored."""
    broker = EmbeddedBroker(tmp_path)
    broker.start()
    port = free_port()
    site = tmp_path / "site.toml"
    site.write_text(
        cabinet.site_head(tmp_path, broker.port)
        + cabinet.bus_text("tcp-1", f'host = "127.0.0.1:{port}"')
        + cabinet.device_text("alive", "tcp-1", 1, every=f"{EVERY_MS}ms")
        + cabinet.device_text("dead", "tcp-1", DEAD_UNIT, every=f"{EVERY_MS}ms")
    )
    profiles = station.write_station(tmp_path / "profiles")
    gateway = Command(tmp_path, "gateway", "gateway", "run", str(site), "--profiles", str(profiles))
    began = time.monotonic()
    try:
        with centre_in(tmp_path, broker) as centre:
            counts = asyncio.run(runs(centre.folder, gateway, port))
    finally:
        gateway.kill()
        broker.kill()
    took_ms = 1000 * (time.monotonic() - began)

    told = [json.loads(str(p.fields["detail"])) for p in of(tmp_path, "gw_event", code="measured", subject="")]
    for (due, good, span_ms), rows in zip(told, (counts[0], counts[1] - counts[0]), strict=True):
        assert due == 2 * FIELDS * (span_ms // EVERY_MS)
        assert FIELDS * (rows - 1) <= good <= FIELDS * rows  # the period of the last row may not be over
    assert told[1][2] >= 1000 * OFF_S  # what was due while it was off, and before
    assert sum(span_ms for _, _, span_ms in told) <= took_ms

    code, said, _ = typed("ioc", "audit", tmp_path / "ioc.toml", "--json")
    assert code == 0, said
    (one,) = json.loads(said)["gateways"]
    assert one["delivery_completeness"] == 1.0
    assert (one["values_due"], one["values_good"]) == tuple(sum(each[at] for each in told) for at in (0, 1))
    dead = next(device for device in one["devices_short"] if device["device"] == "dead")
    assert dead == {"device": "dead", "due": one["values_due"] // 2, "good": 0}
    code, said, _ = typed("ioc", "audit", tmp_path / "ioc.toml", "--lang", "vi")
    assert "độ đầy đủ đo " in said
    assert f"thiếu giá trị: dead: có 0 trên {dead['due']}" in said
