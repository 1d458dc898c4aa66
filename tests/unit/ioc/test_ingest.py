"""One worker: the order of store, receipt and ack, and every way a connection or a store can go."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random

import pytest

from gateway.counters import Counters
from gateway.errors import ConnectionLost, GatewayError, Refused, StoreBusy
from gateway.ioc.deadletter import DeadLetters
from gateway.ioc.ingest import Ingest
from gateway.model import BootMs, RejectedRow
from gateway.seams import Broker
from gateway.testing.clock import FakeClock, turns
from gateway.testing.worker import InlineWorker
from gateway.wire import documents
from gateway.wire.batch import encode
from gateway.wire.topic import Topics
from tests.support.ioc import EPOCH, GATEWAY, ROOT, MemoryStore, Wire, Wires, make_batch, refusing, row
from tests.unit.ioc.test_deadletter import letters_in

TOPICS = Topics(ROOT, GATEWAY)


class StallingClock(FakeClock):
    """`stall` once: the process stands still for so long right after the next look at the clock."""

    stall_ms = 0

    def boot_ms(self) -> BootMs:
        """As it was before the process stood still."""
        now = super().boot_ms()
        self._now_ns += self.stall_ms * 1_000_000
        self.stall_ms = 0
        return now


class Bench:
    """An ingest that runs, and all it touches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock, self.counters, self.wires, self.store = StallingClock(), Counters(), Wires(), MemoryStore()
        self.store.before = self._log
        letters = DeadLetters(folder, InlineWorker())
        broker = Broker("broker", 1883, "ingest-1")
        self.ingest = Ingest(
            broker, ROOT, self.wires, self.store, self.clock, self.counters, Random(1), "ingest-1", letters
        )

    @property
    def wire(self) -> Wire:
        """The newest connection."""
        return self.wires.made[-1]

    async def pass_ms(self, ms: int) -> None:
        """Time passes in small steps, everybody gets many turns."""
        for _ in range(0, ms, 50):
            await turns(60)
            await self.clock.advance(50)
        await turns(60)

    def _log(self, lines: Sequence[bytes], precision: str) -> None:
        self.wires.log.append(f"write {precision} {len(lines)}")


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Running and connected."""
    made = Bench(tmp_path)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(made.ingest.run(), name="ingest")
        await turns(60)
        yield made
        made.ingest.stop()
        await made.pass_ms(3000)
        assert running.done()


async def test_subscriptions(bench: Bench) -> None:
    """Only batches are shared out; documents are heard by every worker."""
    assert bench.wire.subscribed == [
        "$share/ingest/city/+/up/data",
        "city/+/up/status",
        "city/+/up/catalog",
        "city/+/up/outcome",
    ]


async def test_write_receipt_ack(bench: Bench) -> None:
    """In that order, and the receipt names seq and crc."""
    batch = make_batch(7)
    bench.wire.send(batch, 41)
    await bench.pass_ms(200)
    assert bench.wires.log == ["write ms 2", "write ns 1", "publish city/hc-0001/down/receipt", "ack 41"]
    (receipt,) = bench.wire.receipts
    assert (receipt.gateway, receipt.epoch, receipt.stored) == (GATEWAY, EPOCH, ((7, batch.crc),))
    assert (receipt.by, receipt.now) == ("ingest-1", bench.clock.utc_ms() - 100)


async def test_gathered(bench: Bench) -> None:
    """What comes within 100 ms is one request, and one receipt for each gateway and epoch."""
    for mid, gateway in enumerate((GATEWAY, "hc-0002", GATEWAY), start=1):
        bench.wire.send(make_batch(mid, gateway=gateway), mid)
    await turns(60)
    assert bench.store.written == []
    await bench.pass_ms(150)
    assert [precision for precision, _ in bench.store.written] == ["ms", "ns"]
    assert [(one.gateway, [seq for seq, _ in one.stored]) for one in bench.wire.receipts] == [
        (GATEWAY, [1, 3]),
        ("hc-0002", [2]),
    ]
    assert bench.wire.acked == [1, 2, 3]


async def test_the_next_request_is_gathered_while_one_is_written(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its 100 ms have passed when the first one ends; each is written, receipted and acked, one after the other."""
    go, write = asyncio.Event(), bench.store.write

    async def slow(lines: Sequence[bytes], precision: str) -> None:
        await go.wait()
        await write(lines, precision)

    monkeypatch.setattr(bench.store, "write", slow)
    for mid in (1, 2):
        bench.wire.send(make_batch(mid), mid)
        await bench.pass_ms(150)
    assert bench.wires.log == []
    go.set()
    await turns(200)
    one = ["write ms 2", "write ns 1", "publish city/hc-0001/down/receipt"]
    assert bench.wires.log == [*one, "ack 1", *one, "ack 2"]


async def test_a_process_that_stood_still_goes_on(bench: Bench) -> None:
    """A pause of the machine right when a message came ends no worker: it is answered, and so is the next one."""
    bench.clock.stall_ms = 20_000
    bench.wire.send(make_batch(1), 1)
    await bench.pass_ms(200)
    bench.wire.send(make_batch(2), 2)
    await bench.pass_ms(200)
    assert bench.wire.acked == [1, 2]


async def test_urgent_at_once(bench: Bench) -> None:
    """An alarm waits for nobody, and takes what waits with it."""
    bench.wire.send(make_batch(1), 1)
    bench.wire.send(make_batch(2, urgent=True), 2)
    await turns(100)
    assert bench.wire.acked == [1, 2]


async def test_refused_by_name(bench: Bench) -> None:
    """A malformed batch gets an answer on its sender's topic, and is acked."""
    payload = encode(make_batch(7))
    bench.wire.deliver(TOPICS.data, payload[:-1] + bytes((payload[-1] ^ 1,)), 5)
    await bench.pass_ms(200)
    (receipt,) = bench.wire.receipts
    assert (receipt.stored, receipt.refused) == ((), ((7, "crc"),))
    assert bench.wire.published[0][0] == TOPICS.receipt
    assert bench.wire.acked == [5]
    assert bench.store.written == []
    assert bench.counters.get("ingest_refused", why="crc") == 1


async def test_unreadable(bench: Bench) -> None:
    """Garbage is a dead letter, counted and acked: it stops nothing."""
    bench.wire.deliver(TOPICS.data, b"\x00garbage", 5)
    bench.wire.send(make_batch(8), 6)
    await bench.pass_ms(200)
    assert bench.wire.acked == [5, 6]
    assert len(bench.wire.receipts) == 1
    (letter,) = letters_in(bench.folder)
    assert letter["content"] == "AGdhcmJhZ2U="
    assert bench.counters.get("ingest_unreadable", code="unreadable") == 1


async def test_rejected_rows_are_in_the_receipt(bench: Bench) -> None:
    """Named by group and row; the batch is stored all the same."""
    bench.store.before = refusing(b"voltage=13.0")
    bench.wire.send(make_batch(7, [row(0), row(1, 13.0)]), 1)
    await bench.pass_ms(200)
    (receipt,) = bench.wire.receipts
    assert receipt.rejected == ((7, (RejectedRow(0, 1, "field type conflict"),)),)
    assert [seq for seq, _ in receipt.stored] == [7]


async def test_withheld_frees_the_window(bench: Bench) -> None:
    """A batch that an outage withholds gets no receipt; its ack only frees the broker's window."""
    bench.store.before = refusing(b"voltage=13.0")
    bench.wire.send(make_batch(7, [row(at, 13.0) for at in range(101)]), 1)
    await bench.pass_ms(200)
    assert bench.wire.published == []
    assert bench.wire.acked == [1]


async def test_documents(bench: Bench) -> None:
    """A will is written as a status, acked, and never receipted."""
    bench.wire.deliver(TOPICS.status, documents.encode_will("boot-1"), 9)
    await bench.pass_ms(200)
    assert [line.partition(b" ")[0] for line in bench.store.lines] == [b"gw_status,gateway=hc-0001"]
    assert bench.wire.acked == [9]
    assert bench.wire.published == []


async def test_a_store_that_stays_away(bench: Bench) -> None:
    """No receipt, no ack; the connection is given up, and a new one made when the store is there again."""

    def busy(_lines: Sequence[bytes], _precision: str) -> None:
        raise StoreBusy("away")

    bench.store.before = busy
    bench.store.not_ready = 2
    bench.wire.send(make_batch(7), 1)
    await bench.pass_ms(5_200)
    old = bench.wires.made[0]
    assert (old.closed, old.acked, old.published) == (True, [], [])
    bench.store.before = lambda _lines, _precision: None
    await bench.pass_ms(10_000)
    assert len(bench.wires.made) == 2
    bench.wire.send(make_batch(7), 1)
    await bench.pass_ms(200)
    assert bench.wire.acked == [1]


async def test_a_connection_lost_in_a_write(bench: Bench) -> None:
    """Nothing of the old connection is acked or receipted; what comes again on the new one is."""
    bench.store.slow = asyncio.Event()
    bench.wire.send(make_batch(7), 1)
    await bench.pass_ms(200)
    bench.wire.lose()
    await turns(60)
    bench.store.slow.set()
    await bench.pass_ms(2_000)
    old, new = bench.wires.made
    assert (old.acked, old.published, old.closed) == ([], [], True)
    new.send(make_batch(7), 1)
    await bench.pass_ms(200)
    assert new.acked == [1]
    assert [seq for seq, _ in new.receipts[0].stored] == [7]


@pytest.mark.parametrize(("puback", "counter"), [(16, "receipts_unheard"), (135, "receipts_refused")])
async def test_a_receipt_nobody_hears(bench: Bench, puback: int, counter: str) -> None:
    """Is counted; the gateway sends again."""
    bench.wire.puback = puback
    bench.wire.send(make_batch(7), 1)
    await bench.pass_ms(200)
    assert bench.counters.total(counter) == 1
    assert bench.wire.acked == [1]


@pytest.mark.parametrize("failure", [ConnectionLost("down"), Refused(135, "no")])
async def test_a_broker_that_is_away(bench: Bench, failure: GatewayError) -> None:
    """Is tried again, for ever, with jitter."""
    bench.wires.failures = [failure] * 5
    bench.wire.lose()
    await bench.pass_ms(60_000)
    assert len(bench.wires.made) == 2
    assert bench.counters.get("ingest_interruptions", code=failure.code) >= 5
    assert bench.counters.get("ingest_connected") == 1


async def test_a_store_that_is_not_ready(tmp_path: Path) -> None:
    """Without a store there is no connection: the broker tells the gateways that nobody listens."""
    bench = Bench(tmp_path)
    bench.store.not_ready = 3
    async with asyncio.TaskGroup() as group:
        group.create_task(bench.ingest.run(), name="ingest")
        await turns(60)
        assert bench.wires.made == []
        await bench.pass_ms(10_000)
        assert len(bench.wires.made) == 1
        bench.ingest.stop()
        await bench.pass_ms(3_000)


async def test_stop_finishes(tmp_path: Path) -> None:
    """What was received is written, receipted and acked before the end."""
    bench = Bench(tmp_path)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.ingest.run(), name="ingest")
        await turns(60)
        bench.wire.send(make_batch(7), 1)
        await turns(60)
        bench.ingest.stop()
        await turns(200)
        assert running.done()
    assert bench.wire.acked == [1]
    assert bench.wire.closed


async def test_stop_while_connecting(tmp_path: Path) -> None:
    """A broker that does not answer keeps nobody from leaving."""
    bench = Bench(tmp_path)
    bench.wires.silent = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.ingest.run(), name="ingest")
        await turns(60)
        bench.ingest.stop()
        await turns(60)
        assert running.done()


async def test_stop_is_bounded(tmp_path: Path) -> None:
    """A store that hangs costs two seconds, and nothing is acked."""
    bench = Bench(tmp_path)
    bench.store.slow = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(bench.ingest.run(), name="ingest")
        await turns(60)
        bench.wire.send(make_batch(7), 1)
        await bench.pass_ms(200)
        bench.ingest.stop()
        await bench.pass_ms(1_900)
        assert not running.done()
        await bench.pass_ms(200)
        assert running.done()
    assert bench.wire.acked == []
