"""What is damaged on disk, and what becomes of it; one test for each row of the table in docs/specs/spool.md."""

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.model import BatchId, SeqRanges
from gateway.spool.database import Database
from gateway.spool.row import row_crc
from gateway.wire.body import decode
from tests.support.spools import Box

PAGE = 4096


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    """Ten batches, of which the first three are settled; stopped."""
    made = Box(tmp_path)
    await made.start()
    for _ in range(9):
        await made.append(size=3000)
    made.spool.settle(made.spool.epoch, SeqRanges.of([(1, 3)]))
    await made.spool.close()
    yield made
    await made.spool.close()


def change(box: Box, statement: str) -> None:
    """By somebody who knows nothing of row_crc."""
    database = sqlite3.connect(box.folder / "spool.db")
    with database:
        assert database.execute(statement).rowcount > 0
    database.close()


async def gaps(box: Box) -> dict[str, SeqRanges]:
    """Named in batches on offer, by reason."""
    found: dict[str, list[tuple[int, int]]] = {}
    for batch in await box.spool.read(0, None, 1000):
        for gap in decode(batch.enc, batch.body).gaps if batch.n == 0 else ():
            found.setdefault(gap.reason, []).append((gap.first, gap.last))
    return {reason: SeqRanges.of(pairs) for reason, pairs in found.items()}


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE batch SET body = zeroblob(3000) WHERE seq = 5",
        "UPDATE batch SET n = n + 1 WHERE seq = 5",
        "UPDATE batch SET b0 = b0 + 1 WHERE seq = 5",
        "UPDATE batch SET pri = 1 - pri WHERE seq = 5",
        "UPDATE batch SET seq = 99 WHERE seq = 5",
        "UPDATE batch SET row_crc = row_crc + 1 WHERE seq = 5",
        "UPDATE batch SET enc = CAST(x'ff6e' AS TEXT) WHERE seq = 5",
        "DELETE FROM batch WHERE seq = 5",
    ],
)
async def test_a_damaged_batch_is_a_gap(box: Box, damage: str) -> None:
    """DMG-2: never offered, named once, the others untouched."""
    change(box, damage)
    await box.start()
    assert await box.seqs() == [4, 6, 7, 8, 9, 10]
    assert await gaps(box) == {"corrupt": SeqRanges.of([(5, 5)])}
    assert await box.seqs() == [4, 6, 7, 8, 9, 10, 11]
    assert box.counters.get("spool_given_up", reason="corrupt") == 1


async def test_many_damaged_batches_do_not_hide_the_others(box: Box) -> None:
    """DMG-2: a page of nothing but damage is passed, not taken for the end."""
    change(box, "UPDATE batch SET n = n + 1 WHERE seq BETWEEN 4 AND 7")
    await box.start()
    assert await box.seqs(limit=2) == [8, 9]
    assert await gaps(box) == {"corrupt": SeqRanges.of([(4, 7)])}


async def test_a_damaged_batch_is_no_answer_to_reread(box: Box) -> None:
    """DMG-2: it is given up instead."""
    change(box, "UPDATE batch SET n = n + 1 WHERE seq = 5")
    await box.start()
    assert await box.spool.reread(BatchId(box.gateway, box.spool.epoch, 5)) is None
    assert await gaps(box) == {"corrupt": SeqRanges.of([(5, 5)])}


@pytest.mark.parametrize("damage", ["UPDATE meta SET next_seq = next_seq - 1", "DELETE FROM meta"])
async def test_damaged_meta_is_a_new_epoch(box: Box, damage: str) -> None:
    """DMG-1: no seq can be used twice, what was kept is still sent."""
    old = box.spool.epoch
    change(box, damage)
    await box.start()
    assert box.spool.epoch != old
    await box.append()
    batches = await box.spool.read(0, None, 100)
    assert [b.id.seq for b in batches if b.id.epoch == old] == [4, 5, 6, 7, 8, 9, 10]
    start = next(b for b in batches if b.id.epoch == box.spool.epoch)
    assert (start.id.seq, start.order) == (1, 11)
    assert list(decode(start.enc, start.body).events[0].detail) == [old, 10, "meta_damaged"]


async def test_damage_found_before_the_first_append_does_not_take_its_place(box: Box) -> None:
    """EPOCH-2: a gap that is told in a new epoch comes behind epoch_start, not instead of it."""
    change(box, "DELETE FROM meta")
    change(box, "UPDATE batch SET n = n + 1 WHERE seq = 5")
    await box.start()
    await box.seqs()
    await box.append()
    ours = [b for b in await box.spool.read(0, None, 100) if b.id.epoch == box.spool.epoch]
    assert [b.id.seq for b in ours] == [1, 2, 3]
    assert [event.code for event in decode(ours[0].enc, ours[0].body).events] == ["epoch_start"]
    assert [gap.reason for gap in decode(ours[1].enc, ours[1].body).gaps] == ["corrupt"]


async def test_damaged_settled_ranges_are_sent_again(box: Box) -> None:
    """DMG-3: never lost, never a reason to stop."""
    change(box, "UPDATE settled SET last = last + 3")
    await box.start()
    assert await box.seqs() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    box.spool.settle(box.spool.epoch, SeqRanges.of([(1, 4)]))
    await box.restart()
    assert await box.seqs() == [5, 6, 7, 8, 9, 10]


@pytest.mark.parametrize("table", ["segment", "epoch"])
async def test_one_damaged_copy_costs_nothing(box: Box, table: str) -> None:
    """DMG-4: offsets and epochs are written twice."""
    column = "offset_ms" if table == "segment" else "first"
    change(box, f"UPDATE {table} SET {column} = {column} + 1 WHERE copy = 0")
    await box.start()
    assert await box.seqs() == [4, 5, 6, 7, 8, 9, 10]
    assert "spool_damaged" not in box.codes


async def test_a_segment_lost_in_both_copies_makes_gaps(box: Box) -> None:
    """DMG-4: a batch whose time is not known for sure is not sent with a guess."""
    change(box, "UPDATE segment SET offset_ms = offset_ms + 1")
    await box.start()
    assert await box.seqs() == []
    assert await gaps(box) == {"corrupt": SeqRanges.of([(4, 10)])}


@pytest.mark.parametrize("damage", ["body = zeroblob(40)", "segment = 77, row_crc = :crc"])
async def test_a_damaged_gap_batch_is_answered_for(box: Box, damage: str) -> None:
    """GAP-5: what it named is named again: by its own records where they can be read, else as all that is not kept."""
    await box.start()
    await box.spool.step(lambda keeper: keeper.relief.give_up(SeqRanges.of([(5, 6)]), "quota"))
    carrier = box.spool.last_order
    record = box.spool.steps.keeper.file.db.record(carrier)
    assert record is not None
    await box.spool.close()
    crc = row_crc(replace(record, segment=77).columns())
    change(box, f"UPDATE batch SET {damage.replace(':crc', str(crc))} WHERE id = {carrier}")
    await box.start()
    assert await box.seqs() == [4, 7, 8, 9, 10]
    reason = "corrupt" if "body" in damage else "quota"
    assert SeqRanges.of([(5, 6)]).minus((await gaps(box))[reason]) == SeqRanges()


async def salvaged(box: Box) -> None:
    """Until the old file is done with."""
    while box.spool.steps.snapshot.salvaging:
        await box.spool.tick()


async def test_nothing_readable_but_the_log(box: Box) -> None:
    """DMG-5: meta and epochs lost together; settled ranges still count."""
    old = box.spool.epoch
    (box.folder / "spool.mark").unlink()
    change(box, "UPDATE epoch SET first = first + 1")
    change(box, "UPDATE meta SET next_seq = 1")
    await box.start()
    await box.append()
    await salvaged(box)
    batches = await box.spool.read(0, None, 100)
    assert [b.id.seq for b in batches if b.id.epoch == old] == [4, 5, 6, 7, 8, 9, 10]
    assert [b.id.seq for b in batches if b.id.epoch == box.spool.epoch] == [1, 2]


async def test_lost_epochs_are_read_off_the_rows(box: Box) -> None:
    """DMG-5: salvage, a new epoch, and the rows of the old one under their own names."""
    old = box.spool.epoch
    (box.folder / "spool.mark").unlink()
    change(box, "UPDATE epoch SET first = first + 1")
    await box.start()
    assert "spool_damaged" in box.codes
    await box.append()
    await salvaged(box)
    batches = await box.spool.read(0, None, 100)
    assert [b.id.seq for b in batches if b.id.epoch == old] == [4, 5, 6, 7, 8, 9, 10]
    assert box.codes.count("spool_salvaged") == 1
    assert [path.name for path in box.folder.glob("damaged-*.db")] == ["damaged-1.db"]


async def test_lost_epochs_are_known_by_the_mark(box: Box) -> None:
    """DMG-5, MARK-1: with it the epoch goes on."""
    epoch = box.spool.epoch
    change(box, "UPDATE epoch SET first = first + 1")
    await box.start()
    await salvaged(box)
    assert (box.spool.epoch, await box.append()) == (epoch, 11)
    assert await box.seqs() == [4, 5, 6, 7, 8, 9, 10, 11]


async def test_a_mark_that_is_behind_does_not_end_the_epoch(box: Box) -> None:
    """SEQ-2, MARK-1: not flushed; with the epochs lost, meta says where numbers go on, and what is new is found."""
    mark = (box.folder / "spool.mark").read_bytes()
    await box.start()
    assert [await box.append(), await box.append()] == [11, 12]
    await box.spool.close()
    (box.folder / "spool.mark").write_bytes(mark)
    change(box, "UPDATE epoch SET first = first + 1")
    await box.start()
    await salvaged(box)
    assert await box.append() == 13
    assert await box.seqs() == [4, 5, 6, 7, 8, 9, 10, 11, 12, 13]


async def test_pages_of_different_ages(box: Box) -> None:
    """DMG-6, SEQ-2: meta of an earlier page under a log that goes on: each row is intact, and together they lie."""
    path = box.folder / "spool.db"
    (box.folder / "spool.mark").unlink()
    database = Database(str(path))
    meta = database.meta()
    assert meta is not None
    with database.transaction():
        database.put_meta(replace(meta, next_seq=meta.next_seq - 2, next_id=meta.next_id - 2))
    database.close()
    await box.start()
    await salvaged(box)
    assert "spool_damaged" in box.codes
    assert await box.append() == 11
    assert await box.seqs() == [4, 5, 6, 7, 8, 9, 10, 11]


async def test_a_move_that_was_cut_off_is_finished(box: Box) -> None:
    """DMG-8: the WAL had its new name, the file not yet: without it the file is older, and numbers would come twice."""
    await box.start()
    await box.append()
    parts = {path.name: path.read_bytes() for path in box.folder.glob("spool.db*")}
    await box.spool.close()
    (box.folder / "spool.mark").unlink()
    (box.folder / "spool.db").write_bytes(parts["spool.db"])
    (box.folder / "salvaging.db-wal").write_bytes(parts["spool.db-wal"])
    await box.start()
    await salvaged(box)
    assert await box.append() == 12
    assert await box.seqs() == [4, 5, 6, 7, 8, 9, 10, 11, 12]


def overwrite_page_of(box: Box, seq: int) -> None:
    """The page where the row of `seq` begins."""
    path = box.folder / "spool.db"
    data = bytearray(path.read_bytes())
    body = bytes([60_000 % 251]) * 900
    pages = [at for at in range(0, len(data), PAGE) if body in data[at : at + PAGE]]
    at = pages[seq - 2]
    data[at : at + PAGE] = b"\xaa" * PAGE
    path.write_bytes(data)


async def test_an_overwritten_page_costs_what_lay_on_it(box: Box) -> None:
    """DMG-6: SQLite gives up at the first malformed page; salvage does not. The epoch goes on."""
    epoch = box.spool.epoch
    overwrite_page_of(box, 6)
    await box.start()
    await box.seqs()
    assert await box.append() >= 11
    await salvaged(box)
    batches = await box.spool.read(0, None, 100)
    lost = (await gaps(box))["corrupt"]
    assert 1 <= len(lost) <= 2
    kept = SeqRanges.of_seqs(b.id.seq for b in batches)
    assert kept.union(lost) == SeqRanges.of([(4, box.spool.last_order)])
    assert box.spool.epoch == epoch


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 999, b"SQLite format 3\0" + b"\xff" * 9999])
async def test_it_always_starts(box: Box, content: bytes) -> None:
    """DMG-7: whatever the file is, appends go on, in a new epoch."""
    old = box.spool.epoch
    for path in box.folder.glob("spool.db*"):
        path.write_bytes(content)
    await box.start()
    assert await box.append() == 2
    assert box.spool.epoch != old
    await salvaged(box)
    assert await box.seqs() == [1, 2]
    assert box.spool.status.failing == ""


async def test_salvage_goes_on_after_a_restart(box: Box) -> None:
    """DMG-6: what was fetched before is not fetched twice."""
    for _ in range(200):
        await _append_closed(box)
    overwrite_page_of(box, 6)
    await box.start()
    await box.seqs()
    await box.spool.tick()
    assert box.spool.steps.snapshot.salvaging
    await box.restart()
    assert box.spool.steps.snapshot.salvaging
    await salvaged(box)
    batches = await box.spool.read(0, None, 1000)
    lost = (await gaps(box)).get("corrupt", SeqRanges())
    kept = SeqRanges.of_seqs(b.id.seq for b in batches)
    assert kept.union(lost) == SeqRanges.of([(4, box.spool.last_order)])
    assert 1 <= len(lost) <= 2


async def _append_closed(box: Box) -> None:
    if box.spool.steps._closed:
        await box.start()
    await box.append(size=300)
    if box.spool.last_order == 210:
        await box.spool.close()


async def test_reading_stops_where_salvage_has_not_been(box: Box) -> None:
    """DMG-9: a cursor never passes what may yet be found; what is new is not held up."""
    overwrite_page_of(box, 6)
    await box.start()
    await box.seqs()
    assert box.spool.steps.snapshot.salvaging
    newest = await box.append()
    assert await box.seqs() == []
    assert await box.seqs(after=10) == [newest]
    await salvaged(box)
    assert (await box.seqs())[0] == 4


async def test_a_newer_file_is_not_guessed_at(box: Box) -> None:
    """VER-1: the ring takes over, and the file is not touched."""
    database = Database(str(box.folder / "spool.db"))
    meta = database.meta()
    assert meta is not None
    with database.transaction():
        database.put_meta(replace(meta, version=99))
    database.close()
    await box.start()
    assert "newer version" in box.spool.status.failing
    assert "spool_failed" in box.codes
