"""An uplink with fakes on all sides, on virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from gateway.counters import Counters
from gateway.model import Batch, BootMs, Event, UtcMs
from gateway.north.uplink import Around, Commands, Uplink
from gateway.seams import Broker
from gateway.site import UplinkSettings
from gateway.testing.broker import FakeBroker, FakeConnection
from gateway.testing.clock import FakeClock
from gateway.wire import batch as wire_batch
from gateway.wire import receipt as wire_receipt
from gateway.wire.catalog import Catalog
from gateway.wire.command import Command, Outcome
from gateway.wire.documents import SouthStatus, SpoolStatus, Status, UplinkStatus
from gateway.wire.status_reader import decode_status
from gateway.wire.topic import Topics
from tests.support.backlog import GATEWAY, MemoryBacklog, make_receipt

TOPICS = Topics("city", GATEWAY)
SERVERS = tuple(Broker(f"ioc-{n}", 8883, GATEWAY) for n in (1, 2))
IOC = UplinkSettings("ioc", SERVERS, "wired", 1_000, 60_000)


@dataclass
class UplinkBench:
    """An uplink with fakes on all sides, and an IOC that answers when told to."""

    backlog: MemoryBacklog = field(default_factory=MemoryBacklog)
    broker: FakeBroker = field(default_factory=FakeBroker)
    clock: FakeClock = field(default_factory=FakeClock)
    counters: Counters = field(default_factory=Counters)
    events: list[Event] = field(default_factory=list)
    nows: list[tuple[BootMs, BootMs, UtcMs]] = field(default_factory=list)
    devices_down: tuple[str, ...] = ()
    catalog: Catalog = field(default_factory=lambda: Catalog(GATEWAY, None, None, ()))
    hold: asyncio.Event = field(default_factory=asyncio.Event)  # cleared, `renew` waits
    settings: UplinkSettings = IOC
    uplink: Uplink = field(init=False)

    def __post_init__(self) -> None:
        """One uplink, two servers."""
        self.hold.set()
        self.uplink = Uplink(
            self.settings,
            Around(
                TOPICS,
                self.broker.connect,
                self.backlog,
                self.clock,
                self.counters,
                Random(7),
                self.events.append,
                self.documents,
                lambda sent, arrived, now: self.nows.append((sent, arrived, now)),
            ),
            Commands({"renew": self.renew}),
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The uplink runs inside; it is stopped and over after."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.uplink.run(), name="uplink")
            await self.clock.advance(10)
            yield
            self.uplink.stop()
            await self.clock.advance(4_000)

    def documents(self) -> tuple[Status, Catalog]:
        """As app would make them."""
        spool = SpoolStatus("k3v9x2", (), len(self.backlog.pending), None, 0, 0)
        south = SouthStatus((), self.devices_down)
        utc = self.clock.utc_ms()
        waiting, settled = len(self.backlog.pending), len(self.backlog.settled)
        told = (UplinkStatus("ioc", "batch", "receipt", self.is_up(), waiting, settled, 0),)
        status = Status(GATEWAY, "1", "b00t", utc, "ntp", True, south, spool, self.uplink.status, uplinks=told)
        return status, self.catalog

    async def renew(self, command: Command) -> Outcome:
        """A command that can be carried out."""
        await self.hold.wait()
        return Outcome(command.id, ok=True, code="done")

    @property
    def connection(self) -> FakeConnection:
        """The one that is up."""
        return self.broker.connections[GATEWAY]

    def is_up(self) -> bool:
        """As the status tells."""
        return self.uplink.status.connected

    def sent(self) -> list[Batch]:
        """All batches that reached the broker."""
        return [wire_batch.decode(payload) for payload in self.broker.payloads(TOPICS.data)]

    def statuses(self) -> list[dict[str, object]]:
        """All statuses, the will included."""
        return [decode_status(payload) for payload in self.broker.payloads(TOPICS.status)]

    def codes(self) -> list[str]:
        """Of all events."""
        return [event.code for event in self.events]

    async def answer(self, *batches: Batch) -> None:
        """The IOC stored these."""
        await self.broker.publish(TOPICS.receipt, wire_receipt.encode(make_receipt(*batches)))
        await self.clock.advance(10)
