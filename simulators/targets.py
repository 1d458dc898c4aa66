"""The names of a site that a fault can be of: its buses, its devices, the fields of those. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gateway.site import Site
from simulators.entry import WrongEntry
from simulators.fault import Fault, Target
from simulators.faults import fault


def served_by_us(site: Site) -> Site:
    """The site without what programs of a box hand in: there is no line to serve that on."""
    return replace(site, buses=tuple(bus for bus in site.buses if bus.transport != "push"))


def targets_of(site: Site) -> dict[str, Target]:
    """By name: bus, device, device.field."""
    found: dict[str, Target] = {}
    for bus in site.buses:
        found[bus.name] = Target("bus", bus.transport)
        for device in bus.devices:
            found[device.name] = Target("device", bus.transport)
            keys = (f"{device.name}.{field.name}" for field in device.profile.fields)
            found |= dict.fromkeys(keys, Target("field", bus.transport))
    return found


def fault_of(name: str, targets: Mapping[str, Target], table: Mapping[str, object], now_ms: int = 0) -> Fault:
    """One fault; raises WrongEntry, also for a name that stands for nothing."""
    if name not in targets:
        raise WrongEntry(f"{name}: no such bus, device or device.field")
    return fault(name, targets[name], table, now_ms)


def faults_of(site: Site, tables: Mapping[str, Sequence[Mapping[str, object]]]) -> list[Fault]:
    """Those of a file's `[fault]` tables; raises WrongEntry."""
    targets = targets_of(site)
    return [fault_of(name, targets, table) for name, some in tables.items() for table in some]
