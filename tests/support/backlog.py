"""Batches and receipts for tests of north, and a spool in memory that keeps to `north.uplink.Backlog`."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.errors import SpoolError
from gateway.model import Batch, BatchId, Receipt, Seq, SeqRanges, Stamp, UtcMs
from gateway.wire import batch as wire_batch

GATEWAY = "hc-0001"
EPOCH = "k3v9x2"
T0 = UtcMs(1_795_484_390_240)


def make_batch(seq: Seq, *, urgent: bool = False, body: bytes = b'{"g":[],"e":[[0,"","x",""]]}') -> Batch:
    """A whole batch of one event; its order is its seq."""
    id_, stamp = BatchId(GATEWAY, EPOCH, seq), Stamp(UtcMs(T0 + seq), "ntp")
    crc = wire_batch.crc(id_, stamp, 0, "none", body, urgent=urgent, origin=None)
    return Batch(id_, stamp, 0, crc, body, "none", urgent=urgent, order=seq)


def make_receipt(*stored: Batch, refused: tuple[tuple[Seq, str], ...] = (), now: UtcMs = T0) -> Receipt:
    """The IOC's word for these."""
    return Receipt(GATEWAY, EPOCH, tuple((batch.id.seq, batch.crc) for batch in stored), (), refused, "ingest-1", now)


@dataclass(slots=True)
class MemoryBacklog:
    """A spool without a disk: what was appended, settled, parked; each change is visible to a test."""

    batches: list[Batch] = field(default_factory=list)
    settled: SeqRanges = field(default_factory=SeqRanges)
    parked: dict[BatchId, str] = field(default_factory=dict)
    out: frozenset[BatchId] = frozenset()
    failures: list[SpoolError] = field(default_factory=list)  # raised by the next reads, one each
    rewound: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def last_order(self) -> int:
        """Of the newest."""
        return self.batches[-1].order if self.batches else 0

    @property
    def pending(self) -> list[Seq]:
        """Not settled, parked ones included."""
        return [batch.id.seq for batch in self.batches if batch.id.seq not in self.settled]

    def append(self, *, urgent: bool = False) -> Batch:
        """The next one."""
        batch = make_batch(len(self.batches) + 1, urgent=urgent)
        self.batches.append(batch)
        self._news.set()
        return batch

    async def read(self, after: int, until: int | None, limit: int) -> Sequence[Batch]:
        """Pending, not parked, in order."""
        self._maybe_fail()
        last = self.last_order if until is None else until
        return self._offered(after, last)[:limit]

    async def read_urgent(self, after: int, limit: int) -> Sequence[Batch]:
        """The urgent ones of them."""
        self._maybe_fail()
        return [batch for batch in self._offered(after, self.last_order) if batch.urgent][:limit]

    async def reread(self, batch_id: BatchId) -> Batch | None:
        """Again, or None when it is settled."""
        found = (batch for batch in self.batches if batch.id == batch_id and batch_id.seq not in self.settled)
        return next(found, None)

    async def recall(self, batch_id: BatchId) -> Batch | None:
        """A settled one; none is ever dropped here."""
        self._maybe_fail()
        found = (batch for batch in self.batches if batch.id == batch_id and batch_id.seq in self.settled)
        return next(found, None)

    def settle(self, epoch: str, seqs: SeqRanges) -> None:
        """Of our one epoch only."""
        assert epoch == EPOCH
        self.settled = self.settled.union(seqs)

    async def park(self, batch_id: BatchId, why: str) -> None:
        """Kept, not offered."""
        self.parked[batch_id] = why

    async def unpark(self, batch_id: BatchId) -> None:
        """Offered again."""
        self.parked.pop(batch_id, None)
        self.rewound += 1
        self._news.set()

    async def wait(self) -> None:
        """Until an append since the last time."""
        await self._news.wait()
        self._news.clear()

    def in_flight(self, ids: frozenset[BatchId]) -> None:
        """What north says is out."""
        self.out = ids

    def _maybe_fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    def _offered(self, after: int, last: int) -> list[Batch]:
        return [
            batch
            for batch in self.batches
            if after < batch.order <= last and batch.id.seq not in self.settled and batch.id not in self.parked
        ]
