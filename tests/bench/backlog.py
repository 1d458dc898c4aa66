"""Batches put into a spool by its own API, as a relay would: each knows its time already."""

import asyncio
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from random import Random
from time import time_ns
from zlib import crc32

from gateway.clock.boot import machine_identity, read_boot
from gateway.clock.follow import observe
from gateway.clock.kernel import SystemClock
from gateway.clock.timeline import Timeline, estimate
from gateway.counters import Counters
from gateway.model import Batch, BootMs, Draft, Group, Row, SeqRanges, Stamp, UtcMs
from gateway.site import SpoolSettings
from gateway.spool.database import Database
from gateway.spool.row import Record
from gateway.spool.spool import Spool, open_spool
from gateway.testing.worker import InlineWorker
from gateway.wire.body import BodyWriter
from tests.bench.site import GATEWAY

QUOTA_BYTES = 4_000_000_000
DAYS = 60
A_TRANSACTION = 500  # batches: only the filling is hurried, what the daemon finds is the same
FIELDS = 20
KEPT_PENDING = 1000
MULTIPLY = """
WITH RECURSIVE own(id) AS (SELECT 2 UNION ALL SELECT id + 1 FROM own WHERE id < :batches)
INSERT INTO batch SELECT id, :epoch, id, :segment, :clock, :b0 + 1000 * id, :last + 1000 * id, :n, :pri, :enc, :of,
    :body, row_crc(id, :b0 + 1000 * id, :last + 1000 * id) FROM own
"""


def fill(folder: Path, drafts: Iterable[Draft], *, read_back: bool = False) -> Sequence[Batch]:
    """Append them to the spool in `folder`; the batches as they will be sent, if wanted. Raises SpoolError."""
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_fill(folder, drafts, read_back=read_back))


def kept(folder: Path, batches: int) -> None:
    """The spool in `folder` after so many batches of one row, a second apart; all but the last KEPT_PENDING settled.

    Made by SQL from one that was appended: what an open finds is the same, and it takes seconds instead of an hour.
    """
    fill(folder, small(1))
    path = str(folder / "spool.db")
    db = Database(path)
    meta, (first,) = db.meta(), [record for _, record in db.rows(2, 2, 1) if record]
    db.close()
    assert meta is not None
    _multiply(path, replace(first, b0=first.b0 - batches * 1000, last=first.last - batches * 1000), batches)
    db = Database(path)
    with db.transaction():
        db.put_meta(replace(meta, next_seq=batches + 1, next_id=batches + 1))
        db.put_ranges(None, {(1, meta.epoch): SeqRanges.of([(1, batches - KEPT_PENDING)])})
    looked_at = [batches, *Random(7).sample(range(2, batches), 100)]
    assert all(db.record(id_) for id_ in looked_at), "rows made by SQL are not those that the spool would have written"
    db.close()


def _multiply(path: str, first: Record, batches: int) -> None:
    """Row 2 as rows 2 to `batches`, each with its own row_crc."""
    place = f"int{{}}:{{}}str{len(first.epoch)}:{first.epoch}int{{}}:{{}}"
    tail = "".join(f"{type(one).__name__}{len(str(one))}:{one}" for one in (first.n, first.pri, first.enc, first.of))
    data = f"bytes{len(first.body)}:".encode() + first.body

    def crc(id_: int, b0: int, last: int) -> int:
        own, since, until = str(id_), str(b0), str(last)
        text = place.format(len(own), own, len(own), own) + f"int1:0str{len(first.clock)}:{first.clock}"
        text += f"int{len(since)}:{since}int{len(until)}:{until}{tail}"
        return crc32(text.encode() + data)

    db = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -64000"):
            db.execute(f"PRAGMA {pragma}")
        db.create_function("row_crc", 3, crc, deterministic=True)
        db.execute("DELETE FROM batch WHERE id = 2")
        db.execute(MULTIPLY, {**asdict(first), "batches": batches})
    finally:
        db.close()


async def open_here(folder: Path) -> Spool:
    """The spool a daemon with a bench's site would open, in this thread; the folder is there."""
    clock = SystemClock("system")
    boot = read_boot(folder, clock)
    timeline = Timeline(boot, clock.word)
    settings = SpoolSettings(str(folder), QUOTA_BYTES, DAYS, reserve_bytes=0)
    spool = await open_spool(
        settings,
        GATEWAY,
        machine_identity(),
        boot,
        InlineWorker(),
        clock,
        Counters(),
        timeline.segment_of,
        lambda _: None,
        estimate,
    )
    await spool.date(timeline.resume(clock.boot_ms(), spool.segments, spool.given))
    await spool.date(observe(clock, timeline).dated)
    return spool


def telemetry(batches: int, devices: int, rows: int) -> Iterator[Draft]:
    """So many batches of so many devices' rows, one a second, 20 fields each; the newest ends now."""
    groups = [_group(f"meter-{at}") for at in range(devices)]
    random = Random(7)
    levels = [[random.uniform(200, 240) for _ in range(FIELDS)] for _ in groups]
    first = time_ns() // 1_000_000 - batches * rows * 1000
    for at in range(batches):
        writer = BodyWriter(BootMs(0))
        for second in range(rows):
            for group, level in zip(groups, levels, strict=True):
                level[:] = [value + random.gauss(0, 0.3) for value in level]
                writer.add(Row(group, BootMs(1000 * second), tuple(round(value, 1) for value in level)))
        enc, body = writer.encode()
        stamp = Stamp(UtcMs(first + at * rows * 1000), "ntp")
        yield Draft("", writer.b0, writer.last, writer.n, body, enc, stamp=stamp)


def small(batches: int) -> Iterator[Draft]:
    """So many batches of one row, a second apart; all the same: only their number is of interest."""
    (draft,) = telemetry(1, 1, 1)
    first = time_ns() // 1_000_000 - batches * 1000
    for at in range(batches):
        stamp = Stamp(UtcMs(first + at * 1000), "ntp")
        yield Draft("", draft.b0, draft.last, draft.n, draft.body, draft.enc, stamp=stamp)


async def _fill(folder: Path, drafts: Iterable[Draft], *, read_back: bool) -> Sequence[Batch]:
    spool = await open_here(folder)
    try:
        waiting = iter(drafts)
        while some := [(draft, None) for draft in islice(waiting, A_TRANSACTION)]:
            await spool.step(lambda keeper, some=some: keeper.append(some))  # type: ignore[misc]  # a loop's own value
        return await _all(spool) if read_back else ()
    finally:
        await spool.close()


async def _all(spool: Spool) -> Sequence[Batch]:
    batches: list[Batch] = []
    while some := await spool.read(batches[-1].order if batches else 0, None, A_TRANSACTION):
        batches += some
    return [batch for batch in batches if batch.n]  # the epoch's first batch is an event


def _group(device: str) -> Group:
    names = tuple(f"f{at:02}" for at in range(FIELDS))
    return Group(device, "bench_meter", "bench/meter@1", names, "f" * FIELDS)
