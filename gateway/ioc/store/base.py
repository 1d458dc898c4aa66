"""What ingest and audit need of a database.

STUB in part: extend as audit needs.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.model import Gap, Seq, SeqRanges


@dataclass(frozen=True, slots=True)
class EpochStatusRow:
    """What the newest stored status says of one epoch."""

    epoch: str
    last: Seq
    pending: SeqRanges
    parked: SeqRanges


class Store(Protocol):
    """Upsert by measurement, sorted tags and time, merged by field, as InfluxDB does. Raises StoreBusy (retry), StoreRefused (bisect) and nothing else."""

    async def write(self, lines: Sequence[bytes], precision: str) -> None:
        """`precision` is "ms" or "ns"; returns when the database has all of it."""
        ...

    async def gateways(self) -> Sequence[tuple[str, str]]:
        """(gateway, epoch) pairs that have a ledger point, a gap or a status."""
        ...

    async def stored(self, gateway: str, epoch: str) -> SeqRanges: ...
    async def gaps(self, gateway: str, epoch: str) -> Sequence[Gap]: ...
    async def status(self, gateway: str) -> Sequence[EpochStatusRow]:
        """Of the newest status to arrive; empty when none was stored."""
        ...

    def rows(self, measurement: str, gateway: str, device: str) -> AsyncIterator[tuple[int, dict[str, object]]]:
        """(time in ms, fields) in time order: for demo, tests and export."""
        ...

    async def close(self) -> None: ...
