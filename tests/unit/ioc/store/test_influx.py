"""The v2 write path against the strict fake; v1 and all questions are tests/integration/test_store_influx.py."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from gateway.errors import StoreBusy, StoreRefused
from gateway.ioc.store.influx import InfluxSettings, InfluxStore
from gateway.testing.clock import FakeClock, turns
from tests.support.fake_influx import FakeInflux

CLOCK = FakeClock()


@pytest.fixture
def influx() -> Iterator[FakeInflux]:
    """A v2 server."""
    with FakeInflux() as fake:
        yield fake


def settings(influx: FakeInflux) -> InfluxSettings:
    """As whom to come in."""
    return InfluxSettings(influx.url, influx.bucket, token=influx.token, org=influx.org, timeout_s=0.3)


@pytest.fixture
async def store(influx: FakeInflux) -> AsyncIterator[InfluxStore]:
    """Connected to it."""
    made = InfluxStore(settings(influx), CLOCK)
    yield made
    await made.close()


async def test_our_bytes(store: InfluxStore, influx: FakeInflux) -> None:
    """Arrive as they are, at their precision."""
    await store.write([b'm,gateway=g v=1.5,s="a b" 5', b"m,gateway=g v=2.0 6"], "ms")
    await store.write([b"m,gateway=g v=3.0 5000000"], "ns")
    assert influx.points["m,gateway=g", 5_000_000] == {"v": 3.0, "s": "a b"}
    assert influx.points["m,gateway=g", 6_000_000] == {"v": 2.0}
    assert influx.requests[-2:] == [("/api/v2/write", "ms"), ("/api/v2/write", "ns")]


async def test_nothing_to_write(store: InfluxStore, influx: FakeInflux) -> None:
    """Asks nobody."""
    await store.write([], "ms")
    assert influx.requests == []


async def test_ready(store: InfluxStore, influx: FakeInflux) -> None:
    """A write that reads back; one that does not is busy."""
    await store.ready()
    influx.answer_all(204)  # takes everything, keeps nothing
    CLOCK.step(1)
    with pytest.raises(StoreBusy, match="read back"):
        await store.ready()


async def test_a_type_conflict(store: InfluxStore, influx: FakeInflux) -> None:
    """Is a refusal with its reason; the others of the request are stored."""
    await store.write([b"m v=1.0 1"], "ms")
    with pytest.raises(StoreRefused) as refused:
        await store.write([b"m v=2.0 2", b"m v=true 3", b"m v=4.0 4"], "ms")
    assert (refused.value.reason, refused.value.dropped) == ("field type conflict", 0)
    assert {at for _, at in influx.points} >= {1_000_000, 2_000_000, 4_000_000}


async def test_an_unreadable_line(store: InfluxStore) -> None:
    """Is a refusal too."""
    with pytest.raises(StoreRefused) as refused:
        await store.write([b"m v=oops 1"], "ms")
    assert refused.value.reason == "unable to parse"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 500, 503])
async def test_the_servers_trouble(store: InfluxStore, influx: FakeInflux, status: int) -> None:
    """Is busy, never a refusal; the next write works."""
    await store.write([b"m v=1.0 1"], "ms")
    influx.answer_next(status)
    with pytest.raises(StoreBusy):
        await store.write([b"m v=2.0 2"], "ms")
    await store.write([b"m v=2.0 2"], "ms")


async def test_a_server_that_hangs(store: InfluxStore, influx: FakeInflux) -> None:
    """Is busy after the timeout."""
    await store.write([b"m v=1.0 1"], "ms")
    influx.hang()
    with pytest.raises(StoreBusy):
        await store.write([b"m v=2.0 2"], "ms")


async def test_a_wrong_token(influx: FakeInflux) -> None:
    """Is busy: nobody's rows are thrown away for it."""
    store = InfluxStore(replace(settings(influx), token="wrong"), FakeClock())
    with pytest.raises(StoreBusy, match="401"):
        await store.write([b"m v=1.0 1"], "ms")
    await store.close()


async def test_nobody_there() -> None:
    """Is busy."""
    store = InfluxStore(InfluxSettings("http://127.0.0.1:1", "city", timeout_s=0.3), FakeClock())
    with pytest.raises(StoreBusy):
        await store.write([b"m v=1.0 1"], "ms")
    with pytest.raises(StoreBusy):
        await store.gateways()
    await store.close()


async def test_neither_dialect(influx: FakeInflux) -> None:
    """A server that has neither path is busy, and says so."""
    store = InfluxStore(replace(settings(influx), url=influx.url + "/elsewhere"), FakeClock())
    with pytest.raises(StoreBusy, match="neither"):
        await store.write([b"m v=1.0 1"], "ms")
    await store.close()


async def test_the_loop_goes_on(store: InfluxStore, influx: FakeInflux) -> None:
    """While a write hangs, the event loop does not."""
    await store.write([b"m v=1.0 1"], "ms")
    influx.hang()
    ticks = 0
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(_refused(store))
        while not writing.done():
            ticks += 1
            await turns(1)
    assert ticks > 100


async def test_secrets_are_not_shown(influx: FakeInflux) -> None:
    """Settings may be logged."""
    assert "secret" not in repr(settings(influx))


async def _refused(store: InfluxStore) -> None:
    with pytest.raises(StoreBusy):
        await store.write([b"m v=2.0 2"], "ms")
