"""What is kept, as lines for people who carry it."""

import sqlite3
from pathlib import Path

import pytest

from gateway.model import Batch, BatchId, SeqRanges, UtcMs
from gateway.spool import export
from gateway.spool.export import ALL, PARKED, Wanted
from gateway.spool.spool import Spool
from gateway.testing.clock import FakeClock
from gateway.wire import batch as batches
from gateway.wire import exported
from tests.support.spools import GATEWAY, Box

ROWS = 6


@pytest.fixture
async def box(tmp_path: Path) -> Box:
    """Batches 1 (epoch_start) to 7; 2 and 3 have their receipt, 5 is parked."""
    box = Box(tmp_path)
    spool = await box.start()
    for level in range(ROWS):
        await box.measure(level)
    spool.settle(spool.epoch, SeqRanges.of([(2, 3)]))
    await spool.park(BatchId(GATEWAY, spool.epoch, 5), "schema")
    return box


async def exported_from(spool: Spool, wanted: Wanted) -> list[Batch]:
    """All pages, as a centre reads them."""
    lines: list[bytes] = []
    after: int | None = 0
    while after is not None:
        page = await spool.export(wanted, after)
        lines += page.lines
        after = page.after
    return [batches.decode(exported.payload(line)) for line in lines]


async def seqs(spool: Spool, wanted: Wanted) -> list[int]:
    """Of what was exported."""
    return [batch.id.seq for batch in await exported_from(spool, wanted)]


async def test_what_waits_is_exported_as_it_would_be_sent(box: Box) -> None:
    """EXP-1: the same header and crc; parked ones too. It still waits, and nothing has changed."""
    sent = {batch.id: batch.crc for batch in await box.spool.read(0, None, 99)}
    found = await exported_from(box.spool, Wanted())
    assert [batch.id.seq for batch in found] == [1, 4, 5, 6, 7]
    assert {batch.id: batch.crc for batch in found if batch.id.seq != 5} == sent
    assert box.spool.status.pending == 5
    await box.spool.close()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(ALL), [1, 2, 3, 4, 5, 6, 7]),
        (Wanted(PARKED), [5]),
        (Wanted(seqs=SeqRanges.of([(2, 4), (7, 9)])), [4, 7]),
        (Wanted(ALL, epoch="epoch1", seqs=SeqRanges.of([(3, 3)])), [3]),
        (Wanted(ALL, epoch="other"), []),
        (Wanted(PARKED, seqs=SeqRanges.of([(6, 7)])), []),
    ],
)
async def test_what_is_wanted(box: Box, wanted: Wanted, expected: list[int]) -> None:
    """EXP-2: parked only, the archive too, an epoch, ranges of seqs."""
    assert await seqs(box.spool, wanted) == expected
    await box.spool.close()


async def test_a_time_range_takes_every_batch_that_touches_it(box: Box) -> None:
    """EXP-2: by the times of its rows."""
    at = {batch.id.seq: batch.stamp.t0 for batch in await exported_from(box.spool, Wanted(ALL))}
    assert await seqs(box.spool, Wanted(ALL, from_ms=at[3], to_ms=at[5])) == [3, 4, 5]
    assert await seqs(box.spool, Wanted(ALL, from_ms=UtcMs(at[6] + 1))) == [7]
    assert await seqs(box.spool, Wanted(ALL, to_ms=UtcMs(at[1] - 1))) == []
    await box.spool.close()


async def test_pages_are_bounded_and_the_polling_goes_on_between_them(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EXP-3: what is appended meanwhile is on a later page, what is settled meanwhile on none."""
    monkeypatch.setattr(export, "PAGE_ROWS", 2)
    first = await box.spool.export(Wanted(), 0)
    assert (len(first.lines), first.left) == (2, 3)
    await box.append()
    box.spool.settle(box.spool.epoch, SeqRanges.of([(6, 6)]))
    assert first.after is not None
    second = await box.spool.export(Wanted(), first.after)
    assert second.after is not None
    third = await box.spool.export(Wanted(), second.after)
    assert third.after is None
    found = [batches.decode(exported.payload(line)).id.seq for line in (*second.lines, *third.lines)]
    assert found == [5, 7, 8]
    await box.spool.close()


async def test_a_page_of_large_batches_is_as_large_as_one_answer(tmp_path: Path) -> None:
    """EXP-3: bodies of a page are bounded in bytes, whatever a batch holds."""
    box = Box(tmp_path)
    spool = await box.start()
    for _ in range(20):
        await box.append(size=60_000)
    page = await spool.export(Wanted(), 0)
    assert export.PAGE_BYTES <= sum(map(len, page.lines)) * 3 / 4 < export.PAGE_BYTES + 70_000
    assert len(page.lines) + page.left == 21
    await spool.close()


async def test_batches_of_another_gateway_id_go_under_that_id(tmp_path: Path) -> None:
    """EPOCH-3: they are never sent, and can be carried."""
    box = Box(tmp_path)
    await box.start()
    await box.measure()
    box.gateway = "hc-0002"
    spool = await box.restart()
    await box.measure()
    found = await exported_from(spool, Wanted())
    assert [(b.id.gateway, b.id.seq) for b in found] == [(GATEWAY, 1), (GATEWAY, 2), ("hc-0002", 1), ("hc-0002", 2)]
    (old, _) = (await spool.report()).epochs
    assert (old.gateway, old.kept, old.pending, old.ours) == (GATEWAY, 2, 2, False)
    await spool.close()


async def test_what_has_no_time_yet_is_left_out_and_told(tmp_path: Path) -> None:
    """EXP-4: no header without a time could be sent."""
    box = Box(tmp_path, clock=FakeClock(synchronised=False))
    spool = await box.start()
    await box.measure()
    page = await spool.export(Wanted(), 0)
    assert (page.lines, page.undated, page.damaged) == ((), 2, 0)
    await spool.close()


async def test_what_is_damaged_is_left_out_told_and_not_given_up(box: Box) -> None:
    """EXP-4: looking at it is no reason to lose it; reading it for the centre is."""
    await box.spool.close()
    db = sqlite3.connect(box.folder / "spool.db", isolation_level=None)
    db.execute("UPDATE batch SET body = x'00' WHERE seq = 4")
    db.execute("DELETE FROM batch WHERE seq = 6")
    db.close()
    await box.start()
    page = await box.spool.export(Wanted(), 0)
    assert [batches.decode(exported.payload(line)).id.seq for line in page.lines] == [1, 5, 7]
    assert page.damaged == 2
    assert box.spool.status.gaps == 0
    await box.spool.close()


async def test_a_page_of_the_file_that_cannot_be_read_costs_its_own_rows(box: Box) -> None:
    """EXP-4: SQLite's "malformed" ends no export, and starts no salvage."""
    for _ in range(40):
        await box.append(size=3_000)
    await box.spool.close()
    path = box.folder / "spool.db"
    data = bytearray(path.read_bytes())
    data[20 * 4096 : 21 * 4096] = bytes(4096)
    path.write_bytes(data)
    await box.start()
    page = await box.spool.export(Wanted(ALL), 0)
    assert 0 < page.damaged < 5
    assert len(page.lines) + page.damaged == 47
    assert not box.spool.steps.snapshot.salvaging
    await box.spool.close()
