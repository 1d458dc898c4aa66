"""The values that travel between stages: frozen, slotted, no I/O.

    south --Row--> pipeline --Draft--> spool --Batch--> north ~~MQTT~~> ioc
    any stage --Event--> pipeline              spool <--SeqRanges-- north <~~Receipt~~ ioc

A type belongs to the room that makes it; the others only read it. Two clocks are two types, so that mypy
refuses to mix them: `BootMs` (since this boot, never steps) and `UtcMs` (wall clock, may be wrong).
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType, TypeAlias

BootMs = NewType("BootMs", int)
UtcMs = NewType("UtcMs", int)
Seq: TypeAlias = int
Value: TypeAlias = float | bool | str
Detail: TypeAlias = str | tuple[float | int | str, ...]


class Quality(StrEnum):
    """Why a reading has no good value; the codes of docs/specs/wire.md."""

    NO_REPLY = "no_reply"
    BAD_REPLY = "bad_reply"
    REFUSED = "refused"
    OUT_OF_RANGE = "out_of_range"
    NOT_A_NUMBER = "not_a_number"
    NOT_FITTED = "not_fitted"
    NO_VALUE = "no_value"  # the device itself says it has none: a sentinel, an empty field
    STUCK = "stuck"
    STALE = "stale"  # what it is computed from is too old


class Trust(StrEnum):
    """How far a timestamp can be believed: the clock words of docs/specs/wire.md."""

    NTP = "ntp"
    SYSTEM = "system"
    RTC = "rtc"
    IOC = "ioc"
    HOLDOVER = "holdover"
    STEPPED = "stepped"
    ESTIMATED = "estimated"
    UNSET = "unset"


TRUSTED = frozenset({Trust.NTP, Trust.SYSTEM, Trust.RTC, Trust.IOC})  # what a later, less certain time never overwrites


@dataclass(frozen=True, slots=True)
class Group:
    """The fields of one device that are due and reported together: the shape of its rows."""

    device: str
    kind: str
    profile: str  # "eastron/sdm630@1"
    fields: tuple[str, ...]
    letters: str  # one per field: f number, b boolean, s text


@dataclass(frozen=True, slots=True)
class Row:
    """All readings of one group from one poll. Made by south; judged by pipeline."""

    group: Group
    at: BootMs  # the first byte of the first good reply
    values: tuple[Value | None, ...]  # one per group.fields; None always means no good value
    quality: tuple[tuple[int, Quality], ...] = ()  # (index of field, why it is null)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: device up or down, clock step, restart. Made by any stage."""

    at: BootMs
    subject: str  # a device, a bus, or "" for the gateway itself
    code: str
    detail: Detail = ""
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Stamp:
    """What `b0` of a draft is in UTC, and how far to believe it. Made by clock, kept by spool, fixed once sent."""

    t0: UtcMs
    clock: str  # a Trust word; readers keep words they do not know


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of boot time with one offset to UTC; `offset_ms` None while undated. Made by clock."""

    number: int  # rises over all boots of one spool
    boot: str
    offset_ms: int | None
    clock: Trust
    start: BootMs = BootMs(0)
    urgent: bool = False  # made for one urgent batch of an undated boot

    def stamp(self, b0: BootMs) -> Stamp | None:
        """When `b0` was, or None while this segment is undated."""
        return None if self.offset_ms is None else Stamp(UtcMs(b0 + self.offset_ms), self.clock)


@dataclass(frozen=True, slots=True)
class Given:
    """The latest times given out, by how far they were believed, and where the last boot ended. Kept by spool."""

    trusted: UtcMs = UtcMs(0)
    unset: UtcMs = UtcMs(0)
    estimated: UtcMs = UtcMs(0)
    boot: str = ""
    last: BootMs = BootMs(0)  # of a row or event of `boot`
    segment: int = 0  # the highest number used


@dataclass(frozen=True, slots=True)
class BatchId:
    """Names a batch for ever, in every store it passes through."""

    gateway: str
    epoch: str
    seq: Seq


@dataclass(frozen=True, slots=True)
class Origin:
    """What a relay's batch passes on: the header's `of`."""

    gateway: str
    epoch: str
    first: Seq
    last: Seq
    withheld_rows: int


@dataclass(frozen=True, slots=True)
class Draft:
    """Rows encoded once, not yet numbered. Made by pipeline, or by a relay, which knows stamp and origin already."""

    boot: str
    b0: BootMs  # the body's offsets count from here
    last: BootMs  # the latest row or event in it
    n: int  # rows
    body: bytes  # as it will be sent: already in `enc`
    enc: str  # "zlib" | "none"
    urgent: bool = False
    stamp: Stamp | None = None
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """A numbered, dated draft: the unit of storage, sending and receipt. Made by spool; by wire.decode at the IOC."""

    id: BatchId
    stamp: Stamp
    n: int
    crc: int  # wire.batch.crc: over the header's values and the body; the same at every send
    body: bytes
    enc: str
    urgent: bool = False
    origin: Origin | None = None
    order: int = 0  # rises over all epochs of one spool: the order of sending; 0 at the IOC


@dataclass(frozen=True, slots=True)
class SeqRanges:
    """Seqs as sorted, disjoint, not touching, closed ranges: the one arithmetic of receipts, gaps and audits."""

    ranges: tuple[tuple[Seq, Seq], ...] = ()

    @staticmethod
    def of(ranges: Iterable[tuple[Seq, Seq]]) -> "SeqRanges":
        """The union of closed ranges in any order; empty ones (last < first) vanish."""
        joined: list[tuple[Seq, Seq]] = []
        for first, last in sorted(r for r in ranges if r[0] <= r[1]):
            if joined and first <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(joined[-1][1], last))
            else:
                joined.append((first, last))
        return SeqRanges(tuple(joined))

    @staticmethod
    def of_seqs(seqs: Iterable[Seq]) -> "SeqRanges":
        """The set of these seqs."""
        return SeqRanges.of((seq, seq) for seq in seqs)

    def union(self, other: "SeqRanges") -> "SeqRanges":
        """In either."""
        return SeqRanges.of(self.ranges + other.ranges)

    def minus(self, other: "SeqRanges") -> "SeqRanges":
        """In this, not in the other."""
        left: list[tuple[Seq, Seq]] = []
        cuts = iter(other.ranges)
        cut = next(cuts, None)
        for first, last in self.ranges:
            at = first
            while cut is not None and cut[1] < at:
                cut = next(cuts, None)
            while cut is not None and cut[0] <= last:
                if at < cut[0]:
                    left.append((at, cut[0] - 1))
                at = cut[1] + 1
                if cut[1] > last:
                    break
                cut = next(cuts, None)
            if at <= last:
                left.append((at, last))
        return SeqRanges(tuple(left))

    def intersection(self, other: "SeqRanges") -> "SeqRanges":
        """In both."""
        return self.minus(self.minus(other))

    def __contains__(self, seq: Seq) -> bool:
        at = bisect_right(self.ranges, (seq, float("inf"))) - 1
        return at >= 0 and self.ranges[at][0] <= seq <= self.ranges[at][1]

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def seqs(self) -> Iterator[Seq]:
        """Each seq, rising."""
        for first, last in self.ranges:
            yield from range(first, last + 1)


@dataclass(frozen=True, slots=True)
class Gap:
    """Seqs that were given up. Made by spool, in the transaction that gives them up."""

    epoch: str
    first: Seq
    last: Seq
    rows: int | None
    from_ms: UtcMs | None
    to_ms: UtcMs | None
    reason: str  # quota, disk_full, corrupt, refused, ring_full, ring_lost, by_hand


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row the database will never take; the IOC keeps it as a dead letter."""

    group: int
    row: int
    why: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The IOC's word for batches of one epoch of one gateway. Made by ioc."""

    gateway: str
    epoch: str
    stored: tuple[tuple[Seq, int], ...]  # (seq, the batch's header crc): a receipt names a content, not a number
    rejected: tuple[tuple[Seq, tuple[RejectedRow, ...]], ...]  # also in stored; the guilty rows are dead letters
    refused: tuple[tuple[Seq, str], ...]  # (seq, crc|schema|limit|version|gateway)
    by: str
    now: UtcMs
    version: str = ""  # of the ingest; "" = it does not tell
