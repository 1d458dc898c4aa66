"""The v2 write path against a real server of others: VictoriaMetrics stands in for the path, not the semantics."""

import json
from pathlib import Path

import pytest

from gateway.clock.kernel import SystemClock
from gateway.errors import StoreBusy
from gateway.ioc.store.influx import InfluxSettings, InfluxStore
from gateway.model import UtcMs
from gateway.wire import batch as batches
from gateway.wire import line_protocol
from tests.support.ioc import make_batch
from tests.support.servers import VictoriaMetrics

pytestmark = pytest.mark.server


async def test_v2_write_path(tmp_path: Path) -> None:
    """influxdb-client takes our bytes to `/api/v2/write`, and the values are there; `ready` is not fooled by a 204."""
    clock = SystemClock("system")
    now = UtcMs(clock.utc_ms() - 5000)
    batch = make_batch(1, t0=now)
    with VictoriaMetrics(tmp_path) as server:
        store = InfluxStore(InfluxSettings(server.url, "city", org="danang", token="t"), clock)
        await store.write(line_protocol.rows(batch, batches.open_body(batch))[0], "ms")
        await store.write([line_protocol.batch_point(batch, 0)], "ns")
        with pytest.raises(StoreBusy, match="read back"):
            await store.ready()
        await store.close()
        status, found = server.request("/internal/force_flush")
        assert status == 200
        status, found = server.request("/api/v1/export?match[]=energy_meter_voltage&match[]=gw_batch_seq")
        series = {one["metric"]["__name__"]: one for one in map(json.loads, found.splitlines())}
    assert series["energy_meter_voltage"]["values"] == [230.5, 231]
    assert series["energy_meter_voltage"]["timestamps"] == [now, now + 1000]
    assert series["energy_meter_voltage"]["metric"]["gateway"] == "hc-0001"
    assert series["gw_batch_seq"]["values"] == [1]
