"""Exchanges that others want on a bus: a technician's jobs, the clients of a served bus. They go between polls.

Whoever asks knows only `Asks`: `Turns` where a bus loop owns the wire, `Alone` where nobody does.

Turns is a bounded queue of *guests*. The loop asks it for the next one that may go (`look`), lets its schedule decide
when, and makes the exchange (`serve`). A guest is told something in any case: its reply or the device's failure, the
cause while the bus is away, `bus_busy` when there was no time for it within WAIT_MS or WAITING_MAX others wait already,
`no_reply` when all that time the device still owed a reply that could be taken for this one: it is not the bus then.
One that is cancelled leaves the queue; an exchange that is on goes to its end, so that no reply is left on the wire.
A guest whose unit_id still owes a reply of the same shape lets the others pass until it has come or cannot any more.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Protocol

from gateway.errors import BusBusy, DeviceError, LinkDown, NoReply
from gateway.model import BootMs
from gateway.profile.profile import Line
from gateway.protocols.modbus_pdu import Request, encode_request, reply_length
from gateway.seams import Clock
from gateway.south.links.link import NS_PER_MS, PLAIN, Manner, NotSent, Reply
from gateway.south.reads.poll import Guarded

WAITING_MAX = 32
WAIT_MS = 5000
FRAME_CHARS = 3  # unit_id and crc around a pdu
PDU_BYTES_MAX = 253  # of a reply whose length the request does not tell
SILENCE_CHARS = 3.5  # before a request: modbus over serial line v1.02, 2.5.1.1


class Asks(Protocol):
    """One exchange at a time with any device of a bus."""

    async def ask(self, unit_id: int, request: Request, timeout_ms: float, manner: Manner = PLAIN) -> Reply:
        """`timeout_ms` is the device's, from the request on; raises NoReply, BadReply, DeviceException, LinkDown.

        BusBusy (a LinkDown) when the bus had no time for it in a bounded while.
        """
        ...


class Alone:
    """`Asks` where nobody else uses the wire. `line` = that of a serial bus; None on TCP, where bytes take no time."""

    def __init__(self, guard: Guarded, clock: Clock, line: Line | None = None) -> None:
        self._guard = guard
        self._clock = clock
        self._line = line

    async def ask(self, unit_id: int, request: Request, timeout_ms: float, manner: Manner = PLAIN) -> Reply:
        """As `Asks`; never busy."""
        longest_ns = round(longest_ms(request, timeout_ms, manner, self._line) * NS_PER_MS)
        return await self._guard.request(unit_id, request, self._clock.boot_ns() + longest_ns, manner)


def longest_ms(request: Request, timeout_ms: float, manner: Manner, line: Line | None) -> float:
    """What an exchange takes at most: its time on the line, the silences before it, the device's timeout."""
    pauses_ms = (manner.min_gap_ns + (manner.wake_ns if manner.wake else 0)) / NS_PER_MS
    if line is None:
        return timeout_ms + pauses_ms
    reply_bytes = reply_length(request) or PDU_BYTES_MAX
    characters = len(encode_request(request)) + reply_bytes + 2 * FRAME_CHARS + len(manner.wake) + SILENCE_CHARS
    bits = 1 + line.bits + (line.parity != "N") + line.stop_bits
    return timeout_ms + pauses_ms + 1000 * characters * bits / line.baud


@dataclass(slots=True, eq=False)
class Guest:
    """One exchange that waits for its turn."""

    unit_id: int
    request: Request
    manner: Manner
    timeout_ms: float
    longest_ms: int
    came_at: BootMs
    reply: asyncio.Future[Reply] = field(repr=False)
    sent_before: bool = False  # on a link that was gone already: it may go once more

    @property
    def gives_up_at(self) -> BootMs:
        """When it is told that the bus had no time."""
        return BootMs(self.came_at + WAIT_MS)

    def likely_ms(self, latency_ms: float | None) -> int:
        """What its exchange takes when the device answers after so long; None = nobody knows."""
        if latency_ms is None or latency_ms >= self.timeout_ms:
            return self.longest_ms
        return ceil(self.longest_ms - self.timeout_ms + latency_ms)


class Turns:
    """`Asks` of a bus that is polled. `on_guest` wakes its loop; never blocks."""

    def __init__(self, clock: Clock, line: Line | None, on_guest: Callable[[], None]) -> None:
        self._clock = clock
        self._line = line
        self._on_guest = on_guest
        self._waiting: deque[Guest] = deque()
        self._away: LinkDown | None = None

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def ask(self, unit_id: int, request: Request, timeout_ms: float, manner: Manner = PLAIN) -> Reply:
        """As `Asks`; while the bus is away, LinkDown with the cause at once."""
        if self._away is not None:
            raise LinkDown(str(self._away))
        if len(self._waiting) >= WAITING_MAX:
            raise BusBusy(f"{WAITING_MAX} exchanges wait already")
        longest = ceil(longest_ms(request, timeout_ms, manner, self._line))
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        guest = Guest(unit_id, request, manner, timeout_ms, longest, self._clock.boot_ms(), reply)
        self._waiting.append(guest)
        self._on_guest()
        try:
            return await reply
        finally:
            if guest in self._waiting:  # cancelled
                self._waiting.remove(guest)

    def look(self, now: BootMs, guard: Guarded) -> tuple[Guest | None, BootMs | None]:
        """The first that may go now, and when to look again though nobody came. Who waited too long is sent away."""
        while self._waiting and self._waiting[0].gives_up_at <= now:
            guest = self._waiting.popleft()
            owes = guard.barred(guest.unit_id, guest.request) is not None
            busy = BusBusy(f"no time for it in {WAIT_MS / 1000:.0f} s")
            _fail(guest, NoReply("it has not answered what it was asked before") if owes else busy)
        if not self._waiting:
            return None, None
        again_at = self._waiting[0].gives_up_at
        for guest in self._waiting:
            until_ns = guard.barred(guest.unit_id, guest.request)
            if until_ns is None:
                return guest, again_at
            again_at = BootMs(min(again_at, -(-until_ns // NS_PER_MS)))
        return None, again_at

    async def serve(self, guest: Guest, guard: Guarded) -> None:
        """Make its exchange; raises LinkDown when the bus went away by it."""
        self._waiting.remove(guest)
        deadline_ns = self._clock.boot_ns() + guest.longest_ms * NS_PER_MS
        try:
            reply = await guard.request(guest.unit_id, guest.request, deadline_ns, guest.manner)
        except DeviceError as error:
            _fail(guest, error)
        except LinkDown as error:
            self._lost(guest, error)
            raise
        except asyncio.CancelledError:
            _fail(guest, LinkDown("the bus was closed"))
            raise
        else:
            if not guest.reply.done():
                guest.reply.set_result(reply)

    def admit(self) -> None:
        """The bus is there."""
        self._away = None

    def refuse(self, cause: LinkDown) -> None:
        """The bus is away until `admit`: who waits is told, and who comes."""
        self._away = cause
        while self._waiting:
            _fail(self._waiting.popleft(), LinkDown(str(cause)))

    def _lost(self, guest: Guest, error: LinkDown) -> None:
        """A request that was not sent (a converter hung up on an idle connection) goes once more, on the next link."""
        if isinstance(error, NotSent) and not guest.sent_before and not guest.reply.done():
            guest.sent_before = True
            self._waiting.appendleft(guest)
        else:
            _fail(guest, error)


def _fail(guest: Guest, error: DeviceError | LinkDown) -> None:
    if not guest.reply.done():
        guest.reply.set_exception(error)
