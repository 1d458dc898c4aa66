"""Which server to try next, and after how long: full jitter, so that a city's gateways do not come back as one. Pure.

Servers are doors to one store. A failure moves on to the next one, after 0 to 2 s, doubling to 60 s. A connection that
held for a minute forgives all failures; but when it is lost, so may be the whole city's, at this very moment, so the
wait begins at 0 to 4 s (docs/decisions/0028). After 10 healthy minutes the first door is the one to look for again.
"""

from random import Random

WAIT_FIRST_MS = 1_000
WAIT_MAX_MS = 60_000
FORGIVEN_AFTER_MS = 60_000
HOME_AFTER_MS = 600_000
DOUBLINGS_MAX = 16
CROWD = 2  # doublings that a city's gateways begin with when they lose a broker together


class Doors:
    """`at` is the index of the server to use now."""

    def __init__(self, count: int, random: Random) -> None:
        self.at = 0
        self._count = count
        self._random = random
        self._failures = 0

    def failed(self) -> int:
        """No connection came up: the next door, after so many ms."""
        self.at = (self.at + 1) % self._count
        self._failures += 1
        return self._wait_ms()

    def lost(self, up_ms: int) -> int:
        """A connection that was up for `up_ms` is gone: which door, after so many ms."""
        if up_ms < FORGIVEN_AFTER_MS:
            return self.failed()
        if up_ms >= HOME_AFTER_MS:
            self.at = 0
        self._failures = CROWD
        return self._wait_ms()

    def home(self) -> None:
        """The first door is open again."""
        self.at, self._failures = 0, 0

    def _wait_ms(self) -> int:
        longest = min(WAIT_MAX_MS, WAIT_FIRST_MS << min(self._failures, DOUBLINGS_MAX))
        return self._random.randint(0, longest)
