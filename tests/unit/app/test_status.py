"""gateway.app.status: one Status of all parts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from gateway import __version__
from gateway.app.status import StatusBoard, catalog
from gateway.model import BootMs, Group, SeqRanges, Stamp, UtcMs
from gateway.pipeline.maintenance import Work
from gateway.profile.profile import Field, Line, ModbusSource, Profile
from gateway.site import Alarm, Area, Bus, Derived, Device, Location, Polled, Site, SpoolSettings, UplinkSettings
from gateway.testing.clock import NOON_MS, FakeClock
from gateway.wire.catalog import decode_catalog, encode_catalog
from gateway.wire.documents import EpochStatus, NorthStatus, SouthStatus, SpoolStatus, encode_status
from gateway.wire.status_reader import decode_status

FIELD = Field("level", "water_level", "m", "f", 3, low=-0.5, high=5.0)
GROUP = Group("level-1", "water_level", "qdy/qdy30a@1", ("level",), "f")
PROFILE = Profile("qdy/qdy30a@1", "water_level", (("en", "Level"),), "two sources", (FIELD,), ModbusSource(Line(), 1))
DEVICE = Device("level-1", PROFILE, 1, (Polled(GROUP, (FIELD,), 10_000),))
SITE = Site(
    gateway="hc-0001",
    root="city",
    area=Area("gso-2025", "20242", "Hải Châu"),
    location=Location(16.07, 108.22, (("vi", "Trụ 17"),)),
    clock_trust="system",
    spool=SpoolSettings("/x", 1, 1),
    uplinks=(UplinkSettings("ioc", (), "wired", 1_000, 60_000),),
    buses=(Bus("rs485-1", "rtu", "own", "/dev/ttyUSB0", Line(), (DEVICE,)),),
    sources=(),
)
SPOOL = SpoolStatus("k3v9x2", (EpochStatus("k3v9x2", 1, 9, SeqRanges.of_seqs([9]), SeqRanges()),), 1, 500, 4096, 0)
NORTH = NorthStatus(True, "127.0.0.1:1883", 1, 100, None, "receipt")


@dataclass
class SaysSouth:
    """A bus."""

    status: SouthStatus


@dataclass
class SaysSpool:
    """The spool."""

    status: SpoolStatus


@dataclass
class SaysWatch:
    """What rows have set off."""

    alarms_on: tuple[tuple[str, str, str], ...]
    fast: tuple[str, ...]
    works: tuple[Work, ...]


@dataclass
class SaysNorth:
    """The uplink."""

    status: NorthStatus
    alarms: frozenset[str] = frozenset()

    @property
    def connected(self) -> bool:
        """As in its status."""
        return self.status.connected


def at_noon(at: BootMs) -> Stamp:
    """A timeline that knows the time: 2026-11-24T12:00:00Z, a minute after boot."""
    return Stamp(UtcMs(NOON_MS - 60_000 + at), "ioc")


def board(
    *south: SouthStatus,
    spool: SpoolStatus = SPOOL,
    north: SaysNorth | None = None,
    alarms: tuple[str, ...] = (),
    stamp: Callable[[BootMs], Stamp | None] = at_noon,
) -> StatusBoard:
    """A board whose stages say this."""
    buses = [SaysSouth(part) for part in south]
    made = StatusBoard(SITE, "boot1", FakeClock(), stamp, buses, SaysSpool(spool), alarms)
    made.north = north or SaysNorth(NORTH)
    return made


def test_buses_are_joined() -> None:
    """Names of all buses in one list, in order, each once."""
    told = board(SouthStatus(("b",), ("m2",), ("b",)), SouthStatus(), SouthStatus(("a",), ("m1", "m2"))).status()
    assert told.south == SouthStatus(("a", "b"), ("m1", "m2"), ("b",))


def test_it_says_who_and_when() -> None:
    """The box, its version, its boot, its clock and how far that is trusted."""
    told = board().status()
    assert (told.gateway, told.version, told.boot, told.clock) == ("hc-0001", __version__, "boot1", "ioc")
    assert told.time == NOON_MS
    assert (told.spool, told.north) == (SPOOL, NORTH)


def test_without_a_clock_it_tells_the_wall_clocks_time_as_unset() -> None:
    """Somebody has to say what the box believes."""
    told = board(stamp=lambda _: None).status()
    assert (told.time, told.clock) == (NOON_MS, "unset")


def test_online_is_norths_word() -> None:
    """Asked each time."""
    north = SaysNorth(NORTH)
    made = board(north=north)
    for connected in (True, False):
        north.status = replace(NORTH, connected=connected)
        assert (made.online, made.status().online) == (connected, connected)


def test_what_rows_have_set_off_reaches_the_centre() -> None:
    """Limits that are reached, devices that are hurried or in somebody's hands: made by the watch, told as they are."""
    ends = UtcMs(NOON_MS + 7_200_000)
    made = board()
    made.watch = SaysWatch(
        (("level-1", "level", "bd1"),), ("level-1",), (Work("rain-1", "calibration", "LVH", 1, ends),)
    )
    told = decode_status(encode_status(made.status()))
    assert (told["alarms_on"], told["alarms_on_n"]) == ([["level-1", "level", "bd1"]], 1)
    assert told["fast"] == ["level-1"]
    assert told["maintenance"] == [["rain-1", "calibration", "LVH", ends]]
    assert (
        not {"alarms_on", "alarms_on_n", "fast", "maintenance"} & decode_status(encode_status(board().status())).keys()
    )


def test_alarms_of_all_parts() -> None:
    """Of the start, of the uplink, of the disk; in order, each once."""
    north = SaysNorth(NORTH, frozenset({"refused", "a_start"}))
    told = board(spool=replace(SPOOL, failing="EIO"), north=north, alarms=("site_file_broken", "a_start")).status()
    assert told.alarms == ("a_start", "refused", "site_file_broken", "spool_failed")
    assert board().status().alarms == ()


def test_a_kernel_that_does_not_tell_is_an_alarm() -> None:
    """For as long as it refuses: such a box would wait for a clock for ever."""
    refused = ["Operation not permitted"]
    made = StatusBoard(
        SITE, "boot1", FakeClock(), at_noon, [], SaysSpool(SPOOL), (), clock_refused=lambda: "".join(refused)
    )
    made.north = SaysNorth(NORTH)
    assert made.status().alarms == ("clock_unreadable",)
    refused.clear()
    assert made.status().alarms == ()


def test_the_documents_can_be_read_by_the_centre() -> None:
    """What the uplink keeps retained passes the reader's checks."""
    status, its_catalog = board(SouthStatus(("rs485-1",), ()), alarms=("site_file_broken",)).documents()
    assert decode_status(encode_status(status))["alarms"] == ["site_file_broken"]
    assert decode_catalog(encode_catalog(its_catalog))["gw"] == "hc-0001"


def test_the_catalog_says_what_is_measured() -> None:
    """Where, by which device on which bus, which fields with limits and period."""
    told = catalog(SITE)
    assert told.area == {"scheme": "gso-2025", "code": "20242", "name": "Hải Châu"}
    assert told.location == {"lat": 16.07, "lon": 108.22, "note": {"vi": "Trụ 17"}}
    (device,) = told.devices
    assert (device.name, device.bus, device.kind, device.profile) == (
        "level-1",
        "rs485-1",
        "water_level",
        "qdy/qdy30a@1",
    )
    (field,) = device.fields
    assert (field.name, field.unit, field.low, field.high, field.period_ms) == ("level", "m", -0.5, 5.0, 10_000)


def test_the_catalog_says_the_limits_of_each_field() -> None:
    """Of what is read and of what is computed: level, kind, at and clear, as the alarms are."""
    freeboard = Derived(Field("freeboard", "distance", "m", "f", 3), "3 - level", "level")
    alarms = (Alarm("level", "bd1", "above", 1.0, 0.9), Alarm("freeboard", "brim", "below", 0.5, 0.7))
    bus = replace(SITE.buses[0], devices=(replace(DEVICE, derived=(freeboard,), alarms=alarms),))
    told: Any = decode_catalog(encode_catalog(catalog(replace(SITE, buses=(bus,)))))
    level, computed = told["devices"][0]["fields"]
    assert (level["name"], level["limits"]) == ("level", [["bd1", "above", 1.0, 0.9]])
    assert (computed["name"], computed["limits"]) == ("freeboard", [["brim", "below", 0.5, 0.7]])


def test_a_catalog_without_a_place() -> None:
    """Area and location need not be known."""
    told = catalog(replace(SITE, area=None, location=None, buses=()))
    assert (told.area, told.location, told.devices) == (None, None, ())
