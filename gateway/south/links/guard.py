"""A `Link` that distrusts the `Link` it wraps: one exchange at a time, silence before each, no reply for another's.

The order of an exchange:
1. wait until its reply shape is not barred (`late`): before the deadline, or NoReply without a byte sent;
2. one at a time, first come first served;
3. hear what came unasked, and wait until the line was silent for max(3.5 characters, 1.75 ms) and the device's min_gap;
4. wake a device that sleeps, and wait as long as it takes; what it says to that answers nothing;
5. ask. The deadline is absolute and the link's own; the link's call is never cancelled from here;
6. whatever ends without a good reply leaves one owed: its shape is barred before anyone else is let in.

A caller that is cancelled abandons its exchange: its reply may be on the wire at this moment, so besides the bar the
line stays quiet until the abandoned deadline, or until that reply was heard. The bars outlive the link: give the `late`
of a dead guard to the guard of the next link.

Functions 5 and 6 are answered with the request itself. On a line that hears itself that answer and the echo are the
same bytes, and a write to a dead device would pass for done. A link finds out whether its line echoes from any other
exchange; so before the first of these two, one register or coil is read, unless something was answered already.
"""

import asyncio

from gateway.counters import Counters
from gateway.errors import BadReply, DeviceException, LinkDown, NoReply
from gateway.profile.profile import Line
from gateway.protocols.modbus_pdu import (
    ECHOED,
    ReadRequest,
    Request,
    Table,
    WriteCoils,
    WriteRegisters,
    function,
    reply_length,
)
from gateway.seams import Clock
from gateway.south.links.late import LateReplies, Shape, shape_of
from gateway.south.links.link import PLAIN, Heard, Link, Manner, NotSent, Reply

SILENCE_MIN_NS = 1_750_000
CHARACTER_BITS = 11  # what the serial line specification counts with, also for 8N1


def silence_ns(transport: str, line: Line) -> int:
    """The silence a bus needs between frames: none on TCP, where the frames tell their length."""
    if transport in {"tcp", "udp"}:
        return 0
    return max(SILENCE_MIN_NS, 3_500_000_000 * CHARACTER_BITS // line.baud)


class Guard:
    """`Link` with a rule for late replies; counts `guard_*` by bus."""

    def __init__(
        self,
        link: Link,
        clock: Clock,
        counters: Counters,
        *,
        bus: str,
        silence_ns: int,
        late: LateReplies | None = None,
    ) -> None:
        self.late = LateReplies() if late is None else late
        self._link = link
        self._clock = clock
        self._counters = counters
        self._bus = bus
        self._silence_ns = silence_ns
        self._may_echo = silence_ns > 0  # on TCP the frames tell
        self._turn = asyncio.Lock()
        self._busy_ns = 0  # when the last byte went over the line, as far as is known
        self._abandoned: tuple[Shape, int] | None = None

    def barred(self, unit_id: int, request: Request) -> int | None:
        """Until when (boot ns) this request has to wait for a late reply; None when it may go now."""
        if self.late and not self._turn.locked():
            self._listen()
        return self._barred(unit_id, request)

    async def request(self, unit_id: int, request: Request, deadline_ns: int, manner: Manner = PLAIN) -> Reply:
        """As `Link`; NoReply also when the shape stays barred or the line busy until the deadline."""
        if self._may_echo and isinstance(request, WriteCoils | WriteRegisters) and function(request) in ECHOED:
            await self._learn_echo(unit_id, request, deadline_ns, manner)
        return await self._ask(unit_id, request, deadline_ns, manner)

    def drain(self) -> Heard | None:
        """As `Link`; the rule has seen what is told here. While an exchange is on, what comes is its own."""
        return Heard((), self._busy_ns) if self._turn.locked() else self._listen()

    async def close(self) -> None:
        """Closes the link; `late` stays."""
        await self._link.close()

    def _barred(self, unit_id: int, request: Request) -> int | None:
        return self.late.barred_ns(shape_of(unit_id, request), self._clock.boot_ns()) if self.late else None

    async def _ask(self, unit_id: int, request: Request, deadline_ns: int, manner: Manner) -> Reply:
        asked_ns = self._clock.boot_ns()
        while True:
            await self._until_free(unit_id, request, deadline_ns)
            async with self._turn:
                await self._until_silent(max(manner.min_gap_ns, self._silence_ns), deadline_ns)
                if manner.wake and self._silence_ns:  # a stray byte would break the frames of TCP
                    await self._wake(manner, deadline_ns)
                if self._barred(unit_id, request) is None:
                    return await self._exchange(unit_id, request, asked_ns, deadline_ns)

    async def _learn_echo(
        self, unit_id: int, write: WriteCoils | WriteRegisters, deadline_ns: int, manner: Manner
    ) -> None:
        """Read what is to be written. Silence tells too: of a link that shows what it heard, an echo would be known."""
        read = ReadRequest(Table.COIL if isinstance(write, WriteCoils) else Table.HOLDING, write.address, 1)
        now_ns = self._clock.boot_ns()
        try:
            await self._ask(unit_id, read, now_ns + (deadline_ns - now_ns) // 2, manner)
        except DeviceException:
            pass  # an answer like any other
        except (NoReply, BadReply):
            if self._may_echo:
                raise

    async def _wake(self, manner: Manner, deadline_ns: int) -> None:
        """A character is at most 2/7 of the silence."""
        self._link.wake(manner.wake)
        self._busy_ns = self._clock.boot_ns() + len(manner.wake) * self._silence_ns * 2 // 7
        await self._clock.wire_wait(min(self._busy_ns + manner.wake_ns, deadline_ns))
        await self._until_silent(self._silence_ns, deadline_ns)

    async def _until_free(self, unit_id: int, request: Request, deadline_ns: int) -> None:
        while (until_ns := self.barred(unit_id, request)) is not None:
            if until_ns >= deadline_ns:
                self._count("guard_barred")
                raise NoReply(f"unit_id {unit_id} still owes a reply that looks like this one")
            await self._clock.wire_wait(until_ns)

    async def _until_silent(self, gap_ns: int, deadline_ns: int) -> None:
        self._listen()
        while (silent_ns := self._silent_from_ns(gap_ns)) > self._clock.boot_ns():
            if silent_ns >= deadline_ns:
                self._count("guard_busy")
                raise NoReply("the line was busy until the deadline")
            await self._clock.wire_wait(silent_ns)
            self._listen()
        if deadline_ns <= self._clock.boot_ns():
            self._count("guard_busy")
            raise NoReply("the deadline passed before it was this request's turn")

    def _silent_from_ns(self, gap_ns: int) -> int:
        abandoned_ns = self._abandoned[1] if self._abandoned else 0
        return max(self._busy_ns + gap_ns, abandoned_ns)

    async def _exchange(self, unit_id: int, request: Request, asked_ns: int, deadline_ns: int) -> Reply:
        shape = shape_of(unit_id, request)
        try:
            reply = _checked(request, await self._link.request(unit_id, request, deadline_ns))
        except DeviceException as refusal:
            self._busy_ns = self._clock.boot_ns()
            if self.late.holds(unit_id, self._busy_ns):
                self._owed(shape, asked_ns, deadline_ns, disbelieved=True)
                self._count("guard_exception_not_believed")
                raise BadReply(f"exception {refusal.exception} may be the answer to an earlier request") from None
            self._answered(shape)
            raise
        except NotSent:
            raise
        except (NoReply, BadReply, LinkDown):
            self._owed(shape, asked_ns, deadline_ns)
            raise
        except asyncio.CancelledError:
            self._abandoned = (self._owed(shape, asked_ns, deadline_ns), deadline_ns)
            raise
        self._busy_ns = reply.t_done_ns
        self._answered(shape)
        return reply

    def _answered(self, shape: Shape) -> None:
        self.late.answered(shape.unit_id)
        self._may_echo = self._may_echo and shape.function in ECHOED

    def _owed(self, shape: Shape, asked_ns: int, deadline_ns: int, *, disbelieved: bool = False) -> Shape:
        """Bar the shape of a reply that may still come. What was heard before now is older than that reply."""
        if self._listen() is None:
            shape = Shape(shape.unit_id, None, None)
        else:
            self._may_echo = self._may_echo and shape.function in ECHOED
        self.late.bar(shape, asked_ns, deadline_ns, disbelieved=disbelieved)
        self._count("guard_uncertain")
        return shape

    def _listen(self) -> Heard | None:
        """Let the rule see what answered nothing."""
        heard = self._link.drain()
        if heard is None:
            return None
        self._busy_ns = max(self._busy_ns, heard.last_byte_ns)
        for frame in heard.frames:
            self._count("guard_late" if self.late.heard(frame, heard.last_byte_ns) else "guard_stray")
        if self._abandoned and self.late.barred_ns(self._abandoned[0], self._clock.boot_ns()) is None:
            self._abandoned = None
        return heard

    def _count(self, name: str) -> None:
        self._counters.add(name, bus=self._bus)


def _checked(request: Request, reply: Reply) -> Reply:
    """The last check of the byte count, whatever the link looked at; raises BadReply."""
    length = reply_length(request)
    if length is not None and len(reply.data) != length - (2 if isinstance(request, ReadRequest) else 1):
        raise BadReply(f"{len(reply.data)} bytes do not answer {request}")
    return reply
