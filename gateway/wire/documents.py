"""The retained documents status and will, as they are written (docs/specs/wire.md, section 6).

The control socket and `gateway status` show this same Status. A status always fits its bound: lists of names are cut
and their true lengths told beside them, seqs are told as ranges, of which the nearest are joined until they are few.
A joined range says "pending" of seqs that are settled, never the other way round: an audit looks at what is stored
first, so a lack of room never makes a loss out of a batch, nor hides one for longer than the range is pending.

`status_reader` is the other side, `catalog` the third document.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import orjson

from gateway.model import SeqRanges, UtcMs
from gateway.wire import checked

MAX_STATUS_BYTES: Final = checked.MESSAGE_BYTES_MAX
MAX_RANGES: Final = 32  # of pending, and of parked, in one epoch
MAX_EPOCHS: Final = 256
MAX_NAMES: Final = 128  # of buses or devices that are named as down, or hurried
MAX_ALARMS_ON: Final = 64  # that are named
MAX_WORKS: Final = 32
MAX_ALARMS: Final = 64
MAX_UPLINKS: Final = 4
MAX_UPLINK_ALARMS: Final = 8
MAX_EXTRA: Final = 64


@dataclass(frozen=True, slots=True)
class SouthStatus:
    """Made by south, one a bus; joined by app."""

    buses_down: tuple[str, ...] = ()
    devices_down: tuple[str, ...] = ()
    buses_silent: tuple[str, ...] = ()  # those of buses_down that are open, and nobody answers


@dataclass(frozen=True, slots=True)
class EpochStatus:
    """One epoch still on the box: what it holds, and what of it waits for a receipt."""

    epoch: str
    first_kept: int
    last: int
    pending: SeqRanges
    parked: SeqRanges


@dataclass(frozen=True, slots=True)
class SpoolStatus:
    """Made by spool."""

    epoch: str
    epochs: tuple[EpochStatus, ...]
    pending: int  # batches
    oldest_age_ms: int | None  # of pending ones, by boot clock where it is this boot's, else by wall clock
    size_bytes: int
    gaps: int  # gap records written in this epoch
    failing: str = ""  # why the disk is not used (RAM ring), "" when it is
    settled: int = 0  # batches that are still here
    outage_left_ms: int | None = None  # until something unsent would be given up; None: not known
    archive_ms: int | None = None  # how far back settled batches are still kept; None: none is


@dataclass(frozen=True, slots=True)
class NorthStatus:
    """Made by north, for the first uplink."""

    connected: bool
    server: str
    in_flight: int
    sent_bytes: int
    last_receipt_ms: UtcMs | None
    settle: str
    refusal: str = ""
    round_trip_ms: float | None = None  # from the last send of a batch to its receipt
    recalling: int = 0  # batches that were asked for again and are not back yet


@dataclass(frozen=True, slots=True)
class UplinkStatus:
    """One uplink, of several or the only one; made by app. Counts are batches that are on the box."""

    name: str
    format: str  # batch | json | influx
    settle: str  # receipt | puback
    connected: bool
    pending: int  # parked ones included
    settled: int
    parked: int
    refusal: str = ""
    alarms: tuple[str, ...] = ()  # codes


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """What rows have set off; made by app."""

    alarms_on: tuple[tuple[str, str, str], ...] = ()  # device, field, level
    fast: tuple[str, ...] = ()  # devices that are polled faster now
    works: tuple[tuple[str, str, str, UtcMs], ...] = ()  # in maintenance: device, kind, by, end


@dataclass(frozen=True, slots=True)
class Status:
    """One gateway's health, in full."""

    gateway: str
    version: str
    boot: str
    time: UtcMs
    clock: str
    online: bool
    south: SouthStatus
    spool: SpoolStatus
    north: NorthStatus
    alarms: tuple[str, ...] = ()  # codes that hold now: site_file_broken, spool_failed, clock_unreadable, ...
    uplinks: tuple[UplinkStatus, ...] = ()  # the first is `north`, the IOC's
    watch: WatchStatus = WatchStatus()
    extra: dict[str, object] = field(default_factory=dict)  # keys of a newer version, kept by readers


def encode_status(status: Status) -> bytes:
    """JSON of docs/specs/wire.md: {"v":1,...}; pending above 32 ranges: the nearest are joined (W-63)."""
    message = b""
    for ranges_max, extra in ((MAX_RANGES, status.extra), (4, status.extra), (1, {})):
        message = orjson.dumps(extra | _status(status, ranges_max))
        if len(message) <= MAX_STATUS_BYTES:
            break
    return message


def encode_will(boot: str) -> bytes:
    """`{"v":1,"online":false,"boot":…}`, no more."""
    return orjson.dumps({"v": checked.VERSION, "online": False, "boot": boot})


def narrowed(seqs: SeqRanges, ranges_max: int) -> SeqRanges:
    """At most so many ranges that hold at least these seqs: those nearest to each other are joined."""
    ranges = seqs.ranges
    if len(ranges) <= ranges_max:
        return seqs
    holes = [(after[0] - before[1], at) for at, (before, after) in enumerate(pairwise(ranges), start=1)]
    kept = sorted(at for _, at in sorted(holes)[len(holes) - ranges_max + 1 :])
    starts, ends = [0, *kept], [*kept, len(ranges)]
    return SeqRanges(tuple((ranges[a][0], ranges[b - 1][1]) for a, b in zip(starts, ends, strict=True)))


def _status(status: Status, ranges_max: int) -> dict[str, object]:
    spool, north, south = status.spool, status.north, status.south
    epochs = _told_epochs(spool.epochs)
    return {
        "v": checked.VERSION,
        "gw": status.gateway,
        "time": status.time,
        "clock": status.clock,
        "online": status.online,
        "boot": status.boot,
        "version": checked.cleaned(status.version, checked.WORD_BYTES_MAX),
        "epoch": spool.epoch,
        "epochs": [_epoch(epoch, ranges_max) for epoch in epochs],
        "epochs_n": len(spool.epochs),
        "pending": spool.pending,
        "oldest_age_ms": None if spool.oldest_age_ms is None else max(0, spool.oldest_age_ms),
        "size_bytes": spool.size_bytes,
        "gaps": spool.gaps,
        "failing": checked.cleaned(spool.failing),
        **({"outage_left_ms": spool.outage_left_ms} if spool.outage_left_ms is not None else {}),
        **({"archive_ms": spool.archive_ms} if spool.archive_ms is not None else {}),
        "buses_down": south.buses_down[:MAX_NAMES],
        "buses_down_n": len(south.buses_down),
        **({"buses_silent": south.buses_silent[:MAX_NAMES]} if south.buses_silent else {}),
        "devices_down": south.devices_down[:MAX_NAMES],
        "devices_down_n": len(south.devices_down),
        "connected": north.connected,
        "server": checked.cleaned(north.server),
        "in_flight": north.in_flight,
        "sent_bytes": north.sent_bytes,
        "last_receipt_ms": north.last_receipt_ms,
        "settle": north.settle,
        "refusal": checked.cleaned(north.refusal),
        **({"recalling": north.recalling} if north.recalling else {}),
        "alarms": _told_alarms(status.alarms),
        **_watched(status.watch),
        **({"uplinks": [_uplink(uplink) for uplink in status.uplinks[:MAX_UPLINKS]]} if status.uplinks else {}),
    }


def _watched(watch: WatchStatus) -> dict[str, object]:
    """Only what there is."""
    told: dict[str, object] = {}
    if watch.alarms_on:
        told |= {"alarms_on": watch.alarms_on[:MAX_ALARMS_ON], "alarms_on_n": len(watch.alarms_on)}
    if watch.fast:
        told["fast"] = watch.fast[:MAX_NAMES]
    if watch.works:
        told["maintenance"] = [
            (device, kind, checked.cleaned(by, checked.WORD_BYTES_MAX), ends)
            for device, kind, by, ends in watch.works[:MAX_WORKS]
        ]
        told["maintenance_n"] = len(watch.works)
    return told


def _uplink(uplink: UplinkStatus) -> dict[str, object]:
    return {
        "name": uplink.name,
        "format": uplink.format,
        "settle": uplink.settle,
        "connected": uplink.connected,
        "pending": uplink.pending,
        "settled": uplink.settled,
        "parked": uplink.parked,
        "refusal": checked.cleaned(uplink.refusal),
        "alarms": _told_alarms(uplink.alarms[:MAX_UPLINK_ALARMS]),
    }


def _told_alarms(alarms: Sequence[str]) -> list[str]:
    return [checked.cleaned(alarm, checked.WORD_BYTES_MAX) for alarm in alarms[:MAX_ALARMS]]


def _told_epochs(epochs: tuple[EpochStatus, ...]) -> tuple[EpochStatus, ...]:
    """All of them, or those that matter most to an audit: with something pending, then the newest."""
    if len(epochs) <= MAX_EPOCHS:
        return epochs
    order = sorted(range(len(epochs)), key=lambda at: (bool(epochs[at].pending), at))
    return tuple(epochs[at] for at in sorted(order[-MAX_EPOCHS:]))


def _epoch(epoch: EpochStatus, ranges_max: int) -> dict[str, object]:
    return {
        "epoch": epoch.epoch,
        "first_kept": epoch.first_kept,
        "last": epoch.last,
        "pending": narrowed(epoch.pending, ranges_max).ranges,
        "parked": narrowed(epoch.parked, ranges_max).ranges,
    }
