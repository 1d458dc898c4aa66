r"""MemoryStream: a `ByteStream` without a wire, whose other end is a script.

    def device(sent: bytes) -> Iterable[tuple[float, bytes]]:
        yield 5, b"\x01\x03\x02\x00\x2a..."       # 5 ms after the write

    stream = MemoryStream(clock, device)
    stream.arrive(at_ns, b"unasked")                # by itself, at a boot time
    stream.vanish("unplugged")                      # LinkDown from now on

Time is the given clock's alone, so a test with a FakeClock waits for nothing.
"""

from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from itertools import count
from typing import TypeAlias

from gateway.errors import LinkDown
from gateway.seams import ByteStream, Clock

Script: TypeAlias = Callable[[bytes], Iterable[tuple[float, bytes]]]


def silent(_sent: bytes) -> Iterable[tuple[float, bytes]]:
    """The script of a dead device."""
    return ()


class MemoryStream:
    """`ByteStream` whose input is what `script` answers to each write: (ms after it, bytes)."""

    def __init__(self, clock: Clock, script: Script = silent) -> None:
        self.sent: list[bytes] = []
        self.sent_ns: list[int] = []
        self.bauds: list[int] = []  # that it was set to
        self.closed = False
        self.script = script
        self._clock = clock
        self._order = count()
        self._coming: list[tuple[int, int, bytes]] = []  # a heap by time of arrival, then order
        self._down = ""

    def arrive(self, at_ns: int, data: bytes) -> None:
        """Bytes that come at a boot time, asked for or not."""
        heappush(self._coming, (at_ns, next(self._order), data))

    def vanish(self, why: str) -> None:
        """The port is gone; what had arrived before is lost with it."""
        self._down = why

    async def read(self, max_bytes: int, deadline_ns: int) -> tuple[bytes, int]:
        """As `ByteStream`."""
        self._check()
        if not self._coming or self._coming[0][0] > deadline_ns:
            await self._clock.wire_wait(deadline_ns)
            self._check()
            return b"", self._clock.boot_ns()
        await self._clock.wire_wait(self._coming[0][0])
        self._check()
        at_ns, order, data = heappop(self._coming)
        if len(data) > max_bytes:
            heappush(self._coming, (at_ns, order, data[max_bytes:]))
        return data[:max_bytes], at_ns

    def write(self, data: bytes) -> None:
        """As `ByteStream`."""
        self._check()
        now_ns = self._clock.boot_ns()
        self.sent.append(data)
        self.sent_ns.append(now_ns)
        for after_ms, answer in self.script(data):
            self.arrive(now_ns + int(after_ms * 1_000_000), answer)

    def drain_input(self) -> bytes:
        """As `ByteStream`."""
        self._check()
        taken = b""
        while self._coming and self._coming[0][0] <= self._clock.boot_ns():
            taken += heappop(self._coming)[2]
        return taken

    async def set_baud(self, baud: int) -> None:
        """As a serial port; noted."""
        self._check()
        self.bauds.append(baud)

    async def close(self) -> None:
        """As `ByteStream`."""
        self.closed = True
        self._down = self._down or "closed"

    def _check(self) -> None:
        if self._down:
            raise LinkDown(self._down)


def _fits(stream: MemoryStream) -> ByteStream:
    return stream
