"""Devices that a technician works on: their rows are kept, their alarms rest, and it ends by itself. Pure.

    maintenance_on [length in ms, kind, by, why]      kind: maintenance | calibration
    maintenance_off [kind, by, how]                   how: over | by_hand

Rows between the two events are of a device that somebody had in his hands: readers that must not count them look there.
Ends are wall-clock times, so that they outlive a reboot; a clock that was set back can make one last at most as long
again as it was asked for, never longer than a day.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gateway.model import BootMs, Event, UtcMs

LENGTH_MAX_MS: Final = 86_400_000
DEVICES_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class Work:
    """One device in somebody's hands."""

    device: str
    kind: str
    by: str
    length_ms: int
    ends: UtcMs


class Maintenance:
    """Who is in it, by device."""

    def __init__(self, kept: Iterable[Work] = ()) -> None:
        self._works = {work.device: work for work in kept}

    def __contains__(self, device: str) -> bool:
        return device in self._works

    def works(self) -> tuple[Work, ...]:
        """All, by device."""
        return tuple(work for _, work in sorted(self._works.items()))

    def begin(self, work: Work, why: str, at: BootMs) -> Event:
        """Or begin it anew, with another end."""
        self._works[work.device] = work
        return Event(at, work.device, "maintenance_on", (work.length_ms, work.kind, work.by, why), urgent=True)

    def end(self, device: str, at: BootMs) -> Event | None:
        """By hand; None when it was not in it."""
        return self._ended(device, at, "by_hand") if device in self._works else None

    def over(self, now: UtcMs, at: BootMs) -> list[Event]:
        """Those whose time is up; one that a clock set back would keep for longer than it was asked for is cut."""
        for work in self.works():
            if work.ends - now > work.length_ms:
                self._works[work.device] = Work(
                    work.device, work.kind, work.by, work.length_ms, UtcMs(now + work.length_ms)
                )
        return [self._ended(work.device, at, "over") for work in self.works() if work.ends <= now]

    def _ended(self, device: str, at: BootMs, how: str) -> Event:
        work = self._works.pop(device)
        return Event(at, device, "maintenance_off", (work.kind, work.by, how), urgent=True)
