"""Whose turn it is to be sent: urgent, then fresh in order, then backlog from the oldest on, then recalled ones. Pure.

Fresh is what is newer than what the spool held when the connection came up.

While backlog waits, every fourth send that is not urgent is one of it: it arrives however many fresh ones come.
"""

from collections.abc import Collection, Iterable

from gateway.model import BatchId
from gateway.north.effects import Rank
from gateway.north.slot import Slot, State

FRESH_BEFORE_BACKLOG = 3  # sends in a row while backlog waits


class Turn:
    """Remembers how many fresh batches went in a row."""

    def __init__(self) -> None:
        self._fresh_run = 0

    def next(self, slots: Iterable[Slot], unacked: Collection[BatchId]) -> Slot | None:
        """The one to send now; `unacked`: those whose last publish still waits for its PUBACK."""
        due = [slot for slot in slots if slot.state is State.DUE and slot.batch.id not in unacked]
        first = min(due, key=lambda slot: (slot.rank, slot.batch.order), default=None)
        if first is not None and first.rank is Rank.FRESH and self._fresh_run >= FRESH_BEFORE_BACKLOG:
            backlog = (slot for slot in due if slot.rank is Rank.BACKLOG)
            return min(backlog, key=lambda slot: slot.batch.order, default=first)
        return first

    def took(self, rank: Rank) -> None:
        """It was sent."""
        self._fresh_run = 0 if rank is Rank.BACKLOG else self._fresh_run + (rank is Rank.FRESH)
