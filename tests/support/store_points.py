"""Every point of one gateway that a store holds, as the checker compares them: one field of one device at one time."""

import asyncio
import json
import urllib.parse
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from gateway.ioc.store.base import Store
from gateway.ioc.store.sqlite import SqliteStore

Scalar: TypeAlias = float | bool | str

TAGS = frozenset({"gateway", "device", "profile", "clock"})
NOT_VALUES = TAGS | {"time", "qc"}  # qc says why a value is null: a null has no point
LEDGER = "gw_"
TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Point:
    """One stored value."""

    device: str
    field: str
    kind: str
    value: Scalar
    at_ms: int

    @property
    def key(self) -> tuple[str, str, str]:
        """Which series it belongs to."""
        return self.device, self.kind, self.field

    @property
    def row(self) -> tuple[str, str, int]:
        """Which row it stands in."""
        return self.device, self.kind, self.at_ms


def of_row(device: str, kind: str, at_ms: int, fields: Mapping[str, object]) -> Iterator[Point]:
    """The values of one stored row."""
    for name, value in fields.items():
        if name not in NOT_VALUES and isinstance(value, bool | int | float | str):
            yield Point(device, name, kind, value, at_ms)


def from_influx(url: str, db: str, gateway: str) -> list[Point]:
    """All measurements but the ledger's, through InfluxQL over HTTP."""
    kinds = [str(row["name"]) for row in _ask(url, db, "SHOW MEASUREMENTS")]
    points: list[Point] = []
    for kind in (kind for kind in kinds if not kind.startswith(LEDGER)):
        where = f'WHERE "gateway" = {_quoted(gateway, _TEXT)}'
        for row in _ask(url, db, f"SELECT * FROM {_quoted(kind, _NAME)} {where}"):
            points += of_row(str(row["device"]), kind, int(str(row["time"])), row)
    return points


def from_sqlite(path: Path, gateway: str, series: Iterable[tuple[str, str]]) -> list[Point]:
    """The (kind, device) series of the embedded store."""

    async def read() -> list[Point]:
        store = SqliteStore(path, writable=False)
        try:
            return await from_store(store, gateway, series)
        finally:
            await store.close()

    return asyncio.run(read())


async def from_store(store: Store, gateway: str, series: Iterable[tuple[str, str]]) -> list[Point]:
    """The (kind, device) series of any store."""
    points: list[Point] = []
    for kind, device in sorted(series):
        async for at_ms, fields in store.rows(kind, gateway, device):
            points += of_row(device, kind, at_ms, fields)
    return points


def _ask(url: str, db: str, statement: str) -> Iterator[Mapping[str, object]]:
    query = urllib.parse.urlencode({"db": db, "q": statement, "epoch": "ms"})
    with urllib.request.urlopen(f"{url.rstrip('/')}/query?{query}", timeout=TIMEOUT_S) as answer:
        results: Sequence[Mapping[str, object]] = json.load(answer)["results"]
    for result in results:
        if "error" in result:
            raise RuntimeError(f"{statement}: {result['error']}")
        series = result.get("series", [])
        assert isinstance(series, list)
        for one in series:
            for values in one["values"]:
                yield {name: value for name, value in zip(one["columns"], values, strict=True) if value is not None}


_NAME, _TEXT = '"', "'"


def _quoted(text: str, mark: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(mark, "\\" + mark)
    return f"{mark}{escaped}{mark}"
