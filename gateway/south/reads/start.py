"""A device that measures only once it was told to: whether it must be told now, or is still getting ready.

Some probes answer from the moment they have power, with old values, until they are told to measure; then they take
seconds to be right. Nothing says that they lost power meanwhile. So what a profile declares is said before the first
read, again after any request that stayed unanswered and any outage of the bus, and when the last time is too long ago;
no value is read before the declared pause is over. A device that refuses it is not read at all: it is told again when
it is due. One `Starting` (pure) a device, shared by its groups.
"""

from dataclasses import dataclass

from gateway.errors import BadReply, DeviceException, LinkDown, NoReply
from gateway.model import BootMs, Quality
from gateway.profile.profile import ModbusSource, Start
from gateway.south.reads.visit import NS_PER_MS, UNREACHABLE, Caller, Guarded

FRAME_CHARS = 16  # of the request and its answer


class Starting:
    """Where one device stands."""

    def __init__(self, start: Start) -> None:
        self.request = start.request
        self._start = start
        self._told_at: BootMs | None = None

    @staticmethod
    def of(source: ModbusSource) -> "Starting | None":
        """None for a device that measures by itself."""
        return Starting(source.start) if source.start else None

    def is_due(self, now: BootMs) -> bool:
        """Whether it must be told now."""
        again_ms = self._start.again_ms
        return self._told_at is None or bool(again_ms and now - self._told_at >= again_ms)

    def ready_at(self, now: BootMs) -> BootMs | None:
        """When its values will be good; None when they are."""
        if self._told_at is None or now - self._told_at >= self._start.pause_ms:
            return None
        return BootMs(self._told_at + self._start.pause_ms)

    def told(self, now: BootMs) -> None:
        """It said yes."""
        self._told_at = now

    def lost(self) -> None:
        """Nobody knows what it does now."""
        self._told_at = None


@dataclass(frozen=True, slots=True)
class Held:
    """Why nothing is read in this visit."""

    cause: Quality | None = None  # None: it is only not ready yet
    answered: bool = False
    waits_until: BootMs | None = None
    link_down: LinkDown | None = None


async def prepare(starting: Starting, link: Guarded, caller: Caller) -> Held | None:
    """Tell the device to measure where that is due; None when it may be read now. Never raises."""
    unit_id = caller.device.unit_id
    if starting.is_due(caller.clock.boot_ms()):
        until_ns = link.barred(unit_id, starting.request)
        if until_ns is not None:
            return Held(waits_until=BootMs(-(-until_ns // NS_PER_MS)))
        caller.count("starts")
        starting.lost()
        try:
            await link.request(unit_id, starting.request, _deadline_ns(caller), caller.manner)
        except LinkDown as error:
            caller.count_failure(error.code)
            return Held(link_down=error)
        except (NoReply, BadReply) as error:
            caller.count_failure(error.code)
            return Held(Quality(error.code))
        except DeviceException as error:
            caller.count_failure(f"exception_{error.exception}")
            unreachable = error.exception in UNREACHABLE
            return Held(Quality.NO_REPLY if unreachable else Quality.REFUSED, answered=not unreachable)
        starting.told(caller.clock.boot_ms())
    ready_at = starting.ready_at(caller.clock.boot_ms())
    return None if ready_at is None else Held(waits_until=ready_at)


def _deadline_ns(caller: Caller) -> int:
    cost = caller.cost
    longest_ms = caller.timeout_ms + cost.turnaround_ms + FRAME_CHARS * cost.char_ms
    return caller.clock.boot_ns() + round(longest_ms * NS_PER_MS)
