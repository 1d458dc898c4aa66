"""gateway.app.stores: which store a [store] table names."""

from pathlib import Path

import pytest

from gateway.app.stores import open_store
from gateway.config.ioc import StoreSettings
from gateway.errors import StoreBusy
from gateway.ioc.store.influx import InfluxStore
from gateway.ioc.store.sqlite import SqliteStore
from gateway.testing.clock import FakeClock
from tests.support.servers import free_port


async def test_sqlite_is_the_embedded_store(tmp_path: Path) -> None:
    """Its path is what follows; the file is made by the first use."""
    store = open_store(StoreSettings(f"sqlite:{tmp_path}/store.db", "city"), FakeClock())
    assert isinstance(store, SqliteStore)
    assert not (tmp_path / "store.db").exists()
    await store.write([b"m,gateway=g v=1 1"], "ms")
    assert [row async for row in store.rows("m", "g", "")] == []
    assert (tmp_path / "store.db").exists()
    await store.close()


async def test_a_reader_makes_no_file(tmp_path: Path) -> None:
    """An audit of a store that is not there finds it away, and leaves nothing behind."""
    store = open_store(StoreSettings(f"sqlite:{tmp_path}/store.db", "city"), FakeClock(), writable=False)
    with pytest.raises(StoreBusy):
        await store.gateways()
    await store.close()
    assert not (tmp_path / "store.db").exists()


async def test_anything_else_is_an_influxdb() -> None:
    """Away until it is asked; then StoreBusy, whoever should be there."""
    store = open_store(StoreSettings(f"http://127.0.0.1:{free_port()}", "city"), FakeClock())
    assert isinstance(store, InfluxStore)
    with pytest.raises(StoreBusy):
        await store.ready()
    await store.close()
