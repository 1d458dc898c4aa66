"""Corrected values: raw * slope + offset + datum, the raw one beside it where the site keeps it. Pure.

The judge has held the raw value against the plausible range of its profile, because that range says what the sensor can
say. A corrected value is then inside the range that is corrected likewise (`field_of`), so it is not asked again; only
what goes beyond all numbers is refused. A direction stays on its circle: 350 degrees and 20 more are 10.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from typing import Final

from gateway.model import Group, Quality, Row, Value
from gateway.profile.profile import Field
from gateway.site import Correction, Polled

RAW: Final = "_raw"
DECIMALS_MORE: Final = 2  # than the device has, of what is computed from its values
DECIMALS_MAX: Final = 15
CIRCLE: Final = 360.0


class Corrector:
    """Of one group: `group` and `fields` are those that leave it, raw ones behind the others."""

    def __init__(self, polled: Polled, corrections: Sequence[Correction]) -> None:
        own = polled.fields[: len(polled.group.fields)]
        named = {correction.field: correction for correction in corrections}
        self._used = [(at, field, named[field.name]) for at, field in enumerate(own) if field.name in named]
        kept = [(at, field) for at, field, correction in self._used if correction.keep_raw]
        self._kept = [at for at, _ in kept]
        raws = [replace(field, name=field.name + RAW) for _, field in kept]
        self.fields = (*(field_of(field, named.get(field.name)) for field in own), *raws)
        self.group = with_fields(polled.group, raws)

    def corrected(self, row: Row) -> Row:
        """A null stays what it is, with its code; so does its raw value."""
        if not self._used:
            return row
        values, codes = list(row.values), dict(row.quality)
        for at, field, correction in self._used:
            if at not in codes:
                values[at] = _corrected(field, correction, row.values[at])
                if values[at] is None:
                    codes[at] = Quality.NOT_A_NUMBER
        quality = dict(row.quality)
        for place, at in enumerate(self._kept, len(row.values)):
            values.append(row.values[at])
            if at in quality:
                codes[place] = quality[at]
        return Row(self.group, row.at, tuple(values), tuple(sorted(codes.items())))


def field_of(field: Field, correction: Correction | None) -> Field:
    """The field as it is after this correction: its plausible range has moved with its values."""
    if correction is None or field.aggregate == "vector_mean":
        return field
    ends = [None if end is None else _line(correction, end) for end in (field.low, field.high)]
    low, high = ends if correction.slope > 0 else reversed(ends)
    return replace(field, low=low, high=high)


def with_fields(group: Group, fields: Sequence[Field]) -> Group:
    """The group with these behind its own."""
    if not fields:
        return group
    names = tuple(field.name for field in fields)
    return replace(group, fields=group.fields + names, letters=group.letters + "".join(f.letter for f in fields))


def rounded(field: Field, value: float) -> float:
    """What is computed has a little more decimals than what is read, and not the tail of a binary number."""
    return round(value, min(field.decimals + DECIMALS_MORE, DECIMALS_MAX))


def _line(correction: Correction, value: float) -> float:
    return value * correction.slope + correction.offset + correction.datum


def _corrected(field: Field, correction: Correction, value: Value | None) -> float | None:
    if value is None or isinstance(value, str):
        return None  # the site corrects numbers only
    found = _line(correction, value)
    if not isfinite(found):
        return None
    if field.aggregate == "vector_mean":
        return rounded(field, found % CIRCLE) % CIRCLE
    return rounded(field, found)
