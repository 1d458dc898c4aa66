"""Many readings of one field -> the few columns of a folded row: bounded, and as exact as floats are. Pure.

    mean, energy_mean    NAME, NAME_min, NAME_max, NAME_n
    vector_mean, last    NAME, NAME_n          (a least direction means nothing; the newest state has no least)

NAME_n counts the good values, so that windows can be joined again. energy_mean is 10 lg of the mean of 10^(v/10): what
a sound level meter calls Leq. vector_mean is the direction of the sum of unit vectors; where they cancel out there is
none (`no_value`). Sums keep their rounding error (math.fsum over what was added and what was left over), so a day of
50 ms is as exact as two values.
"""

from collections.abc import Sequence
from math import atan2, cos, degrees, fsum, hypot, isfinite, log10, radians, sin
from typing import Final

from gateway.model import Quality, Value
from gateway.pipeline.correct import CIRCLE, rounded
from gateway.profile.profile import Field

BUFFERED: Final = 64
NO_DIRECTION: Final = 1e-9  # of a resultant, a value
EXTREMES: Final = frozenset({"mean", "energy_mean"})


def columns(field: Field) -> tuple[tuple[str, str], ...]:
    """(name, letter) of each column that this field is folded into."""
    name, count = (field.name, field.letter), (f"{field.name}_n", "f")
    if field.aggregate in EXTREMES:
        return name, (f"{field.name}_min", "f"), (f"{field.name}_max", "f"), count
    return name, count


class ExactSum:
    """A sum with what was rounded off: as `fsum` of all values, in bounded memory. Raises OverflowError."""

    def __init__(self) -> None:
        self._buffer: list[float] = []

    def add(self, value: float) -> None:
        """One more."""
        self._buffer.append(value)
        if len(self._buffer) >= BUFFERED:
            whole = fsum(self._buffer)
            self._buffer = [whole, fsum([*self._buffer, -whole])]

    def total(self) -> float:
        """Of all so far."""
        return fsum(self._buffer)


class FieldFold:
    """One field over one window."""

    def __init__(self, field: Field) -> None:
        self._field = field
        self.n = 0
        self._why = Quality.NO_VALUE  # the newest failure
        self._last: Value | None = None
        self._least = self._most = 0.0
        self._x, self._y = ExactSum(), ExactSum()
        self._beyond = False  # a sum went beyond all numbers

    def add(self, value: Value | None, why: Quality | None) -> None:
        """A reading, or why there is none."""
        if value is None:
            self._why = why or Quality.NO_VALUE
            return
        self.n += 1
        self._last = value
        if self._field.aggregate != "last" and not isinstance(value, str):
            self._measure(float(value))

    def cells(self) -> list[Value | Quality]:
        """One for each of `columns`; in the place of what there is none of, the reason."""
        folded = self._folded() if self.n else self._why
        if self._field.aggregate not in EXTREMES:
            return [folded, float(self.n)]
        extremes: list[Value | Quality] = [self._least, self._most] if self.n else [self._why, self._why]
        return [folded, *extremes, float(self.n)]

    def _measure(self, value: float) -> None:
        self._least = value if self.n == 1 else min(self._least, value)
        self._most = value if self.n == 1 else max(self._most, value)
        try:
            self._sum(value)
        except OverflowError:
            self._beyond = True

    def _sum(self, value: float) -> None:
        if self._field.aggregate == "vector_mean":
            self._x.add(cos(radians(value)))
            self._y.add(sin(radians(value)))
        elif self._field.aggregate == "energy_mean":
            self._x.add(10.0 ** (value / 10))
        else:
            self._x.add(value)

    def _folded(self) -> Value | Quality:
        if self._field.aggregate == "last":
            return Quality.NO_VALUE if self._last is None else self._last
        try:
            x, y = self._x.total() / self.n, self._y.total() / self.n
        except OverflowError:
            return Quality.NOT_A_NUMBER
        if self._beyond or not isfinite(x):
            return Quality.NOT_A_NUMBER
        if self._field.aggregate == "vector_mean":
            return self._direction(x, y)
        if self._field.aggregate == "energy_mean":
            if x <= 0.0:  # so far below 0 dB that no float has it
                return Quality.NOT_A_NUMBER
            x = 10 * log10(x)
        return min(max(rounded(self._field, x), self._least), self._most)  # rounding never leaves the readings

    def _direction(self, x: float, y: float) -> Value | Quality:
        if hypot(x, y) < NO_DIRECTION:
            return Quality.NO_VALUE
        return rounded(self._field, degrees(atan2(y, x)) % CIRCLE) % CIRCLE


def letters(fields: Sequence[Field]) -> str:
    """Of all columns."""
    return "".join(letter for field in fields for _, letter in columns(field))
