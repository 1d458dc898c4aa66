"""What north needs of a spool; `spool.Spool` is one, and so is a relay's."""

from collections.abc import Sequence
from typing import Protocol

from gateway.model import Batch, BatchId, SeqRanges


class Backlog(Protocol):
    """Batches that wait for a receipt. Its reads may raise SpoolError: they are tried again later."""

    @property
    def last_order(self) -> int:
        """The order of the newest batch; 0 when there was never one."""
        ...

    @property
    def rewound(self) -> int:
        """Times that batches below orders once passed came into sight: reading starts again. `wait` returns then."""
        ...

    async def read(self, after: int, until: int | None, limit: int) -> Sequence[Batch]:
        """Pending, not parked, dated batches with after < order (<= until), rising."""
        ...

    async def read_urgent(self, after: int, limit: int) -> Sequence[Batch]:
        """The same, only urgent ones."""
        ...

    async def reread(self, batch_id: BatchId) -> Batch | None:
        """One batch from disk again; None when it is settled or given up."""
        ...

    async def recall(self, batch_id: BatchId) -> Batch | None:
        """A settled batch from the archive, as it was first sent; None when it is not kept."""
        ...

    def settle(self, epoch: str, seqs: SeqRanges) -> None:
        """The store has these; reads no longer bring them, from now on."""
        ...

    async def park(self, batch_id: BatchId, why: str) -> None:
        """Kept, pending, not offered until `unpark`."""
        ...

    async def unpark(self, batch_id: BatchId) -> None:
        """Offered again."""
        ...

    async def wait(self) -> None:
        """Until something was appended or dated since the last `wait` returned; one waiter."""
        ...

    def in_flight(self, ids: frozenset[BatchId]) -> None:
        """What is out now: given up last."""
        ...
