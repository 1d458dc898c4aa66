"""Nothing is settled before the store has rows and ledger, and dead letters are on disk."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest

from gateway.counters import Counters
from gateway.errors import StoreBusy, StoreRefused
from gateway.ioc.breaker import Breaker
from gateway.ioc.check import Accepted, Document, check
from gateway.ioc.deadletter import DeadLetters
from gateway.ioc.deposit import Deposit
from gateway.ioc.store.base import BEYOND_RETENTION, TYPE_CONFLICT
from gateway.model import Batch, BootMs, Event, Gap, RejectedRow
from gateway.testing.clock import FakeClock, turns
from gateway.testing.worker import InlineWorker
from tests.support.ioc import EPOCH, GATEWAY, ROOT, T0, MemoryStore, make_batch, message, refusing, row
from tests.unit.ioc.test_deadletter import letters_in

SOON = BootMs(65_000)


class Bench:
    """A deposit and all it touches."""

    def __init__(self, folder: Path, before: Callable[[Sequence[bytes], str], None] | None = None) -> None:
        self.store = MemoryStore(before)
        self.clock = FakeClock()
        self.counters = Counters()
        self.folder = folder
        self.breaker = Breaker()
        self.letters = DeadLetters(folder, InlineWorker(), total_max_bytes=100_000)
        self.deposit = Deposit(self.store, self.letters, self.breaker, self.clock, self.counters, Random(1))

    async def put(self, *batches: Batch, documents: Sequence[Document] = ()) -> dict[int, tuple[RejectedRow, ...]]:
        """What was settled: seq -> rejected rows."""
        settled = await self.deposit.put([accepted(batch) for batch in batches], documents, SOON)
        return {done.batch.id.seq: done.rejected for done in settled}


def accepted(batch: Batch) -> Accepted:
    """A batch that passed the check."""
    found = check(message(batch), ROOT, frozenset(), T0)
    assert isinstance(found, Accepted)
    return found


async def test_rows_then_ledger(tmp_path: Path) -> None:
    """Two requests for any number of batches: rows in ms, then ledger, gaps, events and documents in ns."""
    bench = Bench(tmp_path)
    gap = Gap(EPOCH, 1, 2, None, None, None, "quota")
    document = Document("hc-0002", (b"gw_status,gateway=hc-0002 online=true 5",))
    batches = [make_batch(5, [row(0), Event(BootMs(1), "", "up")]), make_batch(6), make_batch(7, gaps=[gap])]
    assert await bench.put(*batches, documents=[document]) == {5: (), 6: (), 7: ()}
    (first, rows), (second, ledger) = bench.store.written
    assert (first, len(rows)) == ("ms", 3)
    assert second == "ns"
    names = [line.partition(b",")[0] for line in ledger]
    assert names == [b"gw_batch", b"gw_event", b"gw_batch", b"gw_batch", b"gw_gap", b"gw_status"]
    assert (bench.counters.get("ingest_batches"), bench.counters.get("ingest_rows")) == (3, 3)


async def test_no_ledger_without_rows(tmp_path: Path) -> None:
    """A store that does not take the rows gets no ledger point, and nothing is settled."""

    def busy(_lines: Sequence[bytes], precision: str) -> None:
        if precision == "ms":
            raise StoreBusy("no")

    bench = Bench(tmp_path, busy)
    with pytest.raises(StoreBusy):
        await advanced(bench, bench.put(make_batch(5)))
    assert bench.store.written == []


async def test_nothing_settled_without_a_ledger(tmp_path: Path) -> None:
    """Rows alone prove nothing to an audit."""

    def busy(_lines: Sequence[bytes], precision: str) -> None:
        if precision == "ns":
            raise StoreBusy("no")

    bench = Bench(tmp_path, busy)
    with pytest.raises(StoreBusy):
        await advanced(bench, bench.put(make_batch(5)))
    assert [precision for precision, _ in bench.store.written] == ["ms"]


async def test_busy_is_tried_again(tmp_path: Path) -> None:
    """With growing pauses, for less than ten seconds, and counted."""
    times: list[int] = []
    bench = Bench(tmp_path)

    def busy(_lines: Sequence[bytes], _precision: str) -> None:
        times.append(bench.clock.boot_ms() - 60_000)
        raise StoreBusy("no")

    bench.store.before = busy
    with pytest.raises(StoreBusy):
        await advanced(bench, bench.put(make_batch(5)))
    assert len(times) >= 4
    assert max(times) < 5_000
    assert bench.counters.get("store_busy") == len(times)


async def test_busy_once(tmp_path: Path) -> None:
    """A short outage is only a delay."""
    bench = Bench(tmp_path)
    outage = [StoreBusy("one"), StoreBusy("two")]

    def busy(_lines: Sequence[bytes], _precision: str) -> None:
        if outage:
            raise outage.pop()

    bench.store.before = busy
    assert await advanced(bench, bench.put(make_batch(5))) == {5: ()}


async def test_guilty_rows_are_named_and_kept(tmp_path: Path) -> None:
    """Only they: the others are stored, the batch is settled, its ledger point says how many were rejected."""
    bench = Bench(tmp_path, refusing(b"voltage=13.0"))
    bad = make_batch(6, [row(0), row(1, 13.0), row(2)], t0=T0 + 5000)
    settled = await bench.put(make_batch(5), bad, make_batch(7, t0=T0 + 9000))
    assert settled == {5: (), 6: (RejectedRow(0, 1, TYPE_CONFLICT),), 7: ()}
    stored = set(bench.store.lines)
    assert len([line for line in stored if line.startswith(b"energy_meter")]) == 6
    assert any(b"seq=6.0,n=3.0,rejected=1.0" in line for line in stored)
    (letter,) = letters_in(tmp_path)
    assert (letter["gateway"], letter["epoch"], letter["seq"]) == (GATEWAY, EPOCH, 6)
    assert (letter["group"], letter["row"], letter["code"]) == (0, 1, TYPE_CONFLICT)
    assert "voltage=13.0" in str(letter["content"])
    assert bench.counters.get("ingest_rejected_rows", reason=TYPE_CONFLICT) == 1


async def test_dead_letters_before_the_ledger(tmp_path: Path) -> None:
    """A guilty row that cannot be kept withholds its batch, and only that: no ledger point, no receipt."""
    bench = Bench(tmp_path, refusing(b"voltage=13.0"))
    (tmp_path / "dead-00000001.jsonl").write_bytes(b"x" * 100_000)
    assert await bench.put(make_batch(5), make_batch(6, [row(1, 13.0)])) == {5: ()}
    assert not any(b"seq=6.0" in line for line in bench.store.lines)
    assert bench.counters.get("ingest_withheld", why="dead_letters") == 1


async def test_an_outage_throws_nothing_away(tmp_path: Path) -> None:
    """Many rows for one reason: no dead letters, no receipts for batches that have such rows; others go on."""
    bench = Bench(tmp_path, refusing(b"voltage=13.0"))
    ill = make_batch(6, [row(at, 13.0) for at in range(101)])
    assert await bench.put(make_batch(5), ill) == {5: ()}
    assert bench.breaker.outages == {TYPE_CONFLICT}
    assert letters_in(tmp_path) == []
    assert bench.counters.get("ingest_outages", reason=TYPE_CONFLICT) == 1
    assert await bench.put(make_batch(7, [row(0, 13.0)]), make_batch(8)) == {8: ()}
    assert bench.counters.get("ingest_withheld", why="outage") == 2


async def test_an_outage_is_cheap(tmp_path: Path) -> None:
    """One ill gateway with a window of ill batches costs a bounded search once, then one write a batch."""
    bench = Bench(tmp_path)
    tries = 0
    refuse = refusing(b"voltage=13.0")

    def counting(lines: Sequence[bytes], precision: str) -> None:
        nonlocal tries
        tries += 1
        refuse(lines, precision)

    bench.store.before = counting
    ill = [make_batch(seq, [row(at, 13.0) for at in range(300)]) for seq in range(20)[1:]]
    assert await bench.put(*ill, make_batch(50)) == {50: ()}
    assert tries < 300
    tries = 0
    assert await bench.put(*ill, make_batch(51)) == {51: ()}
    assert tries == 1 + len(ill) + 2


async def test_a_full_index_beside_a_conflict(tmp_path: Path) -> None:
    """Rows that the database drops for its own trouble are not guilty because another row is."""

    def full(lines: Sequence[bytes], _precision: str) -> None:
        if any(b"voltage=13.0" in line for line in lines):
            raise StoreRefused(TYPE_CONFLICT, "as told")
        if any(b"clock=unset" in line for line in lines):
            raise StoreBusy("max-series")

    bench = Bench(tmp_path, full)
    with pytest.raises(StoreBusy):
        await advanced(bench, bench.put(make_batch(1, [row(0, 13.0), row(1)]), make_batch(2, clock="unset")))
    assert letters_in(tmp_path) == []


async def test_an_old_batch_is_proven_today(tmp_path: Path) -> None:
    """t0 beyond the retention: rows are dead letters, ledger and gap points go to today's midnight."""
    old = T0 - 40 * 86_400_000
    midnight = T0 - T0 % 86_400_000

    def retention(lines: Sequence[bytes], precision: str) -> None:
        factor = 1 if precision == "ms" else 1_000_000
        bad = sum(int(line.rpartition(b" ")[2]) < (T0 - 30 * 86_400_000) * factor for line in lines)
        if bad:
            raise StoreRefused(BEYOND_RETENTION, "as told", bad)

    bench = Bench(tmp_path, retention)
    gaps = [Gap(EPOCH, 1, 2, None, None, None, "quota")]
    event = Event(BootMs(0), "", "restart")
    batches = [make_batch(5, [row(0), event], t0=old), make_batch(6, t0=old, gaps=gaps), make_batch(7)]
    assert await bench.put(*batches) == {5: (RejectedRow(0, 0, BEYOND_RETENTION),), 6: (), 7: ()}
    proofs = [line for line in bench.store.lines if line.startswith((b"gw_batch", b"gw_gap"))]
    times = [int(line.rpartition(b" ")[2]) - midnight * 1_000_000 for line in proofs if b"seq=7.0" not in line]
    assert sorted(times) == [5, 6, 6 * 64]
    assert [letter["code"] for letter in letters_in(tmp_path)] == [BEYOND_RETENTION] * 2
    assert "restart" in str(letters_in(tmp_path)[1]["content"])


async def test_a_refused_proof_withholds_its_batch(tmp_path: Path) -> None:
    """A ledger point that the store will not take leaves the batch without a receipt."""
    bench = Bench(tmp_path, refusing(b"seq=6.0"))
    assert await bench.put(make_batch(5), make_batch(6)) == {5: ()}
    assert bench.counters.get("ingest_withheld", why="ledger") == 1


async def test_a_refused_document_stops_nobody(tmp_path: Path) -> None:
    """A status that the store will not take is a dead letter; the batches beside it are settled."""
    bench = Bench(tmp_path, refusing(b"gw_status"))
    document = Document("hc-0002", (b"gw_status,gateway=hc-0002 online=true 5",))
    assert await bench.put(make_batch(5), documents=[document]) == {5: ()}
    (letter,) = letters_in(tmp_path)
    assert letter["gateway"] == "hc-0002"


async def test_twice_is_the_same(tmp_path: Path) -> None:
    """A batch that comes again writes the same points."""
    bench = Bench(tmp_path)
    await bench.put(make_batch(5))
    once = list(bench.store.lines)
    await bench.put(make_batch(5))
    assert bench.store.lines == once + once


async def advanced(bench: Bench, put: object) -> object:
    """What `put` returns, while time passes."""
    task = asyncio.ensure_future(put)  # type: ignore[call-overload] # noqa: TID251 - the test is the one that waits
    while not task.done():
        await turns()
        await bench.clock.advance(50)
    return task.result()
