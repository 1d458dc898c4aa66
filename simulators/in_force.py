"""Which faults are on, of whom, now. Knows no clock: every question says when it is asked.

All faults of one run, those of the file and those that `simctl` adds and takes away. Chance is seeded by target, kind
and the number of the exchange, so that a run can be repeated.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

from simulators.fault import Bent, Fault, Refused, Spoiled, State

FAULTS_MAX = 10_000


@dataclass(slots=True)
class _Kept:
    """A fault, and what is remembered of its present window."""

    fault: Fault
    window: int = -1
    turns: int = 0  # exchanges that it took
    first: float | None = None  # value of a stuck field


@dataclass(frozen=True, slots=True)
class Chosen:
    """The fault of one exchange."""

    fault: Fault
    spoiled: Spoiled
    chance: Random
    turn: int


@dataclass(slots=True)
class InForce:
    """All there are."""

    seed: int
    _kept: dict[str, list[_Kept]] = field(default_factory=dict)
    _exchanges: dict[str, int] = field(default_factory=dict)

    def add(self, fault: Fault) -> None:
        """After those its target has already; raises ValueError when there are too many."""
        if sum(len(kept) for kept in self._kept.values()) >= FAULTS_MAX:
            raise ValueError(f"there are {FAULTS_MAX} faults already")
        self._kept.setdefault(fault.target, []).append(_Kept(fault))

    def clear(self, target: str) -> int:
        """Take away all of a target's; how many there were."""
        return len(self._kept.pop(target, ()))

    def faults(self) -> Iterator[Fault]:
        """All of them, on or not."""
        return (kept.fault for some in self._kept.values() for kept in some)

    def forget(self, now_ms: int) -> None:
        """Drop those whose last window is over."""
        for target, some in list(self._kept.items()):
            left = [kept for kept in some if not kept.fault.timetable.over(now_ms)]
            self._kept[target] = left
            if not left:
                del self._kept[target]

    def spoils(self, device: str, now_ms: int) -> Chosen | None:
        """The fault that takes this exchange of a device, if any does."""
        if device not in self._kept:
            return None
        number = self._exchanges[device] = self._exchanges.get(device, 0) + 1
        for kept in self._on(device, now_ms):
            act, table = kept.fault.act, kept.fault.timetable
            if not isinstance(act, Spoiled) or (table.times is not None and kept.turns >= table.times):
                continue
            chance = Random(f"{self.seed} {device} {kept.fault.kind} {number}")  # noqa: S311  a simulated mishap
            if chance.random() < table.share:
                kept.turns += 1
                return Chosen(kept.fault, act, chance, kept.turns - 1)
        return None

    def refuses(self, device: str, function: int, addresses: tuple[int, int], now_ms: int) -> int | None:
        """The exception to a request for these addresses (first, last); None when it is not refused."""
        acts = (kept.fault.act for kept in self._on(device, now_ms))
        return next(
            (act.exception for act in acts if isinstance(act, Refused) and act.hits(function, *addresses)), None
        )

    def state(self, bus: str, now_ms: int) -> str:
        """vanish, refuse, half_open, or "" when the bus is well."""
        states = (kept.fault.act.word for kept in self._on(bus, now_ms) if isinstance(kept.fault.act, State))
        return next(states, "")

    def bends(self, key: str, value: float, now_ms: int) -> float | None:
        """What the value of a field becomes; None is no value."""
        for kept in self._on(key, now_ms):
            act = kept.fault.act
            if not isinstance(act, Bent):
                continue
            if act.none:
                return None
            if act.stuck:
                kept.first = value if kept.first is None else kept.first
                value = kept.first
            value += act.shift
        return value

    def stateful(self) -> Iterable[str]:
        """The targets that have a state of a bus."""
        return [name for name, some in self._kept.items() if any(isinstance(one.fault.act, State) for one in some)]

    def _on(self, target: str, now_ms: int) -> Iterator[_Kept]:
        for kept in self._kept.get(target, ()):
            window = kept.fault.timetable.window(now_ms)
            if window is None:
                continue
            if window != kept.window:
                kept.window, kept.turns, kept.first = window, 0, None
            yield kept
