"""Batches that are remembered outside the window: set aside for a while, or parked and tried again in an hour. Pure.

Bodies are forgotten: what comes back is read from disk. Both lists are bounded; what finds no room here stays parked on
disk until the spool is opened again or `resend`.
"""

from gateway.model import BatchId, BootMs, SeqRanges
from gateway.north.slot import Slot

RETRY_PARKED_MS = 3_600_000
WAITING_MAX = 256  # in each list


class Waiting:
    """Two lists, each in the order of coming."""

    def __init__(self) -> None:
        self._aside: dict[BatchId, Slot] = {}
        self._parked: dict[BatchId, tuple[BootMs, Slot]] = {}

    def place(self, id_: BatchId) -> str:
        """Where it waits: aside, parked, or "" when it does not."""
        return "aside" if id_ in self._aside else "parked" if id_ in self._parked else ""

    @property
    def room_aside(self) -> bool:
        """Whether one more can be set aside."""
        return len(self._aside) < WAITING_MAX

    def put_aside(self, slot: Slot) -> None:
        """It comes back when there is room for it in the window."""
        slot.forget_body()
        self._aside[slot.batch.id] = slot

    def take_back(self) -> Slot | None:
        """The one that was set aside first."""
        return self._aside.pop(next(iter(self._aside))) if self._aside else None

    def park(self, slot: Slot, now: BootMs) -> None:
        """It comes back in an hour, if there is room to remember it."""
        if len(self._parked) < WAITING_MAX:
            slot.forget_body()
            self._parked[slot.batch.id] = (BootMs(now + RETRY_PARKED_MS), slot)

    def forget_parked(self, gateway: str, epoch: str, seqs: SeqRanges) -> None:
        """Somebody else brings these back."""
        for id_ in [id_ for id_ in self._parked if (id_.gateway, id_.epoch) == (gateway, epoch) and id_.seq in seqs]:
            del self._parked[id_]

    def unpark(self, now: BootMs) -> list[Slot]:
        """Those whose hour is over; they are set aside now."""
        due = [slot for at, slot in self._parked.values() if at <= now][: WAITING_MAX - len(self._aside)]
        for slot in due:
            del self._parked[slot.batch.id]
            self._aside[slot.batch.id] = slot
        return due
