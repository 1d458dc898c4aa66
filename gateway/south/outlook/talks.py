"""What a line of serial devices that are asked has to do, and whether it can. Pure; modelled, nothing is measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.profile.profile import LocalSource, ModbusSource, ProtocolSource, SerialSource
from gateway.site import Bus, Device
from gateway.south.outlook.feasible import Task, Verdict, feasibility
from gateway.south.reads.talk_cost import answered_ms

LATENCY_MS = 50.0  # assumed: sensors that are asked in text are slow


@dataclass(frozen=True, slots=True)
class TalkOutlook:
    """The visits to one device: all groups that are due together are answered by one."""

    device: Device
    cost_ms: float
    period_ms: int  # of the group that is due most often


def talks_outlook(bus: Bus) -> tuple[Sequence[TalkOutlook], Verdict]:
    """Each device, and whether all their periods can be held."""
    talks = []
    for device in bus.devices:
        source = device.profile.source
        asked = isinstance(source, ProtocolSource) or (isinstance(source, SerialSource) and source.poll)
        if asked and not isinstance(source, ModbusSource | LocalSource) and device.polled:
            cost_ms = answered_ms(bus, device, source, LATENCY_MS)
            talks.append(TalkOutlook(device, cost_ms, min(polled.period_ms for polled in device.polled)))
    return talks, feasibility([Task(talk.cost_ms, talk.period_ms, talk.cost_ms) for talk in talks])
