"""Rows as the devices of a site may send them, made up before there are any. Pure.

What they cost on the way depends on how many digits change from row to row, so values wander as measured ones do: some
per cent of a field's range around its lower half, at two speeds; counters creep; switches and texts rarely change.
"""

from collections.abc import Callable, Iterator
from heapq import merge
from itertools import count
from math import sin, tau
from random import Random
from typing import Final, TypeAlias

from gateway.model import BootMs, Row, Value
from gateway.profile.profile import Field
from gateway.site import Bus, Polled, Site
from gateway.south.outlook.outlook import outlook

SWING: Final = 0.015  # of the range, to both sides
MEAN: Final = 0.4  # of the range
FAST_S, SLOW_S = 17.0, 401.0
COUNTED_PER_S: Final = 0.0005
SWITCHES_S: Final = 1800.0
STAGGER_MS: Final = 1000  # the first polls of a bus are spread over this, as its schedule does

_Signal: TypeAlias = Callable[[float], Value]


def rows(site: Site) -> Iterator[Row]:
    """Every poll of every group, in the order of time, for ever."""
    firsts = [first for bus in site.buses for first in _first_polls(bus)]
    firsts += [(polled, polled.period_ms) for polled in (site.box.polled if site.box is not None else ())]
    return merge(*(_of_group(polled, first_ms) for polled, first_ms in firsts), key=lambda row: row.at)


def _first_polls(bus: Bus) -> Iterator[tuple[Polled, float]]:
    """Staggered by device, and one after another where the line is slow; what is no Modbus bus begins anywhere."""
    if bus.talks or bus.transport in {"stream", "push"}:
        for device in bus.devices:
            yield from ((polled, Random(device.name).random() * polled.period_ms) for polled in device.polled)  # noqa: S311 - as below
        return
    costs_ms = {group.polled.group: group.cost_ms for group in outlook(bus).groups}
    free_ms = 0.0
    for place, device in enumerate(bus.devices):
        period_ms = min((polled.period_ms for polled in device.polled), default=0)
        at_ms = max(free_ms, min(STAGGER_MS, period_ms) * place / len(bus.devices))
        for polled in device.polled:
            yield polled, at_ms % polled.period_ms
            at_ms += costs_ms.get(polled.group, 0.0)
        free_ms = at_ms


def _of_group(polled: Polled, first_ms: float) -> Iterator[Row]:
    random = Random(f"{polled.group.device} {polled.period_ms}")  # noqa: S311 - made up, and the same each time
    signals = [_signal(field, random) for field in polled.fields[: len(polled.group.fields)]]
    for n in count():
        at = BootMs(round(first_ms) + n * polled.period_ms + random.randrange(3))
        yield Row(polled.group, at, tuple(signal(at / 1000) for signal in signals))


def _signal(field: Field, random: Random) -> _Signal:
    if field.letter == "s":
        return lambda _: "ok"
    phases = tau * random.random(), tau * random.random()
    if field.letter == "b":
        return lambda at_s: sin(tau * at_s / SWITCHES_S + phases[0]) > 0
    if field.counter:
        start = 100_000 * random.random()
        return lambda at_s: round(start + COUNTED_PER_S * at_s, field.decimals)
    mean, swing = _band(field)
    wander: _Signal = lambda at_s: round(  # noqa: E731 - one of four
        mean + swing * (sin(tau * at_s / FAST_S + phases[0]) + sin(tau * at_s / SLOW_S + phases[1])) / 2,
        field.decimals,
    )
    return wander


def _band(field: Field) -> tuple[float, float]:
    if field.low is None or field.high is None:
        return 100.0, 3.0
    return field.low + MEAN * (field.high - field.low), SWING * (field.high - field.low)
