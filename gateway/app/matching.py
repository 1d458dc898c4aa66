"""Was every value that a simulated device served stored? Pure: two lists of (series, time, value) and a tolerance.

One stored point answers for one served value: same series, equal value, near in time; so a point stored twice at
two times, or a value stored under another time, does not hide a missing one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Series: TypeAlias = tuple[str, str]  # (device, field)


@dataclass(frozen=True, slots=True)
class Point:
    """One value of one series at one time."""

    series: Series
    at_ms: int
    value: float | bool | str


@dataclass(frozen=True, slots=True)
class Served:
    """One line of the devices' ground-truth log."""

    point: Point
    kind: str  # the store's measurement
    stream: bool  # sent unasked: nobody answers for what came before the first or after the last that was read


def required(truth: Sequence[Served], stored: Iterable[Point]) -> list[Point]:
    """The served points that must be stored: all that were asked for, and a stream's from its first to its last."""
    spans: dict[Series, tuple[int, int]] = {}
    for point in stored:
        first, last = spans.get(point.series, (point.at_ms, point.at_ms))
        spans[point.series] = (min(first, point.at_ms), max(last, point.at_ms))
    return [served.point for served in truth if not served.stream or _within(served.point, spans)]


def missing(served: Iterable[Point], stored: Iterable[Point], tolerance_ms: int) -> list[Point]:
    """The served points that no stored point answers for."""
    free: dict[tuple[Series, float | bool | str], list[int]] = {}
    for point in sorted(stored, key=lambda p: p.at_ms):
        free.setdefault((point.series, point.value), []).append(point.at_ms)
    return [
        point
        for point in sorted(served, key=lambda p: p.at_ms)
        if not _take(free.get((point.series, point.value), []), point.at_ms, tolerance_ms)
    ]


def _within(point: Point, spans: dict[Series, tuple[int, int]]) -> bool:
    first, last = spans.get(point.series, (0, -1))
    return first <= point.at_ms <= last


def _take(times: list[int], at_ms: int, tolerance_ms: int) -> bool:
    """Use up the first stored time near `at_ms`; earlier ones can answer for nothing that comes later."""
    while times and times[0] < at_ms - tolerance_ms:
        times.pop(0)
    if times and times[0] <= at_ms + tolerance_ms:
        times.pop(0)
        return True
    return False
