"""An MQTT 5 broker in memory, for `seams.Connect`: honest by default, and with a handle for each thing brokers do.

    broker = FakeBroker()
    Uplink(..., connect=broker.connect, ...)
    await broker.publish("city/hc-0001/down/receipt", b"...")     # as another client would
    broker.cut("hc-0001", reason=0x8E)                            # as a server would

It keeps what brokers keep: retained messages, wills, one connection for each client id (a second one takes over:
0x8E), shared subscriptions (round robin), PUBACK 16 when nobody subscribes. It holds its clients to what was agreed:
a publish above the Receive Maximum waits, a packet above the Maximum Packet Size costs the connection. A message is
delivered once; what was not acked is lost with the connection, as with session expiry 0.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count

from gateway.errors import ConnectionLost, PeerError
from gateway.seams import Broker, Connect, Connection, Message

TAKEN_OVER = 0x8E
PACKET_TOO_LARGE = 0x95
NO_MATCHING_SUBSCRIBERS = 0x10
NO_LIMIT = 0xFFFF_FFFF
HEADER_BYTES = 11  # about what a PUBLISH packet adds


@dataclass(frozen=True, slots=True)
class Published:
    """One message that reached the broker."""

    client: str
    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(slots=True)
class FakeBroker:
    """Set what it should do wrong; look at what it was told."""

    receive_maximum: int = 20
    maximum_packet_bytes: int = NO_LIMIT
    refusals: deque[PeerError] = field(default_factory=deque)  # raised by the next connects, one each
    down: bool = False  # connects fail with ConnectionLost
    puback: Callable[[Published], int | None] = lambda _: None  # a reason for this message; None = the honest one
    hold_pubacks: bool = False  # until `release_pubacks`
    published: list[Published] = field(default_factory=list)
    retained: dict[str, bytes] = field(default_factory=dict)
    connects: list[Broker] = field(default_factory=list)
    connections: dict[str, "FakeConnection"] = field(default_factory=dict)  # by client id; only those that are up
    _numbers: "count[int]" = field(default_factory=lambda: count(1))
    _turns: dict[str, int] = field(default_factory=dict)  # of shared filters

    async def connect(
        self, broker: Broker, *, will: tuple[str, bytes] | None = None, receive_maximum: int = 100
    ) -> Connection:
        """`seams.Connect`."""
        await asyncio.sleep(0)  # noqa: TID251 - gives others a turn, waits for no time
        self.connects.append(broker)
        if self.down:
            raise ConnectionLost("connection refused")
        if self.refusals:
            raise self.refusals.popleft()
        self.cut(broker.client_id, TAKEN_OVER)
        connection = FakeConnection(self, broker.client_id, next(self._numbers), will, receive_maximum)
        self.connections[broker.client_id] = connection
        return connection

    def cut(self, client_id: str, reason: int = 0) -> None:
        """End a client's connection, if it has one; its will is published."""
        connection = self.connections.get(client_id)
        if connection is not None:
            connection.end(ConnectionLost("cut by the broker", reason), publish_will=True)

    def release_pubacks(self) -> None:
        """Answer every publish that was held, and hold no more."""
        self.hold_pubacks = False
        for connection in self.connections.values():
            connection.answer_held()

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """As a client that is not part of the test; gives the readers a turn."""
        reason = self.route(Published("", topic, payload, 1, retain))
        await asyncio.sleep(0)  # noqa: TID251 - gives others a turn, waits for no time
        return reason

    def route(self, message: Published) -> int:
        """Deliver to all who subscribed; the PUBACK's reason."""
        self.published.append(message)
        told = self.puback(message)
        if told is not None and told >= 0x80:  # noqa: PLR2004 - reasons from here on refuse the message
            return told
        if message.retain:
            self.retained[message.topic] = message.payload
        readers = self._readers(message.topic)
        for connection in readers:
            connection.deliver(message.topic, message.payload, message.qos, retain=False)
        return told if told is not None else (0 if readers else NO_MATCHING_SUBSCRIBERS)

    def payloads(self, topic: str) -> list[bytes]:
        """All that was published to one topic."""
        return [message.payload for message in self.published if message.topic == topic]

    def _readers(self, topic: str) -> list["FakeConnection"]:
        readers: list[FakeConnection] = []
        shared: dict[str, list[FakeConnection]] = {}
        for connection in self.connections.values():
            plain = [name for name in connection.filters if not name.startswith("$share/")]
            if any(matches(name, topic) for name in plain):
                readers.append(connection)
            for name in connection.filters.difference(plain):
                if matches(name.split("/", 2)[2], topic):
                    shared.setdefault(name, []).append(connection)
        for name, members in shared.items():
            turn = self._turns[name] = self._turns.get(name, -1) + 1
            readers.append(members[turn % len(members)])
        return readers


class FakeConnection:
    """`seams.Connection`, made by `FakeBroker.connect`."""

    def __init__(
        self, broker: FakeBroker, client_id: str, number: int, will: tuple[str, bytes] | None, receive_maximum: int
    ) -> None:
        self.receive_maximum = broker.receive_maximum
        self.maximum_packet_bytes = broker.maximum_packet_bytes
        self.client_id = client_id
        self.will = will
        self.filters: set[str] = set()
        self.unacked: dict[int, Message] = {}  # delivered, not acked
        self.acked: list[Message] = []
        self.closed_with: int | None = None
        self.in_flight_max = 0  # the most publishes that ever waited for a PUBACK at once
        self._broker = broker
        self._number = number
        self._allowed = receive_maximum
        self._mids = count(1)
        self._queue: deque[Message] = deque()  # waits for the client's Receive Maximum
        self._incoming: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._slots = asyncio.Semaphore(broker.receive_maximum)
        self._waiting: deque[tuple[asyncio.Future[int], Published]] = deque()
        self._lost: ConnectionLost | None = None

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> int:
        """The reason that the broker was told to give, or the honest one."""
        message = Published(self.client_id, topic, payload, qos, retain)
        async with self._slots:
            self._raise_if_lost()
            if len(topic) + len(payload) + HEADER_BYTES > self.maximum_packet_bytes:
                self.end(ConnectionLost("packet too large", PACKET_TOO_LARGE), publish_will=True)
                self._raise_if_lost()
            answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            self._waiting.append((answer, message))
            self.in_flight_max = max(self.in_flight_max, len(self._waiting))
            if not self._broker.hold_pubacks:
                asyncio.get_running_loop().call_soon(self.answer_held)
            return await answer

    async def subscribe(self, topic: str) -> None:
        """Retained messages come at once, but not to a shared filter."""
        await asyncio.sleep(0)  # noqa: TID251 - gives others a turn, waits for no time
        self._raise_if_lost()
        self.filters.add(topic)
        for name, payload in self._broker.retained.items():
            if not topic.startswith("$share/") and matches(topic, name):
                self.deliver(name, payload, 1, retain=True)

    async def messages(self) -> AsyncIterator[Message]:
        """All that came, then ConnectionLost."""
        while True:
            while self._incoming:
                yield self._incoming.popleft()
            self._raise_if_lost()
            self._arrived.clear()
            await self._arrived.wait()

    def ack(self, message: Message) -> None:
        """Kept in `acked`; of another connection: ignored."""
        if message.connection == self._number and self.unacked.pop(message.mid, None) is not None:
            self.acked.append(message)
            self._hand_over()

    async def close(self, *, reason: int = 0) -> None:
        """The will is published for any reason but 0."""
        if self._lost is None:
            self.closed_with = reason
            self.end(ConnectionLost("closed"), publish_will=reason != 0)

    # For the broker.

    def deliver(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        """Now, or when the client's Receive Maximum allows it."""
        self._queue.append(Message(topic, payload, self._number, next(self._mids), qos, retain))
        self._hand_over()

    def answer_held(self) -> None:
        """PUBACK every publish that waits."""
        while self._waiting and not self._broker.hold_pubacks and self._lost is None:
            answer, message = self._waiting.popleft()
            reason = self._broker.route(message)
            if not answer.done():
                answer.set_result(reason)

    def end(self, lost: ConnectionLost, *, publish_will: bool) -> None:
        """Everybody who waits gets `lost`."""
        if self._lost is not None:
            return
        self._lost = lost
        self._broker.connections.pop(self.client_id, None)
        while self._waiting:
            answer, _ = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(ConnectionLost(lost.detail, lost.reason))
        self._arrived.set()
        if publish_will and self.will is not None:
            self._broker.route(Published(self.client_id, *self.will, 1, retain=True))

    def _hand_over(self) -> None:
        while self._queue and len(self.unacked) < self._allowed:
            message = self._queue.popleft()
            if message.qos:
                self.unacked[message.mid] = message
            self._incoming.append(message)
            self._arrived.set()

    def _raise_if_lost(self) -> None:
        if self._lost is not None:
            raise ConnectionLost(self._lost.detail, self._lost.reason)


def matches(pattern: str, topic: str) -> bool:
    """MQTT 5, 4.7: `+` is one level, `#` all that follow."""
    levels = topic.split("/")
    for at, wanted in enumerate(pattern.split("/")):
        if wanted == "#":
            return True
        if at >= len(levels) or wanted not in ("+", levels[at]):
            return False
    return len(pattern.split("/")) == len(levels)


def _fakes_fit() -> Connect:
    """The type checker holds the fake to its seam."""
    return FakeBroker().connect
