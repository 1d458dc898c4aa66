"""A store by its URL: `sqlite:/path/store.db`, or `http://` and `https://` of an InfluxDB."""

from pathlib import Path

from gateway.ioc.store.base import Store
from gateway.ioc.store.influx import InfluxSettings, InfluxStore
from gateway.ioc.store.sqlite import SqliteStore
from gateway.seams import Clock

SQLITE = "sqlite:"


def choose(settings: InfluxSettings, clock: Clock) -> Store:
    """Not opened yet: the first call does that."""
    if settings.url.startswith(SQLITE):
        return SqliteStore(Path(settings.url.removeprefix(SQLITE)))
    return InfluxStore(settings, clock)
