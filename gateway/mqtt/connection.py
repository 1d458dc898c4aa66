"""`seams.Connection` over paho: one client object and one thread per connection, thrown away with it.

Two threads meet here. paho's thread does all socket work and runs our callbacks; a callback does nothing but
`call_soon_threadsafe`. Everything else, each future included, lives in the event loop.

    connect     connect_async + loop_start ........ the thread opens, does TLS, sends CONNECT
                CONNACK ........................... what the server allows is read here: paho reads neither
                                                    Receive Maximum nor Maximum Packet Size
    publish     waits for a slot of the server's Receive Maximum, then for its PUBACK: every reason is returned
    the end     `_Client.loop_forever` returns, whatever the cause (loss, DISCONNECT, an error inside paho): every
                waiter gets ConnectionLost, the thread is joined, the client and its file descriptors are dropped

paho re-sends what it holds when it reconnects. Ours never does: `reconnect_on_failure` is off and a new connection
has a new client, so the spool stays the only queue. An ack names its connection, because packet ids start again at 1
on the next one and a late ack would there confirm another message.

A server that sends more than our Receive Maximum (mosquitto 2.0.11 does) is borne up to `INCOMING_MAX`; then the
connection ends, and what was not acked is sent again by those who wait for receipts.
"""

import asyncio
import socket
import ssl
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import count

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.errors import ConnectionLost, PeerError, Refused
from gateway.mqtt.tls import Dates, TrustedNow, context
from gateway.seams import Broker, Connection, Message

CONNECT_S = 20.0  # name, TCP, TLS and CONNACK together
SOCKET_S = 10.0  # each of TCP and TLS, in paho's thread
CLOSE_S = 1.0  # for DISCONNECT to leave; then the socket is cut
INCOMING_MAX = 2000  # messages that came and were not taken yet
INCOMING_BYTES_MAX = 1 << 20  # of one packet, told to the server
NO_LIMIT = 0xFFFF_FFFF
RECEIVE_MAXIMUM_DEFAULT = 0xFFFF  # MQTT 5, 3.2.2.3.3
FAILURE = 0x80  # reason codes from here on say no
RECEIVE_MAXIMUM_EXCEEDED = 0x93

_numbers = count(1)


class PahoConnect:
    """`seams.Connect` for edge and IOC. `trusted_now` is asked once per attempt, in the event loop."""

    def __init__(self, trusted_now: TrustedNow) -> None:
        self._trusted_now = trusted_now

    async def __call__(
        self, broker: Broker, *, will: tuple[str, bytes] | None = None, receive_maximum: int = 100
    ) -> Connection:
        """Raises ConnectionLost or Refused with the cause, within 20 s."""
        connection = PahoConnection(broker, Dates(*self._trusted_now()), will, receive_maximum)
        await connection.open()
        return connection


class PahoConnection:
    """`seams.Connection`; made by `PahoConnect`."""

    def __init__(self, broker: Broker, dates: Dates, will: tuple[str, bytes] | None, receive_maximum: int) -> None:
        self.receive_maximum = RECEIVE_MAXIMUM_DEFAULT
        self.maximum_packet_bytes = NO_LIMIT
        self._number = next(_numbers)
        self._loop = asyncio.get_running_loop()
        self._connack: asyncio.Future[None] = self._loop.create_future()
        self._waiting: dict[int, asyncio.Future[int]] = {}  # PUBACK or SUBACK by packet id
        self._slots = asyncio.Semaphore(0)  # publishes the server's Receive Maximum still allows; set by CONNACK
        self._incoming: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._over = asyncio.Event()
        self._cause: PeerError = ConnectionLost("closed")
        self._client: _Client | None = self._make_client(broker, dates, will, receive_maximum)

    async def open(self) -> None:
        """Until CONNACK; raises ConnectionLost or Refused and leaves nothing behind."""
        try:
            self._running().loop_start()
        except (OSError, RuntimeError) as error:  # no more descriptors or threads
            self._client = None
            raise ConnectionLost(f"cannot start: {error}") from None
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._connack
        except TimeoutError:
            self._cut()
            raise ConnectionLost(f"no answer within {CONNECT_S:.0f} s") from None
        except PeerError:
            self._cut()
            await self._ended_within(CLOSE_S)
            raise
        except asyncio.CancelledError:
            self._cut()
            raise

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> int:
        """The PUBACK's reason (0 once sent, for QoS 0); raises ConnectionLost."""
        if qos:
            await self._slots.acquire()
        answered = self._loop.create_future()
        try:
            info = self._running().publish(topic, payload, qos, retain)
            _check(info.rc)
        except BaseException:
            if qos:
                self._slots.release()  # also wakes the next waiter of a lost connection
            raise
        self._waiting[info.mid] = answered
        if qos:
            answered.add_done_callback(self._free_slot)
        return await asyncio.shield(answered)  # a waiter that gives up keeps the slot until the PUBACK

    async def subscribe(self, topic: str) -> None:
        """At QoS 1; returns after the SUBACK; raises Refused or ConnectionLost."""
        result, mid = self._running().subscribe(topic, qos=1)
        _check(result)
        answered = self._loop.create_future()
        self._waiting[mid or 0] = answered  # paho gives no packet id only when it has no connection
        reason = await asyncio.shield(answered)
        if reason >= FAILURE:
            raise Refused(reason, f"subscription to {topic}")

    async def messages(self) -> AsyncIterator[Message]:
        """All that came before the end, then ConnectionLost; one reader."""
        while True:
            while self._incoming:
                yield self._incoming.popleft()
            if self._client is None:
                raise self._lost()
            self._arrived.clear()
            await self._arrived.wait()

    def ack(self, message: Message) -> None:
        """A message of another connection, or of this one after its end, is ignored."""
        if self._client is not None and message.connection == self._number and message.qos:
            self._client.ack(message.mid, message.qos)

    async def close(self, *, reason: int = 0) -> None:
        """DISCONNECT and wait for paho's thread: 1 s, then the socket is cut. Idempotent, never raises."""
        if self._client is None:
            return
        self._client.disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=reason) if reason else None)
        try:
            if not await self._ended_within(CLOSE_S):
                self._cut()
                await self._ended_within(CLOSE_S)
        except asyncio.CancelledError:
            self._cut()
            raise

    def _make_client(
        self, broker: Broker, dates: Dates, will: tuple[str, bytes] | None, receive_maximum: int
    ) -> "_Client":
        client = _Client(broker.client_id, self._from_thread)
        if broker.tls is not None:
            client.tls_set_context(context(broker.tls, dates))
        if broker.username:
            client.username_pw_set(broker.username, broker.password or None)
        if will is not None:
            client.will_set(*will, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_end = self._on_end
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 0
        properties.ReceiveMaximum = receive_maximum
        properties.MaximumPacketSize = INCOMING_BYTES_MAX
        client.connect_async(broker.host, broker.port, broker.keepalive_s, clean_start=True, properties=properties)
        return client

    # In paho's thread: hand over, nothing else.

    def _from_thread(self, step: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(step, *arguments)
        except RuntimeError:  # the loop is closed: nobody is left who could be told
            return

    def _on_connect(
        self, client: paho.Client, _u: object, _f: object, reason: ReasonCode, server: Properties | None
    ) -> None:
        client.on_log = None  # it was there to learn why a server hangs up on CONNECT; it costs a format per packet
        self._from_thread(self._connected, reason.value, str(reason), server)

    def _on_publish(self, _c: paho.Client, _u: object, mid: int, reason: ReasonCode, _p: Properties) -> None:
        self._from_thread(self._answered, mid, reason.value)

    def _on_subscribe(
        self, _c: paho.Client, _u: object, mid: int, reasons: list[ReasonCode], _p: Properties | None
    ) -> None:
        self._from_thread(self._answered, mid, max((reason.value for reason in reasons), default=FAILURE))

    def _on_message(self, _c: paho.Client, _u: object, message: paho.MQTTMessage) -> None:
        came = Message(
            message.topic, bytes(message.payload), self._number, message.mid, message.qos, bool(message.retain)
        )
        self._from_thread(self._received, came)

    def _on_end(self, thread: threading.Thread, cause: PeerError) -> None:
        self._from_thread(self._ended, thread, cause)

    # In the event loop.

    def _connected(self, reason: int, name: str, server: Properties | None) -> None:
        if self._connack.done():
            return
        if reason >= FAILURE:
            self._connack.set_exception(Refused(reason, name))
            return
        self.receive_maximum = max(1, getattr(server, "ReceiveMaximum", RECEIVE_MAXIMUM_DEFAULT))
        self.maximum_packet_bytes = getattr(server, "MaximumPacketSize", NO_LIMIT)
        self._slots = asyncio.Semaphore(self.receive_maximum)
        self._connack.set_result(None)

    def _answered(self, mid: int, reason: int) -> None:
        waiter = self._waiting.pop(mid, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(reason)

    def _free_slot(self, _: "asyncio.Future[int]") -> None:
        self._slots.release()

    def _received(self, message: Message) -> None:
        if len(self._incoming) < INCOMING_MAX:
            self._incoming.append(message)
            self._arrived.set()
        elif self._client is not None:
            self._client.give_up(RECEIVE_MAXIMUM_EXCEEDED, f"more than {INCOMING_MAX} messages waited to be taken")

    def _ended(self, thread: threading.Thread, cause: PeerError) -> None:
        thread.join()  # it told us with its last statement
        self._cause = cause
        if self._client is not None:
            self._client.forget()
            self._client = None
        if not self._connack.done():
            self._connack.set_exception(cause)
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            if not waiter.done():
                waiter.set_exception(self._lost())
                waiter.exception()  # its waiter may have given up: not news then
        self._slots.release()
        self._arrived.set()
        self._over.set()

    def _cut(self) -> None:
        if self._client is not None:
            self._client.cut()

    async def _ended_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    def _running(self) -> "_Client":
        if self._client is None:
            raise self._lost()
        return self._client

    def _lost(self) -> ConnectionLost:
        if isinstance(self._cause, ConnectionLost):
            return ConnectionLost(self._cause.detail, self._cause.reason, hung_up=self._cause.hung_up)
        return ConnectionLost(str(self._cause))


class _Client(paho.Client):
    """paho's client for one connection, whose thread says when it is over and why, and can be cut from outside."""

    on_end: Callable[[threading.Thread, PeerError], None]

    def __init__(self, client_id: str, from_thread: Callable[..., None]) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id,
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        self.max_inflight_messages = 0  # none of paho's own: the Semaphore above is the only limit
        self.connect_timeout = SOCKET_S
        self.on_socket_open = self._opened
        self.on_disconnect = self._lost
        self.on_log = self._noted
        self._from_thread = from_thread
        self._is_cut = False
        self._said = ""  # paho's last error line before CONNACK
        self._end: ConnectionLost | None = None  # the first cause that is known

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:  # noqa: ARG002, FBT001, FBT002 - paho's signature
        """What `loop_start` runs in its thread, as paho documents; here: one connection, whatever ends it is told."""
        cause: PeerError = ConnectionLost("connection lost")
        try:
            result = super().loop_forever(timeout)
            cause = self._end or cause
        except Exception as error:  # noqa: BLE001 - told to every waiter; a thread that died silently would hang them
            cause = _translated(error)
            result = MQTTErrorCode.MQTT_ERR_UNKNOWN
        finally:
            self.on_end(threading.current_thread(), cause)
        return result

    def cut(self) -> None:
        """End the connection now, from any thread and in any phase: no DISCONNECT, and never a late CONNECT."""
        self._is_cut = True
        opened = self.socket()
        if isinstance(opened, socket.socket):
            try:
                socket.socket.shutdown(opened, socket.SHUT_RDWR)  # not SSLSocket's, which disarms a read in progress
            except OSError:
                return  # it is closed already

    def give_up(self, reason: int, why: str) -> None:
        """DISCONNECT, because the server broke its word; `why` is what the waiters get."""
        self._end = ConnectionLost(why)
        self.disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=reason))

    def forget(self) -> None:
        """Let go of everybody, so that dropping this object frees its file descriptors at once."""
        for name in ("connect", "publish", "subscribe", "message", "socket_open", "disconnect", "log"):
            setattr(self, f"on_{name}", None)
        del self.on_end, self._from_thread

    def _opened(self, _c: paho.Client, _u: object, opened: object) -> None:
        if not isinstance(opened, socket.socket):
            raise TypeError("paho opened something that is no socket")
        if self._is_cut:
            opened.close()
            raise ConnectionAbortedError("given up before CONNECT")
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _lost(
        self, _c: paho.Client, _u: object, flags: paho.DisconnectFlags, reason: ReasonCode, _p: Properties | None
    ) -> None:
        if self._end is None and flags.is_disconnect_packet_from_server:
            self._end = ConnectionLost(f"server: {reason}", reason.value)
        elif self._end is None:
            said = self._said or (str(reason) if reason.value != FAILURE else "cut off")
            self._end = ConnectionLost(said, hung_up=reason.value == FAILURE and not self._is_cut)

    def _noted(self, _c: paho.Client, _u: object, level: int, text: str) -> None:
        if level == paho.MQTT_LOG_ERR:
            self._said = text


def _check(result: MQTTErrorCode) -> None:
    if result != MQTTErrorCode.MQTT_ERR_SUCCESS:
        raise ConnectionLost(paho.error_string(result))


def _translated(error: Exception) -> PeerError:
    """No exception of ssl, socket or paho leaves this room."""
    if isinstance(error, PeerError):
        return error.with_traceback(None)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Refused(error.verify_code, f"certificate: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return Refused(0, f"TLS: {error}")
    if isinstance(error, OSError):
        return ConnectionLost(str(error))
    return ConnectionLost(f"{type(error).__name__}: {error}")
