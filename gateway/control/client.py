"""Asks the daemon over its socket. One connection per question: the CLI and the demo ask seldom."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from gateway.control import protocol
from gateway.control.protocol import Request
from gateway.errors import GatewayError

TIMEOUT_S = 5.0


class NotRunning(GatewayError):
    """No daemon answers on this socket."""

    code = "not_running"


class NoAccess(NotRunning):
    """There is a socket, and this user may not open it."""

    code = "no_access"


class Refused(GatewayError):
    """The daemon answered with an error code."""

    code = "request_refused"


class Client(Protocol):
    """What CLI and page need of a gateway."""

    def ask(self, name: str, **arguments: object) -> AsyncIterator[object]:
        """Each answer's data until the last; raises NotRunning or Refused."""
        ...


class SocketClient:
    """`Client` over `control.sock`; `timeout_s` bounds the wait for each answer."""

    def __init__(self, path: Path, timeout_s: float = TIMEOUT_S) -> None:
        self._path = path
        self._timeout_s = timeout_s

    async def ask(self, name: str, **arguments: object) -> AsyncIterator[object]:
        """Each answer's data until the last; every wait is bounded."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._path, limit=protocol.LINE_BYTES_MAX)
        except PermissionError as error:
            raise NoAccess(f"{self._path}: {error.strerror}") from error
        except OSError as error:
            raise NotRunning(f"{self._path}: {error.strerror or error}") from error
        try:
            writer.write(protocol.encode_request(Request(1, name, arguments)))
            while True:
                answer = protocol.decode_answer(await _line(reader, self._timeout_s))
                if answer.error:
                    raise Refused(answer.error)
                if answer.last:
                    return
                yield answer.data
        finally:
            writer.close()


async def first(client: Client, name: str, **arguments: object) -> object:
    """The one answer of a question that has one; raises Refused when there was none."""
    answers = [data async for data in client.ask(name, **arguments)]
    if not answers:
        raise Refused("empty")
    return answers[0]


async def _line(reader: asyncio.StreamReader, timeout_s: float) -> bytes:
    try:
        async with asyncio.timeout(timeout_s):
            line = await reader.readline()
    except (OSError, ValueError, TimeoutError) as error:
        raise NotRunning(f"no answer: {error}") from error
    if not line:
        raise NotRunning("hung up")
    return line
