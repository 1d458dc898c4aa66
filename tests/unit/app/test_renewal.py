"""gateway.app.renewal: the command `renew`."""

from pathlib import Path

import pytest

from gateway.app import commands, renewal
from gateway.app.journal import NAME, Begun, Journal, Kept, NotNoted
from gateway.errors import SpoolFailed
from gateway.model import BootMs, Event, UtcMs
from gateway.testing.worker import InlineWorker
from gateway.wire.command import Command, Outcome
from tests.support.spools import Box

ASKED = Command("c-1", UtcMs(2), "renew", {})


async def test_it_is_noted_carried_out_and_remembered(tmp_path: Path) -> None:
    """W-81: on disk before; after a restart the outcome is known, and the id is not carried out again."""
    box = Box(tmp_path)
    spool = await box.start()
    await box.measure()
    journal = Journal(tmp_path / NAME, InlineWorker())
    await journal.open()
    old = spool.epoch
    outcome = await renewal.step(spool, journal)(ASKED)
    assert outcome == Outcome("c-1", ok=True, code="ok", detail=f"{old} -> {spool.epoch}", value=spool.epoch)
    kept = await Journal(tmp_path / NAME, InlineWorker()).open()
    assert kept.ended == (outcome,)
    gate = commands.gate(("renew",), kept)
    again = gate.refusal(ASKED, UtcMs(1))
    assert again is not None
    assert (again.code, again.was) == ("repeated", "ok")
    await spool.close()


async def test_what_is_not_noted_is_not_carried_out(tmp_path: Path) -> None:
    """W-81: the epoch goes on."""
    box = Box(tmp_path / "spool")
    spool = await box.start()
    old = spool.epoch
    (tmp_path / NAME).mkdir()
    with pytest.raises(NotNoted):
        await renewal.step(spool, Journal(tmp_path / NAME, InlineWorker()))(ASKED)
    assert spool.epoch == old
    await spool.close()


async def test_while_the_disk_fails_it_is_refused(tmp_path: Path) -> None:
    """With the spool's own code."""
    (tmp_path / "spool").write_text("no folder")
    box = Box(tmp_path / "spool")
    spool = await box.start()
    with pytest.raises(SpoolFailed):
        await renewal.step(spool, Journal(tmp_path / NAME, InlineWorker()))(ASKED)
    await spool.close()


async def test_one_that_was_interrupted_is_no_uncertain_write(tmp_path: Path) -> None:
    """What came of it the epoch itself tells."""
    journal = Journal(tmp_path / NAME, InlineWorker())
    await journal.begin(Begun("c-1", "", "renew", "", "ioc:c-1"))
    await journal.begin(Begun("c-2", "level-1", "zero_offset", 0.5, "ioc:c-2"))
    kept = await Journal(tmp_path / NAME, InlineWorker()).open()
    told: list[Event] = []
    commands.tell(kept, BootMs(1), told.append)
    assert [(event.subject, event.code) for event in told] == [("level-1", "write_uncertain")]


def test_a_site_must_allow_it() -> None:
    """W-85: nothing is carried out that the site does not name."""
    gate = commands.gate(("write",), Kept((), (), 0))
    refused = gate.refusal(ASKED, UtcMs(1))
    assert refused is not None
    assert refused.code == "not_allowed"
