"""gateway.app.commands: what the centre may have done, from command to outcome."""

from pathlib import Path

import pytest

from gateway.app import commands
from gateway.app.fields import Fields
from gateway.app.journal import Begun, Kept
from gateway.model import BootMs, Event, UtcMs
from gateway.testing.clock import turns
from gateway.wire.command import Command, Outcome
from tests.support.asks import MemoryAsks, played
from tests.support.fields import FieldsBench

GOOD = {"device": "level-1", "field": "zero_offset", "value": 0.25}
NOTHING = Kept((), (), 0)


def command(id_: str = "c-1", changes: dict[str, object] | None = None) -> Command:
    """A write, in time."""
    return Command(id_, UtcMs(2), "write", GOOD | (changes or {}))


async def outcome(bench: FieldsBench, asked: Command) -> Outcome:
    """Carried out."""
    async with bench.running() as fields:
        return await played(bench.clock, _carried_out(fields, asked))


async def _carried_out(fields: Fields, asked: Command) -> Outcome:
    return await commands.steps(fields)["write"](asked)


async def test_a_write_is_carried_out(tmp_path: Path) -> None:
    """The outcome has what was read back; the event says which command it was."""
    bench = FieldsBench(tmp_path, asks=MemoryAsks({10: 20}))
    assert await outcome(bench, command()) == Outcome("c-1", ok=True, code="ok", value=0.25)
    assert bench.told[0][2] == ("zero_offset", 0.25, "ioc:c-1", "ok", 0.2, 0.25)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"value": None}, "bad_arguments"),
        ({"device": "Level 1"}, "bad_arguments"),
        ({"device": "other-1"}, "no_such_device"),
        ({"field": "nothing"}, "no_such_field"),
        ({"field": "level"}, "not_writable"),
        ({"value": 6}, "out_of_limits"),
        ({"value": True}, "bad_value"),
    ],
)
async def test_what_is_not_carried_out_has_its_code(tmp_path: Path, arguments: dict[str, object], code: str) -> None:
    """And nothing was asked of the device."""
    bench = FieldsBench(tmp_path)
    found = await outcome(bench, command(changes=arguments))
    assert (found.ok, found.code) == (False, code)
    assert found.detail
    assert bench.asks.asked == []


def test_a_site_allows_what_it_names() -> None:
    """Nothing by default; another build's commands are unknown to this one."""
    assert commands.gate((), NOTHING).refusal(command(), UtcMs(1)) == Outcome("c-1", ok=False, code="not_allowed")
    gate = commands.gate(("write",), NOTHING)
    assert gate.refusal(command(), UtcMs(1)) is None
    unknown = gate.refusal(Command("c-2", UtcMs(2), "recall", {}), UtcMs(1))
    assert unknown is not None
    assert unknown.code == "unknown_command"


def test_what_was_the_centres_is_given_to_it_whatever_the_site_says() -> None:
    """W-85: `resend` alone needs no permission."""
    assert commands.gate((), NOTHING).refusal(Command("c-1", UtcMs(2), "resend", {}), UtcMs(1)) is None


async def test_a_command_is_not_carried_out_again_by_the_next_life(tmp_path: Path) -> None:
    """One that ended, and one that was cut short."""
    bench = FieldsBench(tmp_path)
    assert (await outcome(bench, command())).ok
    async with bench.running() as fields:
        cut = fields.job("cut", _carried_out(fields, command("c-2", {"value": 0.5})))
        await turns()
        assert not cut.done()
    async with bench.running():
        gate = commands.gate(("write",), bench.kept)
        again = [gate.refusal(command(id_), UtcMs(1)) for id_ in ("c-1", "c-2", "c-3")]
    assert again == [
        Outcome("c-1", ok=False, code="repeated", value=0.25, was="ok"),
        Outcome("c-2", ok=False, code="interrupted"),
        None,
    ]


def test_the_start_tells_what_was_interrupted_and_what_was_lost() -> None:
    """On the device, as an alarm: nobody knows what it holds."""
    told: list[Event] = []
    begun = Begun("c-1", "level-1", "zero_offset", 0.25, "ioc:c-1")
    commands.tell(Kept((), (begun,), 2), BootMs(7), told.append)
    assert told == [
        Event(
            BootMs(7),
            "level-1",
            "write_uncertain",
            ("zero_offset", 0.25, "ioc:c-1", "interrupted", "", ""),
            urgent=True,
        ),
        Event(BootMs(7), "", "command_journal_damaged", "2"),
    ]
    told.clear()
    commands.tell(NOTHING, BootMs(7), told.append)
    assert told == []
