"""A share of a bus's time that may be taken from its polls. Pure."""

from dataclasses import dataclass
from math import ceil

from gateway.model import BootMs


@dataclass(slots=True)
class Share:
    """Bus time that may be taken from polls: grows by `share`, spent by what takes it, saves up to `most_ms`."""

    share: float
    now: BootMs
    most_ms: int
    saved_ms: float = 0.0

    def grow(self, now: BootMs) -> None:
        """Time has passed."""
        self.saved_ms = min(self.saved_ms + (now - self.now) * self.share, self.most_ms)
        self.now = now

    def charge(self, ms: int) -> None:
        """It was taken; into debt, where it took longer than was saved."""
        self.saved_ms -= max(0, ms)

    def ready_at(self, now: BootMs, cost_ms: int) -> BootMs:
        """When `cost_ms` will have been saved."""
        return BootMs(now + max(0, ceil((cost_ms - self.saved_ms) / self.share)))
