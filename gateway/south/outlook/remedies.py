"""What makes a bus hold its periods, found by trying: each remedy is a changed bus that passes the test. Pure.

From the cheapest for people to the dearest: a word in the site file, a limit in a profile (if the maker allows it), a
trip to every device of the line, a port more and new cables.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from gateway.model import Group
from gateway.profile.profile import ModbusSource
from gateway.site import Bus, Device
from gateway.south.outlook.outlook import Outlook, verdict
from gateway.south.reads.plan import REGISTERS_MAX

REMEDIES_MAX: Final = 3
BAUDS: Final = (1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200)
PERIODS_MS: Final = tuple(1000 * s for s in (1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600))
FACTORS: Final = (2, 3, 4, 5, 10, 20, 60)


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to change, and the load of the bus then.

    kind: period (what: device; a group of it from one period in ms to another), periods (all of them times `to`),
    max_registers (what: profile), line (baud), move (what: devices that get a bus of their own).
    """

    kind: str
    what: tuple[str, ...]
    before: int
    after: int
    load: float


def remedies(now: Outlook) -> tuple[Remedy, ...]:
    """At most three, the cheapest first; none for a bus that holds, or where nothing here would help."""
    if now.verdict.holds:
        return ()
    found = (remedy for kind in (_period, _periods, _registers, _line, _move) for remedy in kind(now))
    return tuple(remedy for _, remedy in zip(range(REMEDIES_MAX), found, strict=False))


def _period(now: Outlook) -> Iterator[Remedy]:
    """One group less often: the one that costs most, or the one that comes too late."""
    tried = [max(now.groups, key=lambda group: group.load)]
    tried += [] if now.verdict.late is None else [now.groups[now.verdict.late]]
    for group in tried:
        before = group.polled.period_ms
        for after in (period for period in PERIODS_MS if period > before):
            changed = _with_periods(now.bus, {group.polled.group: after})
            if remedy := _tried(changed, "period", (group.device.name,), before, after):
                yield remedy
                return


def _periods(now: Outlook) -> Iterator[Remedy]:
    """All groups less often."""
    for factor in FACTORS:
        periods = {group.polled.group: group.polled.period_ms * factor for group in now.groups}
        if remedy := _tried(_with_periods(now.bus, periods), "periods", (), 1, factor):
            yield remedy
            return


def _registers(now: Outlook) -> Iterator[Remedy]:
    """Longer reads of one profile that allows only short ones."""
    for ref, source in _sources(now.bus).items():
        wider = replace(source, max_registers=REGISTERS_MAX)
        remedy = _tried(
            _with_sources(now.bus, {ref: wider}), "max_registers", (ref,), source.max_registers, REGISTERS_MAX
        )
        if source.max_registers < REGISTERS_MAX and remedy:
            yield remedy
            return


def _line(now: Outlook) -> Iterator[Remedy]:
    """A faster line; behind a converter that is what its devices are set to."""
    bus, sources = now.bus, _sources(now.bus)
    lines = {source.line for source in sources.values()} if bus.transport == "rtu_over_tcp" else {bus.line}
    if bus.transport not in {"rtu", "rtu_over_tcp"} or len(lines) != 1:
        return
    (line,) = lines
    for baud in (baud for baud in BAUDS if baud > line.baud):
        faster = replace(line, baud=baud)
        quick = {ref: replace(source, line=faster) for ref, source in sources.items()}
        if remedy := _tried(_with_sources(replace(bus, line=faster), quick), "line", (), line.baud, baud):
            yield remedy
            return


def _move(now: Outlook) -> Iterator[Remedy]:
    """As few devices as possible to a bus of their own, those that need most of this one first."""
    needs = {device.name: 0.0 for device in now.bus.devices}
    for group in now.groups:
        needs[group.device.name] += group.load
    names = sorted(needs, key=lambda name: -needs[name])
    for count in range(1, len(names)):
        moved = set(names[:count])
        new, left = (_with_devices(now.bus, moved, inside=inside) for inside in (True, False))
        if verdict(new).holds and (remedy := _tried(left, "move", tuple(names[:count]), len(names), count)):
            yield remedy
            return


def _tried(bus: Bus, kind: str, what: tuple[str, ...], before: int, after: int) -> Remedy | None:
    changed = verdict(bus)
    return Remedy(kind, what, before, after, changed.load) if changed.holds else None


def _sources(bus: Bus) -> dict[str, ModbusSource]:
    """How each profile on it is read."""
    sources = {device.profile.ref: device.profile.source for device in bus.devices}
    return {ref: source for ref, source in sources.items() if isinstance(source, ModbusSource)}


def _with_periods(bus: Bus, periods_ms: Mapping[Group, int]) -> Bus:
    return replace(bus, devices=tuple(_slower(device, periods_ms) for device in bus.devices))


def _slower(device: Device, periods_ms: Mapping[Group, int]) -> Device:
    polled = (replace(one, period_ms=periods_ms.get(one.group, one.period_ms)) for one in device.polled)
    return replace(device, polled=tuple(polled))


def _with_sources(bus: Bus, sources: Mapping[str, ModbusSource]) -> Bus:
    return replace(bus, devices=tuple(_read_so(device, sources) for device in bus.devices))


def _read_so(device: Device, sources: Mapping[str, ModbusSource]) -> Device:
    source = sources.get(device.profile.ref, device.profile.source)
    return replace(device, profile=replace(device.profile, source=source))


def _with_devices(bus: Bus, names: set[str], *, inside: bool) -> Bus:
    return replace(bus, devices=tuple(device for device in bus.devices if (device.name in names) is inside))
