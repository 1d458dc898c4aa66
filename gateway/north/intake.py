"""How far the window has read the spool: one cursor for each rank, at most one read under way for each. Pure.

A cursor only moves forward within one connection, but for `rewind`: batches came into sight that it had passed (a disk
came back, a batch was unparked), and a read that was under way then does not move it. A rank is drained when a read
brought less than it asked for and the spool had no news since the read was asked for; news opens all ranks again.
"""

from collections.abc import Sequence

from gateway.model import Batch, BatchId
from gateway.north.effects import Fetch, Rank


class Intake:
    """Says what to read next; told what came."""

    def __init__(self) -> None:
        self._tail = 0
        self._after: dict[Rank, int] = {}
        self._asked: dict[Rank, tuple[int, int]] = {}  # (limit, news when asked)
        self._drained: set[Rank] = set()
        self._news = 0
        self._overtaken: set[Rank] = set()  # reads under way since before a rewind
        self._left: dict[Rank, set[BatchId]] = {}  # left the window while this read was under way: it may bring them

    def connected(self, tail: int) -> None:
        """Read all from the start; what is newer than `tail` is fresh."""
        self._tail = tail
        self._after = {Rank.URGENT: 0, Rank.FRESH: tail, Rank.BACKLOG: 0}
        self._drained = {Rank.FRESH}
        self._overtaken.clear()

    def disconnected(self) -> None:
        """Reads that were under way will bring nothing."""
        self._asked.clear()
        self._drained.clear()
        self._left.clear()

    def left(self, id_: BatchId) -> None:
        """It is not here any more: what is being read now is older than that."""
        for rank in self._asked:
            self._left.setdefault(rank, set()).add(id_)

    def woken(self) -> None:
        """The spool has news."""
        self._news += 1
        self._drained.clear()

    def rewind(self) -> None:
        """Read all from the start again; the window knows what it has already."""
        self._after = {Rank.URGENT: 0, Rank.FRESH: self._tail, Rank.BACKLOG: 0}
        self._overtaken = set(self._asked)
        self.woken()

    def ask(self, rank: Rank, limit: int) -> list[Fetch]:
        """At most one: none while one is under way, nothing is left, or there is no room."""
        if limit <= 0 or rank in self._asked or rank in self._drained:
            return []
        self._asked[rank] = (limit, self._news)
        return [Fetch(rank, self._after[rank], self._tail if rank is Rank.BACKLOG else None, limit)]

    def took(self, rank: Rank, batches: Sequence[Batch]) -> Sequence[Batch]:
        """What of an answer was asked for, and did not leave meanwhile."""
        limit, news = self._asked.pop(rank, (0, -1))
        taken = batches[:limit]
        if taken and rank not in self._overtaken:
            self._after[rank] = taken[-1].order
        self._overtaken.discard(rank)
        if len(taken) < limit and news == self._news:
            self._drained.add(rank)
        left = self._left.pop(rank, ())
        return [batch for batch in taken if batch.id not in left]

    def asked(self, *ranks: Rank) -> int:
        """How many batches the reads under way may bring."""
        return sum(limit for rank, (limit, _) in self._asked.items() if rank in ranks)

    def drained(self, *ranks: Rank) -> bool:
        """Nothing is left in any of these."""
        return self._drained.issuperset(ranks)
