"""A gateway with a good certificate and bad intent: at the shipped broker, and through it at a real ingest."""

import asyncio
import sqlite3
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from gateway.clock.kernel import SystemClock
from gateway.errors import ConnectionLost
from gateway.model import Batch, BatchId, BootMs, Group, Stamp, UtcMs
from gateway.mqtt.connection import PahoConnect
from gateway.seams import Broker, Connection, Tls
from gateway.wire import batch as batches
from gateway.wire import receipt
from gateway.wire.topic import Topics
from tests.integration.test_shipped_broker import NOT_AUTHORISED, ShippedBroker
from tests.support.certificates import Issued
from tests.support.city import City
from tests.support.ioc import EPOCH, ROOT, make_batch, numbered, row
from tests.support.mqtt import next_message
from tests.unit.ioc.test_deadletter import letters_in

pytestmark = pytest.mark.server
CLOCK = SystemClock("system")
CONNECT = PahoConnect(lambda: (CLOCK.utc_ms(), UtcMs(0)))
NOW = UtcMs(CLOCK.utc_ms() // 1000 * 1000)
GOOD, EVIL = "hc-0001", "hc-0002"
OK = {0, 16}  # taken; nobody listens
GROUP = Group("meter-1", "energy_meter", "eastron/sdm630@1", ("voltage_l1",), "f")


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    """Its keys are made once."""
    return City(tmp_path_factory.mktemp("city"))


@pytest.fixture(scope="module")
def evil(city: City) -> Issued:
    """A certificate that the city itself has issued."""
    return city.authority.issue(EVIL)


@pytest.fixture
def broker(city: City) -> Iterator[ShippedBroker]:
    """As it is shipped."""
    with city.broker() as broker:
        yield broker


@asynccontextmanager
async def entering(city: City, port: int, keys: Issued, client_id: str) -> AsyncIterator[Connection]:
    """A connection under any client id, whatever the certificate says."""
    tls = Tls(str(city.authority.certificate), str(keys.certificate), str(keys.key))
    connection = await CONNECT(Broker("127.0.0.1", port, client_id, tls))
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.parametrize("victim", [GOOD, "ingest-1"])
async def test_nobody_is_thrown_out_by_his_client_id(
    city: City, broker: ShippedBroker, evil: Issued, victim: str
) -> None:
    """MQTT ends the older connection of a client id: on the gateways' door the certificate says which that is."""
    keys, port = (city.box, broker.port) if victim == GOOD else (city.ingest_keys, broker.centre_port)
    async with entering(city, port, keys, victim) as own:
        for _ in range(3):
            async with entering(city, broker.port, evil, victim) as stranger:
                assert await stranger.publish(f"{ROOT}/{EVIL}/up/data", b"here") in OK
        topic = f"{ROOT}/{GOOD}/up/data" if victim == GOOD else f"{ROOT}/{GOOD}/down/receipt"
        assert await own.publish(topic, b"still here") in OK


async def test_its_own_client_id_twice_is_one_connection(city: City, broker: ShippedBroker, evil: Issued) -> None:
    """The other side of it: a cloned box is told apart by nothing, and both learn it (0x8E)."""
    async with entering(city, broker.port, evil, "a") as first, entering(city, broker.port, evil, "b"):
        with pytest.raises(ConnectionLost):
            async for _ in first.messages():
                pass


@pytest.mark.parametrize("topic", ["up/junk", "up/data/1", "up", "up/status/x", "down/receipt", "down/command"])
async def test_the_broker_keeps_nothing_for_it(city: City, broker: ShippedBroker, evil: Issued, topic: str) -> None:
    """Retained messages stay in the broker's memory: one for each topic that may be written, and these are four."""
    async with entering(city, broker.port, evil, EVIL) as stranger:
        assert await stranger.publish(f"{ROOT}/{EVIL}/up/status", bytes(1000), retain=True) in OK
        assert await stranger.publish(f"{ROOT}/{EVIL}/{topic}", bytes(1000), retain=True) == NOT_AUTHORISED


@pytest.mark.parametrize(
    "topic", [f"{GOOD}/up/data", f"{GOOD}/up/status", f"{GOOD}/down/command", f"{GOOD}/down/other", "x", f"{GOOD}/down"]
)
async def test_ingest_writes_receipts_only(city: City, broker: ShippedBroker, topic: str) -> None:
    """A stolen worker cannot speak as a gateway, and cannot have one do anything."""
    async with entering(city, broker.centre_port, city.ingest_keys, "ingest-1") as worker:
        assert await worker.publish(f"{ROOT}/{GOOD}/down/receipt", b"x") in OK
        assert await worker.publish(f"{ROOT}/{topic}", b"x") == NOT_AUTHORISED


@pytest.mark.parametrize("topic", [f"{GOOD}/up/data", f"{GOOD}/up/outcome", f"{GOOD}/down/receipt", "x"])
async def test_the_operator_writes_commands_only(city: City, broker: ShippedBroker, topic: str) -> None:
    """A stolen operator settles no batch, and sees no reading: only who is online, and what became of commands."""
    async with (
        entering(city, broker.centre_port, city.operator_keys, "operator-1") as operator,
        entering(city, broker.port, city.box, GOOD) as box,
    ):
        for name in ("#", "outcome"):
            await operator.subscribe(f"{ROOT}/{GOOD}/up/{name}")
        for name in ("data", "status", "outcome"):
            assert await box.publish(f"{ROOT}/{GOOD}/up/{name}", name.encode()) in OK
        assert [(await next_message(operator)).payload for _ in range(2)] == [b"status", b"outcome"]
        assert await operator.publish(f"{ROOT}/{GOOD}/down/command", b"x") in OK
        assert await operator.publish(f"{ROOT}/{topic}", b"x") == NOT_AUTHORISED


async def test_the_others_get_their_receipts(city: City, broker: ShippedBroker, evil: Issued) -> None:
    """Garbage, bombs, foreign names, floods of names and types: each of the other's batches is stored and receipted.

    Under its own name the stranger may store what is well formed; under another's it stores nothing.
    """
    worker = city.ingest(broker.centre_port)
    worker.start()
    try:
        async with (
            entering(city, broker.port, city.box, GOOD) as own,
            entering(city, broker.port, evil, EVIL) as stranger,
            asyncio.timeout(40),
            asyncio.TaskGroup() as group,
        ):
            attack = group.create_task(attacking(stranger))
            await settle(own, [good(seq) for seq in range(1, 21)])
            attack.cancel()
        assert worker.alive(), worker.tail()
        worker.stop()
    finally:
        worker.kill()
    assert stored(city.store, "energy_meter") == {GOOD: 20}
    assert set(stored(city.store, "gw_batch")) <= {GOOD, EVIL}
    assert set(stored(city.store, "gw_status")) == set()
    assert series(city.store, EVIL) <= 40
    assert {letter["code"] for letter in letters_in(city.folder / "dead")} <= {"unreadable", "document"}
    assert "Traceback" not in worker.tail()


async def attacking(connection: Connection) -> None:
    """Everything, again and again, as fast as the broker takes it."""
    topics = Topics(ROOT, EVIL)
    attacks = [(topics.data, payload) for payload in bad_batches()]
    foreign = orjson.dumps({"v": 1, "gw": GOOD, "devices": []})
    attacks += [(topics.status, foreign), (topics.catalog, foreign), (topics.outcome, b"\xff")]
    while True:
        for topic, payload in attacks:
            assert await connection.publish(topic, payload) in OK
        await CLOCK.sleep_until(BootMs(CLOCK.boot_ms() + 20))


def bad_batches() -> Sequence[bytes]:
    """None may be stored."""
    spoof = make_batch(1, [row(0, 9.0, group=GROUP)], gateway=GOOD, t0=NOW)
    typed = {"d": "meter-1", "k": "energy_meter", "p": "a/b@1", "f": ["voltage_l1"], "t": "s", "r": [[0, "high"]]}
    return [
        b"",
        b"\x00\xff garbage",
        b"{}\n{}",
        batches.encode(spoof),
        batches.encode(packed({"g": [typed]}, 1)),
        batches.encode(packed({"g": [bomb()]}, 1980)),
        batches.encode(packed({"e": [[0, "x", "c", "d" * 250]] * 3000}, 7)),
        batches.encode(
            numbered(batch_id(9), 0, "zlib", zlib.compress(bytes(10 << 20)), Stamp(NOW, "ntp"), False, None)
        ),
    ]


def bomb() -> dict[str, object]:
    """Nine kilobytes compressed, 33 MB as lines."""
    names = [f"f{n:03}{'x' * 55}" for n in range(256)]
    rows = [[at, *([1] * 256)] for at in range(1980)]
    return {"d": "m", "k": "k" * 60, "p": "p@1", "f": names, "t": "f" * 256, "r": rows}


def packed(body: object, n: int) -> Batch:
    """Any body in a good envelope of the stranger's."""
    data = zlib.compress(orjson.dumps(body))
    return numbered(batch_id(7), n, "zlib", data, Stamp(NOW, "ntp"), False, None)


def batch_id(seq: int) -> BatchId:
    """The stranger's."""
    return BatchId(EVIL, EPOCH, seq)


def good(seq: int) -> Batch:
    """One row of the other gateway's."""
    return make_batch(seq, [row(0, float(seq), group=GROUP)], gateway=GOOD, t0=NOW + seq * 1000)


async def settle(connection: Connection, sent: Sequence[Batch]) -> None:
    """Send, again every second, until each has its receipt."""
    topics, missing = Topics(ROOT, GOOD), {(batch.id.seq, batch.crc) for batch in sent}
    await connection.subscribe(topics.receipt)

    async def listen() -> None:
        async for message in connection.messages():
            told = receipt.decode(message.payload)
            missing.difference_update(told.stored)
            connection.ack(message)

    async with asyncio.TaskGroup() as group:
        listening = group.create_task(listen())
        while missing:
            for batch in sent:
                if (batch.id.seq, batch.crc) in missing:
                    await connection.publish(topics.data, batches.encode(batch))
            await CLOCK.sleep_until(BootMs(CLOCK.boot_ms() + 1000))
        listening.cancel()


def stored(path: Path, measurement: str) -> dict[str, int]:
    """Points by the gateway they are stored under."""
    query = "SELECT gateway, count(*) FROM point JOIN series ON id = series WHERE measurement = ? GROUP BY gateway"
    return {str(gateway): int(str(count)) for gateway, count in selected(path, query, measurement)}


def series(path: Path, gateway: str) -> int:
    """How many series a gateway has made."""
    ((count,),) = selected(path, "SELECT count(*) FROM series WHERE gateway = ?", gateway)
    return int(str(count))


def selected(path: Path, query: str, *values: str) -> list[tuple[object, ...]]:
    """Of the embedded store."""
    db = sqlite3.connect(path)
    try:
        return db.execute(query, values).fetchall()
    finally:
        db.close()
