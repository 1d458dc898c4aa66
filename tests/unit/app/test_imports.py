"""gateway.app.imports: exported batches into a store, as if they had been sent."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from gateway.app.imports import REFUSALS_KEPT, FileUnreadable, Imported, Importer
from gateway.config.ioc import IocSettings, StoreSettings
from gateway.errors import StoreBusy
from gateway.ioc import audit
from gateway.ioc.deadletter import DeadLetters
from gateway.ioc.store.base import Store, Stored
from gateway.ioc.store.sqlite import SqliteStore
from gateway.model import Batch, Gap, Origin, SeqRanges, UtcMs
from gateway.seams import Broker
from gateway.testing.clock import FakeClock
from gateway.testing.worker import InlineWorker
from gateway.wire import exported
from tests.support.ioc import EPOCH, GATEWAY, MemoryStore, make_batch, refusing, row
from tests.unit.ioc.test_deadletter import letters_in

SETTINGS = IocSettings("city", Broker("127.0.0.1", 1883, ""), StoreSettings("", ""), "")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """The embedded one, empty."""
    made = SqliteStore(tmp_path / "store.db")
    yield made
    await made.close()


def importer(folder: Path, store: Store, settings: IocSettings = SETTINGS) -> Importer:
    """With dead letters beside it."""
    return Importer(settings, store, DeadLetters(folder / "dead", InlineWorker()), FakeClock(), Random(1))


def exported_to(path: Path, *found: Batch | bytes) -> Path:
    """A file of these batches; bytes are lines as they are."""
    path.write_bytes(b"".join(one if isinstance(one, bytes) else exported.encode(one) for one in found))
    return path


def sums(found: Imported) -> tuple[int, int, int]:
    """New, known, refused."""
    return found.new, found.known, found.refused


async def test_what_was_carried_is_stored_and_proved(tmp_path: Path, store: SqliteStore) -> None:
    """IMP-1: rows, gap records and ledger points, as if they had come by MQTT: the audit is satisfied."""
    gap = Gap(EPOCH, 4, 6, 30, None, None, "quota")
    path = exported_to(tmp_path / "a.jsonl", *map(make_batch, (1, 2, 3)), make_batch(7, gaps=[gap]))
    found = await importer(tmp_path, store).take(path)
    assert sums(found) == (4, 0, 0)
    assert found.whole
    (account,) = await audit.audit(store, GATEWAY, UtcMs(0), None)
    assert (account.stored, account.explained) == (SeqRanges.of([(1, 3), (7, 7)]), SeqRanges.of([(4, 6)]))
    assert len([at async for at, _ in store.rows("energy_meter", GATEWAY, "meter-1")]) == 2


async def test_again_is_harmless(tmp_path: Path, store: SqliteStore) -> None:
    """IMP-2: the same file, an overlapping one, one line twice: nothing changes, and it is told as known."""
    path = exported_to(tmp_path / "a.jsonl", *map(make_batch, (1, 2, 3)), make_batch(3))
    assert sums(await importer(tmp_path, store).take(path)) == (3, 1, 0)
    before = await store.ledger(GATEWAY, EPOCH)
    assert sums(await importer(tmp_path, store).take(path)) == (0, 4, 0)
    assert await store.ledger(GATEWAY, EPOCH) == before
    more = exported_to(tmp_path / "b.jsonl", *map(make_batch, (3, 4)))
    one = importer(tmp_path, store)
    assert [sums(await one.take(more)), sums(await one.take(more))] == [(1, 1, 0), (0, 2, 0)]


async def test_what_is_damaged_is_refused_by_its_line(tmp_path: Path, store: SqliteStore) -> None:
    """IMP-3: a flipped letter, a torn last line, garbage, a line without end; the others are stored."""
    good = exported.encode(make_batch(1))
    flipped = exported.encode(make_batch(2)).replace(b'"n":2', b'"n":3')
    long = b"x" * (3 * exported.LINE_BYTES_MAX) + b"\n"
    lines = (good, flipped, b"\n", b"garbage\n", b'{"header":{"v":1},"body":""}\n', long)
    path = exported_to(tmp_path / "a.jsonl", *lines, make_batch(3), exported.encode(make_batch(4))[:-40])
    found = await importer(tmp_path, store).take(path)
    assert sums(found) == (2, 0, 5)
    assert [number for number, _ in found.refusals] == [2, 4, 5, 6, 8]
    assert "crc" in found.refusals[0][1]
    assert not found.whole
    assert (await store.ledger(GATEWAY, EPOCH)).seqs == SeqRanges.of([(1, 1), (3, 3)])


async def test_a_file_of_nothing_but_garbage_is_bounded(tmp_path: Path, store: SqliteStore) -> None:
    """IMP-3: every line is counted, the first of them are named."""
    found = await importer(tmp_path, store).take(exported_to(tmp_path / "a.jsonl", b"garbage\n" * 500))
    assert (found.refused, len(found.refusals)) == (500, REFUSALS_KEPT)


async def test_who_may_send_what_holds_here_too(tmp_path: Path, store: SqliteStore) -> None:
    """IMP-3: a relay must be one of ours."""
    relayed = make_batch(1, gateway="dn-relay", origin=Origin("hc-0009", EPOCH, 1, 1, 0))
    path = exported_to(tmp_path / "a.jsonl", relayed)
    assert sums(await importer(tmp_path, store).take(path)) == (0, 0, 1)
    ours = replace(SETTINGS, relays=frozenset({"dn-relay"}))
    assert sums(await importer(tmp_path, store, ours).take(path)) == (1, 0, 0)


async def test_one_number_with_two_contents_is_told(tmp_path: Path, store: SqliteStore) -> None:
    """IMP-2: an old copy of a card, carried by hand: once, when it comes to light."""
    await importer(tmp_path, store).take(exported_to(tmp_path / "a.jsonl", *map(make_batch, (1, 2))))
    other = exported_to(tmp_path / "b.jsonl", make_batch(2, [row(5_000, 7.0)], t0=1_795_521_700_000))
    assert (await importer(tmp_path, store).take(other)).used_twice == 1
    assert (await importer(tmp_path, store).take(other)).used_twice == 0


class AskedStore(MemoryStore):
    """A `MemoryStore` whose ledger is empty."""

    async def ledger(self, gateway: str, epoch: str) -> Stored:
        """Nothing is known."""
        assert (gateway, epoch) == (GATEWAY, EPOCH)
        return Stored(SeqRanges())


async def test_rows_go_before_their_ledger_point(tmp_path: Path) -> None:
    """IMP-1: the order is the promise; requests are as large as those of ingest."""
    store = AskedStore()
    many = [make_batch(seq, [row(1000 * at) for at in range(60)]) for seq in range(1, 41)]
    await importer(tmp_path, store).take(exported_to(tmp_path / "a.jsonl", *many))
    kinds = [precision for precision, _ in store.written]
    assert kinds == ["ms", "ns"] * 3
    assert [len(lines) for precision, lines in store.written if precision == "ms"] == [1020, 1020, 360]


async def test_rows_that_the_store_never_takes_are_dead_letters(tmp_path: Path) -> None:
    """IMP-1: with their reason, before the ledger point says so."""
    store = AskedStore(refusing(b"voltage=13"))
    path = exported_to(tmp_path / "a.jsonl", make_batch(1, [row(0), row(1000, 13.0)]))
    found = await importer(tmp_path, store).take(path)
    assert (sums(found), found.rejected_rows) == ((1, 0, 0), 1)
    assert len(letters_in(tmp_path / "dead")) == 1


async def test_what_is_withheld_is_no_success(tmp_path: Path) -> None:
    """IMP-1: dead letters that cannot be kept: no ledger point, and the file is told as not stored."""
    (tmp_path / "dead").write_text("no folder")
    store = AskedStore(refusing(b"voltage=13"))
    found = await importer(tmp_path, store).take(exported_to(tmp_path / "a.jsonl", make_batch(1, [row(0, 13.0)])))
    assert (sums(found), found.withheld, found.whole) == ((0, 0, 0), 1, False)


async def test_a_store_that_stays_away_ends_it(tmp_path: Path) -> None:
    """IMP-1: nothing is decided; the same file is imported again later."""

    def away(_lines: object, _precision: str) -> None:
        raise StoreBusy("away")

    clock = FakeClock()
    one = Importer(SETTINGS, AskedStore(away), DeadLetters(tmp_path / "dead", InlineWorker()), clock, Random(1))
    path = exported_to(tmp_path / "a.jsonl", make_batch(1))
    async with asyncio.TaskGroup() as tasks:
        taken = tasks.create_task(_taken(one, path))
        while not taken.done():
            await clock.advance(5_000)
    assert taken.result() == "away"


async def _taken(one: Importer, path: Path) -> str:
    try:
        await one.take(path)
    except StoreBusy as error:
        return str(error)
    return ""


async def test_a_file_that_cannot_be_read(tmp_path: Path, store: SqliteStore) -> None:
    """Told by a code of its own; a folder or a pipe is none."""
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(FileUnreadable):
            await importer(tmp_path, store).take(path)
