"""Values by hand: signals that can be held at a value and let go again, and that faults can bend. Pure."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.model import Value
from gateway.profile.profile import Field
from simulators.entry import WrongEntry
from simulators.in_force import InForce
from simulators.signals import Moment, Signal


@dataclass(slots=True)
class Knob:
    """One field's signal; None is no value, which is said as NaN."""

    key: str  # device.field
    field: Field
    signal: Signal
    in_force: InForce
    now_ms: Callable[[], int]
    held: Value | None = None

    def __call__(self, moment: Moment) -> Value:
        """As a signal."""
        value = self.signal(moment) if self.held is None else self.held
        if isinstance(value, bool | str):
            return value
        bent = self.in_force.bends(self.key, value, self.now_ms())
        return math.nan if bent is None else bent

    def hold(self, value: object) -> None:
        """From now on; raises WrongEntry for a value of another kind than the field's."""
        kinds = {"f": int | float, "b": bool, "s": str}[self.field.letter]
        if not isinstance(value, kinds) or (self.field.letter == "f" and isinstance(value, bool)):
            raise WrongEntry(f"{self.key}: {value!r} does not fit the field")
        assert isinstance(value, bool | int | float | str)  # noqa: S101  one of `kinds`
        self.held = float(value) if self.field.letter == "f" else value


Knobs = Mapping[str, Knob]
