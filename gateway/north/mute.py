"""While nobody answers, or nobody knows our version: why, and when one batch may be tried again. Pure."""

from gateway.model import BootMs
from gateway.north.slot import AGAIN_FIRST_MS, AGAIN_MAX_MS


class Mute:
    """False while the other side answers. Tries come after 10 s, doubling to 5 min."""

    def __init__(self) -> None:
        self.why = ""  # no_receipts | version_refused
        self._try_at = BootMs(0)
        self._try_delay_ms = AGAIN_FIRST_MS

    def __bool__(self) -> bool:
        return bool(self.why)

    def fall(self, why: str, now: BootMs) -> None:
        """Begin, or go on for another reason. No receipts: the wait was had already, so the first try is due."""
        if not self.why:
            self._try_at = BootMs(now + (0 if why == "no_receipts" else AGAIN_FIRST_MS))
            self._try_delay_ms = 2 * AGAIN_FIRST_MS
        self.why = why

    def end(self) -> None:
        """Somebody answered, or there is a new connection."""
        self.why = ""

    def takes_try(self, now: BootMs) -> bool:
        """Whether a try is due; the next one is later."""
        if now < self._try_at:
            return False
        self._try_at = BootMs(now + self._try_delay_ms)
        self._try_delay_ms = min(2 * self._try_delay_ms, AGAIN_MAX_MS)
        return True
