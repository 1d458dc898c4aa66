"""What these tests are worth: with one rule taken out, a scenario of them breaks a promise, so it would turn red.

Each test runs the scenario as it is, sees nothing wrong, takes the rule out and sees what is lost.
"""

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from gateway.model import Draft, Segment, SeqRanges
from gateway.spool import database, file, gaps, head, queries
from gateway.spool.change import Change
from gateway.spool.database import Database
from gateway.spool.file import SpoolFile
from tests.crash.recorded import broken, in_ram, record
from tests.crash.recorder import Fact
from tests.crash.replay import lay_out
from tests.crash.rot import Damage, Spool, at_rest, running
from tests.crash.truth import Truth, numbered, stand_up, wrongs, wrongs_of_rot
from tests.support.spools import MB, Box

STATES = 60


async def cut_off(name: str) -> list[str]:
    """A life, and some of the power cuts in it."""
    return await broken(await record(name), STATES, seed=1)


async def given_up(ids: list[tuple[int, int]]) -> list[str]:
    """Eight batches, some given up, one chunk after the other; then a cut."""
    with in_ram() as folder:
        box, truth = Box(folder, quota_bytes=MB), Truth()
        await box.start()
        for serial in range(8):
            draft = numbered(box.clock.boot_ms(), serial, 100, box.boot)
            seq = await box.spool.append(draft)
            truth.add(Fact("appended", box.spool.epoch, seq, (draft.body, box.clock.utc_ms())))
        for pair in ids:
            await box.spool.step(lambda keeper, pair=pair: keeper.relief.give_up(SeqRanges.of([pair]), "quota"))  # type: ignore[misc]  # bound at once
        await box.spool.close()
        return wrongs(truth, await stand_up(folder))


async def emptied() -> list[str]:
    """All settled and dropped, one more append: whether its seq was used before."""
    with in_ram() as folder:
        box = Box(folder, quota_bytes=MB)
        await box.start()
        before = await box.append()
        box.spool.settle(box.spool.epoch, SeqRanges.of([(1, before)]))
        await box.spool.step(lambda keeper: keeper.file.drop(SeqRanges.of([(1, before)])))
        after = await box.append()
        await box.spool.close()
        return [f"used twice: {after}"] if after <= before else []


async def damaged(make: Callable[[Path], Awaitable[Spool]], *damages: Damage) -> list[str]:
    """What becomes of a spool with one of these."""
    out = []
    with in_ram() as folder:
        spool = await make(folder / "made")
        for damage in damages or _in_a_body(spool):
            lay_out(folder / "spool", damage.done_to(spool.files))
            out += wrongs_of_rot(spool.truth, await stand_up(folder / "spool", machine="m2"))
            shutil.rmtree(folder / "spool")
    return out


def _in_a_body(spool: Spool) -> list[Damage]:
    """Wherever the body of the sixth batch lies."""
    data, body = spool.files["spool.db"], (6).to_bytes(4, "big") * 15
    return [Damage("spool.db", data.index(body) + 20, 4)]


async def test_synchronous_normal(monkeypatch: pytest.MonkeyPatch) -> None:
    """FILE-1: what append had returned is not on disk."""
    assert await cut_off("full") == []
    load = queries.load
    lax = {**load("connect"), "synchronous": "PRAGMA synchronous = NORMAL;"}
    monkeypatch.setattr(queries, "load", lambda name: lax if name == "connect" else load(name))
    assert "lost" in " ".join(await cut_off("normal"))


async def test_seq_from_the_highest_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """SEQ-2: an emptied table begins at 1 again."""
    assert await emptied() == []
    numbered_by_meta = Change.file

    def by_rowid(change: Change, db: Database, draft: Draft, segment: Segment | None) -> None:
        shift, next_id = change.meta.next_id - change.meta.next_seq, (db.highest() or 0) + 1
        change.meta = replace(change.meta, next_id=next_id, next_seq=next_id - shift)
        numbered_by_meta(change, db, draft, segment)

    monkeypatch.setattr(Change, "file", by_rowid)
    assert await emptied() == ["used twice: 1"]


async def test_row_crc_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """CRC-1: a flipped bit is a value."""
    assert await damaged(at_rest) == []
    monkeypatch.setattr(database, "intact", lambda _: True)
    assert "another body" in " ".join(await damaged(at_rest))


async def test_gap_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """GAP-1: batches leave, and nothing says so."""
    assert await given_up([(3, 4)]) == []

    def silently(kept: SpoolFile, ids: SeqRanges, *_: object) -> list[object]:
        kept.drop(ids)
        return []

    monkeypatch.setattr(SpoolFile, "give_up", silently)
    assert "lost" in " ".join(await given_up([(3, 4)]))


async def test_gap_given_up_with_its_carrier(monkeypatch: pytest.MonkeyPatch) -> None:
    """GAP-2: batch 10 names 3 and 4; whoever gives it up must name them too."""
    chain = [(3, 4), (10, 10)]
    assert await given_up(chain) == []
    monkeypatch.setattr(gaps, "carried", lambda _: ())
    assert "lost: ('epoch1', 3)" in await given_up(chain)


async def test_mark_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """MARK-1: a WAL that was cut off takes its batches with it, and their numbers come again."""
    scenario = partial(damaged, running, Damage("spool.db-wal", 20_000, None), Damage("spool.db-wal", 626, 5))
    assert await scenario() == []
    monkeypatch.setattr(file.SpoolFile, "catch_up", lambda _: False)
    assert "lost" in " ".join(await scenario())


async def test_first_page_not_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """HEAD-1: one flip in the schema, and every batch on the disk would be out of reach."""
    scenario = partial(given_up_by_schema, Damage("spool.db", 2123, 7))
    few = await scenario()
    monkeypatch.setattr(head, "renew", lambda _: None)
    assert await scenario() > few == 0


async def given_up_by_schema(damage: Damage) -> int:
    """How many batches a damage costs."""
    with in_ram() as folder:
        spool = await at_rest(folder / "made")
        lay_out(folder / "spool", damage.done_to(spool.files))
        found = await stand_up(folder / "spool", machine="m2")
        return sum(gap.last - gap.first + 1 for gap in found.gaps if gap.reason == "corrupt")
