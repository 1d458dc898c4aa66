"""Corrections over time: a changed one is an event, one that is due again is an alarm, once a day.

`corrections.json` in the spool's folder says what was in force when the last run was a minute old, and which days were
told:

    {"v":1,"corrections":{"level-1.level":[1.0,-0.035,1.25,"LVH","2026-11-24"]},"told":{"level-1.level":"2027-11-25"}}

It is written after the events had time to reach the disk: a run that ends before tells them once more, and none is ever
missing. A file that cannot be read counts as none: what is in force is then told again. No file is written for a site
that has and had no corrections.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

import orjson

from gateway.app import files
from gateway.counters import Counters
from gateway.model import TRUSTED, BootMs, Event, Stamp
from gateway.seams import Clock, Worker
from gateway.site import Correction, Site

FILE: Final = "corrections.json"
VERSION: Final = 1
FILE_BYTES_MAX: Final = 4 << 20
SETTLED_MS: Final = 60_000
LOOK_EVERY_MS: Final = 600_000
NUMBERS: Final = 3

InForce: TypeAlias = tuple[float | str, ...]  # slope, offset, datum, by, on
NONE: Final[InForce] = (1.0, 0.0, 0.0, "", "")

_log = logging.getLogger(__name__)


def changed(before: Mapping[str, InForce], now: Mapping[str, InForce], at: BootMs) -> Iterator[Event]:
    """`correction_changed` [field, slope, offset, datum before, the same now, by, on] of the device."""
    for name in sorted({*before, *now}):
        old, new = before.get(name, NONE), now.get(name, NONE)
        if old != new:
            device, _, field = name.partition(".")
            yield Event(at, device, "correction_changed", (field, *old[:NUMBERS], *new))


def overdue(dues: Mapping[str, str], stamp: Stamp | None) -> tuple[str, ...]:
    """The fields whose day has passed; none while nobody knows what day it is."""
    today = day(stamp)
    return tuple(name for name, due in dues.items() if today and due < today)


def day(stamp: Stamp | None) -> str:
    """Of a trusted time, in UTC: 2026-11-24; else ""."""
    if stamp is None or stamp.clock not in TRUSTED:
        return ""
    return datetime.fromtimestamp(stamp.t0 / 1000, UTC).date().isoformat()


class Calibration:
    """The corrections of a site; `run` tells what becomes of them."""

    def __init__(
        self,
        site: Site,
        clock: Clock,
        stamp: Callable[[BootMs], Stamp | None],
        tell: Callable[[Event], None],
        counters: Counters,
        worker: Worker,
    ) -> None:
        found = {f"{device}.{one.field}": one for device, one in _corrections(site)}
        self._now = {name: _in_force(one) for name, one in found.items()}
        self._dues = {name: one.due for name, one in found.items() if one.due}
        self._path = Path(site.spool.path) / FILE
        self._clock, self._stamp, self._tell = clock, stamp, tell
        self._counters, self._worker = counters, worker
        self._told: dict[str, str] = {}

    @property
    def overdue(self) -> bool:
        """Whether some correction has to be done again: an alarm in status."""
        return bool(overdue(self._dues, self._stamp(self._clock.boot_ms())))

    async def run(self) -> None:
        """For ever."""
        before, self._told = self._load()
        for event in changed(before, self._now, self._clock.boot_ms()):
            self._tell(event)
        news = before != self._now
        while True:
            await self._clock.sleep_until(BootMs(self._clock.boot_ms() + SETTLED_MS))
            if news:
                await self._keep()
            news = self._tell_due()
            if not news:
                await self._clock.sleep_until(BootMs(self._clock.boot_ms() + LOOK_EVERY_MS))
                news = self._tell_due()

    def _tell_due(self) -> bool:
        """Whether there was something to tell today that had not been told."""
        now = self._clock.boot_ms()
        stamp = self._stamp(now)
        today = day(stamp)
        late = [name for name in overdue(self._dues, stamp) if self._told.get(name) != today]
        for name in late:
            device, _, field = name.partition(".")
            self._tell(Event(now, device, "calibration_due", (field, self._dues[name])))
            self._told[name] = today
        return bool(late)

    def _load(self) -> tuple[Mapping[str, InForce], dict[str, str]]:
        try:
            return _read(files.read(self._path, FILE_BYTES_MAX))
        except FileNotFoundError:
            return {}, {}
        except (OSError, ValueError) as error:
            _log.warning("corrections_unreadable file=%s error=%s", self._path, error)
            self._counters.add("corrections_unreadable")
            return {}, {}

    async def _keep(self) -> None:
        told = {name: when for name, when in self._told.items() if name in self._dues}
        data = orjson.dumps({"v": VERSION, "corrections": self._now, "told": told})
        try:
            await self._worker.run(lambda: files.keep(self._path, data))
        except OSError as error:
            self._counters.add("corrections_not_kept")
            _log.warning("corrections_not_kept file=%s error=%s", self._path, error)
        finally:
            self._worker.close()  # a thread for one write a day need not wait for the next one


def _corrections(site: Site) -> Iterator[tuple[str, Correction]]:
    for bus in site.buses:
        for device in bus.devices:
            yield from ((device.name, correction) for correction in device.corrections)


def _in_force(one: Correction) -> InForce:
    return (one.slope, one.offset, one.datum, one.by, one.on)


def _read(data: bytes) -> tuple[Mapping[str, InForce], dict[str, str]]:
    """Raises ValueError."""
    document = orjson.loads(data)
    if not isinstance(document, dict) or document.get("v") != VERSION:
        raise ValueError("not a file of this version")
    kept, told = document.get("corrections"), document.get("told")
    if not (isinstance(kept, dict) and isinstance(told, dict)):
        raise ValueError("not corrections")  # noqa: TRY004 - as for all that a file says
    return {name: _read_one(value) for name, value in kept.items()}, {name: str(when) for name, when in told.items()}


def _read_one(value: object) -> InForce:
    if not isinstance(value, list) or len(value) != len(NONE):
        raise ValueError("not a correction")
    numbers, texts = value[:NUMBERS], value[NUMBERS:]
    if not all(type(number) in (int, float) for number in numbers) or not all(isinstance(text, str) for text in texts):
        raise ValueError("not a correction")
    return (*map(float, numbers), *texts)
