"""A queue of exchanges: when the next one may begin. Pure.

A device that is slow to answer has a lane of its own: what it is asked meanwhile waits, or is not heard at all. The
converter of a TCP bus has one for all its devices: one exchange at a time, at the speed of its line.
"""

from dataclasses import dataclass

from gateway.profile.profile import Line

TURNAROUND_NS = 2_000_000  # between the end of a request and the begin of its reply: what the devices think
FRAME_AROUND_PDU = 3  # bytes: unit_id before, checksum behind


@dataclass(frozen=True, slots=True)
class Converter:
    """What stands between a TCP endpoint and the line with the devices."""

    line: Line | None = None  # its speed; None: no time passes on it
    absent_exception: int | None = None  # to a request for a unit_id that does not answer: 11, or 10; None: silence
    timeout_ms: int = 500  # how long it waits for such a one; the others wait meanwhile
    shared: bool = True  # one queue for all; else one for each unit_id


@dataclass(slots=True)
class Lane:
    """Times in boot ns."""

    free_ns: int = 0
    deaf_until_ns: int = 0

    def begin_ns(self, now_ns: int) -> int | None:
        """When the reply to what was heard now would begin; None when it was not heard."""
        return None if now_ns < self.deaf_until_ns else max(now_ns, self.free_ns)

    def busy(self, until_ns: int, *, queue: bool = True) -> None:
        """An exchange ends then; what comes before that waits, or is not heard."""
        self.free_ns = max(self.free_ns, until_ns)
        if not queue:
            self.deaf_until_ns = self.free_ns
