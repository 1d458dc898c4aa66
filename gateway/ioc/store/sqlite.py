"""The embedded store: InfluxDB's semantics in one SQLite file; the default for demo, tests and one small site.

One row of `point` is one point: (series, time_ns) names it, `fields` is JSON. Writing a point again merges its fields.
`series` numbers each (measurement, sorted tags); `field_type` holds the type a field got when it was first written.
A line of another type loses its whole row, the others of the request are stored, and the request is refused: as influxd
does. WAL and synchronous=FULL: what `write` returned is on disk. `size_max_bytes` bounds the file; full = StoreBusy.
Several processes may share the file: writers wait for each other, readers (`writable=False`) never stop them.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import orjson

from gateway.errors import StoreBusy, StoreRefused
from gateway.ioc.ledger import LedgerSum
from gateway.ioc.measured import StoredEvent
from gateway.ioc.store import reading
from gateway.ioc.store.base import TYPE_CONFLICT, UNPARSABLE, EpochStatusRow, Issued, Stored
from gateway.ioc.store.point import Point, parse
from gateway.model import Gap, Seq, SeqRanges, UtcMs
from gateway.seams import Worker
from gateway.wire.line_protocol import NS_PER_MS
from gateway.worker import ThreadWorker

T = TypeVar("T")

PAGE_BYTES = 4096
BUSY_TIMEOUT_S = 2.0
READ_PAGE_ROWS = 2000
STORE_MAX_BYTES = 64 << 30

_SCHEMA = """
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, measurement TEXT NOT NULL, tags TEXT NOT NULL, gateway TEXT NOT NULL,
    UNIQUE (measurement, tags)
);
CREATE INDEX IF NOT EXISTS series_by_gateway ON series (measurement, gateway);
CREATE TABLE IF NOT EXISTS point (
    series INTEGER NOT NULL, time_ns INTEGER NOT NULL, fields TEXT NOT NULL, PRIMARY KEY (series, time_ns)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS field_type (
    measurement TEXT NOT NULL, field TEXT NOT NULL, type TEXT NOT NULL, PRIMARY KEY (measurement, field)
) WITHOUT ROWID;
"""
_UPSERT = """
INSERT INTO point VALUES (?, ?, ?)
ON CONFLICT (series, time_ns) DO UPDATE SET fields = json_patch(fields, excluded.fields)
"""
_PAIRS = """
SELECT DISTINCT gateway, json_extract(tags, '$.epoch') FROM series WHERE measurement IN ('gw_batch', 'gw_gap')
"""
_LEDGER = """
SELECT json_extract(fields, '$.seq'), time_ns, json_extract(fields, '$.crc') FROM point JOIN series ON id = series
WHERE measurement = 'gw_batch' AND gateway = ? AND json_extract(tags, '$.epoch') = ? AND time_ns > ?
ORDER BY time_ns LIMIT ?
"""
_AROUND = """
SELECT min(json_extract(fields, '$.seq')), max(json_extract(fields, '$.seq')) FROM point WHERE series = ? AND time_ns
BETWEEN ? AND ?
"""
_NEXT = "SELECT json_extract(fields, '$.seq') FROM point WHERE series = ? AND time_ns > ? ORDER BY time_ns LIMIT 1"
_BEFORE = (
    "SELECT json_extract(fields, '$.seq') FROM point WHERE series = ? AND time_ns < ? ORDER BY time_ns DESC LIMIT 1"
)
_LEDGER_SERIES = """
SELECT id FROM series WHERE measurement = 'gw_batch' AND gateway = ? AND json_extract(tags, '$.epoch') = ?
"""
_GAPS = """
SELECT json_extract(tags, '$.reason'), fields FROM point JOIN series ON id = series
WHERE measurement = 'gw_gap' AND gateway = ? AND json_extract(tags, '$.epoch') = ? ORDER BY time_ns, id
"""
_STATUSES = """
SELECT time_ns, fields FROM point JOIN series ON id = series
WHERE measurement = 'gw_status' AND gateway = ? AND json_extract(fields, '$.epochs') IS NOT NULL
ORDER BY time_ns DESC LIMIT ?
"""
_ISSUED = """
SELECT json_extract(tags, '$.epoch'), json_extract(fields, '$.last'), time_ns FROM point JOIN series ON id = series
WHERE measurement = 'gw_epoch' AND gateway = ? ORDER BY time_ns
"""
_EVENTS = """
SELECT time_ns, json_extract(tags, '$.subject'), json_extract(fields, '$.detail') FROM point JOIN series ON id = series
WHERE measurement = 'gw_event' AND gateway = ? AND json_extract(tags, '$.code') = ? AND time_ns BETWEEN ? AND ?
ORDER BY time_ns, id
"""
_ROWS = """
SELECT time_ns, id, fields FROM point JOIN series ON id = series
WHERE measurement = ? AND gateway = ? AND json_extract(tags, '$.device') = ? AND (time_ns, id) > (?, ?)
ORDER BY time_ns, id LIMIT ?
"""
_BEFORE_ALL = -(1 << 63)


class SqliteStore:
    """`Store` over one file; opened by the first call, in the worker's thread (its own by default), used only there."""

    def __init__(
        self, path: Path, worker: Worker | None = None, *, writable: bool = True, size_max_bytes: int = STORE_MAX_BYTES
    ) -> None:
        self._path = path
        self._worker = worker or ThreadWorker("store")
        self._writable = writable
        self._size_max_bytes = size_max_bytes
        self._file: sqlite3.Connection | None = None
        self._series: dict[tuple[str, str], int] = {}
        self._types: dict[tuple[str, str], str] = {}

    async def write(self, lines: Sequence[bytes], precision: str) -> None:
        """Every good line, in one transaction; then StoreRefused when there was a bad one."""
        await self._run(lambda db: self._write(db, lines, precision))

    async def ready(self) -> None:
        """A write that is taken back."""
        await self._run(_try_to_write)

    async def gateways(self) -> Sequence[tuple[str, str]]:
        """(gateway, epoch) pairs of ledger, gaps and newest statuses."""
        pairs = {(str(gateway), str(epoch)) for gateway, epoch in await self._select(_PAIRS)}
        for (gateway,) in await self._select("SELECT gateway FROM series WHERE measurement = 'gw_status'"):
            pairs |= {(str(gateway), row.epoch) for row in await self.status(str(gateway))}
        return sorted(pairs)

    async def stored(self, gateway: str, epoch: str) -> SeqRanges:
        """The seqs that have a ledger point."""
        return (await self.ledger(gateway, epoch)).seqs

    async def ledger(self, gateway: str, epoch: str) -> Stored:
        """Added up page by page."""
        total = LedgerSum()
        async for seq, at_ms, _ in self._ledger_points(gateway, epoch):
            total.add(seq, at_ms)
        doubles = total.doubles
        if not doubles:
            return total.total(SeqRanges())
        points = [(seq, crc) async for seq, _, crc in self._ledger_points(gateway, epoch) if seq in doubles]
        return total.total(reading.differing(points))

    async def around(self, gateway: str, epoch: str, from_ms: UtcMs, to_ms: UtcMs) -> tuple[Seq | None, Seq | None]:
        """Three small questions; gateway and epoch are all the tags of a ledger point, so it is one series."""
        found = await self._select(_LEDGER_SERIES, gateway, epoch)
        if not found:
            return None, None
        (series,) = found[0]
        from_ns, to_ns = from_ms * NS_PER_MS, (to_ms + 1) * NS_PER_MS - 1
        before = await self._select(_BEFORE, series, from_ns)
        ((low, high),) = await self._select(_AROUND, series, from_ns, to_ns)
        after = await self._select(_NEXT, series, to_ns)
        return reading.span([before[0][0] if before else None, low], [after[0][0] if after else None, high])

    async def gaps(self, gateway: str, epoch: str) -> Sequence[Gap]:
        """In the order they were written."""
        rows = await self._select(_GAPS, gateway, epoch)
        return [reading.gap(epoch, str(reason), orjson.loads(str(fields))) for reason, fields in rows]

    async def status(self, gateway: str) -> Sequence[EpochStatusRow]:
        """Of the newest status to arrive."""
        newest = await self.statuses(gateway, 1)
        return newest[-1] if newest else ()

    async def statuses(self, gateway: str, limit: int) -> Sequence[Sequence[EpochStatusRow]]:
        """The newest `limit`, in the order they arrived."""
        rows = await self._select(_STATUSES, gateway, limit)
        arrived = [
            (UtcMs(reading.integer(at) // NS_PER_MS), orjson.loads(str(fields))) for at, fields in reversed(rows)
        ]
        return [reading.epochs(fields, at_ms) for at_ms, fields in arrived]

    async def issued(self, gateway: str) -> Mapping[str, Issued]:
        """By epoch."""
        found: dict[str, Issued] = {}
        for epoch, last, at in await self._select(_ISSUED, gateway):
            told, known = Issued(reading.integer(last), UtcMs(reading.integer(at) // NS_PER_MS)), found.get(str(epoch))
            if known is None or told.last > known.last:
                found[str(epoch)] = told
        return found

    async def events(self, gateway: str, code: str, from_ms: UtcMs, to_ms: UtcMs) -> Sequence[StoredEvent]:
        """In time order."""
        from_ns, to_ns = from_ms * NS_PER_MS, (to_ms + 1) * NS_PER_MS - 1
        rows = await self._select(_EVENTS, gateway, code, from_ns, to_ns)
        return [
            StoredEvent(UtcMs(reading.integer(at) // NS_PER_MS), str(subject or ""), str(detail or ""))
            for at, subject, detail in rows
        ]

    async def rows(self, measurement: str, gateway: str, device: str) -> AsyncIterator[tuple[int, dict[str, object]]]:
        """Page by page, in time order."""
        after = (_BEFORE_ALL, 0)
        while page := await self._select(_ROWS, measurement, gateway, device, *after, READ_PAGE_ROWS):
            for at, _, fields in page:
                yield reading.integer(at) // NS_PER_MS, orjson.loads(str(fields))
            after = (reading.integer(page[-1][0]), reading.integer(page[-1][1]))

    async def close(self) -> None:
        """Close the file; the last to close it folds the WAL into it."""
        await self._worker.run(self._close)
        self._worker.close()

    async def _ledger_points(self, gateway: str, epoch: str) -> AsyncIterator[tuple[int, int, object]]:
        # Ledger points of one epoch lie in one series: their times differ, so a time is a cursor.
        after = _BEFORE_ALL
        while page := await self._select(_LEDGER, gateway, epoch, after, READ_PAGE_ROWS):
            for seq, at, crc in page:
                yield reading.integer(seq), reading.integer(at) // NS_PER_MS, crc
            after = reading.integer(page[-1][1])

    async def _select(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        return await self._run(lambda db: db.execute(statement, values).fetchall())

    async def _run(self, step: Callable[[sqlite3.Connection], T]) -> T:
        return await self._worker.run(lambda: self._translated(step))

    def _translated(self, step: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return step(self._opened())
        except (sqlite3.Error, OSError) as error:
            raise StoreBusy(f"{self._path}: {error}") from error

    def _opened(self) -> sqlite3.Connection:
        if self._file is None:
            self._file = (
                _open_writable(self._path, self._size_max_bytes) if self._writable else _open_reader(self._path)
            )
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            with suppress(sqlite3.Error):  # close never raises: what was written is on disk already
                self._file.close()
            self._file = None

    def _write(self, db: sqlite3.Connection, lines: Sequence[bytes], precision: str) -> None:
        points, unparsable = _parse_all(lines, precision)
        try:
            with _transaction(db):
                conflict, dropped = self._put(db, points)
        except sqlite3.Error:
            self._forget()  # numbers and types given out in a transaction that is no more
            raise
        if unparsable:
            raise StoreRefused(UNPARSABLE, unparsable[0])
        if conflict:
            raise StoreRefused(TYPE_CONFLICT, conflict, dropped)

    def _put(self, db: sqlite3.Connection, points: Sequence[Point]) -> tuple[str, int]:
        good: list[tuple[int, int, str]] = []
        conflict = ""
        for point in points:
            if wrong := self._conflict(db, point):
                conflict = conflict or wrong
            else:
                good.append((self._series_id(db, point), point.time_ns, orjson.dumps(point.fields).decode()))
        db.executemany(_UPSERT, good)
        return conflict, len(points) - len(good)

    def _conflict(self, db: sqlite3.Connection, point: Point) -> str:
        new: dict[str, str] = {}
        for name, value in point.fields.items():
            known = self._type(db, point.measurement, name)
            if known is None:
                new[name] = type(value).__name__
            elif known != type(value).__name__:
                return f'input field "{name}" on measurement "{point.measurement}" is already {known}'
        for name, first in new.items():  # only a row that is stored gives its fields their types
            db.execute("INSERT INTO field_type VALUES (?, ?, ?)", (point.measurement, name, first))
            self._types[point.measurement, name] = first
        return ""

    def _type(self, db: sqlite3.Connection, measurement: str, field: str) -> str | None:
        key = (measurement, field)
        if key not in self._types:
            known = db.execute("SELECT type FROM field_type WHERE measurement = ? AND field = ?", key).fetchone()
            if known is None:
                return None
            self._types[key] = str(known[0])
        return self._types[key]

    def _series_id(self, db: sqlite3.Connection, point: Point) -> int:
        tags = orjson.dumps(dict(point.tags)).decode()
        key = (point.measurement, tags)
        if key not in self._series:
            gateway = dict(point.tags).get("gateway", "")
            db.execute("INSERT OR IGNORE INTO series (measurement, tags, gateway) VALUES (?, ?, ?)", (*key, gateway))
            found = db.execute("SELECT id FROM series WHERE measurement = ? AND tags = ?", key).fetchone()
            self._series[key] = int(found[0])
        return self._series[key]

    def _forget(self) -> None:
        self._series.clear()
        self._types.clear()


def _parse_all(lines: Sequence[bytes], precision: str) -> tuple[list[Point], list[str]]:
    points: list[Point] = []
    bad: list[str] = []
    for line in lines:
        try:
            points.append(parse(line, precision))
        except ValueError as error:
            bad.append(f"'{line[:80]!r}': {error}")
    return points, bad


def _open_writable(path: Path, size_max_bytes: int) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA max_page_count = {size_max_bytes // PAGE_BYTES}")
        db.executescript(_SCHEMA)
    except sqlite3.Error:
        db.close()
        raise
    return db


def _open_reader(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False
    )
    try:
        db.execute("PRAGMA query_only = ON")
    except sqlite3.Error:
        db.close()
        raise
    return db


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _try_to_write(db: sqlite3.Connection) -> None:
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT OR IGNORE INTO field_type VALUES ('gw_probe', 'value', 'float')")
    db.execute("ROLLBACK")
