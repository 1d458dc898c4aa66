"""A spool's export into the real stores: influxd and the embedded one answer the same."""

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from gateway.app.imports import Importer
from gateway.clock.kernel import SystemClock
from gateway.config.ioc import IocSettings, StoreSettings
from gateway.ioc import audit
from gateway.ioc.deadletter import DeadLetters
from gateway.ioc.store.base import Store
from gateway.ioc.store.influx import InfluxSettings, InfluxStore
from gateway.ioc.store.sqlite import SqliteStore
from gateway.model import SeqRanges, UtcMs
from gateway.seams import Broker
from gateway.spool.export import Wanted
from gateway.testing.worker import InlineWorker
from tests.support.servers import Influxd
from tests.support.spools import GATEWAY, Box

pytestmark = pytest.mark.server
CLOCK = SystemClock("system")
BATCHES = 50


@pytest.fixture(params=["embedded", "influxd"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Empty."""
    if request.param == "embedded":
        embedded = SqliteStore(tmp_path / "store.db")
        yield embedded
        await embedded.close()
        return
    with Influxd(tmp_path / "influxd") as server:
        server.create_database("city")
        influx = InfluxStore(InfluxSettings(server.url, "city"), CLOCK)
        yield influx
        await influx.close()


async def test_what_a_box_exports_the_centre_stores(tmp_path: Path, store: Store) -> None:
    """IMP-1, IMP-2: every batch once, however often the file is imported; the audit finds nothing missing."""
    box = Box(tmp_path / "spool")
    spool = await box.start()
    for level in range(BATCHES):
        await box.measure(level)
    path = tmp_path / "stick.jsonl"
    path.write_bytes(b"".join((await spool.export(Wanted(), 0)).lines))
    await spool.close()
    await store.ready()
    letters = DeadLetters(tmp_path / "dead", InlineWorker())
    settings = IocSettings("city", Broker("127.0.0.1", 1883, ""), StoreSettings("", ""), "")
    sums = []
    for _ in range(2):
        found = await Importer(settings, store, letters, CLOCK, Random(1)).take(path)
        sums.append((found.new, found.known, found.refused, found.used_twice))
    assert sums == [(BATCHES + 1, 0, 0, 0), (0, BATCHES + 1, 0, 0)]
    (account,) = await audit.audit(store, GATEWAY, UtcMs(CLOCK.utc_ms()), None)
    assert (account.stored, account.unexplained) == (SeqRanges.of([(1, BATCHES + 1)]), SeqRanges())
    levels = [fields["level"] async for _, fields in store.rows("water_level", GATEWAY, "level-1")]
    assert sorted(map(float, map(str, levels))) == [float(level) for level in range(BATCHES)]
