"""gateway.spool.relief: what becomes of what is lost, and what makes no sense to give up."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.errors import SpoolFull
from gateway.model import Gap, SeqRanges, UtcMs
from gateway.spool import moving
from gateway.spool.database import MEMORY
from gateway.spool.file import SpoolFile
from gateway.spool.folder import Folder
from gateway.spool.relief import Relief
from gateway.spool.row import Stretch
from gateway.wire.body import decode
from tests.support.spools import DATED, GATEWAY, MACHINE, OFFSET_MS, draft, moment

OTHER = 7
EPOCH = "k3v9x2"


@pytest.fixture
def file() -> Iterator[SpoolFile]:
    """Eight batches in memory, ids and seqs 1 to 8; another uplink waits for all."""
    made = SpoolFile(MEMORY, GATEWAY, MACHINE, (OTHER,))
    made.begin(EPOCH, "new_spool")
    made.append([(draft(1_000 * at), DATED) for at in range(1, 9)])
    yield made
    made.close()


def relief_of(file: SpoolFile, folder: Folder | None = None, pages: int = 1_000) -> Relief:
    """Without a folder it is a ring's."""
    relief = Relief(file, folder, archive_days=60, ring_pages=pages, others={OTHER: "telegraf"})
    relief.moment = moment(10_000)
    return relief


def named(file: SpoolFile) -> list[Gap]:
    """By all gap batches there are."""
    records, _ = file.records(file.view.pending())
    return [gap for record in records if not record.n for gap in decode(record.enc, record.body).gaps]


def test_nothing_given_up_is_no_gap(file: SpoolFile) -> None:
    """GAP-1: no batch without a record."""
    relief = relief_of(file)
    relief.give_up(SeqRanges(), "quota")
    relief.lose(SeqRanges())
    assert file.meta.next_seq == 9
    assert not relief.notes.counts


def test_each_loss_has_its_own_reason(file: SpoolFile) -> None:
    """DMG-2, RING-7, UPL-5: a broken batch, a dead ring's, and one that the first uplink has, in one look."""
    moving.bury(file, [Stretch(1, "ring", 4, 5, GATEWAY, MACHINE, why="ring")])  # ids 9 and 10
    file.settle(EPOCH, SeqRanges.of_seqs([2]))
    file.db._db.execute("DELETE FROM batch WHERE id IN (2, 3)")
    relief = relief_of(file)
    relief.lose(SeqRanges.of([(2, 3), (9, 10)]))
    assert sorted((gap.epoch, gap.first, gap.last, gap.reason) for gap in named(file)) == [
        (EPOCH, 3, 3, "corrupt"),
        ("ring", 4, 5, "ring_lost"),
    ]
    assert relief.notes.counts == {
        ("spool_given_up", "ring_lost"): 2,
        ("spool_given_up", "corrupt"): 1,
        ("uplink_missed", "telegraf"): 1,
    }
    assert relief.notes.events == [("uplink_missed", ("telegraf", 1, "corrupt"), False)]
    assert not file.view.pending().intersection(SeqRanges.of([(2, 3), (9, 10)]))


def test_room_that_is_there_costs_nothing(file: SpoolFile) -> None:
    """ROOM-1: not even what is settled."""
    file.settle(EPOCH, SeqRanges.of([(1, 8)]))
    relief_of(file).ensure(1)
    assert len(file.view.kept_settled()) == 8


def test_a_ring_gives_up_as_a_ring(file: SpoolFile) -> None:
    """RING-3: whatever was short, the reason is the ring's; the other uplink's loss is in that gap."""
    relief = relief_of(file)
    relief.relieve()
    assert {gap.reason for gap in named(file)} == {"ring_full"}
    assert relief.notes.events == []


def test_one_batch_is_not_given_up_for_another(file: SpoolFile) -> None:
    """ROOM-5: its gap batch would take its place; who asks is told that there is no room."""
    file.drop(SeqRanges.of([(1, 7)]))
    with pytest.raises(SpoolFull):
        relief_of(file, pages=1).ensure(1)
    assert file.view.pending() == SeqRanges.of_seqs([8])


def test_what_is_only_owed_goes_before_what_waits(file: SpoolFile) -> None:
    """ROOM-2, UPL-5: the other uplink is told how many it missed; no gap."""
    file.settle(EPOCH, SeqRanges.of([(1, 3)]))
    relief = relief_of(file)
    relief.relieve()
    assert relief.notes.events == [("uplink_missed", ("telegraf", 3, "disk_full"), False)]
    assert (len(file.view.pending()), named(file)) == (5, [])


@pytest.mark.parametrize(("days_later", "cut"), [(0, 3), (61, 0)])
def test_only_a_young_archive_that_is_cut_is_counted(file: SpoolFile, days_later: int, cut: int) -> None:
    """ROOM-1: older than archive_days it may go without a word."""
    file.settle(EPOCH, SeqRanges.of([(1, 3)]))
    file.settle(EPOCH, SeqRanges.of([(1, 3)]), OTHER)
    relief = relief_of(file)
    relief.moment = replace(relief.moment, utc=UtcMs(OFFSET_MS + days_later * 86_400_000))
    relief.relieve()
    assert relief.notes.counts["spool_archive_cut", "quota"] == cut
    assert file.view.kept_settled() == SeqRanges()


def test_memory_has_no_ballast(file: SpoolFile) -> None:
    """FULL-1: nothing is said of one that was never there."""
    relief = relief_of(file)
    assert not relief.drop_ballast()
    assert relief.notes.events == []
