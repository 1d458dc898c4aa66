"""What the rule "once an upgrade" is worth: with one part of it taken out, refused batches come back at every start.

Each test sees a batch that both versions refuse come back once, takes the rule out and sees it come back for ever.
"""

from pathlib import Path

import pytest

from gateway.app import files
from gateway.app.upgrades import Upgrades
from gateway.model import BatchId
from gateway.north.versions import RUN, Seen, Versions
from gateway.testing.worker import InlineWorker
from tests.support.spools import GATEWAY, Box, draft

STARTS = 4
ONCE = [True, False, False, False]


async def came_back(folder: Path, theirs: str = "") -> list[bool]:
    """Whether batches came back at each start of the new version, and of a gateway that hears of a new centre."""
    box, seen = Box(folder), list[bool]()
    for start in range(STARTS + 1):
        spool = await box.start()
        made = Upgrades(box.folder, "1.1" if start else "1.0", spool, box.clock, InlineWorker(), lambda _: None)
        if not start:
            await spool.append(draft())
        parked = {batch.id.seq for batch in await spool.read(0, None, 10)}
        await made.step()
        for version in ("2.0", theirs) if theirs and start else ("2.0",):
            for _ in range(RUN):
                made.heard(version)
            await made.step()
        offered = {batch.id.seq for batch in await spool.read(0, None, 10)}
        if start:
            seen.append(bool(offered - parked))
        for seq in offered:  # refused again, three times, as the window does
            await spool.park(BatchId(GATEWAY, spool.epoch, seq), "refused:schema")
        await spool.close()
    return seen


async def test_a_start_that_forgets_what_it_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W-76: `versions.json` is not written."""
    assert await came_back(tmp_path / "as it is") == ONCE

    def lost(*_: object) -> None:
        return None

    monkeypatch.setattr(files, "keep", lost)
    assert await came_back(tmp_path / "forgetful") == [True] * STARTS


async def test_a_version_that_is_not_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W-77: a version of the centre has its turn again and again."""
    assert await came_back(tmp_path / "as it is", "2.1") == ONCE
    monkeypatch.setattr(Versions, "note", lambda *_: None)
    assert await came_back(tmp_path / "not noted", "2.1") == [True] * STARTS


async def test_a_version_that_never_has_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """W-76: what was refused stays parked after the upgrade that would have cured it."""
    monkeypatch.setattr(Versions, "fresh", Seen())
    assert await came_back(tmp_path) == [False] * STARTS
