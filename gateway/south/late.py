"""Which replies are still owed: the rule that keeps a late reply from being taken for the next one. Pure.

A Modbus reply does not say which request it answers; on RTU not even that it answers one. After a request whose outcome
is uncertain (no reply, a bad one, a cancel) its reply may still come. Until it has come, or `late_max` has passed, no
request is sent that the same frame could answer: its **shape** (unit_id, function, reply length) is *barred*.

- A frame of a barred shape that answers nothing is the late reply: the bar is lifted.
- An exception has no length, so it cannot be told whose it is: while a unit_id has any bar, an exception of it is not
  believed (`holds`). One that answers nothing lifts the bar of its function, if there is only one.
- A link that cannot show what came (pymodbus) cannot lift bars, and takes any frame of the unit_id for the reply: there
  every shape of the unit_id is barred (function and length None), and only time lifts it.

How late a reply can be: devices answer in order, so a reply that is owed comes after all those that were owed before,
and its bar is counted from the end of theirs. On a serial line each device has its own queue; behind a converter all
share one (`shared_queue`). `late_max` is thus the bound for one request: a device or converter that works on a single
one for longer than a timeout and `late_max` is beyond what can be told apart.

The bars belong to the bus, not to a connection: a port that was reopened still brings the old reply.
"""

from dataclasses import dataclass

from gateway.protocols.modbus_frame import Frame
from gateway.protocols.modbus_pdu import EXCEPTION, Request, function, reply_length

LATE_TIMEOUTS = 3
LATE_MIN_NS = 2_000_000_000


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
        self._until_ns: dict[Shape, int] = {}

    def __bool__(self) -> bool:
        return bool(self._until_ns)

    def bar(self, shape: Shape, asked_ns: int, deadline_ns: int) -> None:
        """A reply is owed: no request of this shape until it was heard, or can no longer come."""
        queue = [until for owed, until in self._until_ns.items() if self._shared_queue or owed.unit_id == shape.unit_id]
        self._until_ns[shape] = max(deadline_ns, *queue, 0) + late_max_ns(deadline_ns - asked_ns)

    def barred_ns(self, shape: Shape, now_ns: int) -> int | None:
        """Until when a shape is barred; None when it is free."""
        self._forget(now_ns)
        return max((until for barred, until in self._until_ns.items() if barred.overlaps(shape)), default=None)

    def holds(self, unit_id: int, now_ns: int) -> bool:
        """Whether any shape of this unit_id is barred: its exceptions are not to be believed."""
        self._forget(now_ns)
        return any(shape.unit_id == unit_id for shape in self._until_ns)

    def heard(self, frame: Frame) -> bool:
        """Lift the bar of a frame that answered nothing; False when no reply of this kind was owed."""
        owed = [shape for shape in self._until_ns if _may_answer(shape, frame)]
        if len(owed) != 1:
            return bool(owed)
        del self._until_ns[owed[0]]
        return True

    def _forget(self, now_ns: int) -> None:
        if any(until <= now_ns for until in self._until_ns.values()):
            self._until_ns = {shape: until for shape, until in self._until_ns.items() if until > now_ns}


def _may_answer(shape: Shape, frame: Frame) -> bool:
    if not frame.pdu or shape.unit_id != frame.unit_id or shape.function != frame.pdu[0] & ~EXCEPTION:
        return False
    return bool(frame.pdu[0] & EXCEPTION) or shape.length in (None, len(frame.pdu))
