"""Rows and events on their way to the disk: bounded, so that a disk slower than the buses costs rows, never RAM.

When it is full the oldest item goes; what went is counted and told as an event `rows_dropped`
[count, from_ms, to_ms], both relative to the event's own time: rows that never got a seq are named all the same.

Rows come in bursts: the polls of one moment, on all buses. Whoever waits gets them together, GATHER_S after the first,
because waking up for each of them costs as much as what is done with it then. An event, the end, and a row of a device
that has alarms (it may be one) wake at once.

Every event is in the journal too: why an uplink is refused must be seen on the box, without the IOC.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Container

from gateway.counters import Counters
from gateway.model import BootMs, Event, Row
from gateway.seams import Clock

ITEMS_MAX = 10_000
GATHER_S = 0.02

_log = logging.getLogger(__name__)


class Inbox:
    """Many stages put, one collector takes."""

    def __init__(
        self, clock: Clock, counters: Counters, items_max: int = ITEMS_MAX, hurried: Container[str] = ()
    ) -> None:
        """`hurried`: names of the devices whose rows nothing may wait for."""
        self._clock = clock
        self._counters = counters
        self._items: deque[Row | Event] = deque()
        self._items_max = items_max
        self._arrived = asyncio.Event()
        self._devices = hurried
        self._hurried = asyncio.Event()  # what arrived is not only rows that may wait
        self._dropped: list[BootMs] = []  # [earliest, latest] of what went, empty when nothing did
        self._dropped_rows = 0
        self._closed = False
        self.lost = 0  # items that nobody will take

    def put(self, item: Row | Event) -> None:
        """Never blocks, never fails. After the end nobody takes any more: it is only counted."""
        if self._closed:
            self._counters.add("inbox_dropped", what=type(item).__name__.lower())
            self.lost += 1
            return
        if len(self._items) >= self._items_max:
            self._drop(self._items.popleft())
        if isinstance(item, Event):  # repr: what a device or a server said stays in its line
            _log.info("event code=%s subject=%r detail=%r", item.code, item.subject, item.detail)
            self._hurried.set()
        elif item.group.device in self._devices:
            self._hurried.set()
        self._items.append(item)
        self._arrived.set()

    def close(self) -> None:
        """Nothing more will be put; what is inside is still handed out."""
        self._closed = True
        self._arrived.set()
        self._hurried.set()

    @property
    def ended(self) -> bool:
        """Closed and empty."""
        return self._closed and not self._items and not self._dropped

    @property
    def empty(self) -> bool:
        """Nothing is waiting to be taken."""
        return not self._items and not self._dropped

    async def next(self, until: BootMs | None) -> Row | Event | None:
        """The oldest item, or None at `until` or when it is closed and empty."""
        if not self._items and not self._closed:
            await self._wait(until)
        if self._dropped:
            return self._told()
        if not self._items:
            return None
        return self._items.popleft()

    def rest(self) -> list[Row | Event]:
        """Close it, and all that is inside, without waiting."""
        self.close()
        rest = [*([self._told()] if self._dropped else []), *self._items]
        self._items.clear()
        return rest

    async def _wait(self, until: BootMs | None) -> None:
        self._arrived.clear()
        self._hurried.clear()
        seconds = None if until is None else max(0.0, (until - self._clock.boot_ms()) / 1000)
        if await _comes(self._arrived, seconds):
            await _comes(self._hurried, GATHER_S)

    def _drop(self, item: Row | Event) -> None:
        self._counters.add("inbox_dropped", what=type(item).__name__.lower())
        self.lost += 1
        self._dropped_rows += isinstance(item, Row)
        self._dropped = [min([*self._dropped, item.at]), max([*self._dropped, item.at])]

    def _told(self) -> Event:
        now = self._clock.boot_ms()
        first, last = self._dropped
        told = Event(now, "", "rows_dropped", (self._dropped_rows, first - now, last - now), urgent=True)
        self._dropped, self._dropped_rows = [], 0
        return told


async def _comes(event: asyncio.Event, seconds: float | None) -> bool:
    """Whether it does, in this time."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False
