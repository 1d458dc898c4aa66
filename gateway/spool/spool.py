"""The spool as the stages see it: appends, reads, settles, parks, and keeps going from a RAM ring when the disk does not.

STUB: signatures fixed by the foundation; bodies to be written.
"""

from collections.abc import Callable, Sequence

from gateway.counters import Counters
from gateway.model import Batch, BatchId, BootMs, Draft, Event, Segment, Seq, SeqRanges
from gateway.seams import Clock, Worker
from gateway.site import SpoolSettings
from gateway.wire.documents import SpoolStatus


class Spool:
    """All methods run in the event loop; disk work goes through `worker`, one thread, in order."""

    epoch: str

    @property
    def last_order(self) -> int:
        """The order of the newest batch; 0 when there was never one."""
        ...

    async def append(self, draft: Draft) -> Seq:
        """On disk when this returns (or in the RAM ring, alarmed, while the disk fails)."""
        ...

    async def read(self, after: int, until: int | None, limit: int) -> Sequence[Batch]:
        """Pending, not parked, dated batches with after < order (<= until), rising; stops before the first undated batch that is not urgent, so a cursor never passes one."""
        ...

    async def read_urgent(self, after: int, limit: int) -> Sequence[Batch]:
        """The same, only urgent ones, not stopped by undated others."""
        ...

    async def reread(self, batch_id: BatchId) -> Batch | None:
        """One batch from disk again, crc checked; None when it is settled or given up."""
        ...

    def settle(self, epoch: str, seqs: SeqRanges) -> None:
        """Remembered now; on disk with the next append, or in its own transaction once 20 wait or 5 s passed (`run`)."""
        ...

    async def park(self, batch_id: BatchId, why: str) -> None:
        """Kept, pending, not offered until `unpark`."""
        ...

    async def unpark(self, batch_id: BatchId) -> None: ...

    async def date(self, segments: Sequence[Segment]) -> None:
        """Segments that got their offset: written once, never changed."""
        ...

    async def wait(self) -> None:
        """Until something was appended or dated since the last `wait` returned; one waiter."""
        ...

    def in_flight(self, ids: frozenset[BatchId]) -> None:
        """What north has out now: given up last."""
        ...

    async def run(self) -> None:
        """Flush settled seqs in time, make room, watch the free disk, retry a failing disk."""
        ...

    async def close(self) -> None:
        """Flush settled seqs, close the file, release the lock."""
        ...

    @property
    def status(self) -> SpoolStatus: ...


async def open_spool(
    settings: SpoolSettings,
    gateway: str,
    machine: str,
    boot: str,
    worker: Worker,
    clock: Clock,
    counters: Counters,
    segment_of: Callable[[BootMs, bool], Segment],
    on_event: Callable[[Event], None],
) -> Spool:
    """Lock, open (or salvage), and say what is there; raises SpoolInUse. `segment_of(b0, urgent)` is the timeline's."""
    ...
