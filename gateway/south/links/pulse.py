"""Whether a connection still carries anything: what tells a half-open one from a silent device. Pure.

A peer that lost its power says no goodbye. Where it leaves what we send without acknowledgement, the kernel ends the
connection (`ports.UNANSWERED_MAX_MS`); but a proxy, or a converter whose program hangs, goes on to acknowledge. Seen
from here both look as if every device had died at once. So when not a byte has come for MUTE_NS, although REQUESTS_MIN
requests went out, the connection is called lost: another one costs milliseconds, and if it cannot be made, that is the
bus's failure and not the devices'. If it can be made and is as silent, the devices are to blame after all.

A serial port has no such state: what opens again is the same wire.
"""

REQUESTS_MIN = 3
MUTE_NS = 10_000_000_000
LOST = "nothing has come over this connection for too long"


class Pulse:
    """Of one connection."""

    def __init__(self) -> None:
        self._since_ns = 0
        self._missed = 0

    def beat(self) -> None:
        """A byte came, whosever."""
        self._missed = 0

    def missed(self, asked_ns: int, now_ns: int) -> bool:
        """A request went out and nothing came back until now; whether the connection is to be called lost."""
        if not self._missed:
            self._since_ns = asked_ns
        self._missed += 1
        return self._missed >= REQUESTS_MIN and now_ns - self._since_ns >= MUTE_NS
