"""The batches in the window, and how they leave it. Pure.

A batch that leaves is told to those who may still bring it: a read that is under way (`intake`) and the recall.
"""

from collections.abc import Iterable

from gateway.model import Batch, BatchId, BootMs
from gateway.north.effects import Rank
from gateway.north.intake import Intake
from gateway.north.recalls import Recalls
from gateway.north.slot import Slot, State


class Held:
    """Slots by batch, in the order of coming; and whose publish waits for its PUBACK."""

    def __init__(self, intake: Intake, recalls: Recalls) -> None:
        self._intake, self._recalls = intake, recalls
        self.slots: dict[BatchId, Slot] = {}
        self.unacked: set[BatchId] = set()

    @property
    def sent(self) -> frozenset[BatchId]:
        """Sent at least once."""
        return frozenset(id_ for id_, slot in self.slots.items() if slot.first_sent is not None)

    @property
    def waiting(self) -> list[Slot]:
        """Sent, PUBACKed, and not answered."""
        return [slot for slot in self.slots.values() if slot.state is State.OUT and slot.batch.id not in self.unacked]

    @property
    def suspects(self) -> int:
        """How many may themselves be why they are not answered."""
        return sum(slot.suspect for slot in self.slots.values())

    @property
    def only_recalled(self) -> bool:
        """Nothing else is here."""
        return all(slot.rank is Rank.RECALL for slot in self.slots.values())

    @property
    def ordinary_due(self) -> bool:
        """Something waits for its turn that was not settled before."""
        return any(slot.state is State.DUE and slot.rank is not Rank.RECALL for slot in self.slots.values())

    def out(self, id_: BatchId) -> Slot | None:
        """Sent at least once, else None: what an answer may speak of."""
        slot = self.slots.get(id_)
        return slot if slot is not None and slot.first_sent is not None else None

    def reading(self, id_: BatchId) -> Slot | None:
        """Being read again, else None."""
        slot = self.slots.get(id_)
        return slot if slot is not None and slot.state is State.READING else None

    def count(self, ranks: Iterable[Rank]) -> int:
        """How many are of these ranks."""
        return sum(slot.rank in ranks for slot in self.slots.values())

    def take(self, batch: Batch, rank: Rank) -> None:
        """It is due."""
        self.slots[batch.id] = Slot(batch, rank)

    def drop(self, id_: BatchId) -> None:
        """For good; a read that is under way must not bring it again."""
        del self.slots[id_]
        self._recalls.gone(id_)
        self._intake.left(id_)

    def put_back(self, slot: Slot) -> None:
        """A recalled one: to be read from the archive again."""
        del self.slots[slot.batch.id]
        self._recalls.put_back(slot.batch.id)

    def put_back_all(self) -> None:
        """Every recalled one."""
        for slot in [slot for slot in self.slots.values() if slot.rank is Rank.RECALL]:
            self.put_back(slot)

    def late(self, now: BootMs) -> list[Slot]:
        """Not answered in their time."""
        return [slot for slot in self.waiting if slot.again_at <= now]
