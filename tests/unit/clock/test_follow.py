"""The loop between a clock and a timeline."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from gateway.clock.follow import PERIOD_MS, SOON_MS, apply, follow
from gateway.clock.receipts import ReceiptTime
from gateway.clock.timeline import Changes, Timeline
from gateway.model import BootMs, Event, Given, Segment, Trust, UtcMs
from gateway.testing.clock import FakeClock, turns


@dataclass
class Ears:
    """What was told."""

    dated: list[Segment] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    refused: str = ""

    async def on_dated(self, segments: Sequence[Segment]) -> None:
        """The spool's `date`."""
        self.dated += segments

    @property
    def codes(self) -> list[str]:
        """Of the events."""
        return [event.code for event in self.events]


@pytest.fixture
async def running() -> AsyncIterator[tuple[FakeClock, Timeline, Ears]]:
    """A follower of a clock that is not synchronised yet."""
    clock, timeline, ears = FakeClock(synchronised=False), Timeline("b1"), Ears()
    timeline.resume(clock.boot_ms(), (), Given())
    async with asyncio.TaskGroup() as tasks:
        following = follow(clock, timeline, ears.on_dated, ears.events.append, refused=lambda: ears.refused)
        task = tasks.create_task(following, name="clock")
        await turns()
        yield clock, timeline, ears
        task.cancel()


async def test_it_looks_every_second_while_undated(running: tuple[FakeClock, Timeline, Ears]) -> None:
    """The rows that wait are dated within a second."""
    clock, timeline, ears = running
    await clock.advance(SOON_MS)
    clock.set_synchronised(True)
    await clock.advance(SOON_MS)
    assert len(ears.dated) == 1
    assert timeline.trusted


async def test_it_looks_every_ten_seconds_then(running: tuple[FakeClock, Timeline, Ears]) -> None:
    """A step is seen within ten."""
    clock, _, ears = running
    clock.set_synchronised(True)
    await clock.advance(SOON_MS)
    clock.step(200)
    await clock.advance(PERIOD_MS - 1)
    assert ears.codes == []
    await clock.advance(1)
    assert ears.codes == ["clock_step"]


async def test_a_refusal_is_told_once(running: tuple[FakeClock, Timeline, Ears]) -> None:
    """And so is its end."""
    clock, _, ears = running
    ears.refused = "Operation not permitted"
    await clock.advance(3 * SOON_MS)
    assert [(e.code, e.detail, e.urgent) for e in ears.events] == [
        ("clock_unreadable", "Operation not permitted", True)
    ]
    ears.refused = ""
    await clock.advance(3 * SOON_MS)
    assert ears.codes == ["clock_unreadable", "clock_readable"]


async def test_events_come_before_what_they_date() -> None:
    """Nothing is dated where nothing is asked for."""
    ears = Ears()
    await apply(Changes(), ears.on_dated, ears.events.append)
    assert (ears.dated, ears.events) == ([], [])


AHEAD_MS = 123_456_789  # what the centre's clock is ahead of this box's wall clock


async def test_the_centres_clock_is_asked_for_and_followed() -> None:
    """`trust = "ioc"`: an urgent question, and the receipt dates all that waits, in its own word."""
    clock, timeline, ears, receipts = FakeClock(), Timeline("b1", Trust.IOC), Ears(), ReceiptTime()
    timeline.resume(clock.boot_ms(), (), Given())
    async with asyncio.TaskGroup() as tasks:
        following = follow(clock, timeline, ears.on_dated, ears.events.append, receipts=receipts)
        task = tasks.create_task(following, name="clock")
        await turns()
        assert [(event.code, event.urgent) for event in ears.events] == [("clock_asked", True)]
        await clock.advance(SOON_MS)
        assert ears.dated == []
        assert timeline.trusted_utc(clock.boot_ms()) is None
        true = clock.utc_ms() + AHEAD_MS
        receipts.told(BootMs(clock.boot_ms() - 20), BootMs(clock.boot_ms() + 20), UtcMs(true))
        await clock.advance(SOON_MS)
        assert [(s.clock, s.offset_ms) for s in ears.dated] == [(Trust.IOC, true - clock.boot_ms() + SOON_MS)]
        assert timeline.trusted_utc(clock.boot_ms()) == clock.utc_ms() + AHEAD_MS
        clock.step(-(10**12))
        await clock.advance(PERIOD_MS)
        assert (str(timeline.trust), ears.codes) == ("ioc", ["clock_asked"])
        task.cancel()


async def test_a_restart_goes_on_with_the_centres_time_unconfirmed() -> None:
    """Nothing is asked, nothing is held: the next receipt confirms it."""
    clock, timeline, ears, receipts = FakeClock(utc_ms=0), Timeline("b1", Trust.IOC), Ears(), ReceiptTime()
    kept = Segment(3, "b1", 10**12, Trust.IOC, BootMs(1_000))
    timeline.resume(clock.boot_ms(), (kept,), Given(trusted=UtcMs(10**12 + 2_000), segment=3))
    async with asyncio.TaskGroup() as tasks:
        following = follow(clock, timeline, ears.on_dated, ears.events.append, receipts=receipts)
        task = tasks.create_task(following, name="clock")
        await turns()
        assert (timeline.trust, ears.codes) == (Trust.HOLDOVER, [])
        receipts.told(clock.boot_ms(), clock.boot_ms(), UtcMs(clock.boot_ms() + 10**12))
        await clock.advance(PERIOD_MS)
        assert (timeline.trust, ears.codes) == (Trust.IOC, [])
        task.cancel()
