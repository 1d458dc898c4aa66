"""The retained documents: status and catalog. The control socket and `gateway status` show this same Status.

STUB: dataclasses fixed by the foundation (extend them if the design needs more); bodies to be written.
"""

from dataclasses import dataclass, field

from gateway.model import SeqRanges, UtcMs


@dataclass(frozen=True, slots=True)
class SouthStatus:
    """Made by south, one a bus; joined by app."""

    buses_down: tuple[str, ...] = ()
    devices_down: tuple[str, ...] = ()


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
    extra: dict[str, object] = field(default_factory=dict)  # keys of a newer version, kept by readers


def encode_status(status: Status) -> bytes:
    """JSON of docs/specs/wire.md: {"v":1,...}; pending above 32 ranges: the nearest are joined."""
    ...


def encode_will(boot: str) -> bytes:
    """`{"v":1,"online":false,"boot":…}`, no more."""
    ...


def decode_status(message: bytes) -> dict[str, object]:
    """Checked by hand; what ingest stores of it. A will gives only v, online and boot. Raises Malformed."""
    ...


def encode_catalog(catalog: "Catalog") -> bytes: ...


@dataclass(frozen=True, slots=True)
class CatalogField:
    """One field of one device, for people and dashboards."""

    name: str
    quantity: str
    unit: str
    decimals: int
    low: float | None
    high: float | None
    period_ms: int
    title: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CatalogDevice:
    """One device and what it measures."""

    name: str
    bus: str
    kind: str
    profile: str
    title: tuple[tuple[str, str], ...]
    fields: tuple[CatalogField, ...]


@dataclass(frozen=True, slots=True)
class Catalog:
    """What a gateway measures: area and location are (key, value) pairs as people wrote them."""

    gateway: str
    area: dict[str, str] | None
    location: dict[str, object] | None
    devices: tuple[CatalogDevice, ...]


def decode_catalog(message: bytes) -> dict[str, object]:
    """Checked by hand, bounded; raises Malformed."""
    ...
