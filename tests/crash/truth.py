"""What a spool promised before it was cut off, and whether what stands up afterwards keeps it.

    workload --Fact--> Truth        what append, park and receipts were told, up to a moment
    folder --Box--> Found           what the real spool makes of the files that were left
    wrongs(truth, found)            every sentence is a broken promise; none is what is wanted

Each body is its serial number over and over, so a batch shows by itself whose it is and whether it is whole.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from gateway.errors import Malformed
from gateway.model import Batch, BootMs, Draft, Gap, Seq, SeqRanges, UtcMs
from gateway.spool.steps import RETRY_MS
from gateway.testing.clock import NOON_MS, FakeClock
from gateway.wire.body import decode
from tests.crash.recorder import Fact
from tests.support.spools import MB, Box

Key: TypeAlias = tuple[str, Seq]

LATER_MS = UtcMs(NOON_MS + 86_400_000)
SALVAGE_TICKS_MAX = 1_000
EPOCHS_BEFORE = 1_000  # names of epochs that begin after the cut are above this
READS_MAX = 20


def body_of(serial: int, size: int) -> bytes:
    """A body that tells itself apart, of about `size` bytes."""
    return serial.to_bytes(4, "big") * max(1, size // 4)


def numbered(at: BootMs, serial: int, size: int, boot: str, *, urgent: bool = False) -> Draft:
    """A draft of one row with such a body."""
    return Draft(boot, at, at, 1, body_of(serial, size), "none", urgent=urgent)


@dataclass
class Truth:
    """Folded from facts, in their order."""

    appended: dict[Key, tuple[bytes, UtcMs | None]] = field(default_factory=dict)  # body; time, where it is known
    tried: set[bytes] = field(default_factory=set)  # bodies given to append, returned or not
    settled: set[Key] = field(default_factory=set)
    stored_gaps: list[Gap] = field(default_factory=list)  # of gap batches with a receipt: the store has them
    parked: set[Key] = field(default_factory=set)
    doubtful: set[Key] = field(default_factory=set)  # parking or unparking had not returned
    undated: set[Key] = field(default_factory=set)
    highest: dict[str, Seq] = field(default_factory=dict)  # of each epoch, that anybody outside has heard of

    def add(self, fact: Fact) -> None:
        """One more thing that happened."""
        key = (fact.epoch, fact.seq)
        match fact.what:
            case "trying":
                self.tried.add(fact.detail)
            case "appended":
                self.appended[key] = fact.detail
                self._heard(key)
            case "settled":
                self.settled.add(key)
                self.stored_gaps += fact.detail
                self._heard(key)
            case "parking" | "unparking":
                self.doubtful.add(key)
            case "parked":
                self.doubtful.discard(key)
                self.parked.add(key)
            case "unparked":
                self.doubtful.discard(key)
                self.parked.discard(key)
            case other:
                raise ValueError(other)

    def _heard(self, key: Key) -> None:
        self.highest[key[0]] = max(self.highest.get(key[0], 0), key[1])


@dataclass
class Found:
    """What the spool offers once it stands again, and where its next batch went."""

    offered: list[Batch]
    parked: set[Key]
    pending: dict[str, SeqRanges]
    last: dict[str, Seq]
    fresh: Key
    codes: list[str]
    failing: str
    failed_at_start: bool

    @property
    def gaps(self) -> list[Gap]:
        """On offer."""
        return [gap for batch in self.offered for gap in gaps_in(batch)]


def gaps_in(batch: Batch) -> tuple[Gap, ...]:
    """Records in a batch without rows."""
    try:
        return tuple(decode(batch.enc, batch.body).gaps) if batch.n == 0 else ()
    except Malformed:
        return ()


def named(gaps: Iterable[Gap]) -> dict[str, SeqRanges]:
    """Seqs by epoch."""
    by_epoch: dict[str, list[tuple[int, int]]] = {}
    for gap in gaps:
        by_epoch.setdefault(gap.epoch, []).append((gap.first, gap.last))
    return {epoch: SeqRanges.of(pairs) for epoch, pairs in by_epoch.items()}


async def stand_up(folder: Path, *, machine: str = "m1", quota_bytes: int = MB) -> Found:
    """The next boot of the box, on what is left; a salvage is waited for. Then one append, as its first reading."""
    box = Box(folder, FakeClock(boot_ms=20_000, utc_ms=LATER_MS), machine=machine, boot="after")
    box.quota_bytes, box.epochs = quota_bytes, EPOCHS_BEFORE
    spool = await box.start()
    failed_at_start = bool(spool.status.failing)
    if failed_at_start:
        await box.clock.advance(RETRY_MS)
        await spool.tick()
    try:
        offered = await _all(box)
        seq = await spool.append(numbered(box.clock.boot_ms(), 0xFFFFFFFF, 100, "after"))
        fresh = (spool.epoch, seq)
        offered = [batch for batch in await _all(box) if (batch.id.epoch, batch.id.seq) != fresh]
        status = spool.status
        return Found(
            offered,
            parked={(e.epoch, seq) for e in status.epochs for seq in e.parked.seqs()},
            pending={e.epoch: e.pending for e in status.epochs},
            last={e.epoch: e.last for e in status.epochs},
            fresh=fresh,
            codes=box.codes,
            failing=status.failing,
            failed_at_start=failed_at_start,
        )
    finally:
        await spool.close()


async def _all(box: Box) -> list[Batch]:
    """All that is on offer, once reading finds nothing more to give up and nothing waits to be fetched."""
    for _ in range(SALVAGE_TICKS_MAX):
        if not box.spool.steps.snapshot.salvaging:
            break
        await box.spool.tick()
    seen, before = await box.spool.read(0, None, 100_000), -1
    for _ in range(READS_MAX):
        if box.spool.last_order == before and not box.spool.steps.snapshot.salvaging:
            break
        before = box.spool.last_order
        await box.spool.tick()
        seen = await box.spool.read(0, None, 100_000)
    return list(seen)


def wrongs(truth: Truth, found: Found) -> list[str]:
    """Broken promises after a power cut or a kill: nothing may be lost, nor damaged."""
    explained = named([*truth.stored_gaps, *found.gaps])
    return [
        *_wrong_rows(truth, found),
        *_lost(truth, found, explained),
        *_reused(truth, found),
        *_parked(truth, found),
        *(f"a seq is called corrupt: {gap}" for gap in found.gaps if gap.reason == "corrupt"),
        *(f"told {code}" for code in ("spool_failed", "spool_damaged") if code in found.codes),
        *(f"not dense: {at}" for at in _holes(truth, found, explained)),
    ]


def wrongs_of_rot(truth: Truth, found: Found) -> list[str]:
    """Broken promises after damage: a batch may be lost, but not silently, and nothing wrong is passed on."""
    explained = named([*truth.stored_gaps, *found.gaps])
    beyond = [
        gap for gap in found.gaps if gap.last > max(truth.highest.get(gap.epoch, 0), found.last.get(gap.epoch, 0))
    ]
    return [
        *_wrong_rows(truth, found),
        *_lost(truth, found, explained),
        *_reused(truth, found),
        *(f"names what never was: {gap}" for gap in beyond),
        *([f"does not come back: {found.failing}"] if found.failing else []),
        *(["starts in RAM"] if found.failed_at_start else []),
    ]


def _wrong_rows(truth: Truth, found: Found) -> list[str]:
    out = []
    orders = [batch.order for batch in found.offered]
    if orders != sorted(set(orders)):
        out.append(f"out of order: {orders}")
    keys = [(batch.id.epoch, batch.id.seq) for batch in found.offered]
    if len(set(keys)) != len(keys):
        out.append("one seq is offered twice")
    for key, batch in zip(keys, found.offered, strict=True):
        if batch.n == 0:
            continue
        body, t0 = truth.appended.get(key, (None, None))
        if body is None and batch.body in truth.tried:
            continue  # append had not returned: there or not there are both right
        if batch.body != body:
            out.append(f"another body: {key}")
        elif t0 is not None and batch.stamp.clock == "ntp" and batch.stamp.t0 != t0:
            out.append(f"another time: {key} {batch.stamp.t0} instead of {t0}")
    return out


def _lost(truth: Truth, found: Found, explained: dict[str, SeqRanges]) -> list[str]:
    here = {(batch.id.epoch, batch.id.seq) for batch in found.offered} | truth.settled | found.parked
    missing = (key for key in truth.appended if key not in here)
    return [f"lost: {key}" for key in missing if key[1] not in explained.get(key[0], SeqRanges())]


def _reused(truth: Truth, found: Found) -> list[str]:
    epoch, seq = found.fresh
    return [f"used twice: {found.fresh}"] if seq <= truth.highest.get(epoch, 0) else []


def _parked(truth: Truth, found: Found) -> list[str]:
    offered = {(batch.id.epoch, batch.id.seq) for batch in found.offered}
    pending = {key for key in truth.parked - truth.doubtful if key[1] in found.pending.get(key[0], SeqRanges())}
    gone = named([*truth.stored_gaps, *found.gaps])
    kept = {key for key in pending if key[1] not in gone.get(key[0], SeqRanges())} - truth.settled
    return [
        *(f"parked, and offered: {key}" for key in kept & offered),
        *(f"no longer parked: {key}" for key in kept - found.parked),
        *(f"parked by nobody: {key}" for key in found.parked - truth.parked - truth.doubtful),
    ]


def _holes(truth: Truth, found: Found, explained: dict[str, SeqRanges]) -> list[str]:
    """Every seq of every epoch is on offer, parked, settled or named: an audit would find it so."""
    known = {(batch.id.epoch, batch.id.seq) for batch in found.offered} | truth.settled | found.parked | {found.fresh}
    out = []
    for epoch, last in found.last.items():
        here = SeqRanges.of_seqs(seq for e, seq in known if e == epoch).union(explained.get(epoch, SeqRanges()))
        hole = SeqRanges.of([(1, last)]).minus(here)
        if hole:
            out.append(f"{epoch} {hole}")
    return out
