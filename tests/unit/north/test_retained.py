"""`gateway.north.retained`, through the uplink: status and catalog at the server."""

from gateway.wire.catalog import Catalog, CatalogDevice
from tests.support.backlog import GATEWAY
from tests.support.uplink import TOPICS, UplinkBench


async def test_status_and_catalog_are_retained_at_once_and_again_when_they_change() -> None:
    """And the status every interval, whatever happens."""
    bench = UplinkBench()
    async with bench.running():
        assert set(bench.broker.retained) == {TOPICS.status, TOPICS.catalog}
        assert len(bench.statuses()) == 1
        await bench.clock.advance(30_000)
        assert len(bench.statuses()) == 1
        bench.devices_down = ("meter-1",)
        await bench.clock.advance(3_000)
        assert len(bench.statuses()) == 2
        await bench.clock.advance(62_000)
        assert len(bench.statuses()) == 3
        assert len(bench.broker.payloads(TOPICS.catalog)) == 1
        bench.catalog = Catalog(GATEWAY, {"scheme": "gso-2025", "code": "20242", "name": "Hải Châu"}, None, ())
        await bench.clock.advance(3_000)
        assert len(bench.broker.payloads(TOPICS.catalog)) == 2


async def test_batches_that_come_and_go_are_no_news() -> None:
    """Counts that change with every batch, of any uplink, go with the interval: a status each would cost more."""
    bench = UplinkBench()
    async with bench.running():
        for _ in range(10):
            batch = bench.backlog.append()
            await bench.clock.advance(2_500)
            await bench.answer(batch)
            await bench.clock.advance(2_500)
        assert bench.backlog.pending == []
        assert len(bench.statuses()) == 1


async def test_a_document_that_is_too_large_is_told_and_does_not_cost_the_connection() -> None:
    """A server with small packets would hang up on the catalog, for ever."""
    bench = UplinkBench()
    bench.broker.maximum_packet_bytes = 1_000
    devices = tuple(CatalogDevice(f"meter-{n}", "rs485-1", "energy_meter", "a/b@1", (), ()) for n in range(20))
    bench.catalog = Catalog(GATEWAY, None, None, devices)
    async with bench.running():
        await bench.clock.advance(60_000)
        assert len(bench.broker.connects) == 1
        assert bench.codes() == ["uplink_up", "document_refused"]
        assert TOPICS.catalog not in bench.broker.retained
