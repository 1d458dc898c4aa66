"""A request into the store: rows, then ledger; and what the store will never take into the dead letters.

The order is the promise. When `put` returns a batch as settled, (1) every row of it is in the store or, with its
reason, in the dead letters, fsynced; (2) after that its gap records, events and ledger point were written. Whatever
goes wrong before leaves a batch without a receipt: the gateway keeps it and sends it again, and writing it again
changes nothing.

StoreBusy is tried again until `retry_until`, then raised: nothing is decided for the whole request. A batch may also be
withheld alone (counted as `ingest_withheld`, by why): `outage` the breaker holds its reason, `dead_letters` they are
full, `ledger` its own point was refused.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from gateway.counters import Counters
from gateway.errors import StoreBusy, StoreRefused
from gateway.ioc.bisect import Bisect
from gateway.ioc.breaker import Breaker
from gateway.ioc.check import Accepted, Document
from gateway.ioc.deadletter import DeadLetters, Letter
from gateway.ioc.receipts import Settled
from gateway.ioc.store.base import BEYOND_RETENTION, Store
from gateway.model import BatchId, BootMs, RejectedRow, UtcMs
from gateway.seams import Clock
from gateway.wire.line_protocol import batch_point, gap_points, midnight

RETRY_MIN_MS = 100
RETRY_MAX_MS = 2000

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Work:
    """One batch on its way."""

    accepted: Accepted
    rejected: list[tuple[int, str]] = field(default_factory=list)  # (index in accepted.rows, reason)
    withheld: str = ""
    moved: bool = False  # its t0 is beyond the retention: its records go to this midnight

    def settled(self) -> Settled:
        """For the receipt."""
        places = self.accepted.places
        rejected = (RejectedRow(*places[index], reason) for index, reason in self.rejected)
        return Settled(self.accepted.batch, tuple(rejected))


@dataclass(frozen=True, slots=True)
class _Record:
    """One line of the ledger, and whose it is."""

    line: bytes
    work: _Work | None  # None: a document's
    gateway: str
    proves: bool = False  # a batch or gap point: without it the batch has no receipt


class Deposit:
    """Where the rooms of the centre meet: store, breaker, dead letters."""

    def __init__(
        self,
        store: Store,
        dead_letters: DeadLetters,
        breaker: Breaker,
        clock: Clock,
        counters: Counters,
        random: Random,
    ) -> None:
        self._store = store
        self._dead_letters = dead_letters
        self._breaker = breaker
        self._clock = clock
        self._counters = counters
        self._random = random

    async def put(
        self, batches: Sequence[Accepted], documents: Sequence[Document], retry_until: BootMs
    ) -> list[Settled]:
        """The batches that may be receipted; those that are missing are withheld. Raises StoreBusy."""
        works = [_Work(accepted) for accepted in batches]
        await self._write_rows(works, retry_until)
        await self._keep_rejected(works)
        await self._write_ledger([work for work in works if not work.withheld], documents, retry_until)
        self._count(works)
        return [work.settled() for work in works if not work.withheld]

    async def _write_rows(self, works: Sequence[_Work], retry_until: BootMs) -> None:
        """One request for all; when it is refused, one for each batch, and a search in those that are guilty."""
        lines = [line for work in works for line in work.accepted.rows]
        self._breaker.wrote(self._clock.boot_ms(), len(lines))
        try:
            if lines:
                await self._write_part(lines, "ms", retry_until)
        except StoreRefused:
            for work in works:
                await self._write_batch(work, retry_until)

    async def _write_batch(self, work: _Work, retry_until: BootMs) -> None:
        """Finds its guilty rows, or withholds it as soon as their reason is an outage: the search costs many writes."""
        rows = work.accepted.rows
        search = Bisect(len(rows))
        while (part := search.next()) is not None:
            try:
                await self._write_part(rows[part.start : part.stop], "ms", retry_until)
            except StoreRefused as refused:
                self._judge(refused.reason, search.refused(refused.reason, refused.dropped))
                if refused.reason in self._breaker.outages:
                    work.withheld = "outage"
                    return
            else:
                search.took()
        work.rejected = search.guilty

    def _judge(self, reason: str, rows: int) -> None:
        if rows and self._breaker.refused(self._clock.boot_ms(), reason, rows):
            self._counters.add("ingest_outages", reason=reason)
            _log.error("outage reason=%r: no receipts for batches with such rows until it is accepted", reason)

    async def _keep_rejected(self, works: Sequence[_Work]) -> None:
        """Gateway by gateway: one whose share is used up costs no other its receipt."""
        bad: dict[str, list[_Work]] = {}
        for work in works:
            if work.rejected and not work.withheld:
                bad.setdefault(work.accepted.batch.id.gateway, []).append(work)
        for own in bad.values():
            if not await self._keep([letter for work in own for letter in self._row_letters(work)]):
                for work in own:
                    work.withheld = "dead_letters"

    async def _write_ledger(self, works: Sequence[_Work], documents: Sequence[Document], retry_until: BootMs) -> None:
        records = [record for work in works for record in _records(work)]
        records += [_Record(line, None, document.gateway) for document in documents for line in document.lines]
        letters: list[tuple[_Record, str]] = []
        for line, reason in await self._write_records([record.line for record in records], retry_until):
            record = records[line]
            if record.work is None or not record.proves:
                letters.append((record, reason))
            elif reason == BEYOND_RETENTION:
                record.work.moved = True
            else:
                record.work.withheld = "ledger"
        await self._write_moved([work for work in works if work.moved], retry_until)
        await self._keep_records(letters)

    async def _write_moved(self, works: Sequence[_Work], retry_until: BootMs) -> None:
        """What the retention would throw away at its own time is proven at this day's midnight."""
        today = midnight(self._clock.utc_ms())
        lines = [(line, work) for work in works for line in _moved_lines(work, today)]
        for index, reason in await self._write_records([line for line, _ in lines], retry_until):
            lines[index][1].withheld = "ledger"
            _log.error("ledger_refused batch=%s reason=%r", lines[index][1].accepted.batch.id, reason)

    async def _keep_records(self, refused: Sequence[tuple[_Record, str]]) -> None:
        """Gateway by gateway, as above."""
        bad: dict[str, list[tuple[_Record, str]]] = {}
        for record, reason in refused:
            bad.setdefault(record.gateway, []).append((record, reason))
        for own in bad.values():
            if await self._keep([self._record_letter(record, reason) for record, reason in own]):
                continue
            for record, _ in own:
                if record.work is not None:
                    record.work.withheld = "dead_letters"
                else:
                    self._counters.add("ingest_documents_lost")  # a retained one comes again with the next connection

    async def _keep(self, letters: Sequence[Letter]) -> bool:
        try:
            await self._dead_letters.keep(letters)
        except StoreBusy as error:
            self._counters.add("dead_letters_failed")
            _log.error("dead_letters_failed error=%s", error)
            return False
        return True

    async def _write_records(self, lines: Sequence[bytes], retry_until: BootMs) -> list[tuple[int, str]]:
        """(line, reason) of those that will never be taken; all others are stored when this returns."""
        search = Bisect(len(lines))
        while (part := search.next()) is not None:
            try:
                await self._write_part(lines[part.start : part.stop], "ns", retry_until)
            except StoreRefused as refused:
                search.refused(refused.reason, refused.dropped)
            else:
                search.took()
        return search.guilty

    async def _write_part(self, lines: Sequence[bytes], precision: str, retry_until: BootMs) -> None:
        pause_ms = RETRY_MIN_MS
        while True:
            try:
                return await self._store.write(lines, precision)
            except StoreBusy as error:
                self._counters.add("store_busy")
                _log.warning("store_busy error=%s", error)
                again = BootMs(self._clock.boot_ms() + round(self._random.uniform(pause_ms / 2, pause_ms)))
                if again >= retry_until:
                    raise
            await self._clock.sleep_until(again)
            pause_ms = min(2 * pause_ms, RETRY_MAX_MS)

    def _count(self, works: Sequence[_Work]) -> None:
        for work in works:
            if work.withheld:
                self._counters.add("ingest_withheld", why=work.withheld)
                continue
            self._counters.add("ingest_batches")
            self._counters.add("ingest_rows", len(work.accepted.rows) - len(work.rejected))
            for _, reason in work.rejected:
                self._counters.add("ingest_rejected_rows", reason=reason)

    def _row_letters(self, work: _Work) -> list[Letter]:
        accepted = work.accepted
        return [
            self._letter(accepted.batch.id, reason, accepted.rows[index], accepted.places[index])
            for index, reason in work.rejected
        ]

    def _record_letter(self, record: _Record, reason: str) -> Letter:
        if record.work is not None:
            return self._letter(record.work.accepted.batch.id, reason, record.line, None)
        return Letter(self._clock.utc_ms(), record.gateway, reason, record.line.decode())

    def _letter(self, batch_id: BatchId, reason: str, line: bytes, place: tuple[int, int] | None) -> Letter:
        group, row = place or (None, None)
        now = self._clock.utc_ms()
        return Letter(
            now, batch_id.gateway, reason, line.decode(), epoch=batch_id.epoch, seq=batch_id.seq, group=group, row=row
        )


def _records(work: _Work) -> list[_Record]:
    accepted = work.accepted
    gateway = accepted.batch.id.gateway
    proofs = [batch_point(accepted.batch, len(work.rejected)), *accepted.gaps]
    return [
        *(_Record(line, work, gateway, proves=True) for line in proofs),
        *(_Record(line, work, gateway) for line in accepted.events),
    ]


def _moved_lines(work: _Work, today: UtcMs) -> list[bytes]:
    batch = work.accepted.batch
    return [batch_point(batch, len(work.rejected), today), *gap_points(batch, work.accepted.body.gaps, today)]
