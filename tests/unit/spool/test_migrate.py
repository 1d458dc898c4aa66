"""Versions of the file: the frozen one is read for ever, an older one is brought up, a newer one is left alone."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.model import BatchId, SeqRanges
from gateway.spool import database, file, head, migrate, queries
from gateway.spool.database import Database
from gateway.spool.migrate import NewerVersion, version_of
from gateway.spool.row import sealed
from tests.support.spools import GATEWAY, Box

FROZEN = Path(__file__).parent / "files" / "version-1.sql"  # written by the first build of version 1
COLUMNS = "id, epoch, seq, segment, clock, b0, last, n, pri, enc, of, body"


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A box whose spool is the frozen file: 22 batches, 4 settled, 3 given up, one parked, one urgent."""
    frozen = FROZEN.read_text("utf-8")
    made = sqlite3.connect(":memory:")
    made.executescript(frozen)
    as_made = dict(made.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL"))
    made.close()
    db = sqlite3.connect(tmp_path / "spool.db")
    for pragma in ("page_size = 4096", "auto_vacuum = 0", "journal_mode = WAL"):
        db.execute(f"PRAGMA {pragma}")
    for name in queries.load("schema"):  # in the order of that build: a dump has another one
        db.execute(as_made[name])
    db.executescript("\n".join(line for line in frozen.splitlines() if line.startswith("INSERT")))
    db.close()
    return Box(tmp_path)


def tables(box: Box) -> list[str]:
    """All that the file holds, as text."""
    db = sqlite3.connect(box.folder / "spool.db")
    try:
        return list(db.iterdump())
    finally:
        db.close()


def set_version(box: Box, version: int) -> None:
    """In the header."""
    db = sqlite3.connect(box.folder / "spool.db")
    db.execute(f"PRAGMA user_version = {migrate.word_of(version)}")
    db.close()


def weighed(db: sqlite3.Connection) -> None:
    """An artificial step to version 2: every batch gets a column, and with it another row_crc."""
    db.execute("ALTER TABLE batch ADD COLUMN weight INTEGER NOT NULL DEFAULT 0")
    for row in db.execute(f"SELECT {COLUMNS} FROM batch").fetchall():
        crc = sealed((*row, len(row[-1])))[-1]
        db.execute("UPDATE batch SET weight = ?, row_crc = ? WHERE id = ?", (len(row[-1]), crc, row[0]))


def counted(db: sqlite3.Connection) -> None:
    """An artificial step to version 3."""
    db.execute("CREATE TABLE counted (what TEXT PRIMARY KEY) STRICT, WITHOUT ROWID")


def next_build(monkeypatch: pytest.MonkeyPatch, version: int, steps: dict[int, migrate.Step]) -> None:
    """A build that knows these steps."""
    monkeypatch.setattr(migrate, "STEPS", steps)
    monkeypatch.setattr(head, "is_schema", lambda _: True)  # its own is not this build's
    for module in (database, file):
        monkeypatch.setattr(module, "VERSION", version)


async def test_the_frozen_file_is_read_as_it_was_written(box: Box) -> None:
    """VER-2: every build reads version 1: what is offered, parked, settled, given up, and where numbering goes on."""
    spool = await box.start()
    offered = await box.seqs()
    assert offered == [4, 6, 7, 9, *range(13, 23)]
    assert [batch.id.seq for batch in await spool.read_urgent(0, 9)] == [9]
    (epoch,) = spool.status.epochs
    assert (epoch.epoch, epoch.last, epoch.parked) == ("epoch1", 22, SeqRanges.of_seqs([5]))
    assert spool.status.gaps == 1
    assert await spool.reread(BatchId(GATEWAY, "epoch1", 4)) is not None
    assert await box.append() == 23
    await spool.close()


async def test_a_new_file_has_its_version_in_the_header(tmp_path: Path) -> None:
    """VER-2: no change of a table can hide it."""
    box = Box(tmp_path)
    await (await box.start()).close()
    db = sqlite3.connect(tmp_path / "spool.db")
    assert db.execute("PRAGMA user_version").fetchone() == (migrate.word_of(1),)
    assert version_of(db) == 1
    db.close()


def test_each_version_is_one_step_and_one_transaction(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """VER-2: from any older version to this one; rows keep their values and get their new check."""
    next_build(monkeypatch, 3, {1: weighed, 2: counted})
    db = Database(str(box.folder / "spool.db"))
    meta = db.meta()
    db.close()
    assert meta is not None
    assert meta.next_seq == 23
    raw = sqlite3.connect(box.folder / "spool.db")
    assert version_of(raw) == 3
    for row in raw.execute(f"SELECT {COLUMNS}, weight, row_crc FROM batch"):
        assert sealed(row[:-1]) == row
        assert row[-2] == len(row[11])
    assert raw.execute("SELECT count(*) FROM counted").fetchone() == (0,)
    raw.close()


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), sqlite3.IntegrityError("constraint")])
async def test_a_step_that_fails_leaves_the_step_before(
    box: Box, monkeypatch: pytest.MonkeyPatch, error: sqlite3.Error
) -> None:
    """VER-2: the spool goes on in RAM, nothing is set aside, and a later start does the rest."""

    def broken(db: sqlite3.Connection) -> None:
        counted(db)
        db.execute("DELETE FROM batch")
        error.sqlite_errorcode = sqlite3.SQLITE_CONSTRAINT if "constraint" in str(error) else sqlite3.SQLITE_IOERR
        raise error

    next_build(monkeypatch, 3, {1: lambda _: None, 2: broken})
    before = tables(box)
    await box.start()
    assert str(error) in box.spool.status.failing
    assert await box.append() > 0
    await box.spool.close()
    assert tables(box) == before
    assert sorted(path.name for path in box.folder.glob("*.db")) == ["spool.db"]
    raw = sqlite3.connect(box.folder / "spool.db")
    assert version_of(raw) == 2
    raw.close()
    next_build(monkeypatch, 3, {2: counted})
    await box.start()
    assert box.spool.status.failing == ""
    assert (await box.seqs())[0] == 4
    await box.spool.close()


def stranger(box: Box) -> None:
    """What a next version may have made of it: other columns, under other checks."""
    db = sqlite3.connect(box.folder / "spool.db")
    weighed(db)
    db.execute("ALTER TABLE meta ADD COLUMN colour TEXT NOT NULL DEFAULT 'x'")
    db.execute("UPDATE meta SET row_crc = 1")
    db.commit()
    db.close()


@pytest.mark.parametrize("bit", range(31))
def test_a_flipped_bit_is_no_version(bit: int) -> None:
    """HEAD-1, VER-1: else a spool would wait in RAM for a build that never comes."""
    assert migrate.version_in(migrate.word_of(1)) == 1
    assert migrate.version_in(migrate.word_of(1) ^ 1 << bit) == 0
    assert migrate.version_in(migrate.word_of(7)) == 7


@pytest.mark.parametrize("change", [lambda _: None, stranger])
async def test_a_newer_file_is_never_changed_or_set_aside(box: Box, change: Callable[[Box], None]) -> None:
    """VER-1: whatever its tables have become. The RAM ring takes over and says why."""
    change(box)
    set_version(box, 2)
    before = tables(box)
    await box.start()
    assert "newer version: 2" in box.spool.status.failing
    assert "spool_failed" in box.codes
    await box.append()
    await box.clock.advance(30_000)
    await box.spool.tick()
    assert box.spool.status.failing
    await box.spool.close()
    assert tables(box) == before
    assert sorted(path.name for path in box.folder.glob("*.db*")) == ["spool.db"]


async def test_a_newer_file_that_was_being_salvaged_stays(box: Box) -> None:
    """VER-1: its rows are not given up as lost, and it does not become the first to go."""
    set_version(box, 2)
    (box.folder / "spool.db").rename(box.folder / "salvaging.db")
    await box.start()
    assert "newer version" in box.spool.status.failing
    await box.spool.close()
    assert (box.folder / "salvaging.db").exists()
    assert list(box.folder.glob("damaged-*")) == []


def test_who_asks_for_a_newer_file_is_told_so(box: Box) -> None:
    """VER-1: by its own code, so that people get their own words."""
    set_version(box, 7)
    with pytest.raises(NewerVersion) as caught:
        Database(str(box.folder / "spool.db"))
    assert (caught.value.code, caught.value.found) == ("spool_newer_version", 7)
