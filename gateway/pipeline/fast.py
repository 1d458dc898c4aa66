"""Which devices are to be polled faster: a condition on what they measure, held for a while. Pure.

Fast begins at the first row where the condition is true, and ends at the first one where it has been false for `hold`.
A null says nothing. `fast_on [when, period in ms]`, `fast_off [when]`; where the bus could not hold its periods with it
(`refused`), `fast_refused [when, period in ms]` is told instead, and nothing is changed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.model import BootMs, Event, Row
from gateway.site import Fast, Site


@dataclass(slots=True)
class _State:
    fast: Fast
    on: bool = False
    last_true: BootMs | None = None  # since it is on


class Fasts:
    """Of one site; `holds(device, level)` says whether an alarm is on."""

    def __init__(self, site: Site, holds: Callable[[str, str], bool], refused: frozenset[str] = frozenset()) -> None:
        devices = [device for bus in site.buses for device in bus.devices]
        self._states = {device.name: _State(device.fast) for device in devices if device.fast}
        self._holds = holds
        self._refused = refused

    @property
    def on(self) -> tuple[str, ...]:
        """Devices that are polled faster now, sorted."""
        return tuple(sorted(name for name, state in self._states.items() if state.on and name not in self._refused))

    def watch(self, row: Row) -> Event | None:
        """What changes by this row, told of its device."""
        state = self._states.get(row.group.device)
        if state is None or (true := self._is_true(state.fast, row)) is None:
            return None
        if true:
            state.last_true = row.at
        since = state.last_true if state.last_true is not None else row.at
        turns = true if not state.on else not true and row.at - since >= state.fast.hold_ms
        if not turns:
            return None
        state.on = not state.on
        return self._told(state, row)

    def _told(self, state: _State, row: Row) -> Event | None:
        name, fast = row.group.device, state.fast
        if name in self._refused:
            return Event(row.at, name, "fast_refused", (fast.when, fast.period_ms)) if state.on else None
        if state.on:
            return Event(row.at, name, "fast_on", (fast.when, fast.period_ms))
        return Event(row.at, name, "fast_off", (fast.when,))

    def _is_true(self, fast: Fast, row: Row) -> bool | None:
        if fast.level:
            return self._holds(row.group.device, fast.level)
        if fast.field not in row.group.fields:
            return None
        value = row.values[row.group.fields.index(fast.field)]
        if value is None or isinstance(value, str):
            return None
        return fast.sign * value > fast.sign * fast.at
