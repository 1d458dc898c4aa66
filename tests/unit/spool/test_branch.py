"""The spool for another uplink: the same batches, settled ranges of its own (docs/specs/spool.md, Other uplinks)."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from gateway.model import BatchId, SeqRanges
from gateway.spool.branch import Branch
from gateway.spool.spool import Spool
from tests.support.spools import GATEWAY, MB, Box

NAME = "telegraf"


@pytest.fixture
async def box(tmp_path: Path) -> Box:
    """A box whose site has a second uplink."""
    made = Box(tmp_path / "spool", others=(NAME,))
    await made.start()
    return made


async def seqs(branch: Branch) -> list[int]:
    """What the other uplink would be offered."""
    return [batch.id.seq for batch in await branch.read(0, None, 1000)]


def settled(*pairs: tuple[int, int]) -> SeqRanges:
    """Closed ranges."""
    return SeqRanges.of(pairs)


async def test_each_settles_for_itself(box: Box) -> None:
    """UPL-1: a receipt for the first leaves the batch to the other, and the other way round."""
    branch = box.spool.branch(NAME)
    for _ in range(3):
        await box.append()
    box.spool.settle("epoch1", settled((1, 3)))
    assert await box.seqs() == [4]
    assert await seqs(branch) == [1, 2, 3, 4]
    branch.settle("epoch1", settled((2, 4)))
    assert (await box.seqs(), await seqs(branch)) == ([4], [1])
    assert (box.spool.counts(), branch.counts) == ((1, 3), (1, 3, 0))


async def test_a_restart_forgets_neither(box: Box) -> None:
    """UPL-1: settled ranges of both are on the disk, those of an uplink that settled nothing too."""
    await box.append()
    await box.restart()
    assert await seqs(box.spool.branch(NAME)) == [1, 2]
    box.spool.branch(NAME).settle("epoch1", settled((1, 1)))
    await box.restart()
    assert (await box.seqs(), await seqs(box.spool.branch(NAME))) == ([1, 2], [2])


async def test_one_that_is_added_starts_at_the_next_seq(tmp_path: Path) -> None:
    """UPL-2: what was there before it is not its business, also when it never settled anything until now."""
    box = Box(tmp_path / "spool")
    await box.start()
    await box.append()
    box.others = (NAME,)
    await box.restart()
    await box.append()
    assert await seqs(box.spool.branch(NAME)) == [3]
    await box.restart()
    assert await seqs(box.spool.branch(NAME)) == [3]


async def test_ranges_of_a_removed_one_go(box: Box) -> None:
    """UPL-3: back under the same name it is a new one; so is one that was renamed."""
    await box.append()
    box.others = ("emqx",)
    await box.restart()
    assert await seqs(box.spool.branch("emqx")) == []
    await box.append()
    box.others = (NAME,)
    await box.restart()
    assert await seqs(box.spool.branch(NAME)) == []
    box.others = ()
    await box.restart()
    await box.append()
    await box.spool.close()
    with sqlite3.connect(box.folder / "spool.db") as db:
        assert db.execute("SELECT count(*) FROM settled WHERE uplink > 1").fetchone() == (0,)


async def test_lost_ranges_are_sent_again_not_skipped(box: Box) -> None:
    """UPL-4: an uplink whose ranges are damaged is not taken for a new one."""
    await box.append()
    box.spool.branch(NAME).settle("epoch1", settled((1, 1)))
    await box.spool.close()
    with sqlite3.connect(box.folder / "spool.db") as db:
        db.execute("UPDATE settled SET row_crc = row_crc + 1 WHERE uplink > 1")
    db.close()
    await box.start()
    assert await seqs(box.spool.branch(NAME)) == [1, 2]


@pytest.mark.parametrize("damage", ["UPDATE epoch SET first = first + 1", "UPDATE meta SET next_seq = 1"])
async def test_salvage_keeps_both(box: Box, damage: str) -> None:
    """UPL-4, DMG-5: ranges of every uplink are fetched from a damaged file, epochs or meta lost."""
    branch = box.spool.branch(NAME)
    for _ in range(4):
        await box.append()
    box.spool.settle("epoch1", settled((1, 2)))
    branch.settle("epoch1", settled((2, 4)))
    await box.spool.close()
    (box.folder / "spool.mark").unlink()
    with sqlite3.connect(box.folder / "spool.db") as db:
        db.execute(damage)
    db.close()
    await box.start()
    await box.append()
    while box.spool.steps.snapshot.salvaging:
        await box.spool.tick()

    async def of_old(uplink: Branch | Spool) -> list[int]:
        return [batch.id.seq for batch in await uplink.read(0, None, 100) if batch.id.epoch == "epoch1"]

    assert await of_old(box.spool) == [3, 4, 5]
    assert await of_old(box.spool.branch(NAME)) == [1, 5]


async def test_salvage_with_lost_ranges_skips_nothing(box: Box) -> None:
    """UPL-4: a fresh file without ranges, because those of the old one could not be read, is not a new uplink."""
    await box.append()
    box.spool.branch(NAME).settle("epoch1", settled((1, 2)))
    await box.spool.close()
    with sqlite3.connect(box.folder / "spool.db") as db:
        db.execute("UPDATE epoch SET first = first + 1")
        db.execute("UPDATE settled SET row_crc = row_crc + 1")
    db.close()
    await box.start()
    while box.spool.steps.snapshot.salvaging:
        await box.spool.tick()
    offered = await box.spool.branch(NAME).read(0, None, 100)
    assert [batch.id.seq for batch in offered if batch.id.epoch == "epoch1"] == [1, 2]


async def test_room_takes_first_what_all_have(box: Box) -> None:
    """ROOM-1, ROOM-2: then what only the other still waits for, told with a count and no gap; pending last."""
    await box.spool.close()
    box.quota_bytes = 17 * MB
    await box.start()
    branch = box.spool.branch(NAME)
    for _ in range(40):
        await box.append(size=60_000)
    box.spool.settle("epoch1", settled((1, 30)))
    branch.settle("epoch1", settled((20, 40)))
    while not box.counters.get("spool_given_up", reason="quota"):
        assert await box.append(size=60_000) < 400
        if "uplink_missed" not in box.codes:
            assert 1 in await seqs(branch), "what all have goes first"
    missed = [event.detail for event in box.events if event.code == "uplink_missed"]
    assert sum(int(detail[1]) for detail in missed) == 19
    assert all(detail[0] == NAME and detail[2] == "quota" for detail in missed)
    first = box.spool.status.epochs[0]
    assert not first.pending.intersection(settled((1, 30))), "nothing the first has is in a gap"


async def test_a_dead_other_never_stops_the_polling(box: Box) -> None:
    """UPL-5: it settles nothing for ever; appends go on, the first loses nothing, the quota holds."""
    await box.spool.close()
    box.quota_bytes = 17 * MB
    await box.start()
    for _ in range(300):
        seq = await box.append(size=60_000)
        box.spool.settle("epoch1", settled((seq, seq)))
    assert box.spool.status.gaps == 0
    assert box.spool.status.size_bytes <= box.quota_bytes
    assert box.counters.get("uplink_missed", reason=NAME) > 0


async def test_a_damaged_batch_the_first_has_is_no_gap(box: Box) -> None:
    """UPL-5: rot in what only the other waits for is its loss, told with a count."""
    await box.append()
    box.spool.settle("epoch1", settled((1, 2)))
    await box.spool.close()
    with sqlite3.connect(box.folder / "spool.db") as db:
        db.execute("UPDATE batch SET row_crc = row_crc + 1 WHERE seq = 2")
    db.close()
    await box.start()
    branch = box.spool.branch(NAME)
    assert await seqs(branch) == [1]
    assert box.spool.status.gaps == 0
    assert box.events[-1].code == "uplink_missed"
    assert box.events[-1].detail == (NAME, 1, "corrupt")
    assert await seqs(branch) == [1]


async def test_a_gap_of_the_first_reaches_the_other(box: Box) -> None:
    """GAP-1: the batch that names what was given up is offered to every uplink."""
    await box.append()
    await box.spool.close()
    with sqlite3.connect(box.folder / "spool.db") as db:
        db.execute("UPDATE batch SET row_crc = row_crc + 1 WHERE seq = 2")
    db.close()
    await box.start()
    assert await box.seqs() == [1]
    assert await seqs(box.spool.branch(NAME)) == [1, 3]


async def test_parked_here_is_not_parked_there(box: Box) -> None:
    """PARK-1 for each alone; the other's parks end with the daemon."""
    branch = box.spool.branch(NAME)
    await box.append()
    await branch.park(BatchId(GATEWAY, "epoch1", 1), "unanswered")
    await box.spool.park(BatchId(GATEWAY, "epoch1", 2), "refused:crc")
    assert (await box.seqs(), await seqs(branch), branch.counts) == ([1], [2], (2, 0, 1))
    await box.restart()
    branch = box.spool.branch(NAME)
    assert (await box.seqs(), await seqs(branch)) == ([1], [1, 2])
    await branch.park(BatchId(GATEWAY, "epoch1", 1), "unanswered")
    before = branch.rewound
    await branch.unpark(BatchId(GATEWAY, "epoch1", 1))
    assert branch.rewound == before + 1
    assert await seqs(branch) == [1, 2]
    await branch.park(BatchId(GATEWAY, "epoch1", 1), "unanswered")
    branch.settle("epoch1", settled((1, 1)))
    await box.append()
    assert branch.counts == (2, 1, 0)


async def test_both_are_woken(box: Box) -> None:
    """WAIT-1: one append is news to every uplink."""
    branch = box.spool.branch(NAME)
    await box.append()
    async with asyncio.timeout(5):
        await box.spool.wait()
        await branch.wait()
    assert branch.last_order == box.spool.last_order


async def test_reread_is_by_what_is_pending_there(box: Box) -> None:
    """READ-4 for each alone."""
    branch = box.spool.branch(NAME)
    await box.append()
    box.spool.settle("epoch1", settled((1, 2)))
    found = await branch.reread(BatchId(GATEWAY, "epoch1", 2))
    assert found is not None
    assert found.id.seq == 2
    assert await box.spool.reread(BatchId(GATEWAY, "epoch1", 2)) is None
    branch.settle("epoch1", settled((2, 2)))
    assert await branch.reread(BatchId(GATEWAY, "epoch1", 2)) is None
