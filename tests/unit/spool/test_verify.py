"""A look at every row: what is whole is told so, and every kind of damage by its name."""

import sqlite3
from pathlib import Path

import pytest

from gateway.errors import SpoolFailed
from gateway.model import BatchId, SeqRanges
from gateway.spool import verify
from gateway.spool.database import Database
from gateway.spool.export import ALL, Wanted
from gateway.spool.row import Column, Record, sealed
from gateway.spool.spool import Spool
from gateway.spool.verify import ID_MAX, Finding
from tests.support.spools import GATEWAY, Box

COLUMNS = "id, epoch, seq, segment, clock, b0, last, n, pri, enc, of, body"


@pytest.fixture
async def box(tmp_path: Path) -> Box:
    """Eight batches on disk, closed: 2 and 3 settled, 5 parked."""
    box = Box(tmp_path)
    spool = await box.start()
    for level in range(7):
        await box.measure(level)
    spool.settle(spool.epoch, SeqRanges.of([(2, 3)]))
    await spool.park(BatchId(GATEWAY, spool.epoch, 5), "schema")
    await spool.close()
    return box


async def looked(spool: Spool) -> tuple[int, list[Finding]]:
    """All pages: rows, and what was found."""
    rows = 0
    findings: list[Finding] = []
    after: int | None = 0
    while after is not None:
        page = await spool.verify(after)
        rows, after = rows + page.rows, page.after
        findings += page.findings
    return rows, findings


def change(box: Box, *statements: str) -> None:
    """Behind its back."""
    db = sqlite3.connect(box.folder / "spool.db", isolation_level=None)
    for statement in statements:
        db.execute(statement)
    db.close()


def reseal(box: Box, seq: int, **columns: Column) -> None:
    """Another value in a row whose row_crc then fits: a mistake of ours, no flipped bit."""
    db = sqlite3.connect(box.folder / "spool.db", isolation_level=None)
    names = COLUMNS.split(", ")
    row = db.execute(f"SELECT {COLUMNS} FROM batch WHERE seq = ?", (seq,)).fetchone()
    changed = tuple(columns.get(name, value) for name, value in zip(names, row, strict=True))
    db.execute("DELETE FROM batch WHERE seq = ?", (seq,))
    marks = ", ".join("?" * 13)
    db.execute(f"INSERT INTO batch ({COLUMNS}, row_crc) VALUES ({marks})", sealed(changed))
    db.close()


async def test_a_whole_spool_is_whole(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """VFY-1: every row of the log was looked at, in pages, and nothing was found or changed."""
    monkeypatch.setattr(verify, "PAGE_ROWS", 3)
    spool = await box.start()
    assert await looked(spool) == (8, [])
    assert spool.status.gaps == 0
    await spool.close()


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        ("UPDATE batch SET body = x'00' WHERE seq = 4", ("batch", "epoch1 4", "row_crc")),
        ("DELETE FROM batch WHERE seq = 6", ("batch", "epoch1 6", "row_crc")),
        ("UPDATE batch SET row_crc = row_crc + 1 WHERE seq = 2", ("batch", "epoch1 2", "row_crc")),
        ("UPDATE segment SET row_crc = 1 WHERE copy = 1", ("segment", "", "row_crc")),
        ("UPDATE epoch SET row_crc = 1 WHERE copy = 0", ("epoch", "", "row_crc")),
        ("UPDATE parked SET row_crc = 1", ("parked", "", "row_crc")),
    ],
)  # fmt: skip
async def test_damage_is_named(box: Box, statement: str, finding: Finding) -> None:
    """VFY-1: the table, the row and what is wrong; the file is left as it is."""
    change(box, statement)
    spool = await box.start()
    _, findings = await looked(spool)
    assert findings == [finding]
    assert spool.status.gaps == 0
    await spool.close()


@pytest.mark.parametrize(
    ("columns", "wrong"),
    [({"epoch": "other"}, "place"), ({"segment": 77}, "segment"), ({"n": 9}, "body"), ({"body": b"{}x"}, "body")],
)
async def test_a_row_that_was_written_wrong_is_found(box: Box, columns: dict[str, Column], wrong: str) -> None:
    """VFY-1: a row_crc that holds is not all: place, segment and body are looked at too."""
    reseal(box, 4, **columns)
    spool = await box.start()
    assert (await looked(spool))[1] == [("batch", "epoch1 4", wrong)]
    await spool.close()


async def test_sums_that_do_not_fit_are_found(box: Box) -> None:
    """VFY-1: what is settled or parked was numbered once."""
    db = sqlite3.connect(box.folder / "spool.db", isolation_level=None)
    db.execute("INSERT INTO settled VALUES (?, ?, ?, ?, ?)", sealed((1, "epoch1", 50, 60)))
    db.execute("INSERT INTO parked VALUES (?, ?, ?, ?)", sealed(("epoch1", 70, "why")))
    db.close()
    spool = await box.start()
    assert (await looked(spool))[1] == [("settled", "epoch1", "sums"), ("parked", "epoch1", "sums")]
    await spool.close()


async def test_a_hole_that_cannot_be_looked_into_is_named(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """VFY-1: "nothing was found" is only said of what was looked at."""
    spool, rows = await box.start(), Database.rows

    def failing(self: Database, first: int, last: int, limit: int) -> list[tuple[int, Record | None]]:
        if last == ID_MAX:
            raise SpoolFailed("EIO")
        return rows(self, first, last, limit)

    monkeypatch.setattr(Database, "rows", failing)
    ((table, where, why),) = (await looked(spool))[1]
    assert (table, where) == ("batch", f"ids 9-{ID_MAX}")
    assert "EIO" in why
    await spool.close()


async def test_what_salvage_has_not_fetched_is_not_missing(box: Box) -> None:
    """VFY-1, EXP-4: it is still in the other file; an export counts it."""
    await box.start()
    for _ in range(150):
        await box.append(size=2_000)
    await box.spool.close()
    path = box.folder / "spool.db"
    data = bytearray(path.read_bytes())
    data[30 * 4096 : 31 * 4096] = bytes(4096)
    path.write_bytes(data)
    spool = await box.start()
    await box.seqs()
    assert spool.steps.snapshot.salvaging
    _, findings = await looked(spool)
    assert [finding for finding in findings if finding[2] != "body"] == []
    page = await spool.export(Wanted(ALL), 0)
    assert (page.damaged, page.unfetched) == (0, len(spool.steps.keeper.unfetched))
    assert page.unfetched > 0
    await spool.close()
