"""One table that a person wrote, read key by key: what is missing has a default, what is wrong is said. Pure."""

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from pydantic_core import PydanticCustomError

from gateway.profile.types import duration_ms


class WrongEntry(ValueError):
    """A `[fault]` table, or a command, that says nothing a simulator could do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The table of `name`; each reader raises WrongEntry."""

    name: str
    table: Mapping[str, object]

    def wrong(self, why: str) -> WrongEntry:
        """To be raised: why, and where."""
        return WrongEntry(f"{self.name}: {why}")

    def only(self, known: AbstractSet[str]) -> None:
        """Refuse every key that is none of these."""
        if strange := sorted(set(self.table) - known):
            raise self.wrong(f"no {', '.join(strange)} here; there is {', '.join(sorted(known))}")

    def number(self, key: str, otherwise: float, low: float = -math.inf, high: float = math.inf) -> float:
        """A number in [low, high]."""
        value = self.table.get(key, otherwise)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.wrong(f"{key} must be a number{_between(low, high)}, not {value!r}")
        return float(value)

    def whole(self, key: str, otherwise: int, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        value = self.table.get(key, otherwise)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(f"{key} must be a whole number{_between(low, high)}, not {value!r}")
        return value

    def flag(self, key: str, *, otherwise: bool) -> bool:
        """True or false."""
        value = self.table.get(key, otherwise)
        if not isinstance(value, bool):
            raise self.wrong(f"{key} must be true or false, not {value!r}")
        return value

    def duration_ms(self, key: str) -> int | None:
        """Text like 10s; None when it is not there."""
        value = self.table.get(key)
        if value is None:
            return None
        try:
            return duration_ms(str(value))
        except PydanticCustomError:
            raise self.wrong(f"{key} must be a time like 500ms, 10s or 1m, not {value!r}") from None

    def hexed(self, key: str) -> bytes | None:
        """Pairs of hex digits; None when it is not there."""
        value = self.table.get(key)
        try:
            return None if value is None else bytes.fromhex(str(value))
        except ValueError:
            raise self.wrong(f"{key} must be pairs of hex digits, not {value!r}") from None

    def several(self, key: str) -> tuple[object, ...]:
        """One value or a list of them; empty when it is not there."""
        value = self.table.get(key, ())
        return tuple(value) if isinstance(value, list | tuple) else (value,)


def _between(low: float, high: float) -> str:
    return f" from {low:g} to {high:g}" if math.isfinite(high) else f" from {low:g}" if math.isfinite(low) else ""
