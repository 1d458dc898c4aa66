"""Ingest over a real mosquitto: hand-made batches, garbage among them; the broker and the worker die and come back."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from gateway.clock.kernel import SystemClock
from gateway.counters import Counters
from gateway.ioc import audit
from gateway.ioc.deadletter import DeadLetters
from gateway.ioc.ingest import Ingest
from gateway.ioc.store.base import Store
from gateway.ioc.store.influx import InfluxSettings, InfluxStore
from gateway.ioc.store.sqlite import SqliteStore
from gateway.model import Batch, BootMs, Receipt, UtcMs
from gateway.mqtt.connection import PahoConnect
from gateway.seams import Broker, Connection
from gateway.testing.worker import InlineWorker
from gateway.wire import batch as batches
from gateway.wire import documents, receipt
from gateway.wire.topic import Topics
from tests.support.ioc import EPOCH, GATEWAY, ROOT, make_batch, row
from tests.support.servers import Influxd, Mosquitto
from tests.unit.ioc.test_deadletter import letters_in

pytestmark = pytest.mark.server
CLOCK = SystemClock("system")
CONNECT = PahoConnect(lambda: (CLOCK.utc_ms(), UtcMs(0)))
NOW = UtcMs(CLOCK.utc_ms() // 1000 * 1000)
TOPICS = Topics(ROOT, GATEWAY)


def ingest(server: Mosquitto, store: Store, folder: Path, name: str = "ingest-1") -> Ingest:
    """A worker with real parts."""
    broker = Broker("127.0.0.1", server.port, name)
    return Ingest(broker, ROOT, CONNECT, store, CLOCK, Counters(), Random(1), name, DeadLetters(folder, InlineWorker()))


@asynccontextmanager
async def running(*workers: Ingest) -> AsyncIterator[None]:
    """They run, and are stopped."""
    async with asyncio.TaskGroup() as group:
        for worker in workers:
            group.create_task(worker.run())
        yield
        for worker in workers:
            worker.stop()


class Gateway:
    """The other end: sends batches until each has its receipt, as a gateway would."""

    def __init__(self, server: Mosquitto) -> None:
        self._broker = Broker("127.0.0.1", server.port, GATEWAY)
        self.receipts: list[Receipt] = []

    async def settle(self, *payloads: bytes, entries: int) -> None:
        """Send; again every second, also over a lost connection; until so many different entries were received."""
        while len(self.entries) < entries:
            try:
                await self._send(payloads, entries)
            except* Exception:  # noqa: BLE001 - whatever ended this connection, the next one tells
                await rest(200)

    @property
    def entries(self) -> set[tuple[int, str]]:
        """(seq, "stored" or why it was refused)."""
        stored = {(seq, "stored") for one in self.receipts for seq, _ in one.stored}
        return stored | {(seq, why) for one in self.receipts for seq, why in one.refused}

    async def _send(self, payloads: tuple[bytes, ...], entries: int) -> None:
        connection = await CONNECT(self._broker)
        try:
            await connection.subscribe(TOPICS.receipt)
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(self._listen(connection))
                while len(self.entries) < entries:
                    for payload in payloads:
                        await connection.publish(TOPICS.data, payload)
                    for _ in range(20):
                        await rest(50)
                        if len(self.entries) >= entries:
                            break
                listening.cancel()
        finally:
            await connection.close()

    async def _listen(self, connection: Connection) -> None:
        async for message in connection.messages():
            self.receipts.append(receipt.decode(message.payload))
            connection.ack(message)


def flipped(batch: Batch) -> bytes:
    """One bit of its body."""
    payload = batches.encode(batch)
    return payload[:-1] + bytes((payload[-1] ^ 1,))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """It holds."""
    while not await condition():
        await rest(20)


async def rest(ms: int) -> None:
    """Let the others work."""
    await CLOCK.sleep_until(BootMs(CLOCK.boot_ms() + ms))


async def test_batches_and_garbage(tmp_path: Path) -> None:
    """Good batches are stored and receipted with their crc, bad ones refused by name, garbage kept."""
    good = [make_batch(seq, [row(0, 200.0 + seq)], t0=NOW + seq * 1000) for seq in range(1, 31)]
    payloads = [batches.encode(batch) for batch in good]
    payloads[3:3] = [b"", b"\x00\xff garbage", b"{}\n{}", flipped(make_batch(40)), b"x" * 100_000]
    payloads += [batches.encode(make_batch(41, gateway="hc-0002")), flipped(make_batch(42, t0=NOW))]
    store = SqliteStore(tmp_path / "store.db")
    with Mosquitto(tmp_path) as server:
        async with running(ingest(server, store, tmp_path / "dead")):
            gateway = Gateway(server)
            await gateway.settle(*payloads, entries=33)
            status = documents.encode_will("boot-1")
            other = await CONNECT(Broker("127.0.0.1", server.port, "other"))
            await other.publish(TOPICS.status, status, retain=True)
            await other.close()
            await until(lambda: _has_status(store))
    crcs = {seq: crc for one in gateway.receipts for seq, crc in one.stored}
    assert crcs == {batch.id.seq: batch.crc for batch in good}
    refused = {seq: why for seq, why in gateway.entries if why != "stored"}
    assert refused == {40: "crc", 41: "gateway", 42: "crc"}
    rows = [fields["voltage"] async for _, fields in store.rows("energy_meter", GATEWAY, "meter-1")]
    assert rows == [200.0 + seq for seq in range(1, 31)]
    (one,) = await audit.audit(store, None, NOW, None)
    assert (len(one.stored), audit.exit_code([one])) == (30, 0)
    assert {letter["code"] for letter in letters_in(tmp_path / "dead")} == {"unreadable"}
    await store.close()


async def test_the_broker_dies(tmp_path: Path) -> None:
    """SIGKILL in the middle of a drain: both sides come back, every batch ends stored."""
    store = SqliteStore(tmp_path / "store.db")
    payloads = [batches.encode(make_batch(seq, t0=NOW + seq * 1000)) for seq in range(1, 101)]
    with Mosquitto(tmp_path) as server:
        async with running(ingest(server, store, tmp_path / "dead")), asyncio.TaskGroup() as group:
            gateway = Gateway(server)
            settling = group.create_task(gateway.settle(*payloads, entries=100))
            await until(lambda: _stored(store, 10))
            server.kill()
            server.start()
            await settling
    assert len(await store.stored(GATEWAY, EPOCH)) == 100
    await store.close()


async def test_two_workers_share(tmp_path: Path) -> None:
    """Batches are shared out, each batch once; both workers write one store and give receipts in their own name."""
    stores = [SqliteStore(tmp_path / "store.db") for _ in range(2)]
    with Mosquitto(tmp_path) as server:
        workers = [ingest(server, store, tmp_path / "dead", f"ingest-{at}") for at, store in enumerate(stores)]
        async with running(*workers):
            gateway = Gateway(server)
            payloads = [batches.encode(make_batch(seq, t0=NOW + seq * 1000)) for seq in range(1, 61)]
            await gateway.settle(*payloads, entries=60)
    assert len(await stores[0].stored(GATEWAY, EPOCH)) == 60
    assert {one.by for one in gateway.receipts} == {"ingest-0", "ingest-1"}
    for store in stores:
        await store.close()


async def test_influxd_dies(tmp_path: Path) -> None:
    """SIGKILL of the database in the middle of a drain: what has a receipt is there afterwards, and all arrives."""
    with Mosquitto(tmp_path) as server, Influxd(tmp_path) as influxd:
        influxd.create_database("city")
        store = InfluxStore(InfluxSettings(influxd.url, "city", timeout_s=2.0), CLOCK)
        payloads = [batches.encode(make_batch(seq, t0=NOW + seq * 1000)) for seq in range(1, 81)]
        async with running(ingest(server, store, tmp_path / "dead")), asyncio.TaskGroup() as group:
            gateway = Gateway(server)
            settling = group.create_task(gateway.settle(*payloads, entries=80))
            await until(lambda: _receipted(gateway, 5))
            influxd.kill()
            promised = {seq for seq, _ in gateway.entries}
            influxd.start()
            assert promised <= set((await store.stored(GATEWAY, EPOCH)).seqs())
            await settling
        rows = [at async for at, _ in store.rows("energy_meter", GATEWAY, "meter-1")]
        assert len(set(rows)) == len(rows) == 81  # batches of two rows, a second each, one second apart
        await store.close()


WORKER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.integration.test_ingest_real import CLOCK, CONNECT, LoudStore
from random import Random
from gateway.counters import Counters
from gateway.ioc.deadletter import DeadLetters
from gateway.ioc.ingest import Ingest
from gateway.seams import Broker
folder = Path(sys.argv[2])
broker = Broker("127.0.0.1", int(sys.argv[3]), "ingest-1")
store, letters = LoudStore(folder / "store.db"), DeadLetters(folder / "dead")
asyncio.run(Ingest(broker, "city", CONNECT, store, CLOCK, Counters(), Random(1), "i", letters).run())
"""


class LoudStore(SqliteStore):
    """Says a line before each write, so that a test can kill its process inside one."""

    async def write(self, lines: object, precision: str) -> None:
        """As the embedded store."""
        sys.stdout.write(f"writing {precision}\n")
        sys.stdout.flush()
        await super().write(lines, precision)  # type: ignore[arg-type]


@pytest.mark.parametrize("at", range(1, 9))
async def test_the_worker_dies(tmp_path: Path, at: int) -> None:
    """SIGKILL around any write: what has a receipt is in the store; what has none is sent again and arrives."""
    with Mosquitto(tmp_path) as server:
        gateway = Gateway(server)
        payloads = [batches.encode(make_batch(seq, t0=NOW + seq * 1000, urgent=True)) for seq in range(1, 13)]
        async with asyncio.TaskGroup() as group:
            settling = group.create_task(gateway.settle(*payloads, entries=12))
            worker = await _worker(tmp_path, server)
            assert worker.stdout is not None
            for _ in range(at):
                await worker.stdout.readline()
            worker.send_signal(signal.SIGKILL)
            await worker.communicate()
            promised = {seq for seq, _ in gateway.entries}
            store = SqliteStore(tmp_path / "store.db")
            assert promised <= set((await store.stored(GATEWAY, EPOCH)).seqs())
            async with running(ingest(server, store, tmp_path / "dead")):
                await settling
        assert len(await store.stored(GATEWAY, EPOCH)) == 12
        rows = [fields async for _, fields in store.rows("energy_meter", GATEWAY, "meter-1")]
        assert len(rows) == 13
        await store.close()


async def _worker(folder: Path, server: Mosquitto) -> asyncio.subprocess.Process:
    root = str(Path(__file__).parents[2])
    arguments = ("-c", WORKER, root, str(folder), str(server.port))
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)


async def _has_status(store: SqliteStore) -> bool:
    rows = await store._select("SELECT 1 FROM series WHERE measurement = 'gw_status' AND gateway = ?", GATEWAY)
    return bool(rows)


async def _stored(store: SqliteStore, count: int) -> bool:
    return len(await store.stored(GATEWAY, EPOCH)) >= count


async def _receipted(gateway: Gateway, count: int) -> bool:
    return len(gateway.entries) >= count
