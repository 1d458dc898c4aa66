"""Rows and events -> drafts: closes at max_age, max_bytes, or at once for what is urgent.

One body is open at a time. It closes when its first item is `max_age` old (`offline_age_ms` when nobody listens and
that is longer: fewer commits, better compression, and nobody waits), when its JSON reached `max_bytes`, or before an
item that would make the message too big or the time span too long. Items leave in the order in which they came, and
none is ever kept back or lost: every draft that closes is in a returned list.

Urgent events leave as a draft of their own, past the open one. It is then as small and quick as it can be, and the
rows that are open keep what an urgent batch has not: time to wait for a trusted clock (an undated urgent batch is
given a guessed time after 5 s), and the company that makes them compress. Rows are never urgent, so nothing is
reordered within a group. What one reading sets off goes together: three limits that are crossed at once cost one
commit, one message and one answer, and the third is not there three times as late as the first.
"""

from typing import Final

from gateway.model import BootMs, Draft, Event, Row
from gateway.wire.body import BodyWriter

MAX_BYTES: Final = 56 * 1024  # of JSON: 12 to 14 KiB once compressed, and under the limit of 64 when nothing compresses


class Packer:
    """One open batch at a time, of one boot. `max_age_ms` counts from its first item."""

    def __init__(self, boot: str, *, max_bytes: int = MAX_BYTES, max_age_ms: int, offline_age_ms: int = 10_000) -> None:
        self._boot = boot
        self._max_bytes = max_bytes
        self._max_age_ms = max_age_ms
        self._offline_age_ms = max(max_age_ms, offline_age_ms)
        self._open: BodyWriter | None = None
        self._urgent: BodyWriter | None = None

    def add(self, item: Row | Event) -> list[Draft]:
        """The drafts this item closed, in order. Raises ValueError, and closes none, for what no judge has passed.

        After what came together, `hurry` gives the urgent part of it.
        """
        if isinstance(item, Event) and item.urgent:
            return self._add_urgent(item)
        drafts: list[Draft] = []
        if self._open is not None and self._takes(self._open, item):
            self._open.add(item)
        else:
            opened = _opened(item)
            drafts, self._open = self.flush(), opened
        full = self._open.size_bytes_estimate >= self._max_bytes
        return drafts + (self.flush() if full else [])

    def due(self, now: BootMs, *, online: bool) -> list[Draft]:
        """The open draft when it is old enough (max_age online, never under 10 s offline)."""
        closes_at = self.closes_at(online=online)
        return [] if closes_at is None or now < closes_at else self.flush()

    def hurry(self) -> list[Draft]:
        """What is urgent: it is to be written before anything is waited for."""
        closing, self._urgent = self._urgent, None
        return [] if closing is None else [self._draft(closing, urgent=True)]

    def flush(self) -> list[Draft]:
        """What is open, for shutdown."""
        closing, self._open = self._open, None
        return [*self.hurry(), *([] if closing is None else [self._draft(closing, urgent=False)])]

    def closes_at(self, *, online: bool) -> BootMs | None:
        """When `due` will have something; None while nothing is open."""
        if self._open is None:
            return None
        return BootMs(self._open.b0 + (self._max_age_ms if online else self._offline_age_ms))

    def _add_urgent(self, event: Event) -> list[Draft]:
        if self._urgent is not None and self._takes(self._urgent, event):
            self._urgent.add(event)
            return []
        opened = _opened(event)
        drafts, self._urgent = self.hurry(), opened
        return drafts

    def _takes(self, body: BodyWriter, item: Row | Event) -> bool:
        """Whether it may join: an item that came so late that `due` must have been missed begins a new draft."""
        span_ms = max(body.last, item.at) - min(body.b0, item.at)
        return span_ms <= self._offline_age_ms and body.fits(item)

    def _draft(self, body: BodyWriter, *, urgent: bool) -> Draft:
        enc, data = body.encode()
        return Draft(boot=self._boot, b0=body.b0, last=body.last, n=body.n, body=data, enc=enc, urgent=urgent)


def _opened(item: Row | Event) -> BodyWriter:
    body = BodyWriter(item.at)
    body.add(item)
    return body
