"""A line with serial devices that is a job's alone: opened for it, closed after it, `Visits` in between."""

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from gateway.counters import Counters
from gateway.model import Quality
from gateway.seams import Clock
from gateway.site import Bus, Device, Polled
from gateway.south.links.conversation_link import ConversationLink, TalkStream
from gateway.south.links.owed import Owed
from gateway.south.links.ports import open_talk
from gateway.south.links.trace import Trace
from gateway.south.reads.poll import Outcome
from gateway.south.reads.talk import Talker


class LoneVisit:
    """A context manager. Raises LinkDown when the line cannot be opened; never busy."""

    def __init__(
        self, bus: Bus, clock: Clock, opener: Callable[[Bus, Clock], Awaitable[TalkStream]] = open_talk
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._opener = opener
        self._owed = Owed(shared_queue=not bus.serial)
        self._link: ConversationLink

    async def __aenter__(self) -> Self:
        stream = await self._opener(self._bus, self._clock)
        line, name = self._bus.line, self._bus.name
        self._link = ConversationLink(stream, line, self._clock, self._owed, Trace(), Counters(), bus=name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._link.close()

    async def visit(self, device: Device, polled: Polled) -> Outcome:
        """As `Visits`; a device that still owes an answer is not asked: it has not answered."""
        talker = Talker(self._bus.name, device, self._clock, Counters(), self._owed)
        (outcome,) = await talker.visit(self._link, [polled])
        if outcome.waits_until is not None:
            return Outcome(None, Quality.NO_REPLY, answered=False)
        return outcome
