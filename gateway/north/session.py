"""One connection's life: does what the window asks and tells it what happened.

Every call into the window is synchronous; its effects are carried out in order. What has to wait (a PUBACK, the disk)
is a task in the session's group: the window's limits are the limits of their number. The connection's end ends them
all, and the session with them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from gateway.counters import Counters
from gateway.errors import ConnectionLost, Malformed, PeerError, SpoolError
from gateway.model import Batch, BatchId, BootMs, Event, Receipt, UtcMs
from gateway.north import puback
from gateway.north.backlog import Backlog
from gateway.north.desk import Desk
from gateway.north.effects import Complain, Effect, Fetch, Park, Rank, ReadKept, Reread, Send, Settle, TimeOfDay, Unpark
from gateway.north.retained import Documents, Retained
from gateway.north.window import Window
from gateway.seams import Clock, Connection, Message
from gateway.wire import command as wire_command
from gateway.wire import receipt as wire_receipt
from gateway.wire.topic import Topics

TICK_MS = 1_000
STALLED_MS = 120_000  # publishes out, and not one PUBACK in this time: the server is no use
DISK_RETRY_MS = 10_000
PACKET_TOO_LARGE, PAYLOAD_FORMAT_INVALID = 0x95, 0x99  # reasons of MQTT 5
MESSAGES_AT_ONCE = 10  # of one batch
PUBLISH_OVERHEAD_BYTES = 16  # fixed header, topic length, packet id, properties: 11 at most
STOP_SEND_MS = 2_000  # what is pending may still go
STOP_STEP_MS = 50
STOP_STATUS_MS = 1_000  # the last status may still go

T = TypeVar("T")
OnReceiptNow: TypeAlias = Callable[[BootMs, BootMs, UtcMs], None]


@dataclass(slots=True)
class Tally:
    """What NorthStatus tells of all sessions together."""

    sent_bytes: int = 0
    round_trip_ms: int | None = None  # from the last send of a batch to its receipt
    last_receipt_ms: UtcMs | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What every session of one uplink is made of. `plain`: it tells and hears nothing but the messages of batches."""

    topics: Topics
    messages: Callable[[Batch], Iterable[tuple[str, bytes]]]
    settle: str
    plain: bool
    backlog: Backlog
    window: Window
    clock: Clock
    counters: Counters
    desk: Desk
    status_interval_ms: int
    documents: Documents
    on_event: Callable[[Event], None]
    on_receipt_now: OnReceiptNow
    on_version: Callable[[str], None]
    tally: Tally


class _Over(Exception):
    """The session is to end, and not because of the connection."""


class Session:
    """Runs once."""

    def __init__(self, connection: Connection, parts: Parts) -> None:
        self._connection = connection
        self._parts = parts
        self._window = parts.window
        self._stopping = asyncio.Event()
        self._tasks: asyncio.TaskGroup
        self._out: frozenset[BatchId] = frozenset()
        self._unacked = 0
        self._moved_at = parts.clock.boot_ms()
        self._retained = Retained(
            parts.topics,
            parts.documents,
            parts.status_interval_ms,
            parts.clock,
            parts.counters,
            parts.on_event,
            self._retain,
        )

    def stop(self) -> None:
        """Send what is pending for 2 s at most, say goodbye, end."""
        self._stopping.set()

    async def run(self, until: Coroutine[Any, Any, None] | None = None) -> None:
        """Until `stop`, or until the coroutine `until` is done; raises ConnectionLost or Refused."""
        lost: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as self._tasks:
                if until is not None:
                    self._spawn("until", self._end_after(until))
                self._spawn("stop", self._say_goodbye())
                await self._start()
        except* _Over:
            pass
        except* PeerError as losses:
            lost = _first(losses)
        finally:
            self._window.disconnected()
        if lost is not None:
            raise lost

    # Tasks that last as long as the session.

    async def _start(self) -> None:
        if not self._parts.plain:
            for topic in (self._parts.topics.receipt, self._parts.topics.command):
                await self._connection.subscribe(topic)
            self._spawn("report", self._retained.run())
            self._spawn("answer", self._answer())
        for name, task in (("receive", self._receive()), ("wake", self._wake()), ("tick", self._tick())):
            self._spawn(name, task)
        self._do(
            self._window.connected(
                self._connection.receive_maximum,
                self._connection.maximum_packet_bytes,
                self._parts.backlog.last_order,
                self._now,
            )
        )

    async def _receive(self) -> None:
        async for message in self._connection.messages():
            try:
                self._take(message)
            except Malformed as error:
                self._parts.counters.add("north_malformed", why=error.why)
            self._connection.ack(message)

    async def _wake(self) -> None:
        rewound = self._parts.backlog.rewound
        while True:
            await self._parts.backlog.wait()
            if self._parts.backlog.rewound == rewound:
                self._do(self._window.woken(self._now))
            else:
                rewound = self._parts.backlog.rewound
                self._do(self._window.rewound(self._now))

    async def _tick(self) -> None:
        while True:
            await self._sleep(TICK_MS)
            self._do(self._window.tick(self._now))
            if self._unacked and self._now - self._moved_at >= STALLED_MS:
                raise ConnectionLost(f"no PUBACK for {STALLED_MS // 1000} s")

    async def _answer(self) -> None:
        """An outcome that a lost connection cut short is still there for the next one."""
        while True:
            outcome = await self._parts.desk.next()
            await self._publish(self._parts.topics.outcome, wire_command.encode(outcome))
            self._parts.desk.sent(outcome)

    async def _end_after(self, until: Coroutine[Any, Any, None]) -> None:
        await until
        raise _Over

    async def _say_goodbye(self) -> None:
        await self._stopping.wait()
        deadline = self._now + STOP_SEND_MS
        while not self._window.idle and self._now < deadline:
            await self._sleep(STOP_STEP_MS)
        if self._parts.plain:
            raise _Over
        self._spawn("goodbye", self._end_after(self._retained.offline()))
        await self._sleep(STOP_STATUS_MS)
        raise _Over

    # Messages down.

    def _take(self, message: Message) -> None:
        if message.topic == self._parts.topics.receipt:
            self._receipt(wire_receipt.decode(message.payload))
        elif message.topic == self._parts.topics.command:
            self._parts.desk.put(wire_command.decode(message.payload))
        else:
            self._parts.counters.add("north_malformed", why="topic")

    def _receipt(self, receipt: Receipt) -> None:
        counters = self._parts.counters
        self._parts.tally.last_receipt_ms = self._parts.clock.utc_ms()
        counters.add("receipts")
        self._parts.on_version(receipt.version)
        counters.add("rows_rejected", sum(len(rows) for _, rows in receipt.rejected))
        for seq, _ in receipt.stored + receipt.refused:
            if BatchId(receipt.gateway, receipt.epoch, seq) not in self._out:
                counters.add("receipts_not_in_flight")
        self._do(self._window.received(receipt, self._now))

    # Effects of the window.

    def _do(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            self._do_one(effect)
        if self._out != self._window.in_flight:
            self._out = self._window.in_flight
            self._parts.backlog.in_flight(self._out)

    def _do_one(self, effect: Effect) -> None:
        backlog = self._parts.backlog
        match effect:
            case Send(batch):
                self._spawn(f"send {batch.id.seq}", self._send(batch))
            case Settle(epoch, seqs):
                backlog.settle(epoch, seqs)
                self._parts.counters.add("batches_settled", len(seqs))
            case Fetch():
                self._spawn(f"fetch {effect.rank.name}", self._fetch(effect))
            case Reread(id_):
                self._spawn(f"reread {id_.seq}", self._reread(id_))
            case ReadKept(id_):
                self._spawn(f"recall {id_.seq}", self._recall(id_))
            case Park() | Unpark():
                self._move(effect)
            case Complain():
                self._complain(effect)
            case TimeOfDay(sent, arrived, now):
                if self._parts.settle == "receipt":
                    self._parts.tally.round_trip_ms = arrived - sent
                    self._parts.on_receipt_now(sent, arrived, now)

    def _move(self, effect: Park | Unpark) -> None:
        backlog, id_ = self._parts.backlog, effect.id
        if isinstance(effect, Unpark):
            self._spawn(f"unpark {id_.seq}", self._patiently(lambda: backlog.unpark(id_)))
            return
        why = effect.why
        self._parts.counters.add("batches_parked", why=why)
        self._spawn(f"park {id_.seq}", self._patiently(lambda: backlog.park(id_, why)))

    async def _send(self, batch: Batch) -> None:
        self._unacked += 1
        self._moved_at = self._now
        reason = await self._publish_all(batch)
        self._unacked -= 1
        self._moved_at = self._now
        self._do(self._window.published(batch.id, reason, self._now))
        if self._parts.settle == "puback" and puback.settles(reason):
            self._do(self._window.received(puback.receipt(batch, self._parts.clock.utc_ms()), self._now))

    async def _publish_all(self, batch: Batch) -> int:
        """The worst PUBACK of its messages: each is sent, whatever becomes of the others."""
        worst = 0
        try:
            messages = iter(self._parts.messages(batch))
        except Malformed as error:
            self._parts.counters.add("north_malformed", why=error.why)
            return PAYLOAD_FORMAT_INVALID
        while some := list(islice(messages, MESSAGES_AT_ONCE)):
            worst = max(worst, await self._publish_some(some))
            self._moved_at = self._now
        return worst

    async def _publish_some(self, messages: Sequence[tuple[str, bytes]]) -> int:
        if len(messages) == 1:  # without a task between: what a server says right before it hangs up is heard
            return await self._publish(*messages[0])
        async with asyncio.TaskGroup() as group:
            sends = [group.create_task(self._publish(*message), name="north message") for message in messages]
        return max(send.result() for send in sends)

    async def _fetch(self, asked: Fetch) -> None:
        backlog = self._parts.backlog
        if asked.rank is Rank.URGENT:
            batches = await self._patiently(lambda: backlog.read_urgent(asked.after, asked.limit))
        else:
            batches = await self._patiently(lambda: backlog.read(asked.after, asked.until, asked.limit))
        self._do(self._window.offered(asked.rank, batches, self._now))

    async def _reread(self, id_: BatchId) -> None:
        batch = await self._patiently(lambda: self._parts.backlog.reread(id_))
        self._do(self._window.reread(id_, batch, self._now))

    async def _recall(self, id_: BatchId) -> None:
        batch = await self._patiently(lambda: self._parts.backlog.recall(id_))
        self._parts.counters.add("batches_recalled" if batch else "recalls_not_kept")
        self._do(self._window.recalled(id_, batch, self._now))

    async def _patiently(self, step: Callable[[], Awaitable[T]]) -> T:
        """A disk that fails now is asked again later: the spool itself complains of it."""
        while True:
            try:
                return await step()
            except SpoolError as error:
                self._parts.counters.add("north_disk_retries", code=error.code)
                await self._sleep(DISK_RETRY_MS)

    # Small things.

    def _complain(self, complaint: Complain) -> None:
        told = puback.said(complaint) if self._parts.settle == "puback" else complaint
        if told is not None:
            self._parts.on_event(Event(self._now, "", told.code, told.detail))

    async def _retain(self, topic: str, payload: bytes) -> int:
        return await self._publish(topic, payload, retain=True)

    async def _publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        if packet_bytes(topic, payload) > self._connection.maximum_packet_bytes:
            return PACKET_TOO_LARGE  # what the server would say, and hang up
        self._parts.tally.sent_bytes += len(topic) + len(payload)
        reason = await self._connection.publish(topic, payload, retain=retain)
        self._parts.counters.add("publishes", reason=str(reason))
        return reason

    def _spawn(self, name: str, work: Coroutine[Any, Any, object]) -> None:
        try:
            self._tasks.create_task(work, name=f"north {name}")
        except RuntimeError:  # the group is ending, and this session with it
            work.close()

    async def _sleep(self, ms: int) -> None:
        await self._parts.clock.sleep_until(BootMs(self._now + ms))

    @property
    def _now(self) -> BootMs:
        return self._parts.clock.boot_ms()


def packet_bytes(topic: str, payload: bytes) -> int:
    """How big its PUBLISH packet is at most."""
    return len(topic) + len(payload) + PUBLISH_OVERHEAD_BYTES


def _first(losses: BaseExceptionGroup[BaseException]) -> BaseException:
    first = losses.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
