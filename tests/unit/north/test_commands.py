"""Which commands may run."""

import pytest

from gateway.model import UtcMs
from gateway.north.commands import REMEMBERED_MAX, CommandGate
from gateway.wire.command import Command

NOW = UtcMs(1_000_000)


def command(name: str = "resend", id_: str = "c-1", expires: int = NOW + 1) -> Command:
    """One that may run, unless a test says otherwise."""
    return Command(id_, UtcMs(expires), name, {})


@pytest.mark.parametrize(
    ("asked", "now", "code"),
    [
        (command(), NOW, None),
        (command(expires=NOW), NOW, "expired"),
        (command("dance"), NOW, "unknown_command"),
        (command("dance"), None, "unknown_command"),
        (command("dance", expires=NOW), NOW, "expired"),
        (command("renew"), NOW, "not_allowed"),
        (command(), None, "clock_not_trusted"),
    ],
)
def test_each_refusal_has_its_code(asked: Command, now: UtcMs | None, code: str | None) -> None:
    """Without a trusted clock nothing runs, for nobody knows what has expired."""
    gate = CommandGate(frozenset({"resend", "renew"}), frozenset({"resend"}))
    assert gate.admit(asked, now) == code


def test_an_id_runs_once() -> None:
    """QoS 1 may bring it twice; a refusal does not use it up."""
    gate = CommandGate(frozenset({"resend"}))
    assert gate.admit(command(), None) == "clock_not_trusted"
    assert gate.admit(command(), NOW) is None
    assert gate.admit(command(), NOW) == "repeated"


def test_what_is_remembered_is_bounded() -> None:
    """The oldest id is forgotten."""
    gate = CommandGate(frozenset({"resend"}))
    for n in range(REMEMBERED_MAX + 1):
        assert gate.admit(command(id_=f"c-{n}"), NOW) is None
    assert gate.admit(command(id_="c-1"), NOW) == "repeated"
    assert gate.admit(command(id_="c-0"), NOW) is None
