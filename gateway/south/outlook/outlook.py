"""What a bus will be asked, what that costs, and whether it can be done. Pure; times are modelled, nothing is measured.

The verdict is that of `feasible`, over every group by itself; as groups of one device may be polled in one visit, the
others are taken to wait for these at once. Reads that groups share are a gain on top of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.profile.profile import Field, ModbusSource
from gateway.site import Bus, Device, Polled, hurried
from gateway.south.outlook.feasible import Task, Verdict, feasibility
from gateway.south.outlook.talks import talks_outlook
from gateway.south.reads.plan import Read, bus_ms, line_cost, plan


@dataclass(frozen=True, slots=True)
class GroupOutlook:
    """The reads of one group, each with its time."""

    device: Device
    polled: Polled
    reads: tuple[tuple[Read, float], ...]

    @property
    def cost_ms(self) -> float:
        """Of one poll."""
        return sum(ms for _, ms in self.reads)

    @property
    def load(self) -> float:
        """Share of the bus's time."""
        return self.cost_ms / self.polled.period_ms


@dataclass(frozen=True, slots=True)
class Outlook:
    """One bus; `verdict` counts the groups in their order."""

    bus: Bus
    groups: tuple[GroupOutlook, ...]
    verdict: Verdict
    shared_load: float  # where groups that are due together share their reads


def outlook(bus: Bus) -> Outlook:
    """Of a bus that is asked; one that sends by itself has no groups here."""
    groups = _groups(bus)
    return Outlook(bus, groups, _verdict(groups), sum(_shared_load(bus, device) for device in bus.devices))


def verdict(bus: Bus) -> Verdict:
    """Whether it can be done, and no more: for those who try many."""
    return _verdict(_groups(bus))


def fast_verdict(bus: Bus) -> Verdict | None:
    """With every `fast` of its devices in force at one time, as in a flood; None where none has one."""
    if not any(device.fast for device in bus.devices):
        return None
    flooded = replace(bus, devices=tuple(map(hurried, bus.devices)))
    return talks_outlook(flooded)[1] if bus.transport == "talk" else verdict(flooded)


def at_once_ms(group: GroupOutlook, groups: Sequence[GroupOutlook]) -> float:
    """Of a visit for it and for what its device may be asked in the same visit out of turn: less frequent groups."""
    same = (one for one in groups if one.device is group.device and one.polled.period_ms >= group.polled.period_ms)
    return sum(one.cost_ms for one in same)


def _verdict(groups: Sequence[GroupOutlook]) -> Verdict:
    return feasibility([Task(one.cost_ms, one.polled.period_ms, at_once_ms(one, groups)) for one in groups])


def _groups(bus: Bus) -> tuple[GroupOutlook, ...]:
    groups = (_group(bus, device, polled) for device in bus.devices for polled in device.polled)
    return tuple(group for group in groups if group is not None)


def _group(bus: Bus, device: Device, polled: Polled) -> GroupOutlook | None:
    source = device.profile.source
    if not isinstance(source, ModbusSource):
        return None
    cost = line_cost(bus, source)
    reads = plan(device.profile, polled.fields, cost)
    return GroupOutlook(device, polled, tuple((read, bus_ms(read, cost)) for read in reads))


def _shared_load(bus: Bus, device: Device) -> float:
    """A group rides with those of shorter periods whenever it is due, if its period is a multiple of theirs."""
    load = 0.0
    for polled in device.polled:
        hosts = [one for one in device.polled if one.period_ms < polled.period_ms and _multiple(polled, one)]
        fields = [field for host in hosts for field in host.fields]
        alone_ms = _cost_ms(bus, device, polled.fields)
        more_ms = _cost_ms(bus, device, [*fields, *polled.fields]) - _cost_ms(bus, device, fields)
        load += min(alone_ms, more_ms) / polled.period_ms
    return load


def _multiple(polled: Polled, other: Polled) -> bool:
    return polled.period_ms % other.period_ms == 0


def _cost_ms(bus: Bus, device: Device, fields: Sequence[Field]) -> float:
    source = device.profile.source
    if not isinstance(source, ModbusSource):
        return 0.0
    cost = line_cost(bus, source)
    return sum(bus_ms(read, cost) for read in plan(device.profile, tuple(dict.fromkeys(fields)), cost))
