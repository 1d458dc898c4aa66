"""Derived fields: what a formula makes of the fields of a device and of others on its bus. Pure.

A derived field is one more column of the group that has its trigger, so its time is that group's. A field of that group
is taken from the same row; any other is the newest there is, when it is not older than two of its periods (else null,
`stale`). What is null makes null, with its code; so does a division by 0 (`not_a_number`) and a table that has no
pair there (`out_of_range`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from gateway.model import BootMs, Group, Quality, Row, Value
from gateway.pipeline.correct import rounded, with_fields
from gateway.profile.formula import Formula, parse
from gateway.profile.profile import Field
from gateway.site import Derived

PERIODS_MAX: Final = 2

Name: TypeAlias = tuple[str, str]  # device, field


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest value of a field that some formula needs; or why it has none."""

    at: BootMs
    value: Value | Quality
    period_ms: int

    def by(self, now: BootMs) -> Value | Quality:
        """As it may be used then."""
        return self.value if now - self.at <= PERIODS_MAX * self.period_ms else Quality.STALE


class Newest:
    """The newest values of all fields of a site that formulas name: bounded by the site."""

    def __init__(self, wanted: Iterable[Name]) -> None:
        self._wanted = frozenset(wanted)
        self._seen: dict[Name, Seen] = {}

    def note(self, row: Row, period_ms: int) -> None:
        """Of the row what is wanted."""
        if self._wanted:
            for name, value in named(row).items():
                if name in self._wanted:
                    self._seen[name] = Seen(row.at, value, period_ms)

    def value(self, name: Name, now: BootMs) -> Value | Quality:
        """Not older than two periods; else the reason."""
        seen = self._seen.get(name)
        return Quality.STALE if seen is None else seen.by(now)


class Deriver:
    """Of one group: `group` and `fields` are those that leave it, derived ones last."""

    def __init__(self, group: Group, fields: Sequence[Field], derived: Sequence[Derived]) -> None:
        mine = [one for one in derived if one.trigger in group.fields]
        self._formulas = [(one.field, parse(one.formula)) for one in mine]
        self._device = group.device
        self.group = with_fields(group, [one.field for one in mine])
        self.fields = (*fields, *(one.field for one in mine))

    @property
    def names(self) -> set[Name]:
        """What its formulas need."""
        return {full(name, self._device) for _, formula in self._formulas for name in formula.names}

    def derived(self, row: Row, newest: Newest) -> Row:
        """The row with one more value for each formula."""
        if not self._formulas:
            return row
        here, values, quality = named(row), list(row.values), list(row.quality)
        for field, formula in self._formulas:
            found = self._found(field, formula, here, newest, row.at)
            if isinstance(found, Quality):
                quality.append((len(values), found))
            values.append(None if isinstance(found, Quality) else found)
        return Row(self.group, row.at, tuple(values), tuple(quality))

    def _found(
        self, field: Field, formula: Formula, here: Mapping[Name, Value | Quality], newest: Newest, at: BootMs
    ) -> float | Quality:
        numbers = dict[str, float]()
        for name in formula.names:
            whole = full(name, self._device)
            value = here[whole] if whole in here else newest.value(whole, at)
            if isinstance(value, Quality):  # before str: a Quality is one too
                return value
            if isinstance(value, str):
                return Quality.NOT_A_NUMBER
            numbers[name] = float(value)
        found = formula.value(numbers)
        return found if isinstance(found, Quality) else _plausible(field, rounded(field, found))


def full(name: str, device: str) -> Name:
    """A formula's name with its device."""
    owner, dot, field = name.rpartition(".")
    return (owner, field) if dot else (device, name)


def named(row: Row) -> dict[Name, Value | Quality]:
    """The values of a row, or their codes."""
    codes, device = dict(row.quality), row.group.device
    return {
        (device, field): codes.get(at, Quality.NO_VALUE) if value is None else value
        for at, (field, value) in enumerate(zip(row.group.fields, row.values, strict=True))
    }


def _plausible(field: Field, value: float) -> float | Quality:
    low_enough = field.high is None or value <= field.high
    return value if low_enough and (field.low is None or field.low <= value) else Quality.OUT_OF_RANGE
