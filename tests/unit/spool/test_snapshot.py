"""gateway.spool.snapshot: what the loop's side is shown after each step, and what a look costs."""

from collections.abc import Iterator

import pytest

from gateway.model import BootMs, SeqRanges, UtcMs
from gateway.spool.database import MEMORY, Damaged, Database
from gateway.spool.file import SpoolFile
from gateway.spool.outlook import NO_OUTLOOK
from gateway.spool.retention import Room
from gateway.spool.row import Record
from gateway.spool.snapshot import Survey
from tests.support.spools import BOOT, DATED, GATEWAY, MACHINE, OFFSET_MS, draft, stamped

OTHER, EPOCH = 7, "k3v9x2"


@pytest.fixture
def file() -> Iterator[SpoolFile]:
    """Four batches, a second apart."""
    made = SpoolFile(MEMORY, GATEWAY, MACHINE, (OTHER,))
    made.begin(EPOCH, "new_spool")
    made.append([(draft(1_000 * at), DATED) for at in range(1, 5)])
    yield made
    made.close()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ids of rows that were read."""
    done, record = list[int](), Database.record

    def counted(database: Database, id_: int) -> Record | None:
        done.append(id_)
        return record(database, id_)

    monkeypatch.setattr(Database, "record", counted)
    return done


def test_a_look_reads_the_oldest_row_once(file: SpoolFile, reads: list[int]) -> None:
    """COUNT-1: it is taken after each step, so no more than another oldest batch may cost anything."""
    survey = Survey(file, [OTHER])
    for _ in range(5):
        assert survey.take(salvaging=False).oldest == (BOOT, 1_000, OFFSET_MS)
    assert reads == [1]
    file.settle(EPOCH, SeqRanges.of([(1, 2)]))
    assert survey.take(salvaging=False).oldest == (BOOT, 3_000, OFFSET_MS)
    file.settle(EPOCH, SeqRanges.of([(1, 4)]))
    assert survey.take(salvaging=False).oldest is None
    assert reads == [1, 3]


def test_a_row_that_cannot_be_read_has_no_age_and_stops_nobody(
    file: SpoolFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DMG-6: whoever reads the batch itself meets it, and mends."""

    def malformed(*_: object) -> None:
        raise Damaged("database disk image is malformed")

    survey = Survey(file, [])
    monkeypatch.setattr(Database, "record", malformed)
    shot = survey.take(salvaging=True)
    assert (shot.oldest, shot.salvaging, shot.kept) == (None, True, 4)


def test_what_brings_its_own_time_is_told_by_the_wall_clock() -> None:
    """TIME-4: no boot, and UTC already."""
    file = SpoolFile(MEMORY, GATEWAY, MACHINE)
    file.begin(EPOCH, "new_spool")
    file.append([(stamped(OFFSET_MS), None)])
    assert Survey(file, []).take(salvaging=False).oldest == ("", OFFSET_MS, 0)
    file.close()


def test_each_uplink_waits_for_its_own(file: SpoolFile) -> None:
    """UPL-1, SET-2: by number; and it is said that a receipt is not on the disk yet."""
    survey = Survey(file, [OTHER])
    file.flush()
    assert not survey.take(salvaging=False).unsaved
    file.settle(EPOCH, SeqRanges.of([(1, 3)]))
    shot = survey.take(salvaging=False)
    assert (dict(shot.waiting), shot.kept, shot.unsaved) == ({1: 1, OTHER: 4}, 4, True)


def test_the_outlook_stays_until_the_next_look_ahead(file: SpoolFile) -> None:
    """STAT-3: reckoned now and then, shown at each step; the archive's age is its oldest batch's."""
    survey, room = Survey(file, []), Room(20, 0, 1_000, None, 0)
    assert survey.take(salvaging=False).outlook is NO_OUTLOOK
    file.settle(EPOCH, SeqRanges.of([(1, 2)]))
    survey.look_ahead(BootMs(9_000), UtcMs(OFFSET_MS + 9_000), room)
    seen = survey.take(salvaging=False).outlook
    assert seen.archive_ms == 8_000
    assert seen.outage_left_ms
    file.settle(EPOCH, SeqRanges.of([(1, 4)]))
    assert survey.take(salvaging=False).outlook is seen
