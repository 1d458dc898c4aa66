"""Modbus TCP: any number of unit_ids behind one endpoint, as behind a converter; also RTU frames over TCP.

Every request is answered, also when several came in one segment; a unit_id that is not there is silence, as it is on
the bus behind a converter that does not make up exceptions.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, Self

from gateway.errors import BadReply
from gateway.protocols.modbus_frame import Frame, RtuReader, TcpReader, encode_rtu, encode_tcp, request_length
from gateway.site import Bus
from simulators.device import ModbusDevice
from simulators.moments import now
from simulators.truth import TruthLog

UNSENT_BYTES_MAX = 1 << 20  # a client that asks and never reads is cut off


class Reader(Protocol):
    """Bytes in, frames out."""

    def feed(self, data: bytes) -> list[Frame]:
        """Raises BadReply when the stream has lost step."""
        ...


FRAMING: Mapping[str, tuple[Callable[[], Reader], Callable[[Frame], bytes]]] = {
    "tcp": (TcpReader, encode_tcp),
    "rtu_over_tcp": (lambda: RtuReader(request_length), encode_rtu),
}


class TcpServer:
    """The devices of one TCP bus."""

    def __init__(self, bus: Bus, devices: Mapping[int, ModbusDevice], truth: TruthLog) -> None:
        self._bus = bus
        self._devices = devices
        self._truth = truth
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None
        self.endpoint = bus.endpoint

    async def __aenter__(self) -> Self:
        host, _, port = self._bus.endpoint.rpartition(":")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, host.strip("[]"), int(port))
        host, port = self._server.sockets[0].getsockname()[:2]
        self.endpoint = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            for connection in tuple(self._connections):
                connection.abort()
            await self._server.wait_closed()

    async def run(self) -> None:
        """Until cancelled: the connections work by themselves."""
        await asyncio.Event().wait()

    def _connection(self) -> "_Connection":
        make_reader, encode = FRAMING[self._bus.transport]
        return _Connection(make_reader(), encode, self._devices, self._truth, self._connections)


class _Connection(asyncio.Protocol):
    """One client."""

    def __init__(
        self,
        reader: Reader,
        encode: Callable[[Frame], bytes],
        devices: Mapping[int, ModbusDevice],
        truth: TruthLog,
        connections: "set[_Connection]",
    ) -> None:
        self._reader = reader
        self._encode = encode
        self._devices = devices
        self._truth = truth
        self._connections = connections
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  what create_server promises
        self._transport = transport
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        try:
            frames = self._reader.feed(data)
        except BadReply:  # nothing that follows can be understood: a server hangs up
            self.abort()
            return
        for frame in frames:
            self._answer(frame)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        self._connections.discard(self)
        self._transport = None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _answer(self, frame: Frame) -> None:
        device = self._devices.get(frame.unit_id)
        if device is None or self._transport is None or self._transport.is_closing():
            return
        at = now()
        answer = device.answer(frame.pdu, at.utc_ms)
        self._transport.write(self._encode(Frame(frame.unit_id, answer.data, frame.tid)))
        self._truth.left(device.name, device.kind, answer, at, "modbus")
        if self._transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
            self.abort()
