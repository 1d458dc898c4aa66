"""The way to the database, which understands HTTP so that it can answer in the database's place.

    hang           a request is taken and never answered
    busy           503
    unauthorised   401
    partial        half of the lines are written, then 400 `field type conflict`; every other request
                   of several lines: who asks line by line is told the truth, for each of them is good
    max_series     half of the lines are written, then 400 `max-series-per-database limit exceeded`
    slow           the answer comes `delay_s` later than it was written

The TCP moods of `proxy.Way` apply too. Each request gets a connection of its own to the database.
"""

import asyncio
import contextlib
from itertools import count

from tests.gauntlet.proxy import Way

HEAD_BYTES_MAX = 65_536
ANSWER_S = 30.0
_PARTIAL = b'{"error":"partial write: field type conflict: input field \\"f\\" on measurement \\"m\\" dropped=1"}'
_MAX_SERIES = b'{"error":"partial write: max-series-per-database limit exceeded: (1000000) dropped=1"}'
_INSTEAD = {
    "busy": (b"503 Service Unavailable", b'{"error":"timeout"}'),
    "unauthorised": (b"401 Unauthorized", b'{"error":"authorization failed"}'),
    "partial": (b"400 Bad Request", _PARTIAL),
    "max_series": (b"400 Bad Request", _MAX_SERIES),
}
_HALF = frozenset(("partial", "max_series"))


class DatabaseWay(Way):
    """`Way`, request by request."""

    def __init__(self, port: int, to_port: int) -> None:
        super().__init__(port, to_port)
        self.answered = 0  # in the database's place
        self._turns = count()

    async def _join(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        while (request := await _request(near_in)) is not None:
            await self._until(lambda: self.mood.name not in {"stall", "half_open", "hang"} or near_out.is_closing())
            answer = await self._answer(*request)
            await self._until(lambda: self.mood.name not in {"stall", "half_open", "hang"} or near_out.is_closing())
            await self._hand_over(answer, near_out)

    async def _answer(self, head: bytes, body: bytes) -> bytes:
        name, lines = self.mood.name, body.split(b"\n")
        told_apart = head.startswith((b"POST /write", b"POST /api/v2/write")) and len(lines) > 1
        if name not in _INSTEAD or (name in _HALF and not told_apart) or (name == "partial" and next(self._turns) % 2):
            return await self._ask(head, body)
        if name in _HALF:
            first = b"\n".join(lines[: len(lines) // 2])
            if first and b"204" not in (await self._ask(head, first)).partition(b"\r\n")[0]:
                return await self._ask(head, body)  # it says something else: its own word counts
        self.answered += 1
        status, said = _INSTEAD[name]
        return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            status,
            len(said),
            said,
        )

    async def _ask(self, head: bytes, body: bytes) -> bytes:
        """One request to the database, its whole answer; raises OSError."""
        asked, answers = await asyncio.open_connection("127.0.0.1", self._to_port)
        self._open.add(answers)
        try:
            answers.write(_alone(head, len(body)) + body)
            await answers.drain()
            async with asyncio.timeout(ANSWER_S):
                return await asked.read()
        finally:
            self._open.discard(answers)
            answers.close()


async def _request(source: asyncio.StreamReader) -> tuple[bytes, bytes] | None:
    with contextlib.suppress(asyncio.IncompleteReadError):
        head = await source.readuntil(b"\r\n\r\n")
        lengths = [
            line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        ]
        return head, await source.readexactly(int(lengths[0])) if lengths else b""
    return None


def _alone(head: bytes, length: int) -> bytes:
    """The same head for one request on a connection of its own, with a body of `length`."""
    kept = [
        line
        for line in head.rstrip(b"\r\n").split(b"\r\n")
        if not line.lower().startswith((b"content-length:", b"connection:"))
    ]
    return b"\r\n".join([*kept, b"Content-Length: %d" % length, b"Connection: close", b"", b""])
