"""The centre's clock as its receipts tell it: `[clock] trust = "ioc"`, for a box that no time server reaches. Pure.

A receipt's `now` was read after a batch that it names was sent, and before the receipt arrived. So it bounds the
offset from boot time to UTC, on both sides:

    now - arrived  <=  offset  <=  now - sent

The first receipt that counts gives the middle: right within half of the way there and back, so within 1 s. After that
the offset stands as long as every new receipt allows it, and moves to the nearer bound when one does not: quick
receipts make it better, slow ones never make it worse, and a crystal that drifts is followed. A way of more than 2 s
says too little and is not counted.

Rows without a clock are not sent, and what is not sent has no receipt. So an undated boot *asks*: an urgent event,
which goes as `unset` after 5 s whatever the clock. The answer to it is the clock.
"""

from gateway.model import BootMs, UtcMs

WAY_MS_MAX = 2_000  # there and back
GOOD_FOR_MS = 32_000_000  # by then a clock of 500 ppm is 16 s off: where the kernel's own word ends, too
ASK_SOON_MS = 60_000  # the answer came, but too slowly
ASK_LATER_MS = 3_600_000  # no answer: the question is on disk and goes out with the next connection


class ReceiptTime:
    """One daemon's. Tell it every receipt; it says what UTC is, and whether that may be believed."""

    def __init__(self) -> None:
        self._offset_ms: int | None = None
        self._counted_at: BootMs | None = None
        self._asked_at: BootMs | None = None
        self._too_slow = False

    def told(self, sent: BootMs, arrived: BootMs, now: UtcMs) -> None:
        """The `now` of a receipt, and when a batch named in it was sent and the receipt arrived."""
        if arrived - sent > WAY_MS_MAX:
            self._too_slow = True
            return
        low_ms, high_ms = now - arrived, now - sent
        stands_ms = (low_ms + high_ms) // 2 if self._offset_ms is None else self._offset_ms
        self._offset_ms = min(max(stands_ms, low_ms), high_ms)
        self._counted_at = arrived

    def go_on(self, offset_ms: int | None) -> None:
        """What was believed before the daemon was restarted in this boot; a receipt knows better."""
        if self._offset_ms is None:
            self._offset_ms = offset_ms

    def utc(self, at: BootMs) -> UtcMs | None:
        """None before the first receipt that counts."""
        return None if self._offset_ms is None else UtcMs(at + self._offset_ms)

    def synchronised(self, at: BootMs) -> bool:
        """Whether the last receipt that counts is recent enough."""
        return self._counted_at is not None and at - self._counted_at <= GOOD_FOR_MS

    def asks(self, at: BootMs) -> bool:
        """Whether a question must go out now; counts it as asked."""
        wait_ms = ASK_SOON_MS if self._too_slow else ASK_LATER_MS
        if self._offset_ms is not None or (self._asked_at is not None and at - self._asked_at < wait_ms):
            return False
        self._asked_at, self._too_slow = at, False
        return True
