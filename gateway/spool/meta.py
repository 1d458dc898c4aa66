"""The counters of a spool, one row: what every transaction moves on. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.model import TRUSTED, Segment, Trust
from gateway.spool.row import Columns, Stretch

VERSION = 1  # of the file; a newer one is set aside, never guessed at
BLIND_FIRST = 1 << 40  # ids and segments of a ring that never saw its disk: from here on, in a random block
BLIND_BLOCK = BLIND_BLOCKS = 1 << 20  # numbers in one; how many there are


@dataclass(frozen=True, slots=True)
class Meta:
    """What every transaction moves on. `boot` and `last`: whose the newest row is, and when in that boot."""

    version: int
    epoch: str
    next_seq: int
    next_id: int
    segment: int = 0
    boot: str = ""
    last: int = 0
    trusted: int = 0
    unset: int = 0
    estimated: int = 0
    gaps: int = 0

    def columns(self) -> Columns:
        """In the order of the table."""
        given = (self.segment, self.boot, self.last, self.trusted, self.unset, self.estimated, self.gaps)
        return (self.version, self.epoch, self.next_seq, self.next_id, *given)


def risen(meta: Meta, segment: Segment, last: int) -> Meta:
    """The highest times, after `last` of this segment was given out."""
    if segment.offset_ms is None:
        return meta
    utc = last + segment.offset_ms
    if segment.clock in TRUSTED:
        return replace(meta, trusted=max(meta.trusted, utc))
    if segment.clock is Trust.UNSET:
        return replace(meta, unset=max(meta.unset, utc))
    if segment.clock is Trust.ESTIMATED:
        return replace(meta, estimated=max(meta.estimated, utc))
    return meta


def is_before(number: int, floor: int) -> bool:
    """Whether a segment was surely made before `floor`: blind blocks are drawn, so theirs rise within one only."""
    return number < floor and (number < BLIND_FIRST or number // BLIND_BLOCK == floor // BLIND_BLOCK)


def rebuilt(last_id: int, segments: Mapping[int, Segment], newest: tuple[int, int] | None) -> Meta:
    """What can be known when it is lost, without an epoch; `newest`: segment and last time of the newest batch."""
    meta = Meta(VERSION, "", 1, last_id + 1, max(segments, default=0))
    number, last = newest or (0, 0)
    segment = segments.get(number)
    return meta if segment is None else risen(replace(meta, boot=segment.boot, last=last), segment, last)


def merged(mine: Meta, theirs: Meta, shift: int) -> Meta:
    """After a ring came back: its times are the later ones."""
    return replace(
        mine,
        next_id=max(mine.next_id, theirs.next_id + shift),
        segment=max(mine.segment, theirs.segment),
        boot=theirs.boot or mine.boot,
        last=theirs.last if theirs.boot else mine.last,
        trusted=max(mine.trusted, theirs.trusted),
        unset=max(mine.unset, theirs.unset),
        estimated=max(mine.estimated, theirs.estimated),
    )


def merged_mark(meta: Meta, at: tuple[str, int, int], segment: int) -> Meta:
    """After the mark knew of more: the epoch, next seq and next id it tells, and no segment number twice."""
    epoch, next_seq, next_id = at
    return replace(meta, epoch=epoch, next_seq=next_seq, next_id=next_id, segment=max(meta.segment, segment))


def differ(meta: Meta, last: Stretch, highest: int | None) -> str:
    """Why meta, the newest stretch and the log do not tell one story; "" when they do.

    Pages of different ages may each be whole: a WAL that lost a frame in its middle leaves such.
    """
    if (last.epoch, last.shift) != (meta.epoch, meta.next_id - meta.next_seq):
        return "meta and the epochs disagree"
    return "the log goes on where meta ends" if (highest or 0) >= meta.next_id else ""
