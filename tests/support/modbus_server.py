"""A Modbus server that misbehaves on order: TCP, RTU over TCP, and RTU on a pseudo-terminal.

    async with ModbusServer("rtu") as server:            # server.endpoint is a port path, or host:port
        server.faults[3] = lambda asked: [(0.2, asked.good())]        # request 3 is answered late

A register's content tells its unit_id, table and address, so that a reply taken for another's is a wrong value.
A device answers its requests in order: while an answer is late, the next ones queue behind it (`queues`).
It lives in the event loop of the test; what is still to be sent when it closes is dropped.
"""

import asyncio
import os
import pty
import tty
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

from gateway.errors import BadReply
from gateway.protocols.modbus_frame import Frame, RtuReader, TcpReader, encode_rtu, encode_tcp, request_length
from gateway.protocols.modbus_pdu import (
    ReadDeviceId,
    ReadRequest,
    Request,
    Table,
    decode_request,
    encode_echo,
    encode_exception,
    encode_reply,
    refusal,
)

HANG_UP = b"hang up"  # an answer that closes the connection, or takes the port away
IDENTITY = bytes.fromhex("01 00 00 01 00 04") + b"Acme"  # one object: the vendor
Answer: TypeAlias = tuple[float, bytes | Callable[[], bytes]]  # seconds after the request; a callable is asked then
Fault: TypeAlias = "Callable[[Asked], Sequence[Answer]]"


def content(unit_id: int, request: Request) -> bytes:
    """The data that this server gives for a good request."""
    if isinstance(request, ReadDeviceId):
        return IDENTITY
    if not isinstance(request, ReadRequest):
        return encode_echo(request)[1:]
    salt = 1000 * unit_id + 17 * list(Table).index(request.table)
    if request.table in {Table.COIL, Table.DISCRETE}:
        return bytes((salt + 3 * request.address + at) & 0xFF for at in range((request.count + 7) // 8))
    words = (salt + 3 * address for address in range(request.address, request.address + request.count))
    return b"".join((word & 0xFFFF).to_bytes(2, "big") for word in words)


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    number: int  # from 1
    frame: Frame
    raw: bytes
    encode: Callable[[Frame], bytes]

    def pdu(self) -> bytes:
        """The right response."""
        try:
            request = decode_request(self.frame.pdu)
        except BadReply:
            return encode_exception(self.frame.pdu[0], refusal(self.frame.pdu))
        return encode_reply(request, content(self.frame.unit_id, request))

    def good(self) -> bytes:
        """The right frame."""
        return self.wire(self.pdu())

    def wire(self, pdu: bytes, *, unit_id: int | None = None, tid: int | None = None) -> bytes:
        """Any response in a frame, with a good checksum."""
        unit_id = self.frame.unit_id if unit_id is None else unit_id
        return self.encode(Frame(unit_id, pdu, self.frame.tid if tid is None else tid))


class ModbusServer:
    """One medium; every unit_id answers, but those in `dead`. While one is slow its own requests wait: `queues`.

    queues: "unit" = each device has its own, "shared" = a converter has one for all, "none" = nobody waits for another.
    """

    def __init__(self, transport: str, port: int = 0) -> None:
        self._port = port  # of TCP; 0 = any free one
        self.faults: dict[int, Fault] = {}
        self.every: Fault | None = None  # for requests without a fault of their own
        self.dead: set[int] = set()
        self.queues = "unit"
        self.asked: list[Asked] = []
        self.arrived = asyncio.Event()  # set at each request; a test clears it
        self.endpoint = ""
        self._transport = transport
        self._busy_until_s: dict[int, float] = {}
        self._encode = encode_tcp if transport == "tcp" else encode_rtu
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._fds: list[int] = []
        self._timers: list[asyncio.TimerHandle] = []

    async def __aenter__(self) -> Self:
        if self._transport == "rtu":
            self._open_pty()
        else:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
            self.endpoint = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for timer in self._timers:
            timer.cancel()
        self.hang_up()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
        while self._writers:  # noqa: ASYNC110 - a turn of the loop for each connection to end, not a poll
            await asyncio.sleep(0)

    def hang_up(self) -> None:
        """Close every connection; take the port away."""
        for writer in self._writers:
            writer.close()
        if self._fds:
            asyncio.get_running_loop().remove_reader(self._fds[0])
        for fd in self._fds:
            os.close(fd)
        self._fds.clear()

    def _say(self, data: bytes) -> None:
        if self._fds:
            os.write(self._fds[0], data)

    def _open_pty(self) -> None:
        master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        self._fds = [master, slave]
        self.endpoint = os.ttyname(slave)
        reader = RtuReader(request_length)

        def ready() -> None:
            self._take(reader, os.read(master, 4096), self._say)

        asyncio.get_running_loop().add_reader(master, ready)

    async def _serve(self, incoming: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader = TcpReader() if self._transport == "tcp" else RtuReader(request_length)
        self._writers.add(writer)

        def say(data: bytes) -> None:
            if not writer.is_closing():
                writer.write(data)

        try:
            while data := await incoming.read(4096):
                self._take(reader, data, say)
        except ConnectionError:
            pass  # the client's way to go
        finally:
            writer.close()
            self._writers.discard(writer)

    def _take(self, reader: RtuReader | TcpReader, data: bytes, say: Callable[[bytes], None]) -> None:
        for frame in reader.feed(data):
            asked = Asked(len(self.asked) + 1, frame, self._encode(frame), self._encode)
            self.asked.append(asked)
            self.arrived.set()
            if frame.unit_id not in self.dead:
                self._answer(asked, say)

    def _answer(self, asked: Asked, say: Callable[[bytes], None]) -> None:
        fault = self.faults.get(asked.number, self.every)
        answers = [(0.0, asked.good())] if fault is None else fault(asked)
        loop = asyncio.get_running_loop()
        queue = {"unit": asked.frame.unit_id, "shared": -1, "none": -1 - asked.number}[self.queues]
        begins_s = max(loop.time(), self._busy_until_s.get(queue, 0.0))
        # a microsecond: timers of one moment are called in any order
        self._busy_until_s[queue] = begins_s + max((after_s for after_s, _ in answers), default=0.0) + 1e-6
        for after_s, data in answers:
            if begins_s + after_s > loop.time():
                self._timers.append(loop.call_at(begins_s + after_s, self._send, say, data))
            else:
                self._send(say, data)

    def _send(self, say: Callable[[bytes], None], data: bytes | Callable[[], bytes]) -> None:
        data = data if isinstance(data, bytes) else data()
        if data == HANG_UP:
            self.hang_up()
        else:
            say(data)
