"""Which replies are still owed: the rule that keeps a late reply from being taken for the next one. Pure.

A Modbus reply does not say which request it answers; on RTU not even that it answers one. After a request whose outcome
is uncertain (no reply, a bad one, a cancel) its reply may still come. Until it has come, or `late_max` has passed, no
request is sent that the same frame could answer: its **shape** (unit_id, function, reply length) is *barred*.

- A frame of a barred shape that answers nothing is the late reply: the bar is lifted.
- An exception has no length, so it cannot be told whose it is: while a unit_id has any bar, an exception of it is not
  believed (`holds`). One that answers nothing lifts the bar of its function, if there is only one.
- A link that cannot show what came (pymodbus) cannot lift bars, and takes any frame of the unit_id for the reply: there
  every shape of the unit_id is barred (function and length None), and only time lifts it.

How late a reply can be: one request is worked on for at most its timeout and `late_max`; what works longer on a single
one is beyond what can be told apart. Devices answer in order, so what is asked while replies are owed may be taken up
only when all of those are done: its bar is counted from when the last of them came, or from the end of their bars. But
from QUEUED_MAX of them at most: nothing of this size queues more that it is slow with, and dead devices must not push
the bars of all others into the distance.
On a serial line each device has its own queue; behind a converter all may share one (`shared_queue`), or not.
A good reply shows how far its device has come (`answered`):
- what it was asked before is not waiting any more, so no bar of it outlasts its own request's `late_max`;
- an exception that was not believed left a bar behind, since one of two requests had it for an answer. The good reply
  was asked for last, and came: nothing of the kind is owed. Without this a device that refuses one register at every
  poll would never be believed again.

The bars belong to the bus, not to a connection: a port that was reopened still brings the old reply.
"""

from dataclasses import dataclass

from gateway.protocols.modbus_frame import Frame
from gateway.protocols.modbus_pdu import EXCEPTION, Request, function, reply_length

LATE_TIMEOUTS = 3
LATE_MIN_NS = 2_000_000_000
QUEUED_MAX = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """All that a reply tells of the request it answers; None = any."""

    unit_id: int
    function: int | None
    length: int | None  # of the pdu

    def overlaps(self, other: "Shape") -> bool:
        """Whether one frame could be of both shapes."""
        return (
            self.unit_id == other.unit_id
            and (None in (self.function, other.function) or self.function == other.function)
            and (None in (self.length, other.length) or self.length == other.length)
        )


def shape_of(unit_id: int, request: Request) -> Shape:
    """The shape of a good reply."""
    return Shape(unit_id, function(request), reply_length(request))


def late_max_ns(timeout_ns: int) -> int:
    """How long after its deadline a reply may come: 3 timeouts, at least 2 s."""
    return max(LATE_TIMEOUTS * timeout_ns, LATE_MIN_NS)


class LateReplies:
    """The barred shapes of one bus. At most one a shape, so bounded by the shapes that the bus is asked for."""

    def __init__(self, *, shared_queue: bool = True) -> None:
        self._shared_queue = shared_queue
        self._bars: dict[Shape, _Bar] = {}
        self._heard_ns: dict[int, int] = {}  # by unit_id: when its last late reply came

    def __bool__(self) -> bool:
        return bool(self._bars)

    def bar(self, shape: Shape, asked_ns: int, deadline_ns: int, *, disbelieved: bool = False) -> None:
        """A reply is owed: no request of this shape until it was heard, or can no longer come.

        `disbelieved`: an exception came, and may have been this one's answer or an earlier one's.
        """
        own_ns = deadline_ns + late_max_ns(deadline_ns - asked_ns)
        longest_ns = own_ns - asked_ns
        busy = [*self._heard_ns.items(), *((owed.unit_id, bar.until_ns) for owed, bar in self._bars.items())]
        queue = (until_ns for unit_id, until_ns in busy if self._shared_queue or unit_id == shape.unit_id)
        taken_up_ns = min(max(queue, default=0), asked_ns + QUEUED_MAX * longest_ns)
        self._bars[shape] = _Bar(max(own_ns, taken_up_ns + longest_ns), own_ns, disbelieved)

    def barred_ns(self, shape: Shape, now_ns: int) -> int | None:
        """Until when a shape is barred; None when it is free."""
        self._forget(now_ns)
        return max((bar.until_ns for barred, bar in self._bars.items() if barred.overlaps(shape)), default=None)

    def holds(self, unit_id: int, now_ns: int) -> bool:
        """Whether any shape of this unit_id is barred: its exceptions are not to be believed."""
        self._forget(now_ns)
        return any(shape.unit_id == unit_id for shape in self._bars)

    def owes(self, now_ns: int) -> bool:
        """Whether any shape is barred."""
        self._forget(now_ns)
        return bool(self._bars)

    def heard(self, frame: Frame, at_ns: int) -> bool:
        """Lift the bar of a frame that answered nothing; False when no reply of this kind was owed."""
        owed = [shape for shape in self._bars if _may_answer(shape, frame)]
        if owed:
            self._heard_ns[frame.unit_id] = at_ns
        if len(owed) != 1:
            return bool(owed)
        del self._bars[owed[0]]
        return True

    def answered(self, unit_id: int) -> None:
        """A good reply came, or an exception to be believed: whatever is owed was asked before it."""
        for shape, bar in list(self._bars.items()):
            if bar.disbelieved and shape.unit_id == unit_id:
                del self._bars[shape]
            elif bar.until_ns > bar.own_ns and shape.unit_id == unit_id:
                self._bars[shape] = _Bar(bar.own_ns, bar.own_ns, bar.disbelieved)

    def _forget(self, now_ns: int) -> None:
        if any(bar.until_ns <= now_ns for bar in self._bars.values()):
            self._bars = {shape: bar for shape, bar in self._bars.items() if bar.until_ns > now_ns}


@dataclass(frozen=True, slots=True)
class _Bar:
    until_ns: int
    own_ns: int  # until when, if nothing was before it in the queue
    disbelieved: bool


def _may_answer(shape: Shape, frame: Frame) -> bool:
    if not frame.pdu or shape.unit_id != frame.unit_id or shape.function != frame.pdu[0] & ~EXCEPTION:
        return False
    return bool(frame.pdu[0] & EXCEPTION) or shape.length in (None, len(frame.pdu))
