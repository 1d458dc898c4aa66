"""A site: what one gateway is told to read: its buses, devices, groups, uplinks. Pure, frozen.

What every stage is built from. Made by `config.compile`. Also what the simulators serve and what `gateway plan` prints.

As JSON it is `{"v":1,"pools":{...},"site":...}`. A dataclass is the list of its values in the order of its fields; a
Field or a Profile is written once, in its pool, and is a number wherever it stands, because all devices of a model
share them. What is read back is checked type by type: a file from a disk is not trusted to be what was written.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import orjson

from gateway.model import Group
from gateway.profile.profile import Field, Line, Profile, Start
from gateway.seams import Broker


@dataclass(frozen=True, slots=True)
class Report:
    """Which rows of a group are passed on: a window of `every_ms` is one row; else those that say something new."""

    every_ms: int = 0  # 0: not folded
    change: float | None = None  # a row is passed on when a value moved so far, in its own unit
    at_least_ms: int = 0  # and at least so often, of what is read


@dataclass(frozen=True, slots=True)
class Polled:
    """A group with its fields and period; behind the group's fields, the hidden ones that they are read with."""

    group: Group
    fields: tuple[Field, ...]
    period_ms: int
    report: Report | None = None  # none: each row as it is read


@dataclass(frozen=True, slots=True)
class Correction:
    """value = raw * slope + offset + datum, in the unit of the field."""

    field: str
    slope: float = 1.0
    offset: float = 0.0
    datum: float = 0.0
    by: str = ""
    on: str = ""  # the day, as 2026-11-24
    due: str = ""  # the day after which it has to be done again
    keep_raw: bool = False  # as the field NAME_raw


@dataclass(frozen=True, slots=True)
class Derived:
    """A field that is computed for each row of the group that has `trigger` (docs/how-to/report-and-correct.md)."""

    field: Field
    formula: str  # gateway.profile.formula
    trigger: str  # one of its own device's fields


@dataclass(frozen=True, slots=True)
class Alarm:
    """One named level of one field.

    kind: above | below (`at` and `clear` are values), rise | fall (changes within `per_ms`), stuck (s without a change
    beyond `within`). It goes on when `at` has been reached for `for_ms`, and off beyond `clear`.
    """

    field: str
    level: str
    kind: str
    at: float
    clear: float
    for_ms: int = 0
    per_ms: int = 0
    within: float = 0.0


@dataclass(frozen=True, slots=True)
class Fast:
    """A device is polled every `period_ms` while a condition holds, and for `hold_ms` after it last held.

    The condition: an alarm of this `level` is on; or, where that is "", `field` is above (sign 1) or below (-1) `at`.
    """

    when: str  # as people wrote it
    level: str
    field: str
    sign: int
    at: float
    period_ms: int
    hold_ms: int


@dataclass(frozen=True, slots=True)
class Device:
    """One instance of a profile at one unit_id on one bus."""

    name: str
    profile: Profile
    unit_id: int  # 0 where there is none: a serial stream, what is pushed
    polled: tuple[Polled, ...]
    writable: tuple[str, ...] = ()  # fields that this site allows to be written; those of the profile that allow it
    variant: str = ""
    address: str = ""  # of a serial device that is asked by one
    corrections: tuple[Correction, ...] = ()
    derived: tuple[Derived, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    fast: Fast | None = None


def hurried(device: Device) -> Device:
    """As it is polled while its `fast` holds: what is polled less often, as often as that."""
    fast = device.fast
    if fast is None:
        return device
    polled = (replace(one, period_ms=min(one.period_ms, fast.period_ms)) for one in device.polled)
    return replace(device, polled=tuple(polled))


@dataclass(frozen=True, slots=True)
class Serve:
    """Where others may read a bus through us."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Bus:
    """One medium, its line settings, the devices on it.

    transport: rtu | tcp | rtu_over_tcp | stream (a serial device that sends by itself) | talk (some that are asked in
    their own way) | talk_over_tcp (the same, behind a transparent converter), and with the driver pymodbus also ascii |
    udp. driver: own | pymodbus.
    endpoint: "/dev/serial/by-id/usb-..." or any port path for rtu, stream and talk, "host:port" for tcp,
    rtu_over_tcp and talk_over_tcp, "" for push (what programs of the box hand in).
    """

    name: str
    transport: str
    driver: str
    endpoint: str
    line: Line
    devices: tuple[Device, ...]
    mode: str = "poll"  # poll | listen: another master asks, we only hear
    rs485: bool = False  # the kernel switches the direction of the line
    serve: Serve | None = None

    @property
    def serial(self) -> bool:
        """Whether its medium is a serial port of this box."""
        return self.transport in {"rtu", "ascii", "stream", "talk"}

    @property
    def talks(self) -> bool:
        """Whether its devices are asked in their own way."""
        return self.transport in {"talk", "talk_over_tcp"}

    @property
    def packets(self) -> bool:
        """Whether frames come as a network's, and cost no time on a line of ours or of a converter that we know."""
        return self.transport in {"tcp", "udp"}


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
    budget_mb: int | None = None  # a month
    format: str = "batch"  # batch | json | influx; the first is of batches
    topic: str = ""  # of plain messages, with {root}, {gateway}, {kind}, {device}
    password_files: tuple[str, ...] = ()  # one a server, "" = none; read at connect: no password is in a compiled site

    @property
    def plain(self) -> bool:
        """Whether it carries messages for somebody else, and no status, catalog or commands."""
        return self.format != "batch"

    def brokers(self, read: Callable[[str], str]) -> tuple[Broker, ...]:
        """The servers, each with its password as `read` finds it."""
        if not any(self.password_files):
            return self.servers
        pairs = zip(self.servers, self.password_files, strict=True)
        return tuple(replace(server, password=read(file)) if file else server for server, file in pairs)


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
    clock_trust: str  # kernel | system | rtc | ioc
    spool: SpoolSettings
    uplinks: tuple[UplinkSettings, ...]
    buses: tuple[Bus, ...]
    sources: tuple[
        tuple[str, str], ...
    ]  # (file or folder, sha256 of its content or listing): what this was compiled from
    commands: tuple[str, ...] = ()  # of the IOC, that this site carries out
    box: Device | None = None  # this box itself, as a device

    @property
    def devices(self) -> Iterator[Device]:
        """All that rows may come from."""
        for bus in self.buses:
            yield from bus.devices
        if self.box is not None:
            yield self.box


def dumps(site: Site) -> bytes:
    """JSON, for the way from `gateway compile` to the daemon; raises ValueError rather than write a password."""
    if any(broker.password for uplink in site.uplinks for broker in uplink.servers):
        raise ValueError("a compiled site holds no password")
    pools: dict[str, _Pool] = {kind.__name__: _Pool() for kind in POOLED}
    written = _plain(site, pools)
    return orjson.dumps({"v": VERSION, "pools": {name: pool.written for name, pool in pools.items()}, "site": written})


def loads(data: bytes) -> Site:
    """The same site again: `loads(dumps(site)) == site`; raises ValueError for anything that is not one."""
    document = orjson.loads(data)
    if not isinstance(document, dict) or document.get("v") != VERSION or not isinstance(document.get("pools"), dict):
        raise ValueError("not a site of this version")
    pools: dict[str, list[Any]] = {}
    try:
        for kind in POOLED:  # a profile is made of fields: they come first
            pools[kind.__name__] = [_made(kind, plain, pools) for plain in document["pools"][kind.__name__]]
        site: Site = _made(Site, document["site"], pools)
    except (KeyError, IndexError, TypeError, RecursionError) as error:
        raise ValueError(f"not a site: {error}") from None
    return site


VERSION = 5
POOLED = (Field, Profile)


class _Pool:
    """Distinct values, numbered as they come."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self._numbers: dict[object, int] = {}

    def number(self, value: object, write: Callable[[], object]) -> int:
        if value not in self._numbers:
            self.written.append(None)
            number = len(self.written) - 1
            self.written[number] = write()
            self._numbers[value] = number
        return self._numbers[value]


def _plain(value: Any, pools: Mapping[str, _Pool]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, POOLED):
        return pools[type(value).__name__].number(value, lambda: _listed(value, pools))
    if is_dataclass(value):
        return _listed(value, pools)
    if isinstance(value, tuple):
        return [_plain(item, pools) for item in value]
    return value.hex() if isinstance(value, bytes) else value


def _listed(value: Any, pools: Mapping[str, _Pool]) -> list[Any]:  # noqa: ANN401 - any dataclass
    named = [type(value).__name__] if type(value) in _ALTERNATIVES else []
    return named + [_plain(getattr(value, field.name), pools) for field in fields(value)]


def _typed(hint: Any, plain: Any, pools: Mapping[str, list[Any]]) -> Any:  # noqa: ANN401, PLR0911 - JSON; one case a kind of type
    """`plain` as a value of the type `hint`; raises ValueError."""
    if isinstance(hint, type) and hint in POOLED:
        _expect(type(plain) is int and plain >= 0, hint, plain)
        return pools[hint.__name__][plain]
    if get_origin(hint) is UnionType:
        return _one_of(get_args(hint), plain, pools)
    if get_origin(hint) is tuple:
        return _tuple(get_args(hint), plain, pools)
    if is_dataclass(hint):
        return _made(hint, plain, pools)
    if hint is bytes:
        _expect(type(plain) is str, hint, plain)
        return bytes.fromhex(plain)
    if hint is float:
        _expect(type(plain) in (int, float), hint, plain)
        return float(plain)
    if issubclass(hint, Enum):
        return hint(plain)
    _expect(type(plain) is hint, hint, plain)
    return plain


def _one_of(hints: tuple[Any, ...], plain: Any, pools: Mapping[str, list[Any]]) -> Any:  # noqa: ANN401 - JSON
    """None or a value; or one of several dataclasses, which then begins with its name."""
    if plain is None and NoneType in hints:
        return None
    kinds = [hint for hint in hints if hint is not NoneType]
    if len(kinds) == 1:
        return _typed(kinds[0], plain, pools)
    _expect(type(plain) is list and bool(plain), hints, plain)
    kind = next((kind for kind in kinds if kind.__name__ == plain[0]), None)
    _expect(kind is not None, hints, plain)
    return _made(kind, plain[1:], pools)


def _tuple(hints: tuple[Any, ...], plain: Any, pools: Mapping[str, list[Any]]) -> tuple[Any, ...]:  # noqa: ANN401 - JSON
    _expect(type(plain) is list, hints, plain)
    if hints[-1] is Ellipsis:
        return tuple(_typed(hints[0], item, pools) for item in plain)
    _expect(len(hints) == len(plain), hints, plain)
    return tuple(_typed(hint, item, pools) for hint, item in zip(hints, plain, strict=True))


def _made(kind: Any, plain: Any, pools: Mapping[str, list[Any]]) -> Any:  # noqa: ANN401 - any dataclass
    hints = _hints(kind)
    _expect(type(plain) is list and len(plain) == len(hints), kind, plain)
    return kind(*(_typed(hint, item, pools) for hint, item in zip(hints, plain, strict=True)))


@cache
def _hints(kind: Any) -> tuple[Any, ...]:  # noqa: ANN401 - any dataclass
    known = get_type_hints(kind)
    return tuple(known[field.name] for field in fields(kind))


_ALTERNATIVES = frozenset(  # told apart by name
    (*get_args(get_type_hints(Profile)["source"]), *get_args(get_type_hints(Start)["request"]))
)


def _expect(good: bool, hint: object, plain: object) -> None:  # noqa: FBT001 - an assertion that raises ValueError
    if not good:
        raise ValueError(f"not a {hint}: {plain!r:.80}")
