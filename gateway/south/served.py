"""A bus that others may read through us: a small Modbus TCP server before `Asks`.

Each request goes to the device between two polls, within the bounds of the bus's schedule, and its reply is handed on.
Nothing is cached: what a client gets was on the wire for it. The bounds: CLIENTS_MAX connections, IDLE_S without a
request, FRAME_S over one that has begun, one request of a client at a time; what it sends ahead waits, and the loop
turns before it is looked at. When all places are taken, one more client gets that of whoever has asked nothing for the
longest, if that is STALE_MS or more (a peer that lost power never hangs up); else it is hung up on.

Served are the devices of the site, their reads and their identification. Registers that the profile says must never be
read stay unread (reading some of them loses rain), and nothing is written. Exceptions, by the specification's names:

    1  illegal function          a write, or a function we do not carry
    2  illegal data address      an address that must never be read
    6  server device busy        the bus had no time for it in a bounded while
    10 gateway path unavailable  no such unit_id here, or the bus is away
    11 gateway target failed     the device did not answer, or not with an answer to this
    else                         the device's own
"""

import asyncio
from collections.abc import Callable

from gateway.counters import Counters
from gateway.errors import BadReply, BusBusy, DeviceError, DeviceException, LinkDown
from gateway.model import BootMs, Event
from gateway.profile.profile import ModbusSource
from gateway.protocols.modbus_frame import Frame, TcpReader, encode_tcp
from gateway.protocols.modbus_pdu import (
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ReadDeviceId,
    ReadRequest,
    Request,
    decode_request,
    encode_exception,
    encode_reply,
    refusal,
)
from gateway.seams import Clock
from gateway.site import Bus, Serve
from gateway.south.links.link import manner_of
from gateway.south.reads.plan import Span
from gateway.south.turns import Asks

CLIENTS_MAX = 8
IDLE_S = 300.0  # operators' systems keep a connection between their reads
FRAME_S = 5.0  # for the rest of a request that has begun
STALE_MS = 60_000
WRITE_TIMEOUT_S = 5.0
READ_MAX_BYTES = 1024
AGAIN_MS = 10_000  # until a port that is taken is tried again
BUSY, NO_PATH, NO_ANSWER = 6, 10, 11


class BusServer:
    """The served side of one bus."""

    def __init__(
        self,
        bus: Bus,
        serve: Serve,
        asks: Asks,
        clock: Clock,
        counters: Counters,
        on_event: Callable[[Event], None],
    ) -> None:
        self._bus = bus
        self._serve = serve
        self._asks = asks
        self._clock = clock
        self._counters = counters
        self._on_event = on_event
        self._sources = {
            device.unit_id: device.profile.source
            for device in bus.devices
            if isinstance(device.profile.source, ModbusSource)
        }
        self._clients: dict[asyncio.StreamWriter, BootMs] = {}  # and when each was last busy with a request

    async def run(self) -> None:
        """Until cancelled; a port that cannot be had is told once and tried again."""
        told = False
        while True:
            try:
                server = await asyncio.start_server(
                    self._talk, self._serve.host, self._serve.port, limit=READ_MAX_BYTES, reuse_address=True
                )
            except OSError as error:
                if not told:
                    self._tell("serve_failed", f"{self._serve.host}:{self._serve.port}: {error.strerror or error}")
                told = True
                await self._clock.sleep_until(BootMs(self._clock.boot_ms() + AGAIN_MS))
                continue
            if told:
                self._tell("serve_works", f"{self._serve.host}:{self._serve.port}")
            return await self._until_cancelled(server)

    async def _until_cancelled(self, server: asyncio.Server) -> None:
        try:
            await server.serve_forever()
        finally:
            server.close()
            for client in tuple(self._clients):
                client.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._has_room():
            self._count("served_turned_away")
            writer.close()
            return
        self._clients[writer] = self._clock.boot_ms()
        writer.transport.set_write_buffer_limits(
            0
        )  # `drain` waits until the kernel has all: nothing is left at the end
        try:
            await self._answer_all(reader, writer)
        except (ConnectionError, TimeoutError):
            pass  # the client went away, or asks nothing, or reads nothing; nothing of ours depends on it
        except BadReply:
            self._count("served_not_understood")  # what follows a broken header cannot be understood: hang up
        except asyncio.CancelledError:
            pass  # the daemon stops; asyncio's stream server would log the cancel as an error
        finally:
            self._clients.pop(writer, None)
            writer.transport.abort()  # `close` would wait, for ever, for one that reads nothing

    def _has_room(self) -> bool:
        """Whether one more client has a place; one that is stale gives up its own."""
        if len(self._clients) < CLIENTS_MAX:
            return True
        stalest = min(self._clients, key=lambda client: self._clients[client])
        if self._clock.boot_ms() - self._clients[stalest] < STALE_MS:
            return False
        self._count("served_gave_place")
        del self._clients[stalest]
        stalest.transport.abort()
        return True

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = TcpReader()
        while requests := await _requests(reader, frames):
            for frame in requests:
                pdu = await self.answer(frame.unit_id, frame.pdu)
                writer.write(encode_tcp(Frame(frame.unit_id, pdu, frame.tid)))
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await writer.drain()
                if writer in self._clients:
                    self._clients[writer] = self._clock.boot_ms()
                await asyncio.sleep(0)  # noqa: TID251 - a turn, not a time: a refusal waits for nothing

    async def answer(self, unit_id: int, pdu: bytes) -> bytes:
        """The response to one request: the device's, or an exception."""
        self._count("served")
        try:
            request = decode_request(pdu)
        except BadReply:
            return self._refuse(pdu, refusal(pdu))
        source = self._sources.get(unit_id)
        if source is None:
            return self._refuse(pdu, NO_PATH)
        if not isinstance(request, ReadRequest | ReadDeviceId):
            return self._refuse(pdu, ILLEGAL_FUNCTION)
        if _must_not_be_read(request, source):
            return self._refuse(pdu, ILLEGAL_ADDRESS)
        try:
            reply = await self._asks.ask(unit_id, request, source.timeout_ms, manner_of(source))
        except (DeviceError, LinkDown) as error:
            return self._refuse(pdu, exception_of(error))
        return encode_reply(request, reply.data)

    def _refuse(self, pdu: bytes, exception: int) -> bytes:
        self._counters.add("served_exceptions", bus=self._bus.name, exception=str(exception))
        return encode_exception(pdu[0], exception)

    def _count(self, name: str) -> None:
        self._counters.add(name, bus=self._bus.name)

    def _tell(self, code: str, detail: str) -> None:
        self._on_event(Event(self._clock.boot_ms(), self._bus.name, code, detail, urgent=True))


def exception_of(error: DeviceError | LinkDown) -> int:
    """What a client is told of a failure."""
    if isinstance(error, DeviceException):
        return error.exception
    if isinstance(error, BusBusy):
        return BUSY
    return NO_PATH if isinstance(error, LinkDown) else NO_ANSWER


def _must_not_be_read(request: Request, source: ModbusSource) -> bool:
    if not isinstance(request, ReadRequest):
        return False
    asked = Span(request.table, request.address, request.address + request.count - 1)
    return any(Span(*hole).touches(asked) for hole in source.never_read)


async def _requests(reader: asyncio.StreamReader, frames: TcpReader) -> list[Frame]:
    """The next whole requests; none when the client has gone.

    Raises BadReply, and TimeoutError: bytes alone are no request.
    """
    async with asyncio.timeout(IDLE_S):
        data = await reader.read(READ_MAX_BYTES)
    requests = frames.feed(data)
    async with asyncio.timeout(FRAME_S):
        while data and not requests:
            data = await reader.read(READ_MAX_BYTES)
            requests = frames.feed(data)
    return requests
