"""Alarms of fields: limits with several levels, rates of change, values that do not move. Pure: rows in, events out.

Every kind is one thing measured, held against one limit: the value itself (above, below), its change within `per`
(rise, fall), or the seconds since it last moved (stuck). An alarm goes on at the first reading where `at` has been
reached at every reading for `for_ms`, and off at the first one beyond `clear`; between the two nothing happens. So on
and off alternate for each level of each field.

    alarm_on, alarm_off [field, level, kind, measured, limit]        both urgent, at the time of the reading

A null says nothing: it neither sets nor clears, and a device that dies with its alarm on keeps it; `device_down` tells.
A limit is judged by readings alone, so what nobody read cannot have ended a delay: a value that is over the limit
before and behind a hole counts as over it in the hole.

A window of change keeps one extreme for each 1/SLICES of `per`, so it is bounded whatever the period: it is that much
shorter at most than `per`. With no earlier reading in it (the device was away for longer) it says nothing.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from gateway.model import BootMs, Event, Group, Row
from gateway.site import Alarm, Site

SLICES: Final = 600
PLACES: Final = 9  # differences are compared at so many decimals: 1.3 - 1.0 is 0.3

Key: TypeAlias = tuple[str, str, str]  # device, field, level
_Measure: TypeAlias = Callable[[BootMs, float], float | None]


class Alarms:
    """Of one site; `on` = those that were on when the gateway stopped: they are not raised again, nor lost."""

    def __init__(self, site: Site, on: Iterable[Key] = ()) -> None:
        was_on = set(on)
        devices = [device for bus in site.buses for device in bus.devices]
        keys = [(device.name, alarm) for device in devices for alarm in device.alarms]
        self._levels = {
            (name, alarm.field, alarm.level): _Level(alarm, on=(name, alarm.field, alarm.level) in was_on)
            for name, alarm in keys
        }
        self._places: dict[Group, tuple[tuple[int, _Level], ...]] = {}

    @property
    def on(self) -> tuple[Key, ...]:
        """Those that are on now, sorted."""
        return tuple(sorted(key for key, level in self._levels.items() if level.on))

    def holds(self, device: str, level: str) -> bool:
        """Whether an alarm of this level is on, of any field of the device."""
        return any(one.on for key, one in self._levels.items() if key[0] == device and key[2] == level)

    def watch(self, row: Row) -> list[Event]:
        """What this row sets off and what it ends, in the order of its fields."""
        places = self._places.get(row.group)
        if places is None:
            places = self._places[row.group] = tuple(self._of(row.group))
        return [event for place, level in places if (event := level.watch(row, place)) is not None]

    def forget(self, device: str) -> None:
        """Begin its delays and windows anew; what is on stays on."""
        for key, level in self._levels.items():
            if key[0] == device:
                level.forget()

    def _of(self, group: Group) -> Iterable[tuple[int, "_Level"]]:
        for key, level in self._levels.items():
            if key[0] == group.device and key[1] in group.fields:
                yield group.fields.index(key[1]), level


class _Level:
    """One level of one field."""

    def __init__(self, alarm: Alarm, *, on: bool) -> None:
        self.on = on
        self._alarm = alarm
        self._sign = -1 if alarm.kind == "below" else 1
        self._measure = _measure(alarm)
        self._since: BootMs | None = None  # the limit has been reached

    def watch(self, row: Row, place: int) -> Event | None:
        value = row.values[place]
        if value is None or isinstance(value, str):
            return None
        measured = self._measure(row.at, float(value))
        if measured is None or not self._turns(row.at, measured):
            return None
        self.on, self._since = not self.on, None
        alarm = self._alarm
        detail = (alarm.field, alarm.level, alarm.kind, measured, alarm.at if self.on else alarm.clear)
        return Event(row.at, row.group.device, "alarm_on" if self.on else "alarm_off", detail, urgent=True)

    def forget(self) -> None:
        self._since, self._measure = None, _measure(self._alarm)

    def _turns(self, at: BootMs, measured: float) -> bool:
        """Whether it goes on, or off, by this."""
        alarm, sign = self._alarm, self._sign
        if self.on:
            return sign * measured < sign * alarm.clear
        if sign * measured < sign * alarm.at:
            self._since = None
            return False
        if self._since is None:
            self._since = at
        return at - self._since >= alarm.for_ms


def _measure(alarm: Alarm) -> _Measure:
    if alarm.kind in ("rise", "fall"):
        return _Change(alarm.per_ms, 1 if alarm.kind == "rise" else -1)
    return _Still(alarm.within) if alarm.kind == "stuck" else _value


def _value(_: BootMs, value: float) -> float:
    return value


@dataclass(slots=True)
class _Change:
    """By how much a value is above the lowest of the last `per_ms` (with sign -1: below the highest)."""

    per_ms: int
    sign: int
    lows: deque[tuple[BootMs, float]] = field(default_factory=deque)  # rising in time and, by sign, in value
    last: BootMs | None = None

    def __call__(self, at: BootMs, value: float) -> float | None:
        signed, known = self.sign * value, self.last is not None and at - self.last <= self.per_ms
        self.last = at
        while self.lows and at - self.lows[0][0] > self.per_ms:
            self.lows.popleft()
        while self.lows and self.lows[-1][1] >= signed:
            self.lows.pop()
        if not self.lows or self._slice(self.lows[-1][0]) != self._slice(at):
            self.lows.append((at, signed))
        return round(signed - self.lows[0][1], PLACES) if known else None

    def _slice(self, at: BootMs) -> int:
        return at * SLICES // self.per_ms


@dataclass(slots=True)
class _Still:
    """For how many seconds a value has stayed within `within` of where it was."""

    within: float
    where: float | None = None
    since: BootMs | None = None

    def __call__(self, at: BootMs, value: float) -> float:
        if self.where is None or self.since is None or round(abs(value - self.where), PLACES) > self.within:
            self.where, self.since = value, at
        return (at - self.since) / 1000
