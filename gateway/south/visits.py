"""Fields of a serial device that is asked in its own way, read once on request: all of it is one visit, a talk."""

from typing import Protocol

from gateway.model import Group, Quality, Row
from gateway.profile.profile import Field
from gateway.seams import Clock
from gateway.site import Device, Polled
from gateway.south.reads.poll import Outcome

PERIOD_MS = 1000  # means nothing for one visit


class Visits(Protocol):
    """Asks a device of a bus once for all that it says."""

    async def visit(self, device: Device, polled: Polled) -> Outcome:
        """What came of it; raises LinkDown while the bus is away, BusBusy when it had no time."""
        ...


async def call(visits: Visits, device: Device, fields: tuple[Field, ...], clock: Clock) -> Row:
    """All of `fields` as one row of theirs; what is not good has its reason. Raises LinkDown as `Visits`."""
    names, letters = tuple(field.name for field in fields), "".join(field.letter for field in fields)
    group = Group(device.name, device.profile.kind, device.profile.ref, names, letters)
    outcome = await visits.visit(device, Polled(group, fields, PERIOD_MS))
    if outcome.row is not None:
        return outcome.row
    if outcome.link_down is not None:
        raise outcome.link_down
    cause = outcome.cause or Quality.REFUSED
    return Row(group, clock.boot_ms(), (None,) * len(fields), tuple((at, cause) for at in range(len(fields))))
