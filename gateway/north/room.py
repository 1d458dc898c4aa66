"""How many more batches the window takes, by rank. Pure.

At most `batches_max` are here or on their way from the disk. Of these a tenth is kept for urgent batches, and a quarter
for backlog while there is any, so that neither waits for the other. Recalled ones count, and come last.
"""

from gateway.north.effects import Fetch, Rank
from gateway.north.held import Held
from gateway.north.intake import Intake
from gateway.north.recalls import Recalls

NEWER = (Rank.URGENT, Rank.FRESH)
BUT_URGENT = (Rank.FRESH, Rank.BACKLOG, Rank.RECALL)


class Room:
    """Reckoned anew each time, from what is here and what was asked for."""

    def __init__(self, batches_max: int, held: Held, intake: Intake, recalls: Recalls) -> None:
        self._held, self._intake, self._recalls = held, intake, recalls
        self._batches_max = batches_max
        self._urgent_only = max(1, batches_max // 10)
        self._quarter = -(-batches_max // 4)

    @property
    def ordinary(self) -> int:
        """For all that is not urgent; may be below 0."""
        here = self._held.count(BUT_URGENT)
        coming = self._intake.asked(Rank.FRESH, Rank.BACKLOG) + self._recalls.reading
        return min(self._any, self._batches_max - self._urgent_only - here - coming)

    def fetches(self, *, mute: bool, one_more: bool) -> list[Fetch]:
        """What to read now. While the window is mute: urgent ones, and one other if `one_more`."""
        asked = self._intake.ask(Rank.URGENT, min(self._any, self._quarter, self._newer))
        fresh, backlog = self._shares(mute=mute, one_more=one_more)
        asked += self._intake.ask(Rank.FRESH, fresh)
        return asked + self._intake.ask(Rank.BACKLOG, min(backlog, self.ordinary))

    def _shares(self, *, mute: bool, one_more: bool) -> tuple[int, int]:
        """How many fresh and backlog batches may be fetched now."""
        room = self.ordinary
        if mute:
            room = min(room, 1) if one_more else 0
            return room, room
        return min(room, self._newer - self._urgent_only), room

    @property
    def _newer(self) -> int:
        """For urgent and fresh batches together: what is left beside backlog's quarter."""
        quarter = 0 if self._intake.drained(Rank.BACKLOG) else self._quarter
        return self._batches_max - quarter - self._held.count(NEWER) - self._intake.asked(*NEWER)

    @property
    def _any(self) -> int:
        return self._batches_max - len(self._held.slots) - self._intake.asked(*Rank) - self._recalls.reading
