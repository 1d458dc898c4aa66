"""Status and catalog, retained at the server of a connection: at once, on change, and the status every interval."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from gateway.counters import Counters
from gateway.model import BootMs, Event, UtcMs
from gateway.north.complaints import Complaints
from gateway.north.window import FAILURE
from gateway.seams import Clock
from gateway.wire.catalog import Catalog, encode_catalog
from gateway.wire.documents import Status, encode_status
from gateway.wire.topic import Topics

REPORT_CHECK_MS = 2_000

Documents: TypeAlias = Callable[[], tuple[Status, Catalog]]


class Retained:
    """Runs as long as its connection; a document that is refused is counted and told, and the connection kept."""

    def __init__(
        self,
        topics: Topics,
        documents: Documents,
        interval_ms: int,
        clock: Clock,
        counters: Counters,
        on_event: Callable[[Event], None],
        publish: Callable[[str, bytes], Awaitable[int]],
    ) -> None:
        """`publish` retains this payload at this topic, and returns the reason of its PUBACK."""
        self._topics, self._documents, self._interval_ms = topics, documents, interval_ms
        self._clock, self._counters, self._on_event, self._publish = clock, counters, on_event, publish
        self._complaints = Complaints()

    async def run(self) -> None:
        """For ever."""
        told: Status | None = None
        told_catalog: Catalog | None = None
        due = self._now
        while True:
            status, catalog = self._documents()
            if self._now >= due or _lasting(status) != told:
                due = BootMs(self._now + self._interval_ms)
                await self._retain(self._topics.status, encode_status(replace(status, online=True)))
                told = _lasting(status)
            if catalog != told_catalog:
                await self._retain(self._topics.catalog, encode_catalog(catalog))
                told_catalog = catalog
            await self._clock.sleep_until(BootMs(self._now + REPORT_CHECK_MS))

    async def offline(self) -> None:
        """The last status of all."""
        status, _ = self._documents()
        await self._retain(self._topics.status, encode_status(replace(status, online=False)))

    async def _retain(self, topic: str, payload: bytes) -> None:
        reason = await self._publish(topic, payload)
        if reason >= FAILURE:
            self._counters.add("documents_refused", reason=str(reason))
            for said in self._complaints.hold("document_refused", (topic, reason), self._now):
                self._on_event(Event(self._now, "", said.code, said.detail))

    @property
    def _now(self) -> BootMs:
        return self._clock.boot_ms()


def _lasting(status: Status) -> Status:
    """What of a status is worth telling when it changes; the rest goes with the interval."""
    epochs = tuple(replace(epoch, first_kept=0, last=0, pending=epoch.parked) for epoch in status.spool.epochs)
    return replace(
        status,
        time=UtcMs(0),
        spool=replace(status.spool, epochs=epochs, pending=0, settled=0, oldest_age_ms=None, size_bytes=0),
        north=replace(
            status.north,
            in_flight=0,
            sent_bytes=0,
            last_receipt_ms=None,
            round_trip_ms=None,
            recalling=min(1, status.north.recalling),
        ),
        uplinks=tuple(replace(uplink, pending=0, settled=0) for uplink in status.uplinks),
    )
