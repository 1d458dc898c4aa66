"""gateway.app.maintained: the command `maintenance`."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from gateway.app import commands, maintained
from gateway.app.journal import NAME, Begun, Journal, Kept, NotNoted
from gateway.model import BootMs, Event, UtcMs
from gateway.testing.worker import InlineWorker
from gateway.wire.command import Command, Outcome
from tests.unit.app.test_watch import Bench

ARGUMENTS = {"device": "level-1", "for_ms": 7_200_000, "why": "a new float"}
LONG = "c-" + "1" * 62


def asked(id_: str = "c-1", changed: Mapping[str, object] = MappingProxyType({})) -> Command:
    """Two hours of work on the level sensor."""
    return Command(id_, UtcMs(2), "maintenance", {**ARGUMENTS, **changed})


async def test_it_is_noted_carried_out_and_remembered(tmp_path: Path) -> None:
    """W-81, W-98, W-99: as on the box, by the command; over a restart too, and the id is not carried out again."""
    bench = Bench(tmp_path)
    journal = Journal(tmp_path / NAME, InlineWorker())
    carry_out = maintained.step(bench.start(), journal)
    assert await carry_out(asked(LONG)) == Outcome(LONG, ok=True, code="ok")
    assert [(work.device, work.kind, work.by) for work in bench.start().works] == [
        ("level-1", "maintenance", f"ioc:{LONG}")
    ]
    (event,) = bench.told
    assert (event.code, event.detail) == ("maintenance_on", (7_200_000, "maintenance", f"ioc:{LONG}", "a new float"))
    kept = await Journal(tmp_path / NAME, InlineWorker()).open()
    again = commands.gate(("maintenance",), kept).refusal(asked(LONG), UtcMs(1))
    assert again is not None
    assert (again.code, again.was) == ("repeated", "ok")


async def test_it_is_ended_by_the_centre(tmp_path: Path) -> None:
    """W-98: for_ms 0, whoever began it."""
    bench = Bench(tmp_path)
    watch = bench.start()
    carry_out = maintained.step(watch, Journal(tmp_path / NAME, InlineWorker()))
    assert (await carry_out(asked())).ok
    assert (await carry_out(asked("c-2", {"for_ms": 0}))).ok
    assert watch.works == ()
    assert [event.code for event in bench.told] == ["maintenance_on", "maintenance_off"]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"device": "other"}, "no_such_device"),
        ({"for_ms": 86_400_001}, "bad_arguments"),
        ({"for_ms": "2h"}, "bad_arguments"),
        ({"why": "x" * 65}, "bad_arguments"),
        ({"calibration": 1}, "bad_arguments"),
    ],
)
async def test_what_cannot_be_asked(tmp_path: Path, changed: dict[str, object], code: str) -> None:
    """W-99: told, and nothing is changed."""
    bench = Bench(tmp_path)
    watch = bench.start()
    outcome = await maintained.step(watch, Journal(tmp_path / NAME, InlineWorker()))(asked(changed=changed))
    assert (outcome.ok, outcome.code) == (False, code)
    assert (watch.works, bench.told) == ((), [])


async def test_what_is_not_noted_is_not_carried_out(tmp_path: Path) -> None:
    """W-81: the alarms of that device go on."""
    bench = Bench(tmp_path)
    (tmp_path / NAME).mkdir()
    watch = bench.start()
    with pytest.raises(NotNoted):
        await maintained.step(watch, Journal(tmp_path / NAME, InlineWorker()))(asked())
    assert watch.works == ()


async def test_one_that_was_interrupted_is_no_uncertain_write(tmp_path: Path) -> None:
    """Its events tell what came of it."""
    await Journal(tmp_path / NAME, InlineWorker()).begin(Begun("c-1", "", "maintenance", "", "ioc:c-1"))
    told: list[Event] = []
    commands.tell(await Journal(tmp_path / NAME, InlineWorker()).open(), BootMs(1), told.append)
    assert told == []


def test_a_site_must_allow_it() -> None:
    """W-85: nothing is carried out that the site does not name."""
    refused = commands.gate(("write", "renew"), Kept((), (), 0)).refusal(asked(), UtcMs(1))
    assert refused is not None
    assert refused.code == "not_allowed"
