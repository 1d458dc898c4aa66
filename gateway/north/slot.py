"""One batch in the window, and what is remembered of its sends. Pure."""

from dataclasses import dataclass, replace
from enum import IntEnum

from gateway.model import Batch, BootMs
from gateway.north.effects import Rank

AGAIN_FIRST_MS = 10_000
AGAIN_MAX_MS = 300_000
SUSPECT_AFTER = 3  # overtaken more often than this: holds at most half of the window


class State(IntEnum):
    """Where a batch in the window stands; the table is in `north.window`."""

    DUE = 0
    OUT = 1
    READING = 2


@dataclass(slots=True)
class Slot:
    """One batch in the window. Serials number all sends of this window, so that two sends can be put in order."""

    batch: Batch
    rank: Rank
    state: State = State.DUE
    first_sent: BootMs | None = None
    first_serial: int = 0  # on this connection; 0 = not sent on it
    serial: int = 0  # of the latest send
    uncounted: bool = False  # the latest send was not overtaken yet
    overtaken: int = 0
    refusals: int = 0
    delay_ms: int = AGAIN_FIRST_MS
    again_at: int = 0  # boot ms
    tried_mute: bool = False  # sent on this connection while nobody answered
    came_back: bool = False  # it was set aside or parked before

    @property
    def suspect(self) -> bool:
        """It may be its own fault that it is not answered."""
        return self.overtaken > SUSPECT_AFTER or self.came_back

    def restart(self) -> None:
        """On a new connection no earlier send counts, and the waits begin again."""
        self.rank = self._rank_later()
        self.first_serial, self.uncounted, self.tried_mute, self.delay_ms = 0, False, False, AGAIN_FIRST_MS
        self.state = State.DUE if self.state is State.OUT else self.state

    def send(self, serial: int, now: BootMs) -> None:
        """It goes out now."""
        self.state, self.serial, self.uncounted = State.OUT, serial, True
        self.first_serial = self.first_serial or serial
        self.first_sent = now if self.first_sent is None else self.first_sent
        self.again_at = now + self.delay_ms
        self.delay_ms = min(2 * self.delay_ms, AGAIN_MAX_MS)

    def come_back(self) -> None:
        """Into the window again, to be read from disk."""
        self.state, self.came_back = State.READING, True
        self.rank = self._rank_later()

    def forget_body(self) -> None:
        """It leaves the window for a while; Reread brings the body back."""
        self.batch = replace(self.batch, body=b"")

    def _rank_later(self) -> Rank:
        """Nothing is fresh for ever; what is recalled stays below all others, urgent or not."""
        if self.rank is Rank.RECALL:
            return Rank.RECALL
        return Rank.URGENT if self.batch.urgent else Rank.BACKLOG
