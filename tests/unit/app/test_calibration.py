"""gateway.app.calibration: a changed correction is told once, a due one once a day, on a trusted clock."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.app.calibration import FILE, LOOK_EVERY_MS, SETTLED_MS, Calibration
from gateway.counters import Counters
from gateway.model import BootMs, Event, Stamp, UtcMs
from gateway.site import Correction
from gateway.testing.clock import FakeClock, turns
from gateway.testing.worker import InlineWorker
from tests.support.south import a_bus, a_device, a_field, a_site

NOON = 1_795_521_600_000  # 2026-11-24 12:00 UTC
DAY_MS = 86_400_000


class Box:
    """One daemon's life after another on one disk."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.counters = folder, FakeClock(), Counters()
        self.events: list[Event] = []
        self.word = "ntp"
        self.utc_ms = NOON - self.clock.boot_ms()

    def start(self, *corrections: Correction) -> Calibration:
        """With these in the site file."""
        device = replace(a_device("m", ([a_field(0)], 1000)), corrections=corrections)
        site = a_site(a_bus(device), spool=str(self.folder))
        return Calibration(site, self.clock, self.stamp, self.events.append, self.counters, InlineWorker())

    def stamp(self, at: BootMs) -> Stamp:
        """By the clock's word."""
        return Stamp(UtcMs(at + self.utc_ms), self.word)

    async def live(self, calibration: Calibration, ms: int) -> list[Event]:
        """Run it for so long; what it told."""
        self.events.clear()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(calibration.run(), name="calibration")
            await turns()
            await self.clock.advance(ms)
            running.cancel()
        return list(self.events)


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """An empty disk."""
    return Box(tmp_path)


async def test_a_changed_correction_is_told_once(box: Box) -> None:
    """What was, what is, by whom and when; then never again, and its end is told too."""
    first = Correction("r0", offset=-0.5, by="LVH", on="2026-11-24")
    (event,) = await box.live(box.start(first), 2 * SETTLED_MS)
    assert (event.subject, event.code) == ("m", "correction_changed")
    assert event.detail == ("r0", 1.0, 0.0, 0.0, 1.0, -0.5, 0.0, "LVH", "2026-11-24")
    assert await box.live(box.start(first), 2 * SETTLED_MS) == []
    (event,) = await box.live(box.start(), 2 * SETTLED_MS)
    assert event.detail == ("r0", 1.0, -0.5, 0.0, 1.0, 0.0, 0.0, "", "")


async def test_a_run_that_ends_at_once_tells_it_again(box: Box) -> None:
    """The event may not have been on disk yet: twice is better than never."""
    first = Correction("r0", offset=-0.5)
    assert len(await box.live(box.start(first), 0)) == 1
    assert len(await box.live(box.start(first), 2 * SETTLED_MS)) == 1


async def test_no_file_without_corrections(box: Box) -> None:
    """A site that has none writes nothing."""
    assert await box.live(box.start(), 2 * SETTLED_MS) == []
    assert not (box.folder / FILE).exists()


@pytest.mark.parametrize("data", [b"", b"{}", b'{"v":1,"corrections":{"m.r0":[1,2]},"told":{}}', b"[[[", b"\xff" * 9])
async def test_a_broken_file_counts_as_none(box: Box, data: bytes) -> None:
    """Told again, and written anew."""
    (box.folder / FILE).write_bytes(data)
    assert len(await box.live(box.start(Correction("r0", offset=-0.5)), 2 * SETTLED_MS)) == 1
    assert box.counters.get("corrections_unreadable") == 1
    assert await box.live(box.start(Correction("r0", offset=-0.5)), 2 * SETTLED_MS) == []


async def test_a_due_day_is_told_once_a_day(box: Box) -> None:
    """From the day after, also over restarts; status says so all the time."""
    due = Correction("r0", due="2026-11-23")
    told = await box.live(box.start(due), 4 * LOOK_EVERY_MS)
    assert [(event.subject, event.code, event.detail) for event in told] == [
        ("m", "calibration_due", ("r0", "2026-11-23"))
    ]
    again = box.start(due)
    assert again.overdue
    assert await box.live(again, 4 * LOOK_EVERY_MS) == []
    box.utc_ms += DAY_MS
    assert len(await box.live(box.start(due), 4 * LOOK_EVERY_MS)) == 1


async def test_only_a_trusted_clock_knows_the_day(box: Box) -> None:
    """A box that booted in 1970, or in 2099, is told nothing; and the day itself is still in time."""
    due = Correction("r0", due="2026-11-23")
    box.word = "unset"
    assert await box.live(box.start(due), 2 * LOOK_EVERY_MS) == []
    assert not box.start(due).overdue
    box.word = "ntp"
    assert not box.start(Correction("r0", due="2026-11-24")).overdue
