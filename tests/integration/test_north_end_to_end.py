"""An uplink, a real mosquitto and an ingest of 20 lines: what was appended is stored, whatever dies in between."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from gateway.clock.kernel import SystemClock
from gateway.counters import Counters
from gateway.errors import PeerError
from gateway.model import Event, Receipt, Seq, UtcMs
from gateway.mqtt.connection import PahoConnect
from gateway.north.uplink import Uplink
from gateway.seams import Broker
from gateway.site import UplinkSettings
from gateway.wire import batch as wire_batch
from gateway.wire import receipt as wire_receipt
from gateway.wire.documents import Catalog, SouthStatus, SpoolStatus, Status
from gateway.wire.topic import Topics, shared_data
from tests.support.backlog import GATEWAY, MemoryBacklog
from tests.support.mqtt import connected, next_message, nothing_left_behind
from tests.support.servers import Mosquitto

pytestmark = pytest.mark.server

TOPICS = Topics("city", GATEWAY)
CONNECT = PahoConnect(lambda: (None, UtcMs(0)))
SERVERS_DIE = 2


@dataclass
class Ingest:
    """Stores, then answers, then acks. It dies with its connection and comes back."""

    port: int
    stored: dict[Seq, int] = field(default_factory=dict)
    received: int = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._serve()
            except PeerError:
                await asyncio.sleep(0.05)

    async def _serve(self) -> None:
        connection = await CONNECT(Broker("127.0.0.1", self.port, "ingest-1"))
        try:
            await connection.subscribe(shared_data("city"))
            async for message in connection.messages():
                batch = wire_batch.decode(message.payload)
                self.received += 1
                self.stored[batch.id.seq] = batch.crc
                receipt = Receipt(GATEWAY, batch.id.epoch, ((batch.id.seq, batch.crc),), (), (), "ingest-1", UtcMs(0))
                await connection.publish(TOPICS.receipt, wire_receipt.encode(receipt))
                connection.ack(message)
        finally:
            await connection.close()


def make_uplink(port: int, backlog: MemoryBacklog, events: list[Event]) -> Uplink:
    """With real time and a real connection."""
    settings = UplinkSettings("ioc", (Broker("127.0.0.1", port, GATEWAY),), "wired", 1_000, 60_000)
    clock = SystemClock("system")

    def documents() -> tuple[Status, Catalog]:
        spool = SpoolStatus("k3v9x2", (), len(backlog.pending), None, 0, 0)
        north = uplink.status
        status = Status(GATEWAY, "1", "b00t", clock.utc_ms(), "system", True, SouthStatus(), spool, north)
        return status, Catalog(GATEWAY, None, None, ())

    uplink = Uplink(
        settings, TOPICS, CONNECT, backlog, clock, Counters(), Random(3), events.append, documents, lambda *_: None
    )
    return uplink


async def until(holds: Callable[[], bool]) -> None:
    """Within 40 s; a bound, not a measure."""
    async with asyncio.timeout(40):
        while not holds():  # noqa: ASYNC110 - looks at another process's doings
            await asyncio.sleep(0.01)


async def test_every_batch_is_stored_though_the_broker_is_killed_again_and_again(tmp_path: Path) -> None:
    """SIGKILL of the broker, without persistence, in the middle of a drain: PUBACKed messages die, batches do not."""
    backlog, events = MemoryBacklog(), list[Event]()
    with nothing_left_behind(), Mosquitto(tmp_path) as mosquitto:
        ingest = Ingest(mosquitto.port)
        uplink = make_uplink(mosquitto.port, backlog, events)
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(ingest.run(), name="ingest")
            running = tasks.create_task(uplink.run(), name="uplink")
            for death in range(SERVERS_DIE):
                for _ in range(200):
                    backlog.append()
                await until(lambda: len(ingest.stored) >= 200 * death + 50)  # noqa: B023 - awaited in this turn
                mosquitto.kill()
                backlog.append(urgent=True)
                mosquitto.start()
            await until(lambda: not backlog.pending)
            uplink.stop()
            await running
            serving.cancel()
        assert ingest.stored == {batch.id.seq: batch.crc for batch in backlog.batches}
        assert len(ingest.stored) == 200 * SERVERS_DIE + SERVERS_DIE
        async with connected(mosquitto, "late") as late:
            await late.subscribe(TOPICS.status)
            status = await next_message(late)
            assert status.retain
            assert b'"online":false' in status.payload.replace(b" ", b"")


async def test_while_the_ingest_is_away_nothing_is_settled_and_it_is_told(tmp_path: Path) -> None:
    """The broker says so itself: 16, nobody subscribes. When the ingest comes, all arrives without a new connection."""
    backlog, events = MemoryBacklog(), list[Event]()
    with nothing_left_behind(), Mosquitto(tmp_path) as mosquitto:
        uplink = make_uplink(mosquitto.port, backlog, events)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(uplink.run(), name="uplink")
            for _ in range(30):
                backlog.append()
            await until(lambda: uplink.alarms == {"nobody_stores"})
            assert len(backlog.pending) == 30
            ingest = Ingest(mosquitto.port)
            serving = tasks.create_task(ingest.run(), name="ingest")
            await until(lambda: not backlog.pending)
            assert uplink.alarms == frozenset()
            uplink.stop()
            await running
            serving.cancel()
        assert [event.code for event in events] == ["uplink_up", "nobody_stores", "no_receipts", "receipts_again"]
