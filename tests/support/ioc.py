"""Batches as a gateway would send them, and a store that does what a test says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

import orjson

from gateway.errors import ConnectionLost, GatewayError, StoreBusy, StoreRefused
from gateway.ioc.measured import StoredEvent
from gateway.ioc.store.base import TYPE_CONFLICT, EpochStatusRow, Issued, Stored
from gateway.model import (
    Batch,
    BatchId,
    BootMs,
    Event,
    Gap,
    Group,
    Origin,
    Quality,
    Receipt,
    Row,
    SeqRanges,
    Stamp,
    UtcMs,
    Value,
)
from gateway.seams import Broker, Connection, Message
from gateway.wire import batch as batches
from gateway.wire import receipt
from gateway.wire.body import BodyWriter, encode_gaps
from gateway.wire.topic import Topics

GATEWAY, EPOCH, ROOT = "hc-0001", "k3v9x2", "city"
T0 = UtcMs(1_795_521_600_000)  # 2026-11-24T12:00:00Z, the noon of FakeClock
METER = Group("meter-1", "energy_meter", "eastron/sdm630@1", ("voltage", "frequency", "on", "note"), "ffbs")


def row(at: int, voltage: Value | None = 230.5, *, group: Group = METER) -> Row:
    """One row of a meter, `at` ms after t0; a null voltage was refused by the device."""
    quality = ((0, Quality.REFUSED),) if voltage is None else ()
    return Row(group, BootMs(at), (voltage, 50.0, True, 'a "b"\\')[: len(group.fields)], quality)


def make_batch(
    seq: int,
    items: Sequence[Row | Event] | None = None,
    *,
    gateway: str = GATEWAY,
    epoch: str = EPOCH,
    t0: int = T0,
    clock: str = "ntp",
    urgent: bool = False,
    origin: Origin | None = None,
    gaps: Sequence[Gap] = (),
) -> Batch:
    """A batch of these rows and events (by default two rows), or of gap records only."""
    writer = BodyWriter(BootMs(0))
    for item in () if gaps else items if items is not None else (row(0), row(1000, 231.0)):
        writer.add(item)
    enc, body = encode_gaps(gaps) if gaps else writer.encode()
    return numbered(BatchId(gateway, epoch, seq), writer.n, enc, body, Stamp(UtcMs(t0), clock), urgent, origin)


def raw_batch(seq: int, document: object, n: int, *, gateway: str = GATEWAY, t0: int = T0) -> Batch:
    """A batch with any JSON as its body."""
    stamp = Stamp(UtcMs(t0), "ntp")
    return numbered(BatchId(gateway, EPOCH, seq), n, "none", orjson.dumps(document), stamp, False, None)


def numbered(
    batch_id: BatchId, n: int, enc: str, body: bytes, stamp: Stamp, urgent: bool, origin: Origin | None
) -> Batch:
    """With its crc."""
    crc = batches.crc(batch_id, stamp, n, enc, body, urgent=urgent, origin=origin)
    return Batch(batch_id, stamp, n, crc, body, enc, urgent, origin)


def message(batch: Batch, *, mid: int = 1, connection: int = 1) -> Message:
    """As it comes in."""
    return Message(Topics(ROOT, batch.id.gateway).data, batches.encode(batch), connection, mid)


class Wire:
    """A connection in the hands of a test: it delivers, loses, and keeps what was said on it, in order, in `log`."""

    receive_maximum = 20
    maximum_packet_bytes = 1 << 28

    def __init__(self, serial: int, log: list[str], puback: int = 0) -> None:
        self.serial, self.log, self.puback = serial, log, puback
        self.subscribed: list[str] = []
        self.published: list[tuple[str, bytes]] = []
        self.acked: list[int] = []
        self.closed = False
        self._incoming: asyncio.Queue[Message | None] = asyncio.Queue()

    def deliver(self, topic: str, payload: bytes, mid: int) -> None:
        """One message comes in."""
        self._incoming.put_nowait(Message(topic, payload, self.serial, mid))

    def send(self, batch: Batch, mid: int) -> None:
        """A gateway's batch comes in."""
        self.deliver(Topics(ROOT, batch.id.gateway).data, batches.encode(batch), mid)

    def lose(self) -> None:
        """The connection ends."""
        self._incoming.put_nowait(None)

    @property
    def receipts(self) -> list[Receipt]:
        """What was published, read."""
        return [receipt.decode(payload) for _, payload in self.published]

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> int:
        """`puback`, at once."""
        assert (qos, retain) == (1, False)
        self.log.append(f"publish {topic}")
        self.published.append((topic, payload))
        return self.puback

    async def subscribe(self, topic: str) -> None:
        """Granted."""
        self.subscribed.append(topic)

    async def messages(self) -> AsyncIterator[Message]:
        """Until `lose`."""
        while (message := await self._incoming.get()) is not None:
            yield message
        raise ConnectionLost("lost")

    def ack(self, message: Message) -> None:
        """Only its own messages may be acked here."""
        assert message.connection == self.serial
        self.log.append(f"ack {message.mid}")
        self.acked.append(message.mid)

    async def close(self, *, reason: int = 0) -> None:
        """Idempotent."""
        assert reason == 0
        self.closed = True


class Wires:
    """`seams.Connect`: each connection is a new `Wire`; `failures` are raised first, one a try."""

    def __init__(self) -> None:
        self.made: list[Wire] = []
        self.log: list[str] = []
        self.failures: list[GatewayError] = []
        self.silent: asyncio.Event | None = None  # a connect waits for it
        self.puback = 0

    async def __call__(
        self, broker: Broker, *, will: tuple[str, bytes] | None = None, receive_maximum: int = 100
    ) -> Connection:
        """The next connection."""
        assert (broker.client_id, will) == ("ingest-1", None)
        assert receive_maximum > 0
        if self.silent is not None:
            await self.silent.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.made.append(Wire(len(self.made) + 1, self.log, self.puback))
        return self.made[-1]


class MemoryStore:
    """Keeps lines as they were written; `before` runs ahead of each write and may raise."""

    def __init__(self, before: Callable[[Sequence[bytes], str], None] | None = None) -> None:
        self.before = before or (lambda _lines, _precision: None)
        self.written: list[tuple[str, tuple[bytes, ...]]] = []  # (precision, lines) of every write that was taken
        self.not_ready = 0  # so many times `ready` says no
        self.slow: asyncio.Event | None = None  # a write waits for it

    async def write(self, lines: Sequence[bytes], precision: str) -> None:
        """Taken, unless `before` says no."""
        if self.slow is not None:
            await self.slow.wait()
        self.before(lines, precision)
        self.written.append((precision, tuple(lines)))

    async def ready(self) -> None:
        """No, `not_ready` times."""
        if self.not_ready:
            self.not_ready -= 1
            raise StoreBusy("not yet")

    @property
    def lines(self) -> list[bytes]:
        """All that was taken, in order."""
        return [line for _, lines in self.written for line in lines]

    async def gateways(self) -> Sequence[tuple[str, str]]:
        """Not asked by an ingest; nor are the others."""
        raise NotImplementedError

    async def stored(self, gateway: str, epoch: str) -> SeqRanges:
        """See `gateways`."""
        raise NotImplementedError

    async def ledger(self, gateway: str, epoch: str) -> Stored:
        """See `gateways`."""
        raise NotImplementedError

    async def around(self, gateway: str, epoch: str, from_ms: UtcMs, to_ms: UtcMs) -> tuple[int | None, int | None]:
        """See `gateways`."""
        raise NotImplementedError

    async def gaps(self, gateway: str, epoch: str) -> Sequence[Gap]:
        """See `gateways`."""
        raise NotImplementedError

    async def status(self, gateway: str) -> Sequence[EpochStatusRow]:
        """See `gateways`."""
        raise NotImplementedError

    async def statuses(self, gateway: str, limit: int) -> Sequence[Sequence[EpochStatusRow]]:
        """See `gateways`."""
        raise NotImplementedError

    async def issued(self, gateway: str) -> Mapping[str, Issued]:
        """See `gateways`."""
        raise NotImplementedError

    async def events(self, gateway: str, code: str, from_ms: UtcMs, to_ms: UtcMs) -> Sequence[StoredEvent]:
        """See `gateways`."""
        raise NotImplementedError

    def rows(self, measurement: str, gateway: str, device: str) -> AsyncIterator[tuple[int, dict[str, object]]]:
        """See `gateways`."""
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing to close."""


def refusing(mark: bytes, reason: str = TYPE_CONFLICT) -> Callable[[Sequence[bytes], str], None]:
    """For `MemoryStore.before`: a request with a line that holds `mark` is refused, as InfluxDB does."""

    def before(lines: Sequence[bytes], _precision: str) -> None:
        bad = sum(mark in line for line in lines)
        if bad:
            raise StoreRefused(reason, "as told")

    return before
