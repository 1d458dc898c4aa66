"""An uplink on real time and real connections, with a spool in memory, and an ingest of 20 lines that answers it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from gateway.clock.kernel import SystemClock
from gateway.counters import Counters
from gateway.errors import PeerError
from gateway.model import Event, Receipt, Seq, UtcMs
from gateway.mqtt.connection import PahoConnect
from gateway.north.uplink import Around, Uplink
from gateway.seams import Broker
from gateway.site import UplinkSettings
from gateway.wire import batch as wire_batch
from gateway.wire import receipt as wire_receipt
from gateway.wire.catalog import Catalog
from gateway.wire.documents import SouthStatus, SpoolStatus, Status
from gateway.wire.topic import Topics, shared_data
from tests.support.backlog import GATEWAY, MemoryBacklog

TOPICS = Topics("city", GATEWAY)
CONNECT = PahoConnect(lambda: (None, UtcMs(0)))


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


def make_uplink(backlog: MemoryBacklog, events: list[Event], *ports: int, keepalive_s: int = 60) -> Uplink:
    """With real time and real connections to these ports, in turn."""
    servers = tuple(Broker("127.0.0.1", port, GATEWAY, keepalive_s=keepalive_s) for port in ports)
    settings = UplinkSettings("ioc", servers, "wired", 1_000, 60_000)
    clock = SystemClock("system")

    def documents() -> tuple[Status, Catalog]:
        spool = SpoolStatus("k3v9x2", (), len(backlog.pending), None, 0, 0)
        north = uplink.status
        status = Status(GATEWAY, "1", "b00t", clock.utc_ms(), "system", True, SouthStatus(), spool, north)
        return status, Catalog(GATEWAY, None, None, ())

    around = Around(TOPICS, CONNECT, backlog, clock, Counters(), Random(3), events.append, documents)
    uplink = Uplink(settings, around)
    return uplink


async def until(holds: Callable[[], bool]) -> None:
    """Within 40 s; a bound, not a measure."""
    async with asyncio.timeout(40):
        while not holds():  # noqa: ASYNC110 - looks at another process's doings
            await asyncio.sleep(0.01)
