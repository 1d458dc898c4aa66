"""An endpoint that is a job's alone: opened for it, closed after it, `Asks` in between.

A converter may hang up on the idle, or on a request it does not like: its connection is made once more, and the request
repeated. A request that ends the second one too has no good answer. A serial port that goes away stays away.
"""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from gateway.counters import Counters
from gateway.errors import BadReply, LinkDown
from gateway.protocols.modbus_pdu import Request
from gateway.seams import Clock
from gateway.site import Bus
from gateway.south.jobs.ways import Way
from gateway.south.links.guard import Guard, silence_ns
from gateway.south.links.late import LateReplies
from gateway.south.links.link import PLAIN, Link, Manner, Reply
from gateway.south.links.modbus_links import open_own
from gateway.south.turns import Alone


class Lone:
    """`Asks` over an endpoint of one's own: a context manager. Raises LinkDown when it cannot be opened."""

    def __init__(
        self, endpoint: str, way: Way, clock: Clock, opener: Callable[[Bus, Clock], Awaitable[Link]] = open_own
    ) -> None:
        self._bus = Bus("lone", way.transport, "own", endpoint, way.line, ())
        self._clock = clock
        self._opener = opener
        self._late = LateReplies(shared_queue=not way.serial)
        self._line = way.line if way.serial else None
        self._guard: Guard | None = None

    async def __aenter__(self) -> Self:
        await self._opened()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def ask(self, unit_id: int, request: Request, timeout_ms: float, manner: Manner = PLAIN) -> Reply:
        """As `Asks`; never busy."""
        try:
            return await Alone(await self._opened(), self._clock, self._line).ask(unit_id, request, timeout_ms, manner)
        except LinkDown:
            if self._line is not None:
                raise
        await self._close()
        try:
            return await Alone(await self._opened(), self._clock).ask(unit_id, request, timeout_ms, manner)
        except LinkDown as error:
            if self._guard is None:
                raise
            await self._close()
            raise BadReply(f"the other end hangs up: {error}") from error

    async def _opened(self) -> Guard:
        if self._guard is None:
            link = await self._opener(self._bus, self._clock)
            silence = silence_ns(self._bus.transport, self._bus.line)
            self._guard = Guard(link, self._clock, Counters(), bus=self._bus.name, silence_ns=silence, late=self._late)
        return self._guard

    async def _close(self) -> None:
        guard, self._guard = self._guard, None
        if guard is not None:
            await guard.close()
