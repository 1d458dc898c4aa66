"""Which served value is which stored point: equal, of one series, near in time, one to one."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from tests.support.store_points import Point, Scalar

ROW_MS = 3000
FIRST_PASSES_MS = (2, 20)  # near ones are matched first, so that a lost value does not take its neighbour's point

Key: TypeAlias = tuple[str, str, str]  # device, kind, field


@dataclass(frozen=True, slots=True)
class Truth:
    """One value as it was served."""

    device: str
    field: str
    kind: str
    value: Scalar
    at_ms: int
    via: str
    n: int
    group: int | None = 0
    every_ms: int = 0  # how often it is to be reported; 0: as often as it comes
    fault: str = ""  # it was said in a way that may have been lost

    @property
    def key(self) -> Key:
        """Which series it belongs to."""
        return self.device, self.kind, self.field


Pair: TypeAlias = tuple[Truth, Point]
T = TypeVar("T", Truth, Point)


def same(value: Scalar) -> tuple[str, Scalar]:
    """What must be equal: a boolean is no number, 1 is 1.0."""
    if isinstance(value, bool | str):
        return type(value).__name__, value
    return "number", float(value)


def matched(truths: Sequence[Truth], points: Sequence[Point], within_ms: int, row_ms: int = ROW_MS) -> list[Pair]:
    """Equal values of a series, one to one, both in time order, the nearest first."""
    waiting_truths: dict[object, list[Truth]] = defaultdict(list)
    waiting_points: dict[object, list[Point]] = defaultdict(list)
    for truth in truths:
        waiting_truths[truth.key, same(truth.value)].append(truth)
    for point in points:
        waiting_points[point.key, same(point.value)].append(point)
    pairs: list[Pair] = []
    late: list[tuple[list[Truth], list[Point]]] = []
    for key, served in waiting_truths.items():
        some, theirs = served, waiting_points.get(key, [])
        for window_ms in (*FIRST_PASSES_MS, within_ms):
            found = in_step(some, theirs, min(window_ms, within_ms))
            pairs += found
            some, theirs = without(some, found, 0), without(theirs, found, 1)
        late += [(some, theirs)] if some and theirs else []
    return pairs + _later_replies(pairs, late, row_ms)


def in_step(truths: Sequence[Truth], points: Sequence[Point], window_ms: int, later_ms: int = 0) -> list[Pair]:
    """Pairs in time order, a point at most `window_ms` after its truth value, and as much or `later_ms` before it."""
    pairs: list[Pair] = []
    earliest = -max(window_ms, later_ms)
    i = j = 0
    while i < len(truths) and j < len(points):
        dt = points[j].at_ms - truths[i].at_ms
        if earliest <= dt <= window_ms:
            pairs.append((truths[i], points[j]))
        i += dt >= earliest
        j += dt <= window_ms
    return pairs


def without(some: Sequence[T], pairs: Sequence[Pair], side: int) -> list[T]:
    """Those that are on that side (0 truth, 1 point) of no pair."""
    gone = {id(pair[side]) for pair in pairs}
    return [one for one in some if id(one) not in gone]


def row_dts(pairs: Sequence[Pair]) -> dict[str, tuple[int, ...]]:
    """By device, per row of the store its time less that of the first reply in it, the nearest first."""
    dts: dict[str, list[int]] = defaultdict(list)
    for row, at_ms in _first_replies(pairs).items():
        dts[row[0]].append(row[2] - at_ms)
    return {device: tuple(sorted(found, key=abs)) for device, found in dts.items()}


def _later_replies(
    pairs: Sequence[Pair], left: Sequence[tuple[Sequence[Truth], Sequence[Point]]], row_ms: int
) -> list[Pair]:
    """What stands in a row whose first reply is matched, and came in a later one."""
    first = _first_replies(pairs)
    found: list[Pair] = []
    for truths, points in left:
        begun = [point for point in points if point.row in first]
        found += in_step(truths, begun, 0, row_ms)
    return found


def _first_replies(pairs: Sequence[Pair]) -> dict[tuple[str, str, int], int]:
    first: dict[tuple[str, str, int], int] = {}
    for truth, point in pairs:
        first[point.row] = min(first.get(point.row, truth.at_ms), truth.at_ms)
    return first
