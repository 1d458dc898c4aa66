"""How long an outage may last, and how far back the archive reaches."""

from pathlib import Path

import pytest

from gateway.model import BootMs, SeqRanges, UtcMs
from gateway.spool.outlook import EMPTY_PAGES, LEFT_MAX_MS, SAMPLE_MS, Fill, kept_per_ms, outage_left_ms
from gateway.spool.retention import MARGIN_PAGES, Room
from tests.support.spools import MB, Box

ROOM = Room(EMPTY_PAGES + 100, 0, EMPTY_PAGES + 1100 + MARGIN_PAGES, None, 0)  # 100 pages are used, 1000 may be


@pytest.mark.parametrize(
    ("room", "archived", "left"),
    [
        (ROOM, 0, 100_000),  # 10 pages a batch, room for 100 more, one a second
        (ROOM, 4, 104_000),  # settled ones go first
        (Room(*(ROOM.pages, 0, ROOM.max_pages), 410 * 4096, 10 * 4096), 0, 37_600),  # the disk ends before the quota
        (Room(*(ROOM.pages, 0, ROOM.max_pages), 0, 4096), 3, 3_000),  # nothing but what the archive has
    ],
)
def test_days_left(room: Room, archived: int, left: int) -> None:
    """STAT-3: what is free and what the archive gives, at the pace of filling."""
    assert outage_left_ms(room, 10, archived, 0.001) == left


def test_what_is_not_known_is_not_told() -> None:
    """STAT-3: no pace, no batch: no figure; one that hardly writes is bounded."""
    assert outage_left_ms(ROOM, 10, 0, None) is None
    assert outage_left_ms(ROOM, 10, 0, 0.0) is None
    assert outage_left_ms(ROOM, 0, 0, 0.001) is None
    assert outage_left_ms(ROOM, 10, 0, 1e-12) == LEFT_MAX_MS


def test_the_pace_of_this_run() -> None:
    """STAT-3: by numbers given out, over at least 10 minutes and at most a day."""
    fill = Fill()
    fill.seen(BootMs(0), 1)
    assert fill.batches_per_ms(BootMs(SAMPLE_MS - 1), 600) is None
    for at in range(0, 4 * 86_400_000, 10_000):
        fill.seen(BootMs(at), 1 + at // (1_000 if at < 2 * 86_400_000 else 10_000))
    at = 4 * 86_400_000
    assert fill.batches_per_ms(BootMs(at), 1 + at // 10_000) == pytest.approx(1 / 10_000, rel=0.01)


def test_the_pace_of_what_is_kept() -> None:
    """STAT-3: of a box that has just started."""
    assert kept_per_ms(11, UtcMs(1_000), UtcMs(2_000)) == 0.01
    assert kept_per_ms(11, None, UtcMs(2_000)) is None
    assert kept_per_ms(1, UtcMs(1_000), UtcMs(2_000)) is None
    assert kept_per_ms(11, UtcMs(2_000), UtcMs(2_000)) is None


async def test_the_status_tells_both(tmp_path: Path) -> None:
    """STAT-3: about what the quota allows; the archive by the oldest batch that has its receipt."""
    box = Box(tmp_path, quota_bytes=32 * MB)
    spool = await box.start()
    assert (spool.status.outage_left_ms, spool.status.archive_ms) == (None, None)
    for _ in range(200):
        await box.clock.advance(10_000)
        await box.append(size=8_000)
    spool.settle(spool.epoch, SeqRanges.of([(11, 20)]))
    await spool.tick()
    left_ms = spool.status.outage_left_ms
    assert left_ms is not None
    batches = 0
    while not spool.status.gaps and batches < 5_000:
        await box.append(size=8_000)
        batches += 1
    assert left_ms == pytest.approx(batches * 10_000, rel=0.1)
    await spool.close()


async def test_how_far_back_the_archive_reaches(tmp_path: Path) -> None:
    """STAT-3: from the oldest batch that has its receipt until now."""
    box = Box(tmp_path)
    spool = await box.start()
    await box.append()
    spool.settle(spool.epoch, SeqRanges.of([(2, 2)]))
    await box.clock.advance(60_000)
    await spool.tick()
    assert spool.status.archive_ms == 60_000
    await spool.close()
