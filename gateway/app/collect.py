"""The data path, south to disk, on one screen: inbox -> chain -> packer -> `spool.append`.

Pure stages decide, this shell moves. However it ends (told to stop, or another stage failed and cancels it), what was
read is written first: what waits in the inbox, what is open in a window, what is open in the packer, in that order.

Each round ends at the earliest of what has to happen by time: a batch that is old enough, a window of the chain that is
over, the hourly telling of what was due, somebody who waits for the disk (`push`).
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.app import push
from gateway.app.inbox import Inbox
from gateway.counters import Counters
from gateway.model import BootMs, Draft, Event, Row
from gateway.pipeline.chain import Chain, Passed
from gateway.pipeline.packer import Packer
from gateway.pipeline.tally import Tally
from gateway.seams import Clock

_log = logging.getLogger(__name__)


class Keeps(Protocol):
    """The spool, as far as this goes."""

    async def append(self, draft: Draft) -> int:
        """On disk when it returns, or in the ring while the disk fails."""
        ...

    @property
    def whole(self) -> bool:
        """Whether the disk is used, not the ring."""
        ...


@dataclass(frozen=True, slots=True)
class Collector:
    """What the path is made of; `online` says whether a broker is connected now."""

    inbox: Inbox
    chain: Chain
    tally: Tally
    packer: Packer
    spool: Keeps
    waiting: push.Waiting
    clock: Clock
    counters: Counters
    online: Callable[[], bool]
    _closed: deque[Draft] = field(default_factory=deque)

    async def run(self) -> None:
        """Until the inbox has ended."""
        try:
            while not self.inbox.ended:
                item = await self.inbox.next(self._next_moment())
                now = self.clock.boot_ms()
                self._closed.extend(self.packer.due(now, online=self.online()))
                self._pack(self.chain.due(now) if item is None else self.chain.take(item))
                if self.tally.tells_at is not None and now >= self.tally.tells_at:
                    self._tell(now)
                await self._write_for(self._who_waits(now))
        finally:
            for item in self.inbox.rest():
                self._pack(self.chain.take(item))
            now = self.clock.boot_ms()
            self._pack(self.chain.flush(now))
            self._tell(now)
            self._closed.extend(self.packer.flush())
            await self._write_for(self.waiting.begin())

    def _next_moment(self) -> BootMs | None:
        """When something has to be done even if nothing comes."""
        batch = self.packer.closes_at(online=self.online())
        moments = (batch, self.chain.closes_at, self.tally.tells_at, self.waiting.due_at())
        return min((moment for moment in moments if moment is not None), default=None)

    def _who_waits(self, now: BootMs) -> push.Begun:
        """Those whose rows are in the batch that is closed for them: only when nothing is left that may be theirs."""
        if not (self.inbox.empty and self.waiting.due(now)):
            return ()
        self._closed.extend(self.packer.flush())
        return self.waiting.begin()

    def _tell(self, now: BootMs) -> None:
        for event in self.tally.tell(now):
            self._pack(self.chain.take(event))

    def _pack(self, passed: Passed) -> None:
        """An item that no message can carry costs itself: the next would come at once."""
        self._count(passed)
        for item in passed.items:
            self._add(item)
        self._closed.extend(self.packer.hurry())

    def _add(self, item: Row | Event) -> None:
        try:
            self._closed.extend(self.packer.add(item))
        except ValueError as error:
            self.counters.add("items_not_packed", what=type(item).__name__.lower())
            _log.error("item_not_packed error=%s", error)

    def _count(self, passed: Passed) -> None:
        """What the chain took away, and what was good."""
        for device, why in passed.dropped:
            self.counters.add("rows_not_passed", device=device, why=why)
        if passed.judged is None:
            return
        self.tally.add(passed.judged)
        device = passed.judged.group.device
        for _, code in passed.judged.quality:
            self.counters.add("values_null", device=device, code=code.value)
        if passed.late:
            self.counters.add("rows_late", passed.late, device=device)

    async def _write_for(self, begun: push.Begun) -> None:
        """A cancel may come when the first one is on disk already: it is then written twice, as the same points."""
        while self._closed:
            await self.spool.append(self._closed[0])
            self._closed.popleft()
        push.tell(begun, stored=self.spool.whole)
