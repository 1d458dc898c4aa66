"""InfluxDB, both write dialects behind one class; questions are asked in InfluxQL, which every version answers.

The dialect is found by writing: `/api/v2/write` first, `/write` when that path is not there. A version endpoint or a
ping proves nothing (a v1 server answers them and then refuses the writes); only a point that reads back does: `ready`.
v2 goes through influxdb-client with our bytes and its gzip off (on, it costs 30 times the CPU); v1 is plain HTTP.
Everything blocks, in one thread. A request that hangs is StoreBusy after `timeout_s`.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from gateway.errors import StoreBusy, StoreRefused
from gateway.ioc.ledger import LedgerSum
from gateway.ioc.measured import StoredEvent
from gateway.ioc.store import influxql, reading
from gateway.ioc.store.answer import judge
from gateway.ioc.store.base import EpochStatusRow, Issued, Stored
from gateway.ioc.store.http import HttpSession, basic
from gateway.ioc.store.influxql import Record
from gateway.model import Gap, Seq, SeqRanges, UtcMs
from gateway.seams import Clock, Worker
from gateway.wire.line_protocol import NS_PER_MS
from gateway.worker import ThreadWorker

NOT_FOUND = 404
CHUNK_ROWS = 5000
PAGE_ROWS = 5000
JUMPS_MAX = 100  # runs of seqs that are put together without reading every point
TIMEOUT_S = 4.0  # two attempts fit into the ten seconds after which a gateway sends again
TAGS = frozenset(("gateway", "device", "profile", "clock"))


@dataclass(frozen=True, slots=True)
class InfluxSettings:
    """Where the database is, and as whom. `dialect` "" = found by a write; "v1" or "v2" fixes it."""

    url: str
    database: str  # v2: the bucket
    token: str = field(default="", repr=False)
    username: str = ""
    password: str = field(default="", repr=False)
    org: str = ""
    ca: str = ""
    dialect: str = ""
    timeout_s: float = TIMEOUT_S


class Writer(Protocol):
    """One write dialect, blocking."""

    def write(self, body: bytes, precision: str) -> tuple[int, str]:
        """(status, answer); raises StoreBusy when there is none."""
        ...

    def close(self) -> None:
        """Idempotent."""
        ...


class InfluxStore:
    """`Store` over HTTP."""

    def __init__(self, settings: InfluxSettings, clock: Clock, worker: Worker | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._worker = worker or ThreadWorker("store")
        self._session = _session(settings)
        self._writer: Writer | None = None

    async def write(self, lines: Sequence[bytes], precision: str) -> None:
        """One request; returns after its 204."""
        if lines:
            await self._worker.run(lambda: self._write(b"\n".join(lines), precision))

    async def ready(self) -> None:
        """A point is written and read back."""
        await self._worker.run(self._probe)

    async def gateways(self) -> Sequence[tuple[str, str]]:
        """(gateway, epoch) pairs of ledger, gaps and newest statuses."""
        pairs: set[tuple[str, str]] = set()
        for measurement in ("gw_batch", "gw_gap"):
            for gateway in await self._values(influxql.gateways(measurement)):
                pairs |= {(gateway, epoch) for epoch in await self._values(influxql.epochs(measurement, gateway))}
        for gateway in await self._values(influxql.gateways("gw_status")):
            pairs |= {(gateway, row.epoch) for row in await self.status(gateway)}
        return sorted(pairs)

    async def stored(self, gateway: str, epoch: str) -> SeqRanges:
        """The seqs that have a ledger point."""
        return (await self.ledger(gateway, epoch)).seqs

    async def ledger(self, gateway: str, epoch: str) -> Stored:
        """Runs of seqs that rise one by one, found by the database; with many runs, or doubles, point by point."""
        return await self._worker.run(partial(self._ledger, gateway, epoch))

    async def around(self, gateway: str, epoch: str, from_ms: UtcMs, to_ms: UtcMs) -> tuple[Seq | None, Seq | None]:
        """Three small questions."""
        from_ns, to_ns = from_ms * NS_PER_MS, (to_ms + 1) * NS_PER_MS - 1
        asked = influxql.around(gateway, epoch, from_ns, to_ns)
        answers = [await self._ask(statement) for statement in asked]
        before, inside, after = (records[0].columns if records else {} for records in answers)
        return reading.span([before.get("seq"), inside.get("min")], [after.get("seq"), inside.get("max")])

    async def gaps(self, gateway: str, epoch: str) -> Sequence[Gap]:
        """In time order."""
        records = await self._ask(influxql.gaps(gateway, epoch))
        return [reading.gap(epoch, str(record.columns.get("reason", "")), record.columns) for record in records]

    async def status(self, gateway: str) -> Sequence[EpochStatusRow]:
        """Of the newest status to arrive."""
        newest = await self.statuses(gateway, 1)
        return newest[-1] if newest else ()

    async def statuses(self, gateway: str, limit: int) -> Sequence[Sequence[EpochStatusRow]]:
        """The newest `limit`, in the order they arrived."""
        records = await self._ask(influxql.statuses(gateway, limit))
        full = [record for record in reversed(records) if "epochs" in record.columns]
        return [reading.epochs(record.columns, influxql.milliseconds(record)) for record in full]

    async def issued(self, gateway: str) -> Mapping[str, Issued]:
        """By epoch."""
        found: dict[str, Issued] = {}
        for epoch in await self._values(influxql.epochs("gw_epoch", gateway)):
            for record in await self._ask(influxql.issued(gateway, epoch)):
                found[epoch] = Issued(reading.integer(record.columns.get("max")), influxql.milliseconds(record))
        return found

    async def events(self, gateway: str, code: str, from_ms: UtcMs, to_ms: UtcMs) -> Sequence[StoredEvent]:
        """In time order."""
        asked = influxql.events(gateway, code, from_ms * NS_PER_MS, (to_ms + 1) * NS_PER_MS - 1)
        return [
            StoredEvent(
                influxql.milliseconds(record),
                str(record.columns.get("subject", "")),
                str(record.columns.get("detail", "")),
            )
            for record in await self._ask(asked)
        ]

    async def rows(self, measurement: str, gateway: str, device: str) -> AsyncIterator[tuple[int, dict[str, object]]]:
        """Page by page, in time order."""
        from_ns = 0
        while page := await self._ask(influxql.rows(measurement, gateway, device, from_ns, PAGE_ROWS)):
            # Several series (clock, profile) may share a time, and a full page may end between them: that time again.
            last_ns = page[-1].time_ns
            whole = [record for record in page if record.time_ns < last_ns] if len(page) == PAGE_ROWS else page
            for record in whole:
                fields = {name: value for name, value in record.columns.items() if name not in TAGS}
                yield influxql.milliseconds(record), fields
            if whole is page:
                return
            from_ns = last_ns

    async def close(self) -> None:
        """Close the connections."""
        await self._worker.run(self._close)
        self._worker.close()

    def _write(self, body: bytes, precision: str) -> None:
        status, text = self._dialect().write(body, precision)
        if status == NOT_FOUND:
            self._close()  # another server may stand there now
        judge(status, text)

    def _dialect(self) -> Writer:
        if self._writer is None:
            self._writer = self._found()
        return self._writer

    def _found(self) -> Writer:
        makers: dict[str, Callable[[InfluxSettings], Writer]] = {"v2": V2Writer, "v1": V1Writer}
        refused = ""
        for name in [self._settings.dialect] if self._settings.dialect else makers:
            writer = makers[name](self._settings)
            status, text = writer.write(b'gw_probe,by=dialect value="%b"' % name.encode(), "ns")
            if status != NOT_FOUND:
                return writer
            writer.close()
            refused += f" {name}: {text[:100]}"
        raise StoreBusy(f"neither write path is there:{refused}")

    def _probe(self) -> None:
        value = self._clock.utc_ms()
        try:
            self._write(b"gw_probe,by=ready number=%d.0" % value, "ns")  # at the server's own time
        except StoreRefused as refused:
            raise StoreBusy(f"a probe is refused: {refused}") from refused
        # By value: a server that only imitates InfluxDB answers any question with some row.
        if value not in [record.columns.get("number") for record in self._records(influxql.probe(value))]:
            raise StoreBusy("what was written does not read back")

    def _ledger(self, gateway: str, epoch: str) -> Stored:
        ends = list(self._records(influxql.ends(gateway, epoch)))
        if not ends:
            return Stored(SeqRanges())
        jumps = list(self._records(influxql.jumps(gateway, epoch, JUMPS_MAX + 1)))
        if len(jumps) > JUMPS_MAX:
            return self._added_up(gateway, epoch)
        at = [record.time_ns for record in jumps]
        starts = [ends[0], *(self._records(influxql.seqs_at(gateway, epoch, at)) if at else ())]
        runs = _runs(starts, jumps, _seq(ends[-1]))
        if runs is None:
            return self._added_up(gateway, epoch)
        return Stored(runs, influxql.milliseconds(min(starts, key=_seq)))

    def _added_up(self, gateway: str, epoch: str) -> Stored:
        total = LedgerSum()
        for record in self._records(influxql.ledger(gateway, epoch)):
            total.add(_seq(record), influxql.milliseconds(record))
        points = (
            (seq, record.columns.get("crc"))
            for seq in sorted(total.doubles)
            for record in self._records(influxql.crcs(gateway, epoch, seq))
        )
        return total.total(reading.differing(points))

    async def _values(self, statement: str) -> list[str]:
        return [str(record.columns["value"]) for record in await self._ask(statement)]

    async def _ask(self, statement: str) -> list[Record]:
        return await self._worker.run(lambda: list(self._records(statement)))

    def _records(self, statement: str) -> Iterator[Record]:
        form = {"db": self._settings.database, "epoch": "ns", "q": statement}
        form |= {"chunked": "true", "chunk_size": str(CHUNK_ROWS)}
        with closing(self._session.lines("/query", form)) as lines:
            for line in lines:
                if line.strip():
                    yield from influxql.records(line)

    def _close(self) -> None:
        self._session.close()
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class V1Writer:
    """`/write`."""

    def __init__(self, settings: InfluxSettings) -> None:
        self._session = _session(settings)
        self._database = settings.database

    def write(self, body: bytes, precision: str) -> tuple[int, str]:
        """As the server answers."""
        return self._session.post("/write", {"db": self._database, "precision": precision}, body)

    def close(self) -> None:
        """Idempotent."""
        self._session.close()


class V2Writer:
    """`/api/v2/write`, by influxdb-client, which is loaded here and nowhere else."""

    def __init__(self, settings: InfluxSettings) -> None:
        from influxdb_client.client.influxdb_client import InfluxDBClient  # noqa: PLC0415 - v1 and SQLite need none of it
        from influxdb_client.client.write_api import SYNCHRONOUS  # noqa: PLC0415 - as above

        self._client = InfluxDBClient(
            settings.url,
            _token(settings),
            org=settings.org,
            timeout=int(settings.timeout_s * 1000),
            enable_gzip=False,
            ssl_ca_cert=settings.ca or None,
        )
        self._writes = self._client.write_api(write_options=SYNCHRONOUS)
        self._bucket = settings.database
        self._org = settings.org

    def write(self, body: bytes, precision: str) -> tuple[int, str]:
        """As the server answers."""
        from influxdb_client.rest import ApiException  # noqa: PLC0415 - as above
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - what its transport raises

        try:
            self._writes.write(
                bucket=self._bucket,
                org=self._org,
                record=body,
                write_precision=precision,  # type: ignore[arg-type]  # a WritePrecision is the text "ms" or "ns"
            )
        except ApiException as answer:
            return int(answer.status or 0), str(answer.body or answer.reason or "")
        except HTTPError as error:
            raise StoreBusy(f"{type(error).__name__}: {error}") from error
        return 204, ""

    def close(self) -> None:
        """Idempotent."""
        self._client.close()  # type: ignore[no-untyped-call]


def _session(settings: InfluxSettings) -> HttpSession:
    headers: dict[str, str] = {}
    if settings.token:
        headers["Authorization"] = f"Token {settings.token}"
    elif settings.username:
        headers["Authorization"] = basic(settings.username, settings.password)
    return HttpSession(settings.url, timeout_s=settings.timeout_s, headers=headers, ca=settings.ca)


def _token(settings: InfluxSettings) -> str:
    return settings.token or (f"{settings.username}:{settings.password}" if settings.username else "")


def _seq(record: Record) -> int:
    return reading.integer(record.columns.get("seq"))


def _runs(starts: Sequence[Record], jumps: Sequence[Record], last: Seq) -> SeqRanges | None:
    """Each run from its start to where the next jump left it; None when they overlap, or changed while we asked."""
    if len(starts) != len(jumps) + 1:
        return None
    before = [
        _seq(start) - reading.integer(jump.columns.get("d")) for start, jump in zip(starts[1:], jumps, strict=True)
    ]
    runs = [(_seq(start), end) for start, end in zip(starts, [*before, last], strict=True)]
    found = SeqRanges.of(runs)
    whole = all(first <= end for first, end in runs) and len(found) == sum(end - first + 1 for first, end in runs)
    return found if whole else None
