"""The embedded store behaves as InfluxDB does."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import StoreBusy, StoreRefused
from gateway.ioc.store.base import Stored
from gateway.ioc.store.sqlite import SqliteStore
from gateway.model import Gap, SeqRanges, UtcMs
from gateway.testing.worker import InlineWorker
from gateway.wire import batch as batches
from gateway.wire import line_protocol
from tests.support.ioc import EPOCH, GATEWAY, T0, make_batch, row

Rows = list[tuple[int, dict[str, object]]]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """An empty one."""
    made = SqliteStore(tmp_path / "store.db", InlineWorker())
    yield made
    await made.close()


async def rows_of(store: SqliteStore, measurement: str = "m") -> Rows:
    """Of gateway g, device d."""
    return [found async for found in store.rows(measurement, "g", "d")]


async def test_fields_merge(store: SqliteStore) -> None:
    """The same measurement, tags (in any order) and time: a field is replaced or added, the others stay."""
    await store.write([b"m,gateway=g,device=d f=1.0,g=2.0 5"], "ms")
    await store.write([b"m,device=d,gateway=g f=5.0,h=true 5000000"], "ns")
    assert await rows_of(store) == [(5, {"f": 5.0, "g": 2.0, "h": True})]


async def test_an_absent_tag_is_not_an_empty_one(store: SqliteStore) -> None:
    """A row without `clock` and one with it are two series: neither overwrites the other."""
    await store.write([b"m,gateway=g,device=d f=1.0 5", b"m,clock=unset,gateway=g,device=d f=2.0 5"], "ms")
    assert [fields for _, fields in await rows_of(store)] == [{"f": 1.0}, {"f": 2.0}]


async def test_a_type_conflict_costs_its_row(store: SqliteStore) -> None:
    """With all its fields; the others of the request are stored, and it says how many it dropped."""
    await store.write([b"m,gateway=g,device=d f=1.0 1"], "ms")
    with pytest.raises(StoreRefused) as refused:
        await store.write(
            [
                b"m,gateway=g,device=d f=2.0 2",
                b'm,gateway=g,device=d f="x",other=1.0 3',
                b"m,gateway=g,device=d f=7i 4",
                b"m,gateway=g,device=d f=5.0 5",
            ],
            "ms",
        )
    assert (refused.value.reason, refused.value.dropped) == ("field type conflict", 2)
    assert [at for at, _ in await rows_of(store)] == [1, 2, 5]


async def test_a_dropped_row_gives_no_type(store: SqliteStore) -> None:
    """A field that came only with a refused row has no type yet."""
    await store.write([b"m,gateway=g,device=d f=1.0 1"], "ms")
    with pytest.raises(StoreRefused):
        await store.write([b'm,gateway=g,device=d other="x",f=true 2'], "ms")
    await store.write([b"m,gateway=g,device=d other=1.0 3"], "ms")


async def test_types_outlive_the_process(tmp_path: Path) -> None:
    """A field keeps its type."""
    first = SqliteStore(tmp_path / "s", InlineWorker())
    await first.write([b"m f=1.0 1"], "ms")
    await first.close()
    second = SqliteStore(tmp_path / "s", InlineWorker())
    with pytest.raises(StoreRefused):
        await second.write([b"m f=true 2"], "ms")
    await second.close()


async def test_an_unreadable_line_costs_itself(store: SqliteStore) -> None:
    """The others are stored."""
    with pytest.raises(StoreRefused, match="unable to parse"):
        await store.write([b"m,gateway=g,device=d f=1.0 1", b"m f=NaN 2", b"m,gateway=g,device=d f=3.0 3"], "ms")
    assert [at for at, _ in await rows_of(store)] == [1, 3]


async def test_two_workers_one_file(tmp_path: Path) -> None:
    """What one of them learned (series, types) the other finds."""
    one, two = (SqliteStore(tmp_path / "s", InlineWorker()) for _ in range(2))
    await one.write([b"m,gateway=g,device=d f=1.0 1"], "ms")
    await two.write([b"m,gateway=g,device=d f=2.0 2"], "ms")
    with pytest.raises(StoreRefused):
        await two.write([b"m f=true 3"], "ms")
    assert [at for at, _ in await rows_of(one)] == [1, 2]
    await one.close()
    await two.close()


async def test_a_locked_file_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was decided; after it, the write works."""
    monkeypatch.setattr("gateway.ioc.store.sqlite.BUSY_TIMEOUT_S", 0.01)
    store = SqliteStore(tmp_path / "s", InlineWorker())
    await store.ready()
    other = sqlite3.connect(tmp_path / "s", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreBusy):
        await store.write([b"m,gateway=g,device=d f=1.0 1"], "ms")
    with pytest.raises(StoreBusy):
        await store.ready()
    other.execute("ROLLBACK")
    other.close()
    await store.write([b"m,gateway=g,device=d f=1.0 1"], "ms")
    assert len(await rows_of(store)) == 1
    await store.close()


async def test_full_is_busy_and_changes_nothing(tmp_path: Path) -> None:
    """A file at its bound takes nothing half, forgets what it had numbered, and still reads."""
    store = SqliteStore(tmp_path / "s", InlineWorker(), size_max_bytes=20 * 4096)
    await store.write([b"m,gateway=g,device=d f=1.0 0"], "ms")
    big = "x" * 3000
    with pytest.raises(StoreBusy):
        await store.write([f'n,gateway=g,device=d s="{big}" {at}'.encode() for at in range(100)], "ms")
    assert await rows_of(store, "n") == []
    await store.write([b"m,gateway=g,device=d f=1.0 1"], "ms")
    assert len(await rows_of(store)) == 2
    await store.close()


async def test_a_failed_write_is_forgotten(store: SqliteStore) -> None:
    """Series and types that were numbered in a transaction that is no more are numbered again."""
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr("gateway.ioc.store.sqlite._UPSERT", "INSERT INTO nowhere VALUES (?, ?, ?)")
        with pytest.raises(StoreBusy):
            await store.write([b"m,gateway=g,device=d f=1.0 1"], "ms")
    await store.write([b"m,gateway=g,device=d f=true 1"], "ms")
    assert await rows_of(store) == [(1, {"f": True})]


async def test_a_reader_makes_no_file(tmp_path: Path) -> None:
    """An audit of a path that is not there is an error, not an empty store."""
    with pytest.raises(StoreBusy):
        await SqliteStore(tmp_path / "none", InlineWorker(), writable=False).gateways()
    assert not (tmp_path / "none").exists()


async def test_rows_in_pages(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row once, in time order, also where a page ends between two series of one time."""
    monkeypatch.setattr("gateway.ioc.store.sqlite.READ_PAGE_ROWS", 3)
    lines = [f"m,clock={clock},gateway=g,device=d f=1.0 {at}".encode() for at in range(5) for clock in ("a", "b")]
    await store.write(list(reversed(lines)), "ms")
    assert [at for at, _ in await rows_of(store)] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


async def test_the_ledger_reads_back(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seqs, the time of the lowest, and seqs with two contents, over several pages."""
    monkeypatch.setattr("gateway.ioc.store.sqlite.READ_PAGE_ROWS", 2)
    made = [make_batch(seq, t0=T0 + seq) for seq in (3, 4, 5, 8)]
    again = make_batch(4, t0=T0 + 99)
    await store.write([line_protocol.batch_point(batch, 0) for batch in [*made, again]], "ns")
    await store.write([line_protocol.batch_point(made[0], 0, line_protocol.midnight(T0))], "ns")
    expected = Stored(SeqRanges(((3, 5), (8, 8))), line_protocol.midnight(T0), SeqRanges(((4, 4),)))
    assert await store.ledger(GATEWAY, EPOCH) == expected
    assert await store.stored(GATEWAY, EPOCH) == expected.seqs
    assert await store.ledger(GATEWAY, "other") == Stored(SeqRanges())


async def test_gaps_read_back(store: SqliteStore) -> None:
    """As they were."""
    gaps = [Gap("aaa", 1, 9, 120, UtcMs(5), UtcMs(6), "quota"), Gap("bbb", 20, 20, None, None, None, "corrupt")]
    await store.write(line_protocol.gap_points(make_batch(3, gaps=gaps), gaps), "ns")
    assert await store.gaps(GATEWAY, "aaa") == [gaps[0]]
    assert await store.gaps(GATEWAY, "bbb") == [gaps[1]]


async def test_statuses_read_back(store: SqliteStore) -> None:
    """The newest to arrive counts; a will after it says nothing of epochs."""
    for minute, last in ((0, 5), (1, 7)):
        epochs = [{"epoch": EPOCH, "first_kept": 1, "last": last, "pending": [[last, last]], "parked": []}]
        line = line_protocol.status_point(GATEWAY, {"epochs": epochs, "online": True}, UtcMs(T0 + minute * 60_000))
        await store.write([line], "ns")
    will = line_protocol.status_point(GATEWAY, {"online": False}, UtcMs(T0 + 120_000))
    await store.write([will], "ns")
    (newest,) = await store.status(GATEWAY)
    assert (newest.last, newest.pending, newest.at_ms) == (7, SeqRanges(((7, 7),)), T0 + 60_000)
    assert [[row.last for row in status] for status in await store.statuses(GATEWAY, 9)] == [[5], [7]]
    assert await store.status("hc-0002") == ()


async def test_known_gateways(store: SqliteStore) -> None:
    """By ledger, by gap, by status; nothing else."""
    await store.write([line_protocol.batch_point(make_batch(1), 0)], "ns")
    gap = Gap("older", 1, 2, None, None, None, "quota")
    await store.write(line_protocol.gap_points(make_batch(1), [gap]), "ns")
    epochs = [{"epoch": "mute", "first_kept": 1, "last": 1, "pending": [[1, 1]], "parked": []}]
    await store.write([line_protocol.status_point("hc-0005", {"epochs": epochs}, T0)], "ns")
    batch = make_batch(1, [row(0)], gateway="hc-0009")
    await store.write(line_protocol.rows(batch, batches.open_body(batch))[0], "ms")
    assert await store.gateways() == [(GATEWAY, EPOCH), (GATEWAY, "older"), ("hc-0005", "mute")]


async def test_close_twice(store: SqliteStore) -> None:
    """Idempotent, also before anything was opened."""
    await store.close()
    await store.ready()
    await store.close()
    await store.close()


async def test_the_seqs_around_a_time(store: SqliteStore) -> None:
    """The nearest points on either side and those within, whose times may go back; None where nothing bounds it."""
    times = {1: 0, 2: 1_000, 5: 5_000, 4: 6_000, 9: 9_000}
    await store.write([line_protocol.batch_point(make_batch(seq, t0=T0 + at), 0) for seq, at in times.items()], "ns")
    await store.write([line_protocol.batch_point(make_batch(77, t0=T0 + 5_500, gateway="hc-0002"), 0)], "ns")

    async def around(from_ms: int, to_ms: int) -> tuple[int | None, int | None]:
        return await store.around(GATEWAY, EPOCH, UtcMs(T0 + from_ms), UtcMs(T0 + to_ms))

    assert await around(4_900, 6_100) == (2, 9)
    assert await around(2_000, 3_000) == (2, 5)
    assert await around(5_000, 5_500) == (2, 5)
    assert await around(0, 20_000) == (None, None)
    assert await around(6_500, 20_000) == (4, None)
    assert await store.around("nobody", EPOCH, UtcMs(T0), UtcMs(T0)) == (None, None)
