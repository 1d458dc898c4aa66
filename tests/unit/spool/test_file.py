"""The file: one transaction each, RAM after the commit."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.errors import SpoolFailed, SpoolFull
from gateway.model import BootMs, Given, Segment, SeqRanges, Trust, UtcMs
from gateway.spool.database import MEMORY
from gateway.spool.file import SpoolFile
from tests.support.spools import DATED, GATEWAY, MACHINE, OFFSET_MS, draft

UNDATED = Segment(2, "b1", None, Trust.UNSET, BootMs(5))


@pytest.fixture
def file() -> Iterator[SpoolFile]:
    """In memory, in an epoch."""
    made = SpoolFile(MEMORY, GATEWAY, MACHINE)
    made.begin("k3v9x2", "new_spool")
    yield made
    made.close()


def test_without_an_epoch_there_is_nothing_to_number_with() -> None:
    """EPOCH-1: it says so."""
    made = SpoolFile(MEMORY, GATEWAY, MACHINE)
    assert made.new_epoch() == "new_spool"
    with pytest.raises(SpoolFailed):
        made.append([(draft(), DATED)])
    made.close()


def test_several_drafts_are_one_transaction(file: SpoolFile) -> None:
    """SEQ-1: numbered in order, or not at all."""
    assert file.append([(draft(1), DATED), (draft(2), DATED)]) == [1, 2]
    file.db.limit_pages(file.db.pages()[0])
    with pytest.raises(SpoolFull):
        file.append([(draft(3), DATED), (draft(4, size=60_000), DATED)])
    assert file.meta.next_seq == 3
    assert file.view.pending() == SeqRanges.of([(1, 2)])
    assert file.append([(draft(5), DATED)]) == [3]


def test_the_highest_times_are_kept_by_how_they_were_believed(file: SpoolFile) -> None:
    """TIME-5: trusted, unset and estimated, each by the last row; stepped and holdover by none."""
    file.append([(draft(1_000), DATED)])
    for number, word in ((3, Trust.UNSET), (4, Trust.ESTIMATED), (5, Trust.HOLDOVER), (6, Trust.STEPPED)):
        file.append([(draft(number * 10_000), Segment(number, "b1", 7, word))])
    assert file.given == Given(UtcMs(OFFSET_MS + 1_010), UtcMs(30_017), UtcMs(40_017), "b1", BootMs(60_010), 6)


def test_dating_raises_the_highest_time(file: SpoolFile) -> None:
    """TIME-5: undated rows count once they have their time."""
    file.append([(draft(1_000), UNDATED)])
    assert file.given.trusted == 0
    file.date([replace(UNDATED, offset_ms=OFFSET_MS, clock=Trust.NTP)])
    assert file.given.trusted == OFFSET_MS + 1_010


def test_a_stale_segment_does_not_undate(file: SpoolFile) -> None:
    """TIME-2: an append that was on its way while the clock came."""
    file.append([(draft(1_000), UNDATED)])
    file.date([replace(UNDATED, offset_ms=OFFSET_MS, clock=Trust.NTP)])
    file.append([(draft(2_000), UNDATED)])
    batches, _ = file.read(SeqRanges.of([(1, 9)]), 9)
    assert [b.stamp.t0 for b in batches] == [OFFSET_MS + 1_000, OFFSET_MS + 2_000]
    assert file.given.trusted == OFFSET_MS + 2_010


def test_giving_up_is_one_transaction(file: SpoolFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """GAP-1: when the gap batch cannot be written, nothing is given up."""
    file.append([(draft(at), DATED) for at in range(3)])
    before = file.view.pending()
    with monkeypatch.context() as full:
        full.setattr(file.db, "put_meta", _no_room)
        with pytest.raises(SpoolFull):
            file.give_up(before, "quota", BootMs(9), DATED)
    assert file.view.pending() == before
    assert len(file.records(before)[0]) == 3
    (gap,) = file.give_up(SeqRanges.of([(1, 2)]), "quota", BootMs(9), DATED)
    assert (gap.first, gap.last, gap.rows, gap.from_ms, gap.to_ms) == (1, 2, 6, OFFSET_MS, OFFSET_MS + 11)
    assert file.view.pending() == SeqRanges.of([(3, 4)])
    assert file.meta.gaps == 1


def _no_room(_meta: object) -> None:
    raise SpoolFull("test")


def test_what_nothing_is_left_of_is_forgotten(file: SpoolFile) -> None:
    """FILE-3: epochs, their settled ranges, segments of boots that are gone."""
    file.append([(draft(1), DATED)])
    file.begin("zzzzzz", "other_machine")
    later = Segment(9, "b9", OFFSET_MS, Trust.NTP)
    file.append([(draft(2, boot="b9"), later)])
    file.settle("k3v9x2", SeqRanges.of([(1, 1)]))
    file.drop(SeqRanges.of([(1, 1)]))
    file.trim()
    assert [s.epoch for s in file.view.stretches] == ["zzzzzz"]
    assert file.view.ranges() == {}
    assert list(file.view.segments) == [9]
    assert file.append([(draft(3, boot="b9"), later)]) == [2]


def test_all_that_was_parked_for_one_reason_is_offered_again(file: SpoolFile) -> None:
    """On disk too; what was parked for another reason stays."""
    file.append([(draft(at), DATED) for at in (1000, 2000, 3000)])
    epoch = file.meta.epoch
    for seq, why in ((1, "unanswered"), (2, "refused:crc"), (3, "unanswered")):
        file.park(epoch, seq, why)
    file.unpark_all("unanswered")
    assert file.view.parked[epoch] == file.db.parked()[epoch] == {2: "refused:crc"}
