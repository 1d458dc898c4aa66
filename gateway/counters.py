"""Count and tell: the one place where a stage leaves a number for people. Below every stage, so all may use it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

LABEL_SETS_MAX = 4096  # beyond it "overflow" counts: names that strangers choose cannot eat RAM

Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class Counters:
    """Named, labelled, monotone counts and last values; bounded in labels."""

    _values: dict[Key, float] = field(default_factory=dict)

    def add(self, name: str, n: float = 1, **labels: str) -> None:
        """Add `n` to a count."""
        key = self._key(name, labels)
        self._values[key] = self._values.get(key, 0) + n

    def set(self, name: str, value: float, **labels: str) -> None:
        """Replace a last value."""
        self._values[self._key(name, labels)] = value

    def get(self, name: str, **labels: str) -> float:
        """What stands there; 0 when nothing was counted yet."""
        return self._values.get((name, tuple(sorted(labels.items()))), 0)

    def total(self, name: str) -> float:
        """The sum over all labels of one name."""
        return sum(value for (known, _), value in self._values.items() if known == name)

    def __iter__(self) -> Iterator[tuple[str, dict[str, str], float]]:
        for (name, labels), value in sorted(self._values.items()):
            yield name, dict(labels), value

    def _key(self, name: str, labels: dict[str, str]) -> Key:
        key = (name, tuple(sorted(labels.items())))
        if key not in self._values and len(self._values) >= LABEL_SETS_MAX:
            return name, (("overflow", "true"),)
        return key
