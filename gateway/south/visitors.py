"""Visits that others want to pay to a serial device that is asked in its own way: a technician's `gateway read`.

`Turns` are single exchanges of Modbus; here a visit is a whole talk, so its turn is one, and the loop that owns the
line makes it between its polls, with the rules of its own talks: a device that still owes an answer is not asked
(`links.owed`), so nobody gets an answer that is another's. Whoever asks is told something in any case: the outcome, the
cause while the bus is away, `bus_busy` when there was no time for it, `no_reply` when the device owed an answer all the
while. One that is cancelled leaves the queue; a visit that is on goes to its end.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.errors import BusBusy, LinkDown
from gateway.model import BootMs, Quality
from gateway.seams import Clock
from gateway.site import Device, Polled
from gateway.south.links.link import NS_PER_MS, NotSent
from gateway.south.links.owed import Owed
from gateway.south.reads.poll import Outcome
from gateway.south.schedule.steps import Wish

WAITING_MAX = 8
WAIT_MS = 5000  # and as long as the longest visit of the bus, which may be on


@dataclass(slots=True, eq=False)
class Visitor:
    """One who waits."""

    device: Device
    polled: Polled
    wish: Wish
    gives_up_at: BootMs
    outcome: asyncio.Future[Outcome] = field(repr=False)
    sent_away: bool = False  # by a link that was gone already: it may go once more


class Visitors:
    """`Visits` of a bus that is polled; never blocks. `longest_ms`: of each device; `on_visitor` wakes the loop."""

    def __init__(
        self, clock: Clock, owed: Owed, longest_ms: Callable[[Device], int], on_visitor: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._owed = owed
        self._longest_ms = longest_ms
        self._on_visitor = on_visitor
        self._waiting: deque[Visitor] = deque()
        self._away: LinkDown | None = None

    async def visit(self, device: Device, polled: Polled) -> Outcome:
        """As `Visits`."""
        if self._away is not None:
            raise LinkDown(str(self._away))
        if len(self._waiting) >= WAITING_MAX:
            raise BusBusy(f"{WAITING_MAX} visits wait already")
        now, longest_ms = self._clock.boot_ms(), self._longest_ms(device)
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        wish = Wish(now, longest_ms, longest_ms)
        visitor = Visitor(device, polled, wish, BootMs(now + WAIT_MS + longest_ms), outcome)
        self._waiting.append(visitor)
        self._on_visitor()
        try:
            return await outcome
        finally:
            if visitor in self._waiting:  # cancelled
                self._waiting.remove(visitor)

    def look(self, now: BootMs) -> tuple[Visitor | None, BootMs | None]:
        """The first that may go now, and when to look again though nobody came. Who waited too long is sent away."""
        now_ns = self._clock.boot_ns()
        for visitor in [one for one in self._waiting if one.gives_up_at <= now]:
            self._send_away(visitor, now_ns)
        again_at: BootMs | None = None
        for visitor in self._waiting:
            until_ns = self._owed.until_ns(visitor.device.name, now_ns)
            if until_ns is None:
                return visitor, min(one.gives_up_at for one in self._waiting)
            wakes_at = BootMs(min(visitor.gives_up_at, -(-until_ns // NS_PER_MS)))
            again_at = wakes_at if again_at is None else min(again_at, wakes_at)
        return None, again_at

    def ended(self, visitor: Visitor, outcome: Outcome) -> None:
        """Its visit is over; one that a lost link did not even send goes once more, on the next link."""
        if isinstance(outcome.link_down, NotSent) and not visitor.sent_away and not visitor.outcome.done():
            visitor.sent_away = True
            return
        if outcome.waits_until is not None:  # it owes an answer by now: not yet
            return
        self._leave(visitor)
        if not visitor.outcome.done():
            visitor.outcome.set_result(outcome)

    def admit(self) -> None:
        """The bus is there."""
        self._away = None

    def refuse(self, cause: LinkDown) -> None:
        """The bus is away until `admit`: who waits is told, and who comes."""
        self._away = cause
        for visitor in tuple(self._waiting):
            self._fail(visitor, LinkDown(str(cause)))

    def _send_away(self, visitor: Visitor, now_ns: int) -> None:
        if self._owed.until_ns(visitor.device.name, now_ns) is not None:
            self.ended(visitor, Outcome(None, Quality.NO_REPLY, answered=False))
        else:
            self._fail(visitor, BusBusy("no time for it"))

    def _fail(self, visitor: Visitor, error: LinkDown) -> None:
        self._leave(visitor)
        if not visitor.outcome.done():
            visitor.outcome.set_exception(error)

    def _leave(self, visitor: Visitor) -> None:
        if visitor in self._waiting:
            self._waiting.remove(visitor)
