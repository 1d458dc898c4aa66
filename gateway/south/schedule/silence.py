"""Who is silent, and who is to blame for it: a device, or the whole bus. Pure.

States of a device:
    up --miss--> suspect --good reply--> up
    suspect --enough misses, and the bus is known to work--> down (told) --good reply--> up (told)
Enough is MISSES_DOWN, every group of it missed; or MISSES_LEAST and a silence of DOWN_PERIODS periods, at least
DOWN_AFTER_MS: where dead devices crowd a full bus their probes are rare, and people must not wait for the third.
One lost reply is no news by either rule.

States of a bus (the port is open; one that is not is `door`'s):
    heard --nobody answers--> silent (told) --good reply of anyone--> heard (told)
A bus works when somebody answered after the device's first miss. Until then a device with enough misses is *accused*,
and the schedule asks another one, as a witness. Silent is a bus of whose devices, those not counted that were down
before, each has missed since the last good reply, and twice MISSES_DOWN in all. A device that is alone on its
bus, or the last of it that was not down yet, cannot be told from its bus: it is called down. A silent bus keeps its
devices out of the news: none is called down until somebody answers, and then they are suspect anew, as of now.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.model import BootMs

MISSES_DOWN = 3
MISSES_LEAST, DOWN_PERIODS, DOWN_AFTER_MS = 2, 3, 10_000
CANDIDATES_MIN = 2  # devices that can tell a bus from themselves
REOPEN_MS, REOPEN_MS_MAX = 15_000, 300_000  # between two openings of a bus that nobody is heard on
NEVER = BootMs(0)


class Change(StrEnum):
    """What a poll changed; also the code of the event that tells it."""

    DOWN = "device_down"
    UP = "device_up"
    SILENT = "bus_silent"
    HEARD = "bus_heard"


@dataclass(frozen=True, slots=True)
class News:
    """One thing to tell of a device or of the bus."""

    subject: str
    change: Change
    cause: str = ""


@dataclass(slots=True, eq=False)
class Health:
    """What is known of one device."""

    name: str
    groups: frozenset[int]
    period_ms: int  # of the group that is polled most often
    silent: set[int] = field(default_factory=set)  # groups that missed since their last good reply
    misses: int = 0  # since the last good reply of any group, as far as they concern the whole device
    since: BootMs = NEVER  # the first of these misses
    cause: str = ""  # of the last one
    down: bool = False

    @property
    def suspect(self) -> bool:
        """Whether the whole device is in doubt, not only a group of it."""
        return self.misses > 0

    def miss(self, group: int, now: BootMs, cause: str) -> None:
        """A group that is silent in itself says nothing more of the device."""
        self.cause = cause
        if self.suspect or group not in self.silent:
            self.since = self.since if self.suspect else now
            self.misses += 1
        self.silent.add(group)

    def enough(self, now: BootMs) -> bool:
        """Whether it missed enough to be called down."""
        if self.misses >= MISSES_DOWN and self.silent == self.groups:
            return True
        long_ms = max(DOWN_PERIODS * self.period_ms, DOWN_AFTER_MS)
        return self.misses >= MISSES_LEAST and now - self.since >= long_ms


class Silence:
    """The devices of one bus."""

    def __init__(self, bus: str, devices: Sequence[Health]) -> None:
        self.silent = False  # and told
        self._bus = bus
        self._devices = devices
        self._unheard = 0  # misses since the last good reply of any device, or since the bus was opened
        self._misses = 0  # those of devices that are not down
        self._heard_at: BootMs | None = None
        self._accused: list[Health] = []

    @property
    def down(self) -> tuple[str, ...]:
        """Names of the devices that are down."""
        return tuple(device.name for device in self._devices if device.down)

    @property
    def wants_witness(self) -> bool:
        """Whether a device missed enough, and it is open whether anyone still answers on this bus."""
        return bool(self._accused)

    @property
    def unheard(self) -> bool:
        """Whether every device is in doubt, and not by one lost reply: enough to open the bus again, not to tell it."""
        return self._unheard >= max(MISSES_LEAST, len(self._devices)) and all(one.suspect for one in self._devices)

    @property
    def nobody_answers(self) -> bool:
        """Whether that is to be told now."""
        if self.silent:
            return False
        candidates = [device for device in self._devices if not device.down]
        if len(candidates) < CANDIDATES_MIN or not all(device.suspect for device in candidates):
            return False
        return self._misses >= max(CANDIDATES_MIN * MISSES_DOWN, len(candidates))

    def heard(self, device: Health, group: int, now: BootMs) -> list[News]:
        """A good reply, be it an exception."""
        self._unheard = self._misses = 0
        self._heard_at = now
        device.misses = 0
        device.silent.discard(group)
        news: list[News] = []
        if self.silent:
            self.silent = False
            self.doubt_anew(now)
            news.append(News(self._bus, Change.HEARD))
        if device.down:
            device.down = False
            device.silent.clear()
            news.append(News(device.name, Change.UP))
        accused, self._accused = self._accused, []
        return news + [_call_down(other) for other in accused if other.suspect]

    def missed(self, device: Health, group: int, now: BootMs, cause: str, *, by_bus: bool = True) -> list[News]:
        """Nothing good came from a group; unless `by_bus`, the bus cannot be the reason."""
        device.miss(group, now, cause)
        self._unheard += by_bus
        if device.down:
            return []
        self._misses += by_bus
        if self.silent or device in self._accused or not device.enough(now):
            return []
        if self._works_without(device):
            return [_call_down(device)]
        self._accused.append(device)
        return []

    def call_silent(self) -> News:
        """Nobody answers, and the bus is to blame."""
        self.silent = True
        self._accused.clear()
        causes = {device.cause for device in self._devices if device.suspect}
        # a bad reply anywhere is the better hint: something is talking, with other line settings perhaps
        return News(self._bus, Change.SILENT, "bad_reply" if "bad_reply" in causes else "no_reply")

    def doubt_anew(self, now: BootMs) -> None:
        """Something has changed: who was silent may have been so because of the bus, and is so from now on."""
        self._unheard = self._misses = 0
        self._accused.clear()
        for device in self._devices:
            if device.suspect and not device.down:
                device.misses, device.since = 1, now

    def _works_without(self, device: Health) -> bool:
        alone = all(other.down or other is device for other in self._devices)
        return alone or (self._heard_at is not None and self._heard_at >= device.since)


@dataclass(slots=True)
class Reopening:
    """When a bus that nobody is heard on is opened again: at once, then at growing intervals."""

    possible: bool
    wanted: bool = False
    not_before: BootMs = NEVER
    _wait_ms: int = REOPEN_MS
    _tried: bool = False

    @property
    def comes_first(self) -> bool:
        """Whether it has to be tried before anything is told."""
        return self.possible and not self._tried

    def want(self) -> None:
        """Nobody is heard."""
        self.wanted = self.possible

    def due(self, now: BootMs) -> bool:
        """Whether it is wanted, and time."""
        return self.wanted and now >= self.not_before

    def happened(self, now: BootMs) -> bool:
        """The bus was opened; whether that was wanted, and due.

        A link that gives a mute connection up opens the next one early, each time: that brings no new hope, or who
        never answers would be waited for for ever.
        """
        if not self.due(now):
            return False
        self.wanted, self._tried = False, True
        self.not_before = BootMs(now + self._wait_ms)
        self._wait_ms = min(2 * self._wait_ms, REOPEN_MS_MAX)
        return True

    def over(self) -> None:
        """Somebody was heard."""
        self.wanted = self._tried = False
        self.not_before, self._wait_ms = NEVER, REOPEN_MS


def _call_down(device: Health) -> News:
    device.down = True
    return News(device.name, Change.DOWN, device.cause)
