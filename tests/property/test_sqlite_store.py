"""The embedded store against a model of InfluxDB in a dict: merges, types, time order."""

import asyncio
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import StoreRefused
from gateway.ioc.store.sqlite import SqliteStore
from gateway.testing.worker import InlineWorker
from gateway.wire.line_protocol import point

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=10)
VALUES = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.booleans(), TEXTS)
POINTS = st.tuples(
    st.sampled_from(["", "unset", "rtc"]),
    st.dictionaries(st.sampled_from(["a", "b", "qc"]), VALUES, min_size=1),
    st.integers(0, 4),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(POINTS, max_size=6), max_size=6))
def test_as_influxdb(writes: list[list[tuple[str, dict[str, float | bool | str], int]]]) -> None:
    """Whatever is written in whatever order, what reads back is what the model says."""
    types: dict[str, type] = {}
    model: dict[tuple[int, str], dict[str, object]] = {}
    with TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "s", InlineWorker())
        for points in writes:
            lines = []
            for clock, fields, at in points:
                lines.append(point("m", {"gateway": "g", "device": "d", "clock": clock}, fields, at))
                if all(types.get(name, type(value)) is type(value) for name, value in fields.items()):
                    types |= {name: type(value) for name, value in fields.items()}
                    model.setdefault((at, clock), {}).update(fields)
            asyncio.run(_write(store, lines))
        found = asyncio.run(_read(store))
    expected = sorted(((at, sorted(fields.items(), key=repr)) for (at, _), fields in model.items()), key=repr)
    assert sorted(found, key=repr) == expected
    assert [at for at, _ in found] == sorted(at for at, _ in model)


async def _write(store: SqliteStore, lines: list[bytes]) -> None:
    with suppress(StoreRefused):
        await store.write(lines, "ms")


async def _read(store: SqliteStore) -> list[tuple[int, list[tuple[str, object]]]]:
    found = [(at, sorted(fields.items(), key=repr)) async for at, fields in store.rows("m", "g", "d")]
    await store.close()
    return found
