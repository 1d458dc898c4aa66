"""Puts one Status together from what each stage says of itself; status topic, socket and CLI show the same."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from gateway import __version__
from gateway.model import BootMs, Stamp, Trust
from gateway.pipeline.chain import shapes
from gateway.pipeline.maintenance import Work
from gateway.profile.profile import Field
from gateway.seams import Clock
from gateway.site import Correction, Device, Report, Site
from gateway.wire.catalog import Catalog, CatalogDevice, CatalogField
from gateway.wire.documents import NorthStatus, SouthStatus, SpoolStatus, Status, UplinkStatus, WatchStatus


class SaysSouth(Protocol):
    """A bus loop."""

    @property
    def status(self) -> SouthStatus:
        """What is down on it."""
        ...


class SaysSpool(Protocol):
    """The spool."""

    @property
    def status(self) -> SpoolStatus:
        """What it holds."""
        ...


class SaysNorth(Protocol):
    """The first uplink."""

    @property
    def status(self) -> NorthStatus:
        """Whether it is connected, and what is out."""
        ...

    @property
    def connected(self) -> bool:
        """As in `status`, which is not asked for at every row."""
        ...

    @property
    def alarms(self) -> frozenset[str]:
        """What is wrong with it now."""
        ...


class SaysUplink(Protocol):
    """An uplink behind the first."""

    @property
    def status(self) -> UplinkStatus:
        """All that is told of it."""
        ...


class SaysOverdue(Protocol):
    """The corrections of the site."""

    @property
    def overdue(self) -> bool:
        """Whether one has to be done again."""
        ...


class SaysWatch(Protocol):
    """What rows have set off."""

    @property
    def alarms_on(self) -> Sequence[tuple[str, str, str]]:
        """(device, field, level) of each alarm that is on."""
        ...

    @property
    def fast(self) -> tuple[str, ...]:
        """Devices that are polled faster now."""
        ...

    @property
    def works(self) -> Sequence[Work]:
        """Devices in maintenance."""
        ...


class StatusBoard:
    """Asks every stage; keeps nothing of its own but the alarms that the process raises."""

    north: SaysNorth  # set once the uplink exists: it needs `documents` first
    others: Sequence[SaysUplink] = ()  # likewise
    watch: SaysWatch | None = None
    calibration: SaysOverdue | None = None

    def __init__(
        self,
        site: Site,
        boot: str,
        clock: Clock,
        stamp: Callable[[BootMs], Stamp | None],
        buses: Sequence[SaysSouth],
        spool: SaysSpool,
        alarms: Sequence[str],
        *,
        clock_refused: Callable[[], str] = str,
    ) -> None:
        """`clock_refused` says why the kernel does not tell whether its clock is right, or ""."""
        self._clock_refused = clock_refused
        self._site, self._boot, self._clock, self._stamp = site, boot, clock, stamp
        self._buses, self._spool, self._alarms = buses, spool, tuple(alarms)
        self._catalog = catalog(site)

    @property
    def online(self) -> bool:
        """Whether a broker is connected now."""
        return self.north.connected

    def status(self) -> Status:
        """As of now."""
        parts = [bus.status for bus in self._buses]
        spool, north = self._spool.status, self.north.status
        now = self._stamp(self._clock.boot_ms()) or Stamp(self._clock.utc_ms(), Trust.UNSET)
        return Status(
            gateway=self._site.gateway,
            version=__version__,
            boot=self._boot,
            time=now.t0,
            clock=now.clock,
            online=north.connected,
            south=SouthStatus(
                tuple(sorted({name for part in parts for name in part.buses_down})),
                tuple(sorted({name for part in parts for name in part.devices_down})),
                tuple(sorted({name for part in parts for name in part.buses_silent})),
            ),
            spool=spool,
            north=north,
            watch=self._watched(),
            uplinks=(self._first(spool, north), *(other.status for other in self.others)),
            alarms=tuple(sorted({*self._alarms, *self.north.alarms, *self._now_wrong(spool)})),
        )

    def _watched(self) -> WatchStatus:
        if self.watch is None:
            return WatchStatus()
        works = tuple((work.device, work.kind, work.by, work.ends) for work in self.watch.works)
        return WatchStatus(tuple(self.watch.alarms_on), self.watch.fast, works)

    def _first(self, spool: SpoolStatus, north: NorthStatus) -> UplinkStatus:
        """The IOC's uplink, told as the others are."""
        first = self._site.uplinks[0]
        return UplinkStatus(
            name=first.name,
            format=first.format,
            settle=north.settle,
            connected=north.connected,
            pending=spool.pending,
            settled=spool.settled,
            parked=sum(len(epoch.parked) for epoch in spool.epochs),
            refusal=north.refusal,
            alarms=tuple(sorted(self.north.alarms)),
        )

    def _now_wrong(self, spool: SpoolStatus) -> Iterator[str]:
        if spool.failing:
            yield "spool_failed"
        if self._clock_refused():
            yield "clock_unreadable"
        if self.calibration is not None and self.calibration.overdue:
            yield "calibration_due"

    def documents(self) -> tuple[Status, Catalog]:
        """What the uplink keeps retained."""
        return self.status(), self._catalog


def catalog(site: Site) -> Catalog:
    """What this gateway measures, for people."""
    area, place = site.area, site.location
    return Catalog(
        gateway=site.gateway,
        area={"scheme": area.scheme, "code": area.code, "name": area.name} if area else None,
        location={"lat": place.lat, "lon": place.lon, "note": dict(place.note)} if place else None,
        devices=(
            *(_device(bus.name, device) for bus in site.buses for device in bus.devices),
            *((_device(site.box.name, site.box),) if site.box is not None else ()),
        ),
    )


def _device(bus: str, device: Device) -> CatalogDevice:
    """As its rows leave: with corrected ranges, raw and derived fields."""
    corrections = {correction.field: correction for correction in device.corrections}
    formulas = {derived.field.name: derived.formula for derived in device.derived}
    fields = tuple(
        CatalogField(
            f.name,
            f.quantity,
            f.unit,
            f.decimals,
            f.low,
            f.high,
            shape.period_ms,
            counter=f.counter,
            restarts=f.restarts,
            report=_report(f, shape.report),
            correct=_correct(corrections.get(f.name)),
            formula=formulas.get(f.name, ""),
            limits=tuple((a.level, a.kind, a.at, a.clear) for a in device.alarms if a.field == f.name),
        )
        for shape in shapes(device)
        for f in shape.fields
    )
    return CatalogDevice(device.name, bus, device.profile.kind, device.profile.ref, device.profile.title, fields)


def _report(field: Field, report: Report | None) -> tuple[tuple[str, float | str], ...]:
    """Its policy, only what is set."""
    if report is None:
        return ()
    folds = (("every_ms", report.every_ms), ("fold", field.aggregate)) if report.every_ms else ()
    news = (("change", report.change), ("at_least_ms", report.at_least_ms)) if report.change is not None else ()
    return (*folds, *news)


def _correct(correction: Correction | None) -> tuple[tuple[str, float | str], ...]:
    if correction is None:
        return ()
    numbers = (("slope", correction.slope), ("offset", correction.offset), ("datum", correction.datum))
    texts = (("by", correction.by), ("on", correction.on), ("due", correction.due))
    return (*numbers, *(pair for pair in texts if pair[1]))
