"""What simctl can say."""

import pytest

from gateway.model import UtcMs
from simulators.commands import Commands, parsed
from simulators.in_force import InForce
from simulators.knobs import Knob
from simulators.signals import Moment
from simulators.targets import targets_of
from tests.unit.simulators.worlds import METER, VOLTAGE, bus, modbus_device, site

KEY = "meter-1.voltage"


def commands() -> Commands:
    """For one meter on TCP, of which one field has a knob."""
    in_force = InForce(1)
    world = site(bus("tcp", "127.0.0.1:0", modbus_device("meter-1", METER)))
    knobs = {KEY: Knob(KEY, VOLTAGE, lambda _: 230.0, in_force, lambda: 0)}
    return Commands(targets_of(world), knobs, in_force)


def test_a_value_is_set_and_released() -> None:
    """And listed while it is held."""
    made = commands()
    assert made.answer(f"set {KEY} 231.5\n", 0) == ["ok"]
    assert made.knobs[KEY](Moment(UtcMs(0))) == 231.5
    assert made.answer("list", 0) == [f"{KEY} = 231.5", "ok"]
    assert made.answer(f"release {KEY}", 0) == ["ok"]
    assert made.knobs[KEY](Moment(UtcMs(0))) == 230.0


def test_faults_are_made_listed_and_cleared() -> None:
    """From the moment of the command on; those that are on have a star; those that are over are forgotten."""
    made = commands()
    assert made.answer("fault meter-1 late by_ms=800 for=5s", 1000) == ["ok"]
    assert made.answer("fault meter-1 refuse_registers addresses=[1,[4,5]] after=1s", 1000) == ["ok"]
    late, refused = "meter-1 late by_ms=800 for=5s", "meter-1 refuse_registers addresses=[1,[4,5]] after=1s"
    assert made.answer("list", 1000) == [f"* {late}", f"  {refused}", "ok"]
    assert made.answer("list", 6000) == [f"  {late}", f"* {refused}", "ok"]
    assert made.answer("fault meter-1.voltage stuck", 6000) == ["ok"]
    assert made.answer("list", 6000) == [f"* {refused}", "* meter-1.voltage stuck", "ok"]
    assert made.answer("clear meter-1", 6000) == ["ok"]
    assert made.answer("list", 6000) == ["* meter-1.voltage stuck", "ok"]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "dance",
        "set meter-1.voltage",
        "set meter-1.amps 5",
        "set meter-1.voltage on",
        "release nothing",
        "fault meter-9 silent",
        "fault meter-1 wobble",
        "fault meter-1 late 800",
        "fault bus-1 vanish",
        "clear meter-1",
        'set meter-1.voltage "5',
    ],
)
def test_what_cannot_be_done_is_said(line: str) -> None:
    """In one line; nothing has changed."""
    made = commands()
    (said,) = made.answer(line, 0)
    assert said.startswith("error: ")
    assert made.answer("list", 0) == ["ok"]


def test_values_are_read_as_toml() -> None:
    """Else as text."""
    texts = ("5", "5.5", "true", "[1, 2]", "10s", "late", "a\nb = 1")
    assert [parsed(text) for text in texts] == [5, 5.5, True, [1, 2], "10s", "late", "a\nb = 1"]


def test_what_nests_too_deep_is_text() -> None:
    """A line of brackets is answered like any other: it ends no simulator's socket."""
    assert parsed("[" * 4000) == "[" * 4000
