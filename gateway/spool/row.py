"""Rows as they lie on disk, each with the check of its own columns.

SQLite has no page checksums: a flipped bit is read back as a value. So the last column of every row of every table is
`row_crc`, CRC-32 over the others, each with its type and length so that no two rows share a text. It is written from
the same tuple it is later checked against.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias
from zlib import crc32

from gateway.model import Batch, BatchId, BootMs, Draft, Origin, Segment, Stamp, Trust, UtcMs
from gateway.wire import batch as wire_batch

Column: TypeAlias = int | str | bytes | None
Columns: TypeAlias = tuple[Column, ...]

COPIES = (0, 1)  # of a segment and of an epoch: one flip costs nothing
OWN = 0  # segment of a batch that came dated: its b0 is UTC already


def row_crc(columns: Sequence[Column]) -> int:
    """CRC-32 over types, lengths and values."""
    crc = 0
    for column in columns:
        data = column if isinstance(column, bytes) else str(column).encode("utf-8", "surrogateescape")
        crc = crc32(data, crc32(f"{type(column).__name__}{len(data)}:".encode(), crc))
    return crc


def sealed(columns: Columns) -> Columns:
    """The row as it is written."""
    return (*columns, row_crc(columns))


def intact(row: Columns) -> bool:
    """Whether a row that was read is the row that was written."""
    return row_crc(row[:-1]) == row[-1]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of an epoch, or all of it, in which id - seq is constant. A ring written back cuts an epoch in two."""

    first_id: int
    epoch: str
    first: int
    last: int  # first - 1 while there is none
    gateway: str
    machine: str
    old_epoch: str = ""
    old_last: int = 0
    why: str = ""

    @property
    def shift(self) -> int:
        """What a seq needs to become an id."""
        return self.first_id - self.first

    @property
    def last_id(self) -> int:
        """Below `first_id` while there is none."""
        return self.last + self.shift

    def columns(self, copy: int) -> Columns:
        """In the order of the table."""
        whose = (self.gateway, self.machine, self.old_epoch, self.old_last, self.why)
        return (copy, self.first_id, self.epoch, self.first, self.last, *whose)


@dataclass(frozen=True, slots=True)
class Record:
    """A batch: b0 and last are boot ms of its segment's boot, or UTC when the segment is OWN."""

    id: int
    epoch: str
    seq: int
    segment: int
    clock: str
    b0: int
    last: int
    n: int
    pri: int
    enc: str
    of: str
    body: bytes

    def columns(self) -> Columns:
        """In the order of the table."""
        times = (self.segment, self.clock, self.b0, self.last)
        return (self.id, self.epoch, self.seq, *times, self.n, self.pri, self.enc, self.of, self.body)

    def span(self, segment: Segment | None) -> tuple[UtcMs, UtcMs] | None:
        """From its b0 to its latest row, in UTC; None while undated."""
        if self.segment == OWN:
            return UtcMs(self.b0), UtcMs(self.last)
        if segment is None or segment.offset_ms is None:
            return None
        return UtcMs(self.b0 + segment.offset_ms), UtcMs(self.last + segment.offset_ms)

    def stamp(self, segment: Segment | None) -> Stamp | None:
        """What it is sent with; None while undated."""
        if self.segment == OWN:
            return Stamp(UtcMs(self.b0), self.clock)
        return segment.stamp(BootMs(self.b0)) if segment else None

    @property
    def origin(self) -> Origin | None:
        """The header's `of`."""
        return Origin(*json.loads(self.of)) if self.of else None


def record_of(draft: Draft, segment: Segment | None, place: tuple[int, str, int]) -> Record:
    """A draft at its place (id, epoch, seq); without a segment it must bring its own stamp."""
    number, clock, shift = (segment.number, "", 0) if segment else _own(draft)
    of = draft.origin
    return Record(
        *place,
        segment=number,
        clock=clock,
        b0=draft.b0 + shift,
        last=draft.last + shift,
        n=draft.n,
        pri=int(draft.urgent),
        enc=draft.enc,
        of=json.dumps([of.gateway, of.epoch, of.first, of.last, of.withheld_rows]) if of else "",
        body=draft.body,
    )


def batch_of(gateway: str, record: Record, segment: Segment | None) -> Batch | None:
    """As it is sent, by the gateway that wrote it; None while it is undated."""
    stamp = record.stamp(segment)
    if stamp is None:
        return None
    batch_id, origin, urgent = BatchId(gateway, record.epoch, record.seq), record.origin, bool(record.pri)
    crc = wire_batch.crc(batch_id, stamp, record.n, record.enc, record.body, urgent=urgent, origin=origin)
    return Batch(batch_id, stamp, record.n, crc, record.body, record.enc, urgent, origin, record.id)


def segment_columns(segment: Segment, copy: int) -> Columns:
    """In the order of the table."""
    when = (segment.boot, segment.start, segment.offset_ms, segment.clock.value, int(segment.urgent))
    return (copy, segment.number, *when)


def segment_of_row(row: Sequence[Column]) -> Segment:
    """Of columns that passed `intact`, without copy and row_crc."""
    number, boot, start, offset_ms, clock, urgent = row
    return Segment(
        _int(number), str(boot), None if offset_ms is None else _int(offset_ms), Trust(str(clock)), BootMs(_int(start)),
        urgent=bool(urgent),
    )  # fmt: skip


def _own(draft: Draft) -> tuple[int, str, int]:
    if draft.stamp is None:
        raise ValueError("a draft without a segment must bring its stamp")
    return OWN, draft.stamp.clock, draft.stamp.t0 - draft.b0


def _int(column: Column) -> int:
    if not isinstance(column, int):
        raise TypeError(f"not an integer: {column!r}")
    return column
