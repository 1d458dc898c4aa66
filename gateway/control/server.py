"""Serves handlers on a unix socket; access by file mode and group; bounded in clients, line and time to read an answer.

A client that does not read its answers within `WRITE_TIMEOUT_S` is dropped: the daemon never waits for a terminal. One
that asks nothing for `IDLE_TIMEOUT_S` is hung up on: its place may be a technician's. And the loop turns between two
requests: however many lines a client has sent ahead, the buses are served in between.
"""

import asyncio
import contextlib
import stat
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from gateway.control import protocol
from gateway.control.protocol import Answer
from gateway.errors import GatewayError, Malformed

CLIENTS_MAX = 8
WRITE_TIMEOUT_S = 5.0
IDLE_TIMEOUT_S = 60.0
SOCKET_MODE = 0o660  # owner and group: the technicians' group of the unit

Handler: TypeAlias = Callable[[dict[str, object]], AsyncGenerator[object, None]]


class Server:
    """The listening socket and its clients."""

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._clients = 0

    async def run(self) -> None:
        """Until cancelled; a socket file left by a killed daemon is replaced."""
        with contextlib.suppress(FileNotFoundError):
            kind = stat.S_IFMT(self._path.lstat().st_mode)
            if kind in {stat.S_IFSOCK, stat.S_IFLNK}:  # of a link the link itself, wherever it leads
                self._path.unlink()
        server = await asyncio.start_unix_server(self._serve, self._path, limit=protocol.REQUEST_BYTES_MAX)
        self._path.chmod(SOCKET_MODE)
        try:
            await server.serve_forever()
        finally:
            server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._clients >= CLIENTS_MAX:
            writer.close()
            return
        self._clients += 1
        writer.transport.set_write_buffer_limits(
            0
        )  # `drain` waits until the kernel has all: nothing is left at the end
        try:
            while line := await _line(reader):
                async with contextlib.aclosing(self._answers(line)) as answers:
                    async for answer in answers:
                        writer.write(protocol.encode_answer(answer))
                        async with asyncio.timeout(WRITE_TIMEOUT_S):
                            await writer.drain()
                await asyncio.sleep(0)  # noqa: TID251 - a turn, not a time: reading and draining need not wait for one
        except (ConnectionError, TimeoutError):
            pass  # the client went away or stopped reading; nothing of ours depends on it
        except asyncio.CancelledError:
            pass  # the daemon stops; asyncio's stream server would log the cancel as an error
        finally:
            self._clients -= 1
            writer.transport.abort()  # `close` would wait, for ever, for one that reads nothing

    async def _answers(self, line: bytes) -> AsyncGenerator[Answer, None]:
        try:
            request = protocol.decode_request(line)
        except Malformed as error:
            yield Answer(0, last=True, error=error.code)
            return
        handler = self._handlers.get(request.name)
        if handler is None:
            yield Answer(request.id, last=True, error="unknown_request")
            return
        try:
            async with contextlib.aclosing(handler(request.arguments)) as told:
                async for data in told:
                    yield Answer(request.id, last=False, data=data)
        except GatewayError as error:
            yield Answer(request.id, last=True, error=error.code)
            return
        yield Answer(request.id, last=True)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(IDLE_TIMEOUT_S):
            return await reader.readline()
    except ValueError:  # longer than REQUEST_BYTES_MAX: no request of ours; hang up
        return b""
