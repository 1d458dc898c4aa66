"""One worker of the centre: consume, check, write, receipt, then ack; in that order, no state outlives a connection.

    connection.messages() -> Inbox -> check -> Gathered -> Deposit (rows; ledger) -> receipts -> acks

Any number of workers may run beside each other: batches are shared out by the broker, documents are heard by all and
written to the same points. What a worker holds when it dies is sent again by the gateways, because only a receipt
settles a batch; the MQTT ack merely frees the broker's window and follows the receipt (or, for a batch that is
withheld, takes its place). While the store does not answer, a worker has no connection at all: other workers get its
share, and a gateway that nobody listens to is told so by the broker.
"""

import asyncio
import logging
from base64 import b64encode
from collections.abc import Coroutine, Sequence
from collections.abc import Set as AbstractSet
from random import Random

from gateway import __version__
from gateway.counters import Counters
from gateway.errors import ConnectionLost, GatewayError, Refused, StoreBusy
from gateway.ioc.breaker import Breaker
from gateway.ioc.census import Census
from gateway.ioc.check import Accepted, DeadLetter, Document, Refuse, Verdict, check
from gateway.ioc.deadletter import DeadLetters, Letter
from gateway.ioc.deposit import Deposit
from gateway.ioc.gather import Arrived, Gathered
from gateway.ioc.inbox import Inbox
from gateway.ioc.receipts import receipts
from gateway.ioc.store.base import Store
from gateway.model import BootMs, Receipt
from gateway.seams import Broker, Clock, Connect, Connection, Message
from gateway.wire import receipt as wire_receipt
from gateway.wire.topic import Topics, shared_data

RECEIVE_MAXIMUM = 200
PUBLISHES_MAX = 20  # receipts that wait for their PUBACK
RETRY_FOR_MS = 5_000  # attempts may start so long after the first message came: all ends before gateways send again
STOP_MS = 2_000
RECONNECT_MIN_MS = 500
RECONNECT_MAX_MS = 30_000
PAYLOAD_KEPT_BYTES = 64 * 1024
NO_SUBSCRIBERS = 16
FAILURE = 128

_log = logging.getLogger(__name__)


class Ingest:
    """Runs until `stop`; lives through every loss of broker and store."""

    def __init__(
        self,
        broker: Broker,
        root: str,
        connect: Connect,
        store: Store,
        clock: Clock,
        counters: Counters,
        random: Random,
        name: str,
        dead_letters: DeadLetters,
        relays: AbstractSet[str] = frozenset(),
        accept: AbstractSet[str] = frozenset(),
    ) -> None:
        self._broker = broker
        self._root = root
        self._connect = connect
        self._store = store
        self._clock = clock
        self._counters = counters
        self._random = random
        self._name = name
        self._dead_letters = dead_letters
        self._relays = relays
        self._census = Census()
        self._deposit = Deposit(store, dead_letters, Breaker(accept), clock, counters, random)
        self._stopping = asyncio.Event()
        self._failures = 0  # in a row

    async def run(self) -> None:
        """Connection after connection."""
        while not self._stopping.is_set():
            failure = await self._one_connection()
            self._counters.set("ingest_connected", 0)
            if failure is not None:
                self._counters.add("ingest_interruptions", code=failure.code)
                _log.warning("interrupted code=%s error=%s", failure.code, failure)
                await self._pause()

    def stop(self) -> None:
        """Finish what was received, within 2 s, and end `run`."""
        self._stopping.set()

    async def _one_connection(self) -> GatewayError | None:
        """Why it ended; None after `stop`."""
        failure: GatewayError | None = None
        opened: list[Connection] = []
        try:
            await _first_of(self._open(opened), self._stopping.wait())
            if opened:
                await self._serve(opened[0])
        except* (ConnectionLost, Refused, StoreBusy) as group:
            failure = _first(group)
        finally:
            for connection in opened:
                await connection.close()
        return failure

    async def _open(self, opened: list[Connection]) -> None:
        await self._store.ready()
        opened.append(await self._connect(self._broker, receive_maximum=RECEIVE_MAXIMUM))

    async def _serve(self, connection: Connection) -> None:
        every = Topics(self._root, "+")
        for topic in (shared_data(self._root), every.status, every.catalog, every.outcome):
            await connection.subscribe(topic)
        self._failures = 0
        self._counters.set("ingest_connected", 1)
        _log.info("listening name=%s root=%s", self._name, self._root)
        inbox = Inbox(RECEIVE_MAXIMUM)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(self._read(connection, inbox), name="ingest.read")
            working = group.create_task(self._work(connection, inbox), name="ingest.work")
            await self._stopping.wait()
            reading.cancel()
            inbox.close()
            cut_at = BootMs(self._clock.boot_ms() + STOP_MS)
            await _first_of(asyncio.wait({working}), self._clock.sleep_until(cut_at))
            working.cancel()

    async def _read(self, connection: Connection, inbox: Inbox) -> None:
        async for message in connection.messages():
            await inbox.put(message)
        raise ConnectionLost("no more messages")

    async def _work(self, connection: Connection, inbox: Inbox) -> None:
        """One request at a time is written; the next one is gathered and checked meanwhile."""
        gathered = await self._gather(inbox)
        while gathered is not None:
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self._gather(inbox), name="ingest.gather")
                await self._answer(connection, gathered)
            gathered = following.result()

    async def _gather(self, inbox: Inbox) -> Gathered | None:
        """The messages of the next request; None when the inbox is closed and empty."""
        while not (message := inbox.take()):
            if inbox.closed:
                return None
            await inbox.wait()
        gathered = Gathered(self._clock.boot_ms())
        gathered.add(Arrived(message, self._check(message)), gathered.since)
        async with asyncio.TaskGroup() as group:
            timers = [group.create_task(self._nudge(inbox, gathered), name="ingest.timer")]
            while not gathered.due(now := self._clock.boot_ms()):
                if (message := inbox.take()) is not None:
                    gathered.add(Arrived(message, self._check(message)), now)
                elif inbox.closed:
                    break
                else:
                    if gathered.is_run and len(timers) == 1:  # it may close sooner than the first timer rings
                        timers.append(group.create_task(self._nudge(inbox, gathered), name="ingest.timer"))
                    await inbox.wait()
            for timer in timers:
                timer.cancel()
        return gathered

    async def _nudge(self, inbox: Inbox, gathered: Gathered) -> None:
        """When it is due; that moves while messages come."""
        while not gathered.due(self._clock.boot_ms()):
            await self._clock.sleep_until(gathered.closes_at)
        inbox.nudge()

    def _check(self, message: Message) -> Verdict:
        return self._census.judge(check(message, self._root, self._relays, self._clock.utc_ms()))

    async def _answer(self, connection: Connection, gathered: Gathered) -> None:
        await self._bury(gathered)
        batches, documents = gathered.verdicts(Accepted), gathered.verdicts(Document)
        settled = await self._deposit.put(batches, documents, BootMs(gathered.since + RETRY_FOR_MS))
        refused = gathered.verdicts(Refuse)
        for refuse in refused:
            self._counters.add("ingest_refused", why=refuse.why)
            _log.warning("refused batch=%s why=%s detail=%s", refuse.batch_id, refuse.why, refuse.detail)
        await self._give(connection, receipts(settled, refused, self._name, self._clock.utc_ms(), __version__))
        for arrived in gathered.arrived:
            connection.ack(arrived.message)

    async def _bury(self, gathered: Gathered) -> None:
        """Messages that nobody can be answered for: kept if there is room, counted in any case; one write for all."""
        dead = [(one.message, one.verdict) for one in gathered.arrived if isinstance(one.verdict, DeadLetter)]
        for _, verdict in dead:
            self._counters.add("ingest_unreadable", code=verdict.code)
        try:
            await self._dead_letters.keep([self._letter(*one) for one in dead], answered=False)
        except StoreBusy as error:
            self._counters.add("dead_letters_failed")
            _log.error("unreadable_not_kept messages=%d error=%s", len(dead), error)

    def _letter(self, message: Message, verdict: DeadLetter) -> Letter:
        payload = b64encode(message.payload[:PAYLOAD_KEPT_BYTES]).decode()
        detail = f"{message.topic} ({len(message.payload)} bytes): {verdict.detail}"
        return Letter(self._clock.utc_ms(), "", verdict.code, payload, detail)

    async def _give(self, connection: Connection, answers: Sequence[Receipt]) -> None:
        at_once = min(PUBLISHES_MAX, connection.receive_maximum)
        for start in range(0, len(answers), at_once):
            async with asyncio.TaskGroup() as group:
                for answer in answers[start : start + at_once]:
                    group.create_task(self._publish(connection, answer), name=f"ingest.receipt {answer.gateway}")

    async def _publish(self, connection: Connection, answer: Receipt) -> None:
        topic = Topics(self._root, answer.gateway).receipt
        reason = await connection.publish(topic, wire_receipt.encode(answer))
        if reason == NO_SUBSCRIBERS:
            self._counters.add("receipts_unheard")
        elif reason >= FAILURE:
            self._counters.add("receipts_refused", reason=str(reason))
            _log.error("receipt_refused topic=%s reason=%d", topic, reason)

    async def _pause(self) -> None:
        """Full jitter: a broker that comes back is not met by all at once."""
        longest_ms = min(RECONNECT_MIN_MS << min(self._failures, 10), RECONNECT_MAX_MS)
        self._failures += 1
        until = BootMs(self._clock.boot_ms() + round(self._random.uniform(0, longest_ms)))
        await _first_of(self._stopping.wait(), self._clock.sleep_until(until))


async def _first_of(*waits: Coroutine[None, None, object]) -> None:
    """Until one of them is over; the others are cancelled."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(wait, name="ingest.wait") for wait in waits]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


def _first(group: BaseExceptionGroup[GatewayError]) -> GatewayError:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner
