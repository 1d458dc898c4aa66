"""Page 1: what is compared, and what takes the place of a damaged one."""

import sqlite3
from pathlib import Path

import pytest

from gateway.spool import head
from gateway.spool.database import Damaged, Database
from tests.support.spools import Box


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with tables, closed."""
    path = tmp_path / "spool.db"
    Database(str(path)).close()
    return path


def test_a_new_file_is_right(file: Path) -> None:
    """HEAD-1: as are none at all, and one of no bytes."""
    assert head.right(file)
    assert head.right(file.with_name("none"))
    file.write_bytes(b"")
    assert head.right(file)


@pytest.mark.parametrize("at", [0, 15, 16, 18, 20, 23, 59, 60, 71, 80])
def test_a_header_that_says_something_else(file: Path, at: int) -> None:
    """HEAD-1: SQLite would believe some of these."""
    data = bytearray(file.read_bytes())
    data[at] ^= 0x10
    file.write_bytes(data)
    assert not head.right(file)


def test_a_table_less_is_damage(file: Path) -> None:
    """HEAD-1: a schema that is not a new file's, or gone from a file that has pages."""
    with sqlite3.connect(file) as database:
        database.execute("DROP TABLE parked")
    database.close()
    with pytest.raises(Damaged, match="schema"):
        Database(str(file))


async def test_page_1_is_written_anew(tmp_path: Path) -> None:
    """HEAD-1, DMG-6: with the whole first page gone, every batch is fetched, and the epoch goes on."""
    box = Box(tmp_path)
    await box.start()
    for _ in range(5):
        await box.append()
    epoch = box.spool.epoch
    await box.spool.close()
    data = bytearray((tmp_path / "spool.db").read_bytes())
    data[:4096] = b"\xaa" * 4096
    (tmp_path / "spool.db").write_bytes(data)
    await box.start()
    while box.spool.steps.snapshot.salvaging:
        await box.spool.tick()
    assert (box.spool.epoch, await box.seqs()) == (epoch, [1, 2, 3, 4, 5, 6])
    await box.spool.close()
