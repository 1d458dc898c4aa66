"""What a schedule says is to be done next, what a guest tells it, and who is to blame for a cut. Values only."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from gateway.model import BootMs
from gateway.site import Device, Polled


@dataclass(frozen=True, slots=True)
class Poll:
    """Poll this group now; it was due within the period that ends at `deadline`."""

    task: int
    device: Device
    polled: Polled
    deadline: BootMs
    also: tuple["Poll", ...] = ()  # groups of the same device that are polled with it; each is ended for itself


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask whether this device answers, with a poll of this group."""

    task: int
    device: Device
    polled: Polled
    deadline: BootMs
    free_until: BootMs  # what it takes beyond this is charged to the probe share


@dataclass(frozen=True, slots=True)
class Turn:
    """Make the guest's exchange."""

    free_until: BootMs  # what it takes beyond this is charged to the job share


@dataclass(frozen=True, slots=True)
class Reopen:
    """Open the bus again, then `resume`."""


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing may be done before `until`."""

    until: BootMs


@dataclass(frozen=True, slots=True)
class Wish:
    """The exchange that a guest waits for."""

    came_at: BootMs
    longest_ms: int
    likely_ms: int  # with an answer as fast as its device's mostly are


Step: TypeAlias = Poll | Probe | Turn | Reopen | Idle


class Cut(StrEnum):
    """Who is to blame for a link that went away in a step."""

    BUS = "bus"
    DEVICE = "device"
