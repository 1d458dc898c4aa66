"""Batches that are not answered while others are: it may be their own fault. Pure.

A batch may kill its reader each time it is read. So each send that was overtaken counts (it was still unanswered when a
batch first sent after it was answered); after OVERTAKEN_MAX of them the batch is parked and tried once an hour. Those
with more than `slot.SUSPECT_AFTER` hold at most half of the window: the others are set aside until there is room.
"""

from collections.abc import Iterable

from gateway.model import BatchId, BootMs, SeqRanges
from gateway.north.complaints import Complaints
from gateway.north.effects import Effect, Park, Rank, Reread, Unpark
from gateway.north.held import Held
from gateway.north.room import Room
from gateway.north.slot import SUSPECT_AFTER, Slot
from gateway.north.waiting import Waiting

OVERTAKEN_MAX = 8


class Suspects:
    """Counts, and keeps those that wait outside the window."""

    def __init__(self, batches_max: int, held: Held, room: Room, complaints: Complaints) -> None:
        self._held, self._room, self._complaints = held, room, complaints
        self._most = batches_max // 2
        self._elsewhere = Waiting()

    def place(self, id_: BatchId) -> str:
        """Where it waits: aside, parked, or "" when it is not here."""
        return self._elsewhere.place(id_)

    @property
    def room_aside(self) -> bool:
        """Whether one more can be set aside."""
        return self._elsewhere.room_aside

    def overtaken(self, answered: Iterable[Slot], now: BootMs) -> list[Effect]:
        """By the first send of what was answered: an answer does not say which of several sends it answers."""
        newest = max(slot.first_serial for slot in answered)
        effects: list[Effect] = []
        for slot in self._held.waiting:
            if slot.uncounted and slot.serial < newest:
                effects += self._count(slot, now)
        excess = self._held.suspects - self._most
        for slot in [slot for slot in self._held.waiting if slot.suspect][: max(0, excess)]:
            if self._elsewhere.room_aside:
                self.put_aside(slot)
            else:
                effects += self._park(slot, now)
        return effects

    def put_aside(self, slot: Slot) -> None:
        """Out of the window until there is room."""
        self._held.drop(slot.batch.id)
        self._elsewhere.put_aside(slot)

    def bring_back(self) -> list[Effect]:
        """Those that were set aside, while there is room and suspects hold less than their half."""
        effects: list[Effect] = []
        while self._held.suspects < self._most and self._room.ordinary > 0:
            slot = self._elsewhere.take_back()
            if slot is None:
                break
            slot.come_back()
            self._held.slots[slot.batch.id] = slot
            effects.append(Reread(slot.batch.id))
        return effects

    def unpark(self, now: BootMs) -> list[Effect]:
        """Those whose hour is over."""
        effects: list[Effect] = []
        for slot in self._elsewhere.unpark(now):
            slot.overtaken = OVERTAKEN_MAX - 1  # one try an hour
            effects.append(Unpark(slot.batch.id))
        return effects

    def forget_parked(self, gateway: str, epoch: str, seqs: SeqRanges) -> None:
        """Somebody else brings these back."""
        self._elsewhere.forget_parked(gateway, epoch, seqs)

    def _count(self, slot: Slot, now: BootMs) -> list[Effect]:
        slot.uncounted = False
        slot.overtaken += 1
        if slot.rank is not Rank.RECALL:
            return self._park(slot, now) if slot.overtaken >= OVERTAKEN_MAX else []
        if slot.overtaken > SUSPECT_AFTER:
            self._held.put_back(slot)
        return []

    def _park(self, slot: Slot, now: BootMs) -> list[Effect]:
        id_ = slot.batch.id
        self._held.drop(id_)
        self._elsewhere.park(slot, now)
        return [Park(id_, "unanswered"), *self._complaints.say("batch_parked", (id_.seq, "unanswered"), now)]
