"""What became of a request -> receipts, one for each epoch of each gateway. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.ioc.check import Refuse
from gateway.model import Batch, Receipt, RejectedRow, Seq, UtcMs


@dataclass(frozen=True, slots=True)
class Settled:
    """A batch that the store has, rows and ledger; what it refused of it is kept as dead letters."""

    batch: Batch
    rejected: tuple[RejectedRow, ...] = ()


@dataclass(slots=True)
class _Entries:
    # dicts for their order: a batch that came twice in one request is named once
    stored: dict[tuple[Seq, int], None] = field(default_factory=dict)
    rejected: dict[Seq, tuple[RejectedRow, ...]] = field(default_factory=dict)
    refused: dict[tuple[Seq, str], None] = field(default_factory=dict)


def receipts(
    settled: Sequence[Settled], refused: Sequence[Refuse], by: str, now: UtcMs, version: str = ""
) -> list[Receipt]:
    """In the order in which the gateways first appear; small because a request is (`gather.MESSAGES_MAX`)."""
    entries: dict[tuple[str, str], _Entries] = {}
    for done in settled:
        batch_id = done.batch.id
        entry = entries.setdefault((batch_id.gateway, batch_id.epoch), _Entries())
        entry.stored[batch_id.seq, done.batch.crc] = None
        if done.rejected:
            entry.rejected[batch_id.seq] = done.rejected
    for refuse in refused:
        batch_id = refuse.batch_id
        entries.setdefault((batch_id.gateway, batch_id.epoch), _Entries()).refused[batch_id.seq, refuse.why] = None
    return [
        Receipt(
            gateway, epoch, tuple(entry.stored), tuple(entry.rejected.items()), tuple(entry.refused), by, now, version
        )
        for (gateway, epoch), entry in entries.items()
    ]
