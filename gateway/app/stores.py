"""The store that ioc.toml names: the embedded one or an InfluxDB."""

from pathlib import Path

from gateway.config.ioc import StoreSettings
from gateway.ioc.store.base import Store
from gateway.ioc.store.influx import InfluxSettings, InfluxStore
from gateway.ioc.store.sqlite import SqliteStore
from gateway.seams import Clock


def open_store(settings: StoreSettings, clock: Clock, *, writable: bool = True) -> Store:
    """Opened by its first use; one that is away is StoreBusy then."""
    if settings.url.startswith("sqlite:"):
        return SqliteStore(Path(settings.url.removeprefix("sqlite:")), writable=writable)
    known = InfluxSettings(
        settings.url,
        settings.database,
        token=settings.token,
        username=settings.username,
        password=settings.password,
        org=settings.org,
        ca=settings.ca,
    )
    return InfluxStore(known, clock)
