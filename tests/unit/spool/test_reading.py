"""gateway.spool.reading: what is offered of a log with holes, and which of its ids are told as damaged."""

from collections.abc import Iterator

import pytest

from gateway.model import BootMs, Segment, SeqRanges, Trust
from gateway.spool import reading
from gateway.spool.database import MEMORY
from gateway.spool.file import SpoolFile
from gateway.spool.view import Whom
from tests.support.spools import BOOT, DATED, GATEWAY, MACHINE, draft

UNDATED = Segment(2, BOOT, None, Trust.UNSET, BootMs(5))
ALL = SeqRanges.of([(1, 99)])


@pytest.fixture
def file() -> Iterator[SpoolFile]:
    """Six batches, ids 1 to 6, each other one urgent: 2, 4, 6."""
    made = SpoolFile(MEMORY, GATEWAY, MACHINE)
    made.begin("k3v9x2", "new_spool")
    made.append([(draft(1_000 * at, urgent=at % 2 == 0), DATED) for at in range(1, 7)])
    yield made
    made.close()


def spoil(file: SpoolFile, id_: int) -> None:
    """A flip in its body: its row_crc tells."""
    file.db._db.execute("UPDATE batch SET body = x'00' WHERE id = ?", (id_,))


def remove(file: SpoolFile, id_: int) -> None:
    """Behind the back of everybody."""
    file.db._db.execute("DELETE FROM batch WHERE id = ?", (id_,))


def seen(file: SpoolFile, limit: int, *, urgent: bool = False, whom: Whom | None = None) -> tuple[list[int], list[int]]:
    """Seqs on offer, and ids told as damaged."""
    batches, damaged = reading.read(file.db, file.view, ALL, limit, urgent=urgent, whom=whom or Whom())
    return [batch.id.seq for batch in batches], list(damaged.seqs())


@pytest.mark.parametrize("harm", [spoil, remove])
def test_what_is_broken_is_told_and_what_is_behind_it_is_offered(file: SpoolFile, harm: object) -> None:
    """DMG-2: a damaged row and a missing one alike."""
    assert callable(harm)
    harm(file, 3)
    assert seen(file, 99) == ([1, 2, 4, 5, 6], [3])


def test_nothing_is_said_of_what_was_not_looked_at(file: SpoolFile) -> None:
    """READ-1: the limit is of whole batches; damage behind the last of them is the next reader's."""
    remove(file, 1)
    remove(file, 6)
    assert seen(file, 2) == ([2, 3], [1])
    assert seen(file, 4) == ([2, 3, 4, 5], [1])
    assert seen(file, 5) == ([2, 3, 4, 5], [1, 6])


def test_a_damaged_row_takes_no_place_of_the_limit(file: SpoolFile) -> None:
    """READ-1: as many as were asked for come, past what is broken."""
    spoil(file, 1)
    spoil(file, 2)
    assert seen(file, 3) == ([3, 4, 5], [1, 2])


def test_urgent_reading_knows_only_of_rows_that_are_there(file: SpoolFile) -> None:
    """READ-2: a row that is missing does not say that it was urgent; one that is spoiled does."""
    remove(file, 2)
    spoil(file, 4)
    spoil(file, 5)
    assert seen(file, 99, urgent=True) == ([6], [4])


def test_an_undated_batch_stops_whoever_would_pass_it(file: SpoolFile) -> None:
    """READ-1, READ-2: an undated one all, an undated urgent one only the urgent."""
    file.append([(draft(7_000, urgent=True), UNDATED), (draft(8_000, urgent=True), DATED)])
    file.append([(draft(9_000), UNDATED), (draft(10_000), DATED)])
    assert seen(file, 99) == ([1, 2, 3, 4, 5, 6, 8], [])
    assert seen(file, 99, urgent=True) == ([2, 4, 6], [])


def test_a_lost_segment_is_damage_but_its_rows_can_be_read(file: SpoolFile) -> None:
    """DMG-4, GAP-5: no time, so not offered; what it names is still there for a gap."""
    file.append([(draft(7_000), Segment(3, BOOT, 5, Trust.NTP))])
    del file.view.segments[3]
    assert seen(file, 99) == ([1, 2, 3, 4, 5, 6], [7])
    records, missing = reading.records(file.db, file.view, SeqRanges.of([(5, 8)]))
    assert ([record.id for record in records], missing) == ([5, 6], SeqRanges.of([(7, 8)]))
    assert [record.id for record in reading.timeless(file.db, missing)] == [7]


def test_another_uplink_reads_past_what_it_put_aside(file: SpoolFile) -> None:
    """UPL-1: its own parked ones, and nothing of the first one's."""
    file.park("k3v9x2", 1, "refused:crc")
    file.view.others = {7: {"": SeqRanges.of([(0, 0)])}}
    assert seen(file, 99, whom=Whom(7, frozenset({("k3v9x2", 2)})))[0] == [1, 3, 4, 5, 6]
    assert seen(file, 99)[0] == [2, 3, 4, 5, 6]
