"""One way out: connects to its servers in turn, runs a session on each connection, never gives up, stops politely.

    run    connect -- session -- lost or refused: wait with jitter, the next server, again
                         `-- 10 minutes on another server than the first: look for the first beside it, then move
    stop   what is pending goes for 2 s, receipts awaited; status offline, retained; DISCONNECT

An uplink of plain messages (`settings.plain`) has neither status nor will, hears nothing, and takes its PUBACKs for
receipts; all else is the same.

The window outlives the connections: what was out when one broke is sent at once on the next. Neither a lost connection
nor a refusal ends `run`: both are told (event, status) and tried again.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from gateway.counters import Counters
from gateway.errors import PeerError, Refused
from gateway.model import Batch, BootMs, Detail, Event, SeqRanges, UtcMs
from gateway.north import puback
from gateway.north.backlog import Backlog
from gateway.north.commands import CommandGate
from gateway.north.complaints import Complaints
from gateway.north.desk import CarryOut, Desk
from gateway.north.doors import HOME_AFTER_MS, Doors
from gateway.north.retained import Documents
from gateway.north.session import OnReceiptNow, Parts, Session, Tally, packet_bytes
from gateway.north.takeover import Takeover
from gateway.north.window import BATCHES_MAX, Window
from gateway.seams import Broker, Clock, Connect, Connection
from gateway.site import UplinkSettings
from gateway.wire import batch as wire_batch
from gateway.wire.documents import NorthStatus, encode_will
from gateway.wire.plain import Plain
from gateway.wire.topic import Topics

RECEIVE_MAXIMUM = 20  # receipts and commands that may wait for our ack
DISCONNECT_WITH_WILL = 4
PLAIN_BATCHES_MAX = 8
PLAIN_PUBLISHES_MAX = 2  # batches that are opened: 10 messages each are on their way

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Around:
    """What an uplink lives between: the spool, the broker's connections, and who is told.

    `on_receipt_now(sent, arrived, now)`: boot ms of a batch's send and of its receipt, and the IOC's clock.
    `on_version(version)`: the IOC's, at each receipt; "" when it does not tell.
    """

    topics: Topics
    connect: Connect
    backlog: Backlog
    clock: Clock
    counters: Counters
    random: Random
    on_event: Callable[[Event], None]
    documents: Documents
    on_receipt_now: OnReceiptNow = lambda _sent, _arrived, _now: None
    on_version: Callable[[str], None] = lambda _version: None


@dataclass(frozen=True, slots=True)
class Commands:
    """What the centre may ask for. `gate` says which of `carry_out` may run; None = each of them, once.

    `trusted_now` is what their expiry is compared with; None = the clock's own word.
    """

    carry_out: Mapping[str, CarryOut] = field(default_factory=dict)
    gate: CommandGate | None = None
    trusted_now: Callable[[], UtcMs | None] | None = None

    def desk(self, clock: Clock, counters: Counters) -> Desk:
        """Where they are taken in."""
        gate = self.gate or CommandGate(frozenset(self.carry_out))
        return Desk(gate, self.carry_out, self.trusted_now or _word_of(clock), counters)


class Uplink:
    """What the daemon runs for each `[[uplink]]`."""

    def __init__(
        self,
        settings: UplinkSettings,
        around: Around,
        commands: Commands | None = None,
        *,
        batches_max: int = BATCHES_MAX,
    ) -> None:
        """Without `commands` none is carried out."""
        self._settings, self._around = settings, around
        self._topics, self._clock, self._counters = around.topics, around.clock, around.counters
        self._window = (
            Window(lambda _: 0, batches_max=PLAIN_BATCHES_MAX, publishes_max=PLAIN_PUBLISHES_MAX)
            if settings.plain  # what fits is seen message by message
            else Window(self._packet_bytes, batches_max=batches_max)
        )
        self._tally = Tally()
        self._doors = Doors(len(settings.servers), around.random)
        self._complaints = Complaints()
        self._takeover = Takeover()
        self._stopping = asyncio.Event()
        self._session: Session | None = None
        self._moved: Connection | None = None  # to the first server, ready to be used
        self._refusal = ""
        plain = Plain(settings.format, self._topics.root, settings.topic)
        self._parts = Parts(
            topics=around.topics,
            messages=plain.messages if settings.plain else self._whole,
            settle=settings.settle,
            plain=settings.plain,
            backlog=around.backlog,
            window=self._window,
            clock=around.clock,
            counters=around.counters,
            desk=(commands or Commands()).desk(around.clock, around.counters),
            status_interval_ms=settings.status_interval_ms,
            documents=around.documents,
            on_event=around.on_event,
            on_receipt_now=around.on_receipt_now,
            on_version=around.on_version,
            tally=self._tally,
        )

    @property
    def status(self) -> NorthStatus:
        """This stage's part of the Status document."""
        return NorthStatus(
            connected=self.connected,
            server=_name(self._settings.servers[self._doors.at]),
            in_flight=len(self._window.in_flight),
            sent_bytes=self._tally.sent_bytes,
            last_receipt_ms=self._tally.last_receipt_ms,
            settle=self._settings.settle,
            refusal=self._refusal,
            recalling=self._window.recalling,
            round_trip_ms=self._tally.round_trip_ms,
        )

    @property
    def connected(self) -> bool:
        """Whether a broker is, now."""
        return self._session is not None

    @property
    def alarms(self) -> frozenset[str]:
        """Codes of what is wrong now, for the Status document."""
        held = self._window.alarms if self._settings.settle == "receipt" else puback.alarms(self._window.alarms)
        return held | ({self._takeover.alarm(self._clock.boot_ms())} - {""})

    @property
    def recalls_full(self) -> bool:
        """So much was asked for again that no more can be remembered."""
        return self._window.recalls_full

    def resend(self, epoch: str, archived: SeqRanges, unparked: SeqRanges) -> None:
        """Settled batches again, below all others, connected or not; `unparked` ones the backlog offers itself."""
        self._window.resend(self._topics.gateway, epoch, archived, unparked)

    def stop(self) -> None:
        """`run` returns soon: within 3 s and a DISCONNECT."""
        self._stopping.set()
        if self._session is not None:
            self._session.stop()

    async def run(self) -> None:
        """Until `stop`, or cancelled (then the will tells that we are offline)."""
        async with asyncio.TaskGroup() as tasks:
            commands = tasks.create_task(self._parts.desk.run(), name="north commands")
            try:
                await self._connections()
            finally:
                commands.cancel()
                if self._moved is not None:
                    await self._moved.close(reason=DISCONNECT_WITH_WILL)

    async def _connections(self) -> None:
        """One after another, until `stop`."""
        while not self._stopping.is_set():
            connection = self._take_moved() or await self._unless_stopped(self._attempt())
            if connection is not None:
                await self._use(connection)

    async def _attempt(self) -> Connection | None:
        """One try at one server; None after the wait that follows a failure."""
        try:
            return await self._open(self._settings.servers[self._doors.at])
        except PeerError as error:
            self._takeover.not_connected()
            self._note_failure(error)
            await self._clock.sleep_until(BootMs(self._clock.boot_ms() + self._doors.failed()))
            return None

    async def _open(self, broker: Broker) -> Connection:
        status, _ = self._around.documents()
        will = None if self._settings.plain else (self._topics.status, encode_will(status.boot))
        return await self._around.connect(broker, will=will, receive_maximum=RECEIVE_MAXIMUM)

    async def _use(self, connection: Connection) -> None:
        since = self._clock.boot_ms()
        self._refusal = ""
        self._say("uplink_up", _name(self._settings.servers[self._doors.at]))
        self._takeover.connected()
        self._say_if_taken_over()
        self._session = Session(connection, self._parts)
        if self._stopping.is_set():
            self._session.stop()
        goodbye, wait_ms = DISCONNECT_WITH_WILL, 0
        try:
            await self._session.run(self._find_home() if self._doors.at else None)
            goodbye = 0
        except PeerError as error:
            if self._moved is None:  # else: both servers are one cluster, and our second connection ended this one
                self._note_failure(error)
                now = self._clock.boot_ms()
                self._takeover.lost(error, now - since, now)
                self._say_if_taken_over()
                wait_ms = self._doors.lost(now - since)
        finally:
            self._session = None
            await connection.close(reason=goodbye)
        await self._unless_stopped(self._clock.sleep_until(BootMs(self._clock.boot_ms() + wait_ms)))

    async def _find_home(self) -> None:
        """Beside the session on another server: until the first one takes us."""
        while self._moved is None:
            await self._clock.sleep_until(BootMs(self._clock.boot_ms() + HOME_AFTER_MS))
            try:
                self._moved = await self._open(self._settings.servers[0])
            except PeerError as error:
                self._counters.add("uplink_home_failures", code=error.code)

    def _take_moved(self) -> Connection | None:
        moved, self._moved = self._moved, None
        if moved is not None:
            self._doors.home()
        return moved

    def _note_failure(self, error: PeerError) -> None:
        self._counters.add("uplink_failures", code=error.code)
        if isinstance(error, Refused):
            self._refusal = str(error)
            self._say("uplink_refused", self._refusal)
            return
        self._say("uplink_down", str(error))

    def _say_if_taken_over(self) -> None:
        if code := self._takeover.alarm(self._clock.boot_ms()):
            self._say(code, "")

    def _say(self, code: str, detail: Detail) -> None:
        now = self._clock.boot_ms()
        for complaint in self._complaints.say(code, detail, now):
            self._around.on_event(Event(now, "", complaint.code, complaint.detail))

    def _whole(self, batch: Batch) -> tuple[tuple[str, bytes]]:
        return ((self._topics.data, wire_batch.encode(batch)),)

    def _packet_bytes(self, batch: Batch) -> int:
        return packet_bytes(self._topics.data, wire_batch.encode(batch))

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What `work` returns; None when `stop` came first, and `work` is then cancelled and over."""
        async with asyncio.TaskGroup() as tasks:
            doing = tasks.create_task(work, name="north connect")
            stopped = tasks.create_task(self._stopping.wait(), name="north stop")
            await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
            doing.cancel()
            stopped.cancel()
        return None if doing.cancelled() else doing.result()


def _name(broker: Broker) -> str:
    return f"{broker.host}:{broker.port}"


def _word_of(clock: Clock) -> Callable[[], UtcMs | None]:
    return lambda: clock.utc_ms() if clock.synchronised() else None
