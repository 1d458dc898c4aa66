"""The socket that `simctl` talks to: one command a line, answered by lines (`simulators.commands`)."""

import asyncio
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from simulators.commands import LINE_MAX_BYTES, Commands
from simulators.run import Run

CLIENTS_MAX = 8  # more are hung up on


class Control:
    """A context: a unix socket that only its owner may open."""

    def __init__(self, path: Path, commands: Commands, run: Run) -> None:
        self._path = path
        self._commands = commands
        self._run = run
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        if _answers(self._path):
            raise OSError(f"{self._path} is the socket of other simulators that run")
        self._server = await asyncio.start_unix_server(self._serve, self._path, limit=LINE_MAX_BYTES)
        self._path.chmod(0o600)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            for writer in tuple(self._writers):
                writer.transport.abort()
            await self._server.wait_closed()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._writers) >= CLIENTS_MAX:
            writer.close()
            return
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                said = self._commands.answer(line.decode("utf-8", "replace"), self._run.now_ms())
                writer.write("".join(f"{one}\n" for one in said).encode())
                await writer.drain()
        except (ValueError, ConnectionError):  # a line beyond LINE_MAX_BYTES; a client that has gone
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


def _answers(path: Path) -> bool:
    """Whether somebody listens there; a socket that was left over is replaced."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
