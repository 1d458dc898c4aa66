"""Tables as values, errors as ours."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import SpoolFailed, SpoolFull
from gateway.model import SeqRanges
from gateway.spool.database import MEMORY, Damaged, Database
from gateway.spool.meta import VERSION, Meta
from gateway.spool.row import record_of
from tests.support.spools import DATED, draft


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty one on disk."""
    made = Database(str(tmp_path / "spool.db"))
    yield made
    made.close()


def pragma(database: Database, name: str) -> object:
    """As it stands."""
    return database._db.execute(f"PRAGMA {name}").fetchone()[0]


def test_the_pragmas_are_those_of_the_design(database: Database, tmp_path: Path) -> None:
    """FILE-1: and no -shm file is ever made."""
    wanted = {
        "page_size": 4096, "journal_mode": "wal", "synchronous": 2, "locking_mode": "exclusive", "secure_delete": 0,
        "wal_autocheckpoint": 1000, "cache_size": -2000, "auto_vacuum": 0,
    }  # fmt: skip
    assert {name: pragma(database, name) for name in wanted} == wanted
    with database.transaction():
        database.put_meta(Meta(VERSION, "k3v9x2", 1, 1))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spool.db", "spool.db-wal"]


def test_a_failed_transaction_changes_nothing(database: Database) -> None:
    """FILE-2: all or nothing."""

    def half() -> None:
        with database.transaction():
            database.put_meta(Meta(VERSION, "k3v9x2", 1, 1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert database.meta() is None


def test_every_row_of_every_table_has_its_crc(database: Database) -> None:
    """CRC-1: the last column, everywhere."""
    tables = [name for (name,) in database._db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    assert sorted(tables) == ["batch", "epoch", "meta", "parked", "segment", "settled"]
    for table in tables:
        columns = [row[1] for row in database._db.execute(f"PRAGMA table_info({table})")]
        assert columns[-1] == "row_crc"


def test_urgent_ones_are_found_by_their_index(database: Database) -> None:
    """READ-2: without reading the others."""
    plan = database._db.execute("EXPLAIN QUERY PLAN " + database._sql["some_urgent"], (1, 9, 1)).fetchall()
    assert "urgent" in plan[0][3]
    assert len(plan) == 1  # no sorting step


@pytest.mark.parametrize("query", ["first_id", "last_id", "some_batches", "get_batch"])
def test_the_log_is_never_scanned(database: Database, query: str) -> None:
    """COUNT-1: each is a search."""
    sql = database._sql[query]
    plan = database._db.execute("EXPLAIN QUERY PLAN " + sql, (1,) * sql.count("?")).fetchall()
    assert all(step[3].startswith("SEARCH") for step in plan)


def test_settled_ranges_are_changed_by_their_difference(database: Database) -> None:
    """SET-1: what is read is what was meant."""
    before = {(1, "a"): SeqRanges.of([(1, 3), (5, 9)]), (0, "a"): SeqRanges.of([(1, 1)])}
    after = {(1, "a"): SeqRanges.of([(1, 4), (5, 9)]), (1, "b"): SeqRanges.of([(2, 2)])}
    with database.transaction():
        database.put_ranges({}, before)
    with database.transaction():
        database.put_ranges(before, after)
    assert database.ranges() == (after, True)
    with database.transaction():
        database.put_ranges(None, before)
    assert database.ranges() == (before, True)


def test_no_page_left_is_spool_full(database: Database) -> None:
    """FULL-1: SQLITE_FULL has a name of its own."""
    database.limit_pages(database.pages()[0])
    with pytest.raises(SpoolFull), database.transaction():
        database.put_record(record_of(draft(size=60_000), DATED, (1, "k3v9x2", 1)))
    assert database.highest() is None


def test_an_id_twice_is_damage(database: Database) -> None:
    """The file contradicts itself."""
    record = record_of(draft(), DATED, (1, "k3v9x2", 1))
    with database.transaction():
        database.put_record(record)
    with pytest.raises(Damaged), database.transaction():
        database.put_record(record)
    assert database.record(1) == record


def test_no_sqlite_error_leaves_the_module(tmp_path: Path) -> None:
    """Except for mistakes of ours in using it."""
    with pytest.raises(SpoolFailed):
        Database(str(tmp_path / "absent" / "spool.db"))
    (tmp_path / "empty.db").touch()
    with pytest.raises(Damaged):
        Database(str(tmp_path / "empty.db"), make=False)
    closed = Database(MEMORY)
    closed.close()
    closed.close()
    with pytest.raises(sqlite3.ProgrammingError):
        closed.meta()


def test_no_shm_when_it_is_opened_again(tmp_path: Path) -> None:
    """FILE-1: a file that is in WAL mode already is first touched under the exclusive lock."""
    path = tmp_path / "spool.db"
    Database(str(path)).close()
    database = Database(str(path))
    with database.transaction():
        database.put_parked("e", 1, "why")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["spool.db", "spool.db-wal"]
    database.close()


def test_a_message_that_is_no_text(tmp_path: Path) -> None:
    """DMG-6: SQLite quotes a damaged schema in its message, and Python cannot read it: damage all the same."""
    path = tmp_path / "spool.db"
    Database(str(path)).close()
    data = path.read_bytes()
    at = data.index(b"CREATE TABLE meta") + 20
    path.write_bytes(data[:at] + bytes([data[at] ^ 0x80]) + data[at + 1 :])
    with pytest.raises(Damaged):
        Database(str(path))
