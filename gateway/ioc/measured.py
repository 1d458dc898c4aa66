"""Measurement completeness: good values of all that were due, as gateways tell it (docs/specs/wire.md, W-49). Pure.

It says what sensors, buses and daemons have delivered to the gateway's disk; whether that then came here is delivery
completeness. Of the hours that no event tells of nothing is claimed: how much of the time asked is told stands beside.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from gateway.model import UtcMs

MEASURED: Final = "measured"  # the code of such events
_PARTS: Final = 3  # due, good, span


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as a store has it."""

    at_ms: UtcMs
    subject: str
    detail: str  # a list is JSON text


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one gateway, over the time that was asked for."""

    gateway: str
    due: int = 0
    good: int = 0
    told_ms: int = 0  # how much time all tellings cover; 0: nothing was told
    until_ms: UtcMs | None = None  # the end of the newest
    short: tuple[tuple[str, int, int], ...] = ()  # (device, due, good) where it missed some; worst first


def add_up(gateway: str, events: Iterable[StoredEvent]) -> Measured:
    """What is no telling is left out: then its time is not told either."""
    due = good = told_ms = 0
    until: list[UtcMs] = []
    devices: dict[str, tuple[int, int]] = {}
    for event in events:
        parts = _parts(event.detail)
        if parts is None:
            continue
        if event.subject:
            before = devices.get(event.subject, (0, 0))
            devices[event.subject] = before[0] + parts[0], before[1] + parts[1]
        else:
            due, good, told_ms = due + parts[0], good + parts[1], told_ms + parts[2]
            until.append(event.at_ms)
    short = sorted(((name, *counts) for name, counts in devices.items()), key=lambda one: (one[2] - one[1], one[0]))
    return Measured(gateway, due, good, told_ms, max(until, default=None), tuple(short))


def _parts(detail: str) -> Sequence[int] | None:
    """[due, good, span in ms], of a gateway that may be broken."""
    try:
        parts = orjson.loads(detail)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(parts, list) or len(parts) != _PARTS or set(map(type, parts)) != {int}:
        return None
    due, good, span_ms = parts
    return parts if 0 <= good <= due and span_ms >= 0 else None
