"""The bus of what programs of this box hand in: nothing is asked, so it only watches whether they still do.

A value comes as a reading of now, or of `age_ms` ago. It is a row like any other; who handed it in is told when it is
on disk (`app.push`). A device from which nothing came for SILENT_PERIODS of its longest period is down: what stopped
must not look like what is steady.
"""

from collections.abc import Callable, Mapping
from typing import Final

from gateway.counters import Counters
from gateway.errors import GatewayError
from gateway.model import BootMs, Event, Quality, Row, Value
from gateway.profile.profile import Field
from gateway.seams import Clock
from gateway.site import Bus, Device, Polled
from gateway.south.links.trace import Trace
from gateway.south.rows import Rows
from gateway.south.stop import Stop
from gateway.wire.documents import SouthStatus

SILENT_PERIODS: Final = 3
LOOK_MS: Final = 1000
AGE_MS_MAX: Final = 3_600_000


KINDS: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "b": ((bool,), "true or false"),
    "s": ((str,), "a text"),
    "f": ((int, float), "a number"),
}


class NotHandedIn(GatewayError):
    """Nothing of it was taken: the device, a field or a value is not what the site says, or its time does not rise."""

    code = "not_handed_in"


class PushLoop:
    """`bus.Loop` of one bus with `transport = "push"`."""

    asks = None
    visits = None
    owes = False

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        counters: Counters,
        on_row: Callable[[Row], None],
        on_event: Callable[[Event], None],
    ) -> None:
        self.trace = Trace()
        self._bus, self._clock, self._counters, self._on_event = bus, clock, counters, on_event
        self._rows = Rows(bus.name, counters, on_row)
        self._stop = Stop()
        polled = [(device, each) for device in bus.devices for each in device.polled]
        self._places = {each.group: place for place, (_, each) in enumerate(polled)}
        self._devices = {device.name: _Pushed(device, clock.boot_ms()) for device in bus.devices}

    @property
    def name(self) -> str:
        """The bus's."""
        return self._bus.name

    async def run(self) -> None:
        """Until `stop`."""
        while not self._stop.asked():
            due = BootMs(self._clock.boot_ms() + LOOK_MS)
            await self._stop.unless_asked(self._clock.sleep_until(due))
            self._look()

    def stop(self) -> None:
        """As `bus.Loop`."""
        self._stop.ask()

    def hurry(self, device: str, *, fast: bool) -> None:
        """As `bus.Loop`: it is not asked."""

    @property
    def status(self) -> SouthStatus:
        """Which devices are silent."""
        return SouthStatus((), tuple(name for name, pushed in self._devices.items() if pushed.down))

    @property
    def last_rows(self) -> tuple[Row, ...]:
        """As `bus.Loop`."""
        return self._rows.newest

    @property
    def names(self) -> tuple[str, ...]:
        """Of its devices."""
        return tuple(self._devices)

    def has(self, device: str) -> bool:
        """Whether it is one of this bus."""
        return device in self._devices

    def put(self, device: str, values: Mapping[str, Value | None], age_ms: int = 0) -> None:
        """One row for each group that has a value in it; all of them are taken, or none. Raises NotHandedIn."""
        pushed = self._devices[device]
        at = BootMs(self._clock.boot_ms() - age_ms)
        rows = list(_rows(pushed.device, values, at))
        newest = {row.group: row.at for row in self._rows.newest}
        if any(row.at <= newest.get(row.group, BootMs(-1)) for row in rows):
            raise NotHandedIn("not_rising: a later reading of these fields is known already")
        pushed.last = self._clock.boot_ms()
        if pushed.down:
            pushed.down = False
            self._tell(device, "device_up", "")
        for row in rows:
            self._rows.put(self._places[row.group], row)

    def _look(self) -> None:
        now = self._clock.boot_ms()
        for name, pushed in self._devices.items():
            if not pushed.down and not self._stop.asked() and now - pushed.last >= pushed.silent_ms:
                pushed.down = True
                self._tell(name, "device_down", str(Quality.NO_REPLY))

    def _tell(self, device: str, code: str, detail: str) -> None:
        self._on_event(Event(self._clock.boot_ms(), device, code, detail, urgent=True))


class _Pushed:
    """What is remembered of one device."""

    def __init__(self, device: Device, now: BootMs) -> None:
        self.device = device
        self.last = now
        self.down = False
        self.silent_ms = SILENT_PERIODS * max((each.period_ms for each in device.polled), default=0)


def _rows(device: Device, values: Mapping[str, Value | None], at: BootMs) -> list[Row]:
    known = {field.name: field for each in device.polled for field in each.fields}
    if all(value is None for value in values.values()):
        raise NotHandedIn("no value at all")
    for name, value in values.items():
        if name not in known:
            raise NotHandedIn(f"{device.name} has no field {name}: {', '.join(sorted(known))}")
        _check(known[name], value)
    return [_row(each, values, at) for each in device.polled if set(each.group.fields) & set(values)]


def _check(field: Field, value: Value | None) -> None:
    kinds, wanted = KINDS[field.letter]
    if value is not None and type(value) not in kinds:  # a bool is an int, and no number here
        raise NotHandedIn(f"{field.name} is {wanted}, not {value!r}")
    low, high = field.low, field.high
    if low is not None and high is not None and isinstance(value, int | float) and not low <= value <= high:
        raise NotHandedIn(f"{field.name}: {value!r} is not in {low:g} .. {high:g}")


def _row(polled: Polled, values: Mapping[str, Value | None], at: BootMs) -> Row:
    """What was not handed in is no value."""
    found = tuple(_plain(values.get(name)) for name in polled.group.fields)
    return Row(
        polled.group, at, found, tuple((at, Quality.NO_VALUE) for at, value in enumerate(found) if value is None)
    )


def _plain(value: Value | None) -> Value | None:
    """A number is a float everywhere."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
