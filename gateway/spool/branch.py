"""The spool as another uplink than the first sees it: the same batches, settled ranges of its own.

It keeps nothing of its own on disk but those ranges. What it parks is remembered until it closes, like all that is
known of a broker's moods, and is then offered again. What it has in flight is not spared when room is needed: the
first uplink's is, because only what that one waits for can become a gap.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from gateway.model import Batch, BatchId, SeqRanges
from gateway.spool.keeper import Keeper
from gateway.spool.view import Whom

T = TypeVar("T")


class Trunk(Protocol):
    """What a branch needs of its `Spool`."""

    @property
    def rewound(self) -> int:
        """Times that batches below orders once passed came into sight."""
        ...

    @property
    def last_order(self) -> int:
        """The order of the newest batch."""
        ...

    async def step(self, act: Callable[[Keeper], T]) -> T:
        """What `act` returns, in the disk's thread; raises SpoolError."""
        ...

    def settle_for(self, uplink: int, epoch: str, seqs: SeqRanges) -> None:
        """Remembered now, on disk soon."""
        ...

    def counts(self, uplink: int) -> tuple[int, int]:
        """(pending, settled) batches that are here."""
        ...


class News:
    """Something came: every listener learns of it, each in its own time."""

    def __init__(self) -> None:
        self._listeners: list[asyncio.Event] = []

    def listener(self) -> asyncio.Event:
        """Set by each `ring`; who waits clears it."""
        self._listeners.append(asyncio.Event())
        return self._listeners[-1]

    def ring(self) -> None:
        """Now."""
        for listener in self._listeners:
            listener.set()


class Branch:
    """`north.backlog.Backlog` for one of the other uplinks; made by `Spool.branch`."""

    def __init__(self, trunk: Trunk, uplink: int, news: News) -> None:
        self._trunk, self._uplink, self._news = trunk, uplink, news
        self._came = news.listener()
        self._parked: set[tuple[str, int]] = set()
        self._unparked = 0

    @property
    def last_order(self) -> int:
        """The order of the newest batch; 0 when there was never one."""
        return self._trunk.last_order

    @property
    def rewound(self) -> int:
        """Times that batches below orders once passed came into sight."""
        return self._trunk.rewound + self._unparked

    @property
    def counts(self) -> tuple[int, int, int]:
        """(pending, settled, parked) batches; parked ones are pending too."""
        pending, settled = self._trunk.counts(self._uplink)
        return pending, settled, len(self._parked)

    async def read(self, after: int, until: int | None, limit: int) -> Sequence[Batch]:
        """As `Spool.read`."""
        return await self._read(after, until, limit, urgent=False)

    async def read_urgent(self, after: int, limit: int) -> Sequence[Batch]:
        """As `Spool.read_urgent`."""
        return await self._read(after, None, limit, urgent=True)

    async def reread(self, batch_id: BatchId) -> Batch | None:
        """From disk again; None when it is settled here or no longer there."""
        return await self._trunk.step(lambda keeper: keeper.reread(batch_id.epoch, batch_id.seq, self._uplink))

    async def recall(self, batch_id: BatchId) -> Batch | None:  # noqa: ARG002 - as the first uplink's
        """Nobody asks this one for what it had: only the centre knows what it lacks."""
        return None

    def settle(self, epoch: str, seqs: SeqRanges) -> None:
        """This uplink is done with them; nobody else is."""
        self._trunk.settle_for(self._uplink, epoch, seqs)
        if self._parked:
            self._parked.difference_update((epoch, seq) for seq in seqs.seqs())

    async def park(self, batch_id: BatchId, why: str) -> None:  # noqa: ARG002 - nobody reads it back: see above
        """Not offered until `unpark`, or the next start."""
        self._parked.add((batch_id.epoch, batch_id.seq))

    async def unpark(self, batch_id: BatchId) -> None:
        """Offered again, at its old order."""
        self._parked.discard((batch_id.epoch, batch_id.seq))
        self._unparked += 1
        self._came.set()

    async def wait(self) -> None:
        """Until something was appended or dated since the last `wait` returned; one waiter."""
        await self._came.wait()
        self._came.clear()

    def in_flight(self, ids: frozenset[BatchId]) -> None:
        """Not asked for: see above."""

    async def _read(self, after: int, until: int | None, limit: int, *, urgent: bool) -> Sequence[Batch]:
        whom = Whom(self._uplink, frozenset(self._parked))
        return await self._trunk.step(lambda keeper: keeper.read(after, until, limit, urgent=urgent, whom=whom))
