"""What ingest and audit need of a database."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.ioc.measured import StoredEvent
from gateway.model import Gap, Seq, SeqRanges, UtcMs

TYPE_CONFLICT = "field type conflict"
UNPARSABLE = "unable to parse"
BEYOND_RETENTION = "beyond retention policy"
REASONS = (TYPE_CONFLICT, UNPARSABLE, BEYOND_RETENTION)  # the only ones that may cost a row: StoreRefused.reason


@dataclass(frozen=True, slots=True)
class EpochStatusRow:
    """What a stored status says of one epoch."""

    epoch: str
    last: Seq
    pending: SeqRanges
    parked: SeqRanges
    at_ms: UtcMs | None = None  # when the status arrived, by the IOC's clock
    oldest_age_ms: int = 0  # of anything pending on that box
    replayed: bool = False  # the broker had kept it: it may be older than the one before


@dataclass(frozen=True, slots=True)
class Stored:
    """The ledger points of one epoch, added up."""

    seqs: SeqRanges
    lowest_at_ms: UtcMs | None = None  # the ledger time of the lowest seq; None when nothing is stored
    two_crcs: SeqRanges = field(default_factory=SeqRanges)  # seqs that were stored with two contents


@dataclass(frozen=True, slots=True)
class Issued:
    """How far an epoch was issued, by all statuses the store still has, and when that was first told."""

    last: Seq
    at_ms: UtcMs


class Store(Protocol):
    """Upsert by measurement, sorted tags and time, merged by field, as InfluxDB does.

    Raises StoreBusy (retry) and StoreRefused (bisect), and nothing else.
    """

    async def write(self, lines: Sequence[bytes], precision: str) -> None:
        """`precision` is "ms" or "ns"; returns when the database has all of it, on its disk."""
        ...

    async def ready(self) -> None:
        """Returns when a write works and reads back; raises StoreBusy."""
        ...

    async def gateways(self) -> Sequence[tuple[str, str]]:
        """(gateway, epoch) pairs that have a ledger point, a gap or a status; sorted."""
        ...

    async def stored(self, gateway: str, epoch: str) -> SeqRanges:
        """The seqs that have a ledger point."""
        ...

    async def ledger(self, gateway: str, epoch: str) -> Stored:
        """The same, with what audit must know beside it."""
        ...

    async def around(self, gateway: str, epoch: str, from_ms: UtcMs, to_ms: UtcMs) -> tuple[Seq | None, Seq | None]:
        """(first, last) seq that may be of this time, by the ledger points in it and the nearest on either side.

        None where there is no point on that side: nothing bounds it.
        """
        ...

    async def gaps(self, gateway: str, epoch: str) -> Sequence[Gap]:
        """Every gap record that names seqs of this epoch."""
        ...

    async def status(self, gateway: str) -> Sequence[EpochStatusRow]:
        """Of the newest status to arrive; empty when none was stored."""
        ...

    async def statuses(self, gateway: str, limit: int) -> Sequence[Sequence[EpochStatusRow]]:
        """The newest `limit` statuses, in the order they arrived."""
        ...

    async def issued(self, gateway: str) -> Mapping[str, Issued]:
        """By epoch, also of those that no newer status names."""
        ...

    async def events(self, gateway: str, code: str, from_ms: UtcMs, to_ms: UtcMs) -> Sequence[StoredEvent]:
        """Those of one code, both ends included, in time order."""
        ...

    def rows(self, measurement: str, gateway: str, device: str) -> AsyncIterator[tuple[int, dict[str, object]]]:
        """(time in ms, fields) in time order: for demo, tests and export."""
        ...

    async def close(self) -> None:
        """Idempotent; never raises."""
        ...
