"""A site: what one gateway is told to read: its buses, devices, groups, uplinks. What every stage is built from. Pure, frozen.

Made by `config.compile`. Also what the simulators serve and what `gateway plan` prints.

STUB: dataclasses fixed by the foundation; dumps, loads, changed to be written.
"""

from dataclasses import dataclass

from gateway.model import Group
from gateway.profile.profile import Field, Line, Profile
from gateway.seams import Broker


@dataclass(frozen=True, slots=True)
class Polled:
    """A group with its fields and period."""

    group: Group
    fields: tuple[Field, ...]
    period_ms: int


@dataclass(frozen=True, slots=True)
class Device:
    """One instance of a profile at one unit_id on one bus."""

    name: str
    profile: Profile
    unit_id: int  # 0 for a serial stream
    polled: tuple[Polled, ...]


@dataclass(frozen=True, slots=True)
class Bus:
    """One medium, its line settings, the devices on it.

    transport: rtu | tcp | rtu_over_tcp | stream. driver: own | pymodbus.
    endpoint: "/dev/serial/by-id/usb-..." or any port path for rtu and stream, "host:port" for tcp and rtu_over_tcp.
    """

    name: str
    transport: str
    driver: str
    endpoint: str
    line: Line
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """Where batches are kept, and how much of the disk they may take."""

    path: str  # a folder
    quota_bytes: int
    archive_days: int
    reserve_bytes: int = 64 << 20  # of free disk that is never used


@dataclass(frozen=True, slots=True)
class UplinkSettings:
    """One way out. The first is the IOC's."""

    name: str
    servers: tuple[Broker, ...]
    network: str  # wired | mobile | scarce
    max_age_ms: int  # of an open batch while online: 1 000, 10 000, 60 000
    status_interval_ms: int
    settle: str = "receipt"


@dataclass(frozen=True, slots=True)
class Area:
    """Where a gateway belongs; never part of a topic or a tag."""

    scheme: str
    code: str
    name: str


@dataclass(frozen=True, slots=True)
class Location:
    """WGS 84 degrees, and what people say of the place: ("vi", "Trụ 17, cống Lê Lợi")."""

    lat: float
    lon: float
    note: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """One gateway, compiled."""

    gateway: str
    root: str  # first level of every topic
    area: Area | None
    location: Location | None
    clock_trust: str  # kernel | system | rtc
    spool: SpoolSettings
    uplinks: tuple[UplinkSettings, ...]
    buses: tuple[Bus, ...]
    sources: tuple[tuple[str, str], ...]  # (file or folder, sha256 of its content or listing): what this was compiled from


def changed(old: Site, new: Site) -> tuple[set[str], set[str]]:
    """Names of buses to stop and to start; the others never notice."""
    ...


def dumps(site: Site) -> bytes:
    """JSON, for the way from `gateway compile` to the daemon."""
    ...


def loads(data: bytes) -> Site:
    """The same site again: `loads(dumps(site)) == site`; raises ValueError for anything that is not one."""
    ...
