"""InfluxStore against Debian's influxd 1.6.7: what it takes, refuses, forgets and answers."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random

import pytest

from gateway.clock.kernel import SystemClock
from gateway.counters import Counters
from gateway.errors import StoreBusy, StoreRefused
from gateway.ioc import audit
from gateway.ioc.breaker import Breaker
from gateway.ioc.check import Accepted, check
from gateway.ioc.deadletter import DeadLetters
from gateway.ioc.deposit import Deposit
from gateway.ioc.store.base import BEYOND_RETENTION, TYPE_CONFLICT, UNPARSABLE, Stored
from gateway.ioc.store.influx import InfluxSettings, InfluxStore
from gateway.model import Batch, BootMs, Event, Gap, RejectedRow, SeqRanges, UtcMs
from gateway.testing.worker import InlineWorker
from gateway.wire import line_protocol
from tests.support.ioc import EPOCH, GATEWAY, ROOT, make_batch, message, row
from tests.support.servers import Influxd
from tests.unit.ioc.test_deadletter import letters_in

pytestmark = pytest.mark.server
CLOCK = SystemClock("system")
NOW = UtcMs(CLOCK.utc_ms() // 1000 * 1000)


@pytest.fixture(scope="module")
def influxd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influxd]:
    """One server for all tests that do not hurt it; each has its own database."""
    with Influxd(tmp_path_factory.mktemp("influxd")) as server:
        yield server


@pytest.fixture
async def store(influxd: Influxd, request: pytest.FixtureRequest) -> AsyncIterator[InfluxStore]:
    """A fresh database."""
    influxd.create_database(request.node.name)
    made = InfluxStore(InfluxSettings(influxd.url, request.node.name), CLOCK)
    yield made
    await made.close()


def deposit(store: InfluxStore, folder: Path) -> Deposit:
    """Over the real store."""
    return Deposit(store, DeadLetters(folder, InlineWorker()), Breaker(), CLOCK, Counters(), Random(1))


def accepted(batch: Batch) -> Accepted:
    """A batch that passed the check."""
    found = check(message(batch), ROOT, frozenset(), NOW)
    assert isinstance(found, Accepted)
    return found


async def put(store: InfluxStore, folder: Path, *batches: Batch) -> dict[int, tuple[RejectedRow, ...]]:
    """What was settled: seq -> rejected rows."""
    until = BootMs(CLOCK.boot_ms() + 2000)
    settled = await deposit(store, folder).put([accepted(batch) for batch in batches], [], until)
    return {done.batch.id.seq: done.rejected for done in settled}


async def test_ready_finds_v1(store: InfluxStore) -> None:
    """The v2 path is not there; the v1 path is, and what is written reads back."""
    await store.ready()


async def test_a_lost_database(influxd: Influxd) -> None:
    """Is busy, for writes and for questions: nothing is taken for stored, nothing for missing."""
    store = InfluxStore(InfluxSettings(influxd.url, "nobody_made_it"), CLOCK)
    for ask in (store.ready, store.gateways):
        with pytest.raises(StoreBusy):
            await ask()
    await store.close()


async def test_rows_read_back(store: InfluxStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values, nulls, quotes and untrusted clocks; page by page, each once."""
    monkeypatch.setattr("gateway.ioc.store.influx.PAGE_ROWS", 3)
    trusted = make_batch(1, [row(at, None if at == 2 else 230.0 + at) for at in range(5)], t0=NOW)
    unset = make_batch(2, [row(4, 99.0)], t0=NOW, clock="unset")
    assert await put(store, tmp_path, trusted, unset) == {1: (), 2: ()}
    found = [one async for one in store.rows("energy_meter", GATEWAY, "meter-1")]
    assert [at - NOW for at, _ in found] == [0, 1, 2, 3, 4, 4]
    assert found[0][1] == {"voltage": 230.0, "frequency": 50.0, "on": True, "note": 'a "b"\\'}
    assert found[2][1] == {"qc": "voltage:refused", "frequency": 50.0, "on": True, "note": 'a "b"\\'}
    assert {fields["voltage"] for at, fields in found if at - NOW == 4} == {99.0, 234.0}


async def test_twice_is_the_same(store: InfluxStore, tmp_path: Path) -> None:
    """A batch that comes again changes nothing."""
    event = Event(BootMs(0), "meter-1", "down", ("a", 1))
    for _ in range(2):
        await put(store, tmp_path, make_batch(1, [row(0), event], t0=NOW))
    assert len([one async for one in store.rows("energy_meter", GATEWAY, "meter-1")]) == 1
    assert await store.ledger(GATEWAY, EPOCH) == Stored(SeqRanges(((1, 1),)), NOW)


async def test_type_conflict_is_found(store: InfluxStore, tmp_path: Path) -> None:
    """Of 200 rows in three batches exactly the guilty ones are rejected and kept, all others are stored."""
    await store.write([f'energy_meter,device=other voltage="text" {NOW}'.encode()], "ms")
    with pytest.raises(StoreRefused) as refused:
        await store.write([f"energy_meter,device=x voltage=1.0 {NOW}".encode()], "ms")
    assert (refused.value.reason, refused.value.dropped) == (TYPE_CONFLICT, 0)
    rows = [row(at, None if at % 50 else 230.0) for at in range(100)]
    settled = await put(store, tmp_path, *(make_batch(seq, rows, t0=NOW + seq * 1000) for seq in (1, 2)))
    expected = (RejectedRow(0, 0, TYPE_CONFLICT), RejectedRow(0, 50, TYPE_CONFLICT))
    assert settled == {1: expected, 2: expected}
    assert len([one async for one in store.rows("energy_meter", GATEWAY, "meter-1")]) == 196
    assert [(letter["seq"], letter["row"]) for letter in letters_in(tmp_path)] == [(1, 0), (1, 50), (2, 0), (2, 50)]
    assert await store.stored(GATEWAY, EPOCH) == SeqRanges(((1, 2),))


async def test_an_unreadable_line(store: InfluxStore) -> None:
    """The other lines are stored."""
    with pytest.raises(StoreRefused) as refused:
        await store.write([b"m,gateway=g,device=d v=1.0 1000", b"m v=NaN 1001"], "ms")
    assert refused.value.reason == UNPARSABLE
    assert [at async for at, _ in store.rows("m", "g", "d")] == [1000]


async def test_beyond_retention(influxd: Influxd, tmp_path: Path) -> None:
    """Rows are dead letters; the batch is proven today, its gap records too; nothing is unexplained."""
    influxd.create_database("short", duration="30d")
    store = InfluxStore(InfluxSettings(influxd.url, "short"), CLOCK)
    old = NOW - 40 * 86_400_000
    gaps = [Gap(EPOCH, 2, 3, 70, None, None, "quota")]
    batches = [make_batch(1, t0=old), make_batch(4, t0=old, gaps=gaps), make_batch(5, t0=NOW)]
    settled = await put(store, tmp_path, *batches)
    assert settled[1] == (RejectedRow(0, 0, BEYOND_RETENTION), RejectedRow(0, 1, BEYOND_RETENTION))
    assert (settled[4], settled[5]) == ((), ())
    assert await store.gaps(GATEWAY, EPOCH) == gaps
    (one,) = await audit.audit(store, None, NOW, 30)
    assert (one.stored, one.explained) == (SeqRanges(((1, 1), (4, 5))), SeqRanges(((2, 3),)))
    assert not one.unexplained
    await store.close()


async def test_a_wrong_setting_costs_no_row(tmp_path: Path) -> None:
    """A database whose index is full answers 400; the rows are not at fault, so nothing is rejected or settled."""
    with Influxd(tmp_path / "influxd", max_series=1) as influxd:
        influxd.create_database("city")
        store = InfluxStore(InfluxSettings(influxd.url, "city"), CLOCK)
        with pytest.raises(StoreBusy, match="max-series"):
            await put(store, tmp_path / "dead", make_batch(1, t0=NOW), make_batch(2, t0=NOW, clock="unset"))
        assert letters_in(tmp_path / "dead") == []
        await store.close()


async def test_killed_and_started_again(tmp_path: Path) -> None:
    """What was settled survives SIGKILL; while the server is away nothing is; after amnesia an audit says so."""
    with Influxd(tmp_path / "influxd") as influxd:
        influxd.create_database("city")
        store = InfluxStore(InfluxSettings(influxd.url, "city", timeout_s=2.0), CLOCK)
        assert await put(store, tmp_path / "dead", make_batch(1, t0=NOW)) == {1: ()}
        influxd.kill()
        with pytest.raises(StoreBusy):
            await put(store, tmp_path / "dead", make_batch(2, t0=NOW))
        influxd.start()
        assert await store.stored(GATEWAY, EPOCH) == SeqRanges(((1, 1),))
        assert await put(store, tmp_path / "dead", make_batch(2, t0=NOW)) == {2: ()}
        influxd.query("", 'DROP DATABASE "city"')
        with pytest.raises(StoreBusy):
            await put(store, tmp_path / "dead", make_batch(3, t0=NOW))
        influxd.create_database("city")
        assert await put(store, tmp_path / "dead", make_batch(3, t0=NOW)) == {3: ()}
        (one,) = await audit.audit(store, None, NOW, None)
        assert one.unexplained == SeqRanges(((1, 2),))
        assert audit.exit_code([one]) == 1
        await store.close()


async def test_the_ledger_adds_up(store: InfluxStore) -> None:
    """Dense, with holes, out of time order, twice with one crc, twice with two."""
    dense = [make_batch(seq, t0=NOW + seq) for seq in range(1, 30)]
    await store.write([line_protocol.batch_point(batch, 0) for batch in dense], "ns")
    assert await store.ledger(GATEWAY, EPOCH) == Stored(SeqRanges(((1, 29),)), UtcMs(NOW + 1))
    back = [make_batch(31, t0=NOW - 500), make_batch(5, t0=NOW + 900)]
    await store.write([line_protocol.batch_point(batch, 0) for batch in back], "ns")
    moved = line_protocol.batch_point(dense[6], 0, line_protocol.midnight(NOW))
    await store.write([moved], "ns")
    expected = Stored(SeqRanges(((1, 29), (31, 31))), UtcMs(NOW + 1), SeqRanges(((5, 5),)))
    assert await store.ledger(GATEWAY, EPOCH) == expected
    assert await store.ledger(GATEWAY, "unknown") == Stored(SeqRanges())


async def test_statuses_and_gateways(store: InfluxStore) -> None:
    """The newest full status to arrive; who is known by ledger, gap or status."""
    epochs = [{"epoch": "mute", "first_kept": 1, "last": 4, "pending": [[2, 4]], "parked": [[3, 3]]}]
    lines = [
        line_protocol.status_point("hc-0002", {"epochs": epochs, "online": True, "oldest_age_ms": 5}, NOW),
        line_protocol.status_point("hc-0002", {"online": False}, UtcMs(NOW + 60_000)),
        line_protocol.batch_point(make_batch(1, t0=NOW), 0),
        *line_protocol.gap_points(make_batch(2, t0=NOW), [Gap("older", 1, 2, None, None, None, "quota")]),
    ]
    await store.write(lines, "ns")
    (status,) = await store.status("hc-0002")
    assert (status.last, status.pending, status.parked) == (4, SeqRanges(((2, 4),)), SeqRanges(((3, 3),)))
    assert (status.at_ms, status.oldest_age_ms) == (NOW // 10_000 * 10_000, 5)
    assert await store.gateways() == [(GATEWAY, EPOCH), (GATEWAY, "older"), ("hc-0002", "mute")]
