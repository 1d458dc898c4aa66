"""Which commands may run."""

import pytest

from gateway.model import UtcMs
from gateway.north.commands import AHEAD_MAX_MS, REMEMBERED_MAX, CommandGate
from gateway.wire.command import Command, Outcome

NOW = UtcMs(1_000_000)


def command(name: str = "resend", id_: str = "c-1", expires: int = NOW + 1) -> Command:
    """One that may run, unless a test says otherwise."""
    return Command(id_, UtcMs(expires), name, {})


def code(gate: CommandGate, asked: Command, now: UtcMs | None = NOW) -> str | None:
    """Of the refusal."""
    refusal = gate.refusal(asked, now)
    assert refusal is None or (refusal.id, refusal.ok) == (asked.id, False)
    return refusal.code if refusal else None


@pytest.mark.parametrize(
    ("asked", "now", "expected"),
    [
        (command(), NOW, None),
        (command(expires=NOW), NOW, "expired"),
        (command(expires=NOW + AHEAD_MAX_MS), NOW, None),
        (command(expires=NOW + AHEAD_MAX_MS + 1), NOW, "expires_too_late"),
        (command("dance"), NOW, "unknown_command"),
        (command("dance"), None, "unknown_command"),
        (command("dance", expires=NOW), NOW, "expired"),
        (command("renew"), NOW, "not_allowed"),
        (command(), None, "clock_not_trusted"),
    ],
)
def test_each_refusal_has_its_code(asked: Command, now: UtcMs | None, expected: str | None) -> None:
    """Without a trusted clock nothing runs, for nobody knows what has expired."""
    assert code(CommandGate(frozenset({"resend", "renew"}), frozenset({"resend"})), asked, now) == expected


def test_a_site_that_allows_nothing_runs_nothing() -> None:
    """The default of a site file."""
    assert code(CommandGate(frozenset({"resend"}), frozenset()), command()) == "not_allowed"


def test_an_id_runs_once() -> None:
    """QoS 1 may bring it twice; a refusal does not use it up."""
    gate = CommandGate(frozenset({"resend"}))
    assert code(gate, command(), None) == "clock_not_trusted"
    assert code(gate, command()) is None
    gate.done(Outcome("c-1", ok=True, code="ok", value=0.5))
    assert gate.refusal(command(), NOW) == Outcome("c-1", ok=False, code="repeated", value=0.5, was="ok")


def test_a_repeated_one_is_told_so_though_it_has_expired() -> None:
    """W-84: who did not hear the outcome asks again; the answer is what became of it, not that time has passed."""
    gate = CommandGate(frozenset({"resend"}))
    assert code(gate, command()) is None
    gate.done(Outcome("c-1", ok=True, code="ok"))
    assert code(gate, command(expires=NOW - 1)) == "repeated"
    assert code(gate, command(), None) == "repeated"


@pytest.mark.parametrize("ended", [None, Outcome("c-1", ok=False, code="interrupted")])
def test_one_whose_end_is_not_known_is_never_run_again(ended: Outcome | None) -> None:
    """W-84: begun in this life or an earlier one."""
    gate = CommandGate(frozenset({"resend"}), seen=[ended] if ended else [])
    if ended is None:
        assert code(gate, command()) is None
    assert code(gate, command()) == "interrupted"


def test_what_an_earlier_life_carried_out_is_remembered() -> None:
    """W-81: over restarts."""
    gate = CommandGate(frozenset({"resend"}), seen=[Outcome("c-1", ok=False, code="no_reply")])
    assert gate.refusal(command(), NOW) == Outcome("c-1", ok=False, code="repeated", was="no_reply")
    assert code(gate, command(id_="c-2")) is None


def test_what_is_remembered_is_bounded() -> None:
    """The oldest id is forgotten."""
    gate = CommandGate(frozenset({"resend"}))
    for n in range(REMEMBERED_MAX + 1):
        assert code(gate, command(id_=f"c-{n}")) is None
        gate.done(Outcome(f"c-{n}", ok=True, code="ok"))
    assert code(gate, command(id_="c-1")) == "repeated"
    assert code(gate, command(id_="c-0")) is None
