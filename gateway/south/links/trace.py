"""What went over a wire: the last chunks of bytes of one bus, in both directions, with their times. Bounded.

Each link notes here what it hands to the kernel and what comes from it, whether or not anyone looks: when a technician
asks, what went wrong a minute ago is still there. So a note has to be cheap (a tuple, no copy), and the ring is bounded
in chunks and in bytes. What the bytes mean is found out later, by whoever looks: `traced`.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from itertools import islice

CHUNKS_MAX = 2048
BYTES_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes as they were handed to the kernel, or came from it."""

    at_ns: int  # boot ns
    sent: bool
    data: bytes


class Trace:
    """A ring of chunks, numbered as they come from 0."""

    def __init__(self, chunks_max: int = CHUNKS_MAX, bytes_max: int = BYTES_MAX) -> None:
        self.noted = 0  # how many there ever were: the number of the next
        self._chunks_max, self._bytes_max = chunks_max, bytes_max
        self._held: deque[tuple[int, bool, bytes]] = deque()
        self._held_bytes = 0
        self._news = asyncio.Event()

    def note(self, at_ns: int, data: bytes, *, sent: bool) -> None:
        """Cheap: it is called for every exchange."""
        self._held.append((at_ns, sent, data))
        self._held_bytes += len(data)
        self.noted += 1
        while len(self._held) > self._chunks_max or self._held_bytes > self._bytes_max:
            self._held_bytes -= len(self._held.popleft()[2])
        self._news.set()  # wakes who waits now, and nobody later
        self._news.clear()

    def chunks(self, since: int = 0) -> list[Chunk]:
        """Those from number `since` on that are still held, oldest first."""
        gone = self.noted - len(self._held)
        return [Chunk(*held) for held in islice(self._held, max(since - gone, 0), None)]

    async def wait(self, since: int, timeout_s: float) -> None:
        """Until chunk number `since` was noted, but no longer than `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.noted <= since:
                    await self._news.wait()
        except TimeoutError:
            pass  # nothing came: the caller sees that by itself
