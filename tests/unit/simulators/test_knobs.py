"""Values by hand."""

import math

import pytest

from gateway.model import UtcMs, Value
from gateway.profile.profile import Field
from simulators.entry import WrongEntry
from simulators.fault import Target
from simulators.faults import fault
from simulators.in_force import InForce
from simulators.knobs import Knob
from simulators.signals import Moment

NOW = Moment(UtcMs(0), 1)


def knob(letter: str = "f", value: Value = 1.0, in_force: InForce | None = None) -> Knob:
    """Of one field that says a constant."""
    field = Field("v", "index", "1", letter, 0)
    return Knob("m.v", field, lambda _: value, in_force or InForce(1), lambda: 0)


def test_it_is_held_and_let_go() -> None:
    """Then the signal speaks again."""
    made = knob()
    made.hold(5)
    assert made(NOW) == 5.0
    assert isinstance(made(NOW), float)
    made.held = None
    assert made(NOW) == 1.0


@pytest.mark.parametrize(("letter", "value"), [("f", 5.5), ("f", 5), ("b", True), ("s", "on")])
def test_values_of_the_right_kind(letter: str, value: Value) -> None:
    """Numbers, truth, text."""
    made = knob(letter)
    made.hold(value)
    assert made(NOW) == value


@pytest.mark.parametrize(("letter", "value"), [("f", True), ("f", "5"), ("b", 1), ("s", 1), ("f", None), ("f", [1])])
def test_other_kinds_are_refused(letter: str, value: object) -> None:
    """And nothing changes."""
    made = knob(letter)
    with pytest.raises(WrongEntry, match=r"m\.v"):
        made.hold(value)
    assert made.held is None


def test_faults_bend_it() -> None:
    """Signal and held value alike; no value is NaN; what is no number stays."""
    in_force = InForce(1)
    in_force.add(fault("m.v", Target("field", "tcp"), {"kind": "jump", "by": 10}))
    made = knob(in_force=in_force)
    assert made(NOW) == 11.0
    made.hold(2)
    assert made(NOW) == 12.0
    assert knob("s", "on", in_force)(NOW) == "on"
    in_force.clear("m.v")
    in_force.add(fault("m.v", Target("field", "tcp"), {"kind": "no_value"}))
    result = made(NOW)
    assert isinstance(result, float)
    assert math.isnan(result)
