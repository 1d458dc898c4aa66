"""A TCP way between two processes that can be ill: stalled, cut, sliced, slow, half-open, refused.

    async with Way(port, to_port) as way:
        way.mood = Mood("slice", bytes_max=3)
        ...
        way.mood = WELL

What is on its way is never changed or reordered: TCP would not either.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65_536
LOOK_S = 0.05
END_S = 5.0
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s


@dataclass(frozen=True, slots=True)
class Mood:
    """How a way is now: well, stall, slice (`bytes_max`), latency (`delay_s`), half_open, or refuse."""

    name: str
    bytes_max: int = CHUNK_BYTES
    delay_s: float = 0.0


WELL = Mood("well")


class Way:
    """One listening port that leads to another one on loopback."""

    def __init__(self, port: int, to_port: int) -> None:
        self.port = port
        self.mood = WELL
        self._to_port = to_port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._served: set[asyncio.Task[object]] = set()

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.mood = WELL
        await self.refuse()
        if self._served:
            await asyncio.wait(self._served, timeout=END_S)

    async def listen(self) -> None:
        """Take connections; idempotent."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=CHUNK_BYTES)

    async def refuse(self) -> None:
        """Cut what is open and refuse what comes."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.reset()
        await asyncio.sleep(0)

    def reset(self) -> None:
        """RST on every connection, both ends."""
        for writer in list(self._open):
            cut(writer)

    async def _serve(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        self._open.add(near_out)
        task = asyncio.current_task()
        assert task is not None
        self._served.add(task)
        task.add_done_callback(self._served.discard)
        try:
            while self.mood.name in {"half_open", "stall"}:  # the kernel took the connection, nobody else did
                await asyncio.sleep(LOOK_S)
                if near_out.is_closing():
                    return
            await self._join(near_in, near_out)
        except OSError:
            cut(near_out)  # the far end refuses: so do we
        finally:
            self._open.discard(near_out)
            near_out.close()

    async def _join(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        far_in, far_out = await asyncio.open_connection("127.0.0.1", self._to_port, limit=CHUNK_BYTES)
        self._open.add(far_out)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(near_in, far_out), name="there")
                both.create_task(self._pump(far_in, near_out), name="back")
        except* OSError:
            cut(near_out)
            cut(far_out)
        finally:
            self._open.discard(far_out)
            far_out.close()

    async def _pump(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        """Until the source ends; then the other half may still speak."""
        swallowed = False
        while data := await source.read(CHUNK_BYTES):
            if self.mood.name == "half_open":
                swallowed = True
            if swallowed:
                await self._until(lambda: self.mood.name != "half_open" or to.is_closing())
                raise ConnectionResetError("a hole was in it")  # bytes are missing: never go on behind them
            await self._until(lambda: self.mood.name != "stall" or to.is_closing())
            await self._hand_over(data, to)
        with contextlib.suppress(OSError):
            if to.can_write_eof():
                to.write_eof()

    async def _hand_over(self, data: bytes, to: asyncio.StreamWriter) -> None:
        mood = self.mood
        if mood.delay_s:
            await asyncio.sleep(mood.delay_s)
        for at in range(0, len(data), mood.bytes_max):
            to.write(data[at : at + mood.bytes_max])
            await to.drain()
            if mood.bytes_max < CHUNK_BYTES:
                await asyncio.sleep(0)
                if self.mood is not mood:  # well again: the rest in one piece
                    to.write(data[at + mood.bytes_max :])
                    break

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not holds():  # noqa: ASYNC110 - a mood has no event
            await asyncio.sleep(LOOK_S)


def cut(writer: asyncio.StreamWriter) -> None:
    """RST instead of FIN; idempotent."""
    if not writer.is_closing():
        taken: socket.socket | None = writer.get_extra_info("socket")
        if taken is not None:
            with contextlib.suppress(OSError):
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
    writer.transport.abort()
