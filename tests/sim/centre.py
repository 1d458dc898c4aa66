"""The other side: a broker that may lie, a store that may fail, and ingest workers that may die."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from random import Random

from gateway.counters import Counters
from gateway.errors import StoreBusy
from gateway.ioc.deadletter import DeadLetters
from gateway.ioc.ingest import Ingest
from gateway.ioc.store.point import parse
from gateway.ioc.store.sqlite import SqliteStore
from gateway.model import Receipt, UtcMs
from gateway.seams import Broker, Connection
from gateway.testing.broker import FakeBroker, Published
from gateway.testing.simclock import SimClock
from gateway.testing.simloop import Process, SimLoop
from gateway.testing.worker import InlineWorker
from gateway.wire import batch as wire_batch
from gateway.wire import receipt as wire_receipt
from gateway.wire.topic import Topics
from tests.sim.history import KIND, History

ROOT = "city"
GATEWAY = "hc-0001"
TOPICS = Topics(ROOT, GATEWAY)
WORKERS = ("ingest-1", "ingest-2")
STORE_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 127.0  # of a host that does not answer, by Linux
WATCHED = (f"{KIND},".encode(), b"gw_batch,")
FORGED_SHARE = 0.1
MUTE_SHARE = 0.5  # of answers that are lost
ASTRAY_S = 120.0


class SimBroker(FakeBroker):
    """`lying`: says 0 where nobody listens. `astray`: the share of receipts that is lost, doubled or late."""

    def __init__(self, loop: SimLoop, history: History, random: Random) -> None:
        super().__init__()
        self.lying = False
        self.astray = 0.0
        self._loop, self._history, self._random = loop, history, random

    async def connect(
        self, broker: Broker, *, will: tuple[str, bytes] | None = None, receive_maximum: int = 100
    ) -> Connection:
        """As any broker's."""
        self._history.connects(broker)
        if self.down:
            await asyncio.sleep(CONNECT_TIMEOUT_S)  # noqa: TID251 - virtual time
        return await super().connect(broker, will=will, receive_maximum=receive_maximum)

    def route(self, message: Published) -> int:
        """Deliver; or what `astray` makes of it."""
        self._history.published(message)
        if self.astray and self._random.random() < self.astray:
            if message.topic == TOPICS.receipt:
                return self._lead_astray(message)
            if message.topic == TOPICS.data and self._random.random() < FORGED_SHARE:
                return self._forge(message)
        reason = super().route(message)
        self.published.clear()
        return 0 if self.lying else reason

    def amnesia(self) -> None:
        """As after a crash without persistence."""
        for client in list(self.connections):
            self.cut(client)
        self.retained.clear()

    def _lead_astray(self, message: Published) -> int:
        fate = self._random.choice(("lost", "doubled", "late"))
        self._history.count(f"receipts {fate}")
        if fate == "doubled":
            super().route(message)
            return super().route(message)
        if fate == "late":
            self._loop.call_later(self._random.uniform(0.1, ASTRAY_S), self._late, message)
        return 0

    def _forge(self, message: Published) -> int:
        """The batch is lost on its way, and somebody says it is stored: with another content."""
        batch = wire_batch.decode(message.payload)
        self._history.count("receipts forged")
        now = UtcMs(self._history.now())
        lie = Receipt(GATEWAY, batch.id.epoch, ((batch.id.seq, batch.crc ^ 1),), (), (), "nobody", now)
        super().route(Published("nobody", TOPICS.receipt, wire_receipt.encode(lie), 1, retain=False))
        return 0

    def _late(self, message: Published) -> None:
        super().route(message)


class SimStore(SqliteStore):
    """The embedded store in memory. `down`: it does not answer. `mute`: it writes, and its answer is lost."""

    def __init__(self, history: History, random: Random) -> None:
        super().__init__(Path(":memory:"), InlineWorker())
        self.down = self.mute = False
        self._history, self._random = history, random

    async def ready(self) -> None:
        """As any store's."""
        await self._answer()
        await super().ready()

    async def write(self, lines: Sequence[bytes], precision: str) -> None:
        """As any store's."""
        await self._answer()
        await super().write(lines, precision)
        for line in lines:
            if line.startswith(WATCHED):
                self._history.stored(parse(line, precision))
        if self.mute and self._random.random() < MUTE_SHARE:
            raise StoreBusy("no answer")

    async def _answer(self) -> None:
        if self.down:
            await asyncio.sleep(STORE_TIMEOUT_S)  # noqa: TID251 - the timeout of a client, in virtual time
            raise StoreBusy("no answer")


class Centre:
    """Two workers beside one store."""

    def __init__(
        self, loop: SimLoop, clock: SimClock, broker: SimBroker, history: History, random: Random, folder: Path
    ) -> None:
        self.store = SimStore(history, random)
        self.counters = Counters()
        self._loop, self._clock, self._broker, self._folder = loop, clock, broker, folder
        self._processes: dict[str, Process] = {}

    def start(self, name: str) -> None:
        """A worker, if it does not run."""
        if name in self._processes:
            return
        process = self._processes[name] = Process(name)
        random = Random(f"{name} {self._loop.time()}")
        ingest = Ingest(
            Broker("broker", 8883, name),
            ROOT,
            self._broker.connect,
            self.store,
            self._clock,
            self.counters,
            random,
            name,
            DeadLetters(self._folder, InlineWorker()),
        )
        self._loop.spawn(process, ingest.run())

    def kill(self, name: str) -> None:
        """As kill -9: the broker notices."""
        process = self._processes.pop(name, None)
        if process is not None:
            self._loop.kill(process)
            self._broker.cut(name)

    def stop(self) -> None:
        """At the end of a run."""
        for name in WORKERS:
            self.kill(name)
