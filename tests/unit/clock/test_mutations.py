"""What the histories are worth: with one rule of time taken out, a history of a few steps gives a wrong or lost time.

Each test plays the history as the suite does, sees nothing wrong, takes the rule out and sees what it was for.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.clock import timeline
from gateway.clock.timeline import Timeline
from gateway.model import BootMs, Draft, Segment, Stamp, UtcMs
from gateway.spool.spool import Spool
from tests.support.clock_history import PATIENCE_MS, History, Step

HOUR = 3_600_000
LATE_CLOCK: list[Step] = [("append", 0), ("wait", 60_000), ("append", 60_000), ("sync", 0), ("append", 0)]
GLITCH: list[Step] = [("sync", 0), ("append", 0), ("glitch", HOUR), ("append", 0), ("wait", 1_000), ("append", 0)]
SET_BACK: list[Step] = [
    *(("sync", 0), ("nudge", 150), ("append", 0), ("wait", 100), ("append", 0), ("nudge", -150)),
    *(("wait", 200), ("append", 0)),
]
TWO_BOOTS: list[Step] = [("urgent", 0), ("wait", 6_000), ("boot", 1_000), ("urgent", 0), ("wait", 6_000)]
LEFT_UNDATED: list[Step] = [("append", 0), ("boot", 1_000), ("append", 0), ("boot", 1_000)]
UNSET: list[Step] = [("append", 0), ("wait", PATIENCE_MS), ("send", 0), ("sync", 0), ("send", 0)]


async def wrong_without(
    folder: Path, history: list[Step], take_out: Callable[[], object], patch: pytest.MonkeyPatch
) -> list[str]:
    """What is wrong once the rule is taken out; with it, nothing is."""
    (folder / "with").mkdir()
    (folder / "without").mkdir()
    assert await History(folder / "with").play(history) == []
    take_out()
    wrongs = await History(folder / "without").play(history)
    patch.undo()
    return wrongs


async def test_with_t0_from_the_wall_clock_at_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows from before the clock came lie in 1970, and say that they are right (TIME-1)."""
    append = Spool.append

    async def dated_now(self: Spool, draft: Draft) -> int:
        wall_ms = self._clock.utc_ms() - self._clock.boot_ms() + draft.b0
        return await append(self, Draft(draft.boot, draft.b0, draft.last, 3, b"rows", "none", stamp=_ntp(wall_ms)))

    wrongs = await wrong_without(
        tmp_path, LATE_CLOCK, lambda: monkeypatch.setattr(Spool, "append", dated_now), monkeypatch
    )
    assert any("ms off and says ntp" in wrong for wrong in wrongs)


async def test_with_large_steps_followed_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A time server that lies is believed."""
    wrongs = await wrong_without(
        tmp_path, GLITCH, lambda: monkeypatch.setattr(timeline, "FOLLOWED_STEP_MS", 10**15), monkeypatch
    )
    assert any("ms off and says ntp" in wrong for wrong in wrongs)


async def test_without_the_word_stepped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trusted times go back over what was given out."""
    wrongs = await wrong_without(
        tmp_path, SET_BACK, lambda: monkeypatch.setattr(Timeline, "_stepped", lambda *a: a[-1]), monkeypatch
    )
    assert any("is not after" in wrong for wrong in wrongs)


async def test_with_unset_as_the_wall_clock_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two boots that both begin at 1970 write the same points."""
    wrongs = await wrong_without(
        tmp_path, TWO_BOOTS, lambda: monkeypatch.setattr(Timeline, "_unset", lambda _, wall_ms: wall_ms), monkeypatch
    )
    assert any("overwrites" in wrong for wrong in wrongs)


async def test_without_estimating_earlier_boots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a boot without a clock left undated never comes (TIME-3)."""
    wrongs = await wrong_without(
        tmp_path, LEFT_UNDATED, lambda: monkeypatch.setattr(timeline, "estimate", lambda *_: ()), monkeypatch
    )
    assert any("never came" in wrong for wrong in wrongs)


async def test_with_a_sent_offset_set_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What went as `unset` is sent again under another time (TIME-2)."""
    come = Timeline._come

    def sets_again(self: Timeline, at: BootMs, wall_ms: int) -> timeline.Changes:
        changes = come(self, at, wall_ms)
        again = [Segment(s.number, s.boot, wall_ms, self._word, s.start) for s in self._segments]
        return timeline.Changes((*changes.dated, *again), changes.events)

    def take_out() -> None:
        monkeypatch.setattr(Timeline, "_come", sets_again)
        monkeypatch.setattr("gateway.spool.file.SpoolFile.write_segment", _writes_always)

    wrongs = await wrong_without(tmp_path, UNSET, take_out, monkeypatch)
    assert any("was sent as" in wrong for wrong in wrongs)


def _ntp(t0_ms: int) -> Stamp:
    return Stamp(UtcMs(t0_ms), "ntp")


def _writes_always(self: object, segment: Segment) -> bool:
    self.db.put_segment(segment)  # type: ignore[attr-defined]
    return True
