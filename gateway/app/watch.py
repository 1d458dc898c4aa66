"""What rows set off: alarms and faster polling; and which devices are in maintenance. Kept over restarts.

`watch.json` beside the spool, written when something has changed:

    {"v":1,"alarms":[[device,field,level],...],"works":[[device,kind,by,length in ms,end in ms UTC],...]}

It is written after the event that it is about: a box that is killed in between raises an alarm, or ends it, a second
time. Without the file alarms are raised anew by the first readings; nothing here keeps the gateway from starting.

    maintenance {"device":"level-1","for_ms":7200000,"by":"LVH","why":"","calibration":false}     for_ms 0 ends it
                {"code":"ok"} | {"code":"no_such_device"} | {"code":"bad_arguments"}
"""

import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from gateway.app import files
from gateway.control.server import Handler
from gateway.counters import Counters
from gateway.errors import Malformed
from gateway.model import BootMs, Event, Row, UtcMs
from gateway.pipeline.alarms import Alarms, Key
from gateway.pipeline.fast import Fasts
from gateway.pipeline.maintenance import DEVICES_MAX, LENGTH_MAX_MS, Maintenance, Work
from gateway.seams import Clock, Worker
from gateway.site import Site
from gateway.south.bus import Loop
from gateway.south.outlook.outlook import fast_verdict
from gateway.wire import checked

FILE: Final = "watch.json"
VERSION: Final = 1
FILE_BYTES_MAX: Final = 1 << 20
LOOK_EVERY_MS: Final = 1000

_log = logging.getLogger(__name__)


class Watch:
    """Of one site; `tell` takes events that no row brings."""

    def __init__(
        self,
        site: Site,
        buses: Sequence[Loop],
        clock: Clock,
        counters: Counters,
        worker: Worker,
        tell: Callable[[Event], None],
    ) -> None:
        self._clock, self._counters, self._worker, self._tell = clock, counters, worker, tell
        self._path = Path(site.spool.path) / FILE
        self._loops = {d.name: loop for bus, loop in zip(site.buses, buses, strict=True) for d in bus.devices}
        on, works = self._load()
        self._alarms = Alarms(site, on)
        self._fasts = Fasts(site, self._alarms.holds, _refused(site))
        self._maintenance = Maintenance(work for work in works if work.device in self._loops)
        for device, field, level in sorted(on - set(self._alarms.on)):
            tell(Event(clock.boot_ms(), device, "alarm_removed", (field, level)))
        self._kept = self._dumped()

    def take(self, row: Row) -> list[Event]:
        """What this row sets off."""
        if row.group.device in self._maintenance:
            return []
        events = self._alarms.watch(row)
        change = self._fasts.watch(row)
        if change is None:
            return events
        if change.code != "fast_refused":
            self._loops[row.group.device].hurry(row.group.device, fast=change.code == "fast_on")
        return [*events, change]

    @property
    def alarms_on(self) -> tuple[Key, ...]:
        """(device, field, level) of each, sorted."""
        return self._alarms.on

    @property
    def fast(self) -> tuple[str, ...]:
        """Devices that are polled faster now."""
        return self._fasts.on

    @property
    def works(self) -> tuple[Work, ...]:
        """Devices in maintenance."""
        return self._maintenance.works()

    async def run(self) -> None:
        """End what is over, keep what has changed, for ever."""
        while True:
            for event in self._maintenance.over(self._clock.utc_ms(), self._clock.boot_ms()):
                self._alarms.forget(event.subject)
                self._tell(event)
            await self.keep()
            await self._clock.sleep_until(BootMs(self._clock.boot_ms() + LOOK_EVERY_MS))

    async def keep(self) -> None:
        """Write the file when something has changed since."""
        data = self._dumped()
        if data == self._kept:
            return
        try:
            await self._worker.run(lambda: files.keep(self._path, data))
            self._kept = data
        except OSError as error:
            self._counters.add("watch_not_kept")
            _log.warning("watch_not_kept file=%s error=%s", self._path, error)
        finally:
            self._worker.close()

    def handlers(self) -> Mapping[str, Handler]:
        """Who may open the socket may ask."""

        async def maintenance(arguments: dict[str, object]) -> AsyncGenerator[object, None]:
            try:
                by = checked.text(arguments.get("by"), "by", checked.WORD_BYTES_MAX)
                yield {"code": self.maintain(arguments, by)}
            except Malformed as error:
                yield {"code": "bad_arguments", "detail": str(error)}
            await self.keep()

        return {"maintenance": maintenance}

    def maintain(self, arguments: Mapping[str, object], by: str) -> str:
        """Begin or end a maintenance: `ok` or `no_such_device`; raises Malformed."""
        device = checked.name(arguments.get("device"), "device")
        length_ms = checked.integer(arguments.get("for_ms"), "for_ms", 0, LENGTH_MAX_MS)
        why = checked.text(arguments.get("why", ""), "why", checked.WORD_BYTES_MAX)
        kind = "calibration" if checked.boolean(arguments.get("calibration", False), "calibration") else "maintenance"
        if device not in self._loops:
            return "no_such_device"
        now = self._clock.boot_ms()
        if length_ms:
            ends = UtcMs(self._clock.utc_ms() + length_ms)
            event: Event | None = self._maintenance.begin(Work(device, kind, by, length_ms, ends), why, now)
        else:
            event = self._maintenance.end(device, now)
        if event is not None:
            self._alarms.forget(device)
            self._tell(event)
        return "ok"

    def _dumped(self) -> bytes:
        works = [[w.device, w.kind, w.by, w.length_ms, w.ends] for w in self.works]
        return orjson.dumps({"v": VERSION, "alarms": self._alarms.on, "works": works})

    def _load(self) -> tuple[set[Key], list[Work]]:
        """What could not be read of the file is told."""
        try:
            return _read(orjson.loads(files.read(self._path, FILE_BYTES_MAX)))
        except FileNotFoundError:
            return set(), []
        except (OSError, ValueError, Malformed) as error:
            self._counters.add("watch_unreadable")
            self._tell(Event(self._clock.boot_ms(), "", "watch_unreadable", checked.cleaned(str(error))))
            return set(), []


def _read(document: Any) -> tuple[set[Key], list[Work]]:  # noqa: ANN401 - JSON
    """Raises Malformed."""
    found = checked.obj(document, FILE)
    if found.get("v") != VERSION:
        raise Malformed("schema", "not a file of this version")
    on: set[Key] = set()
    for item in checked.items(found.get("alarms"), "alarms", FILE_BYTES_MAX):
        device, field, level = (checked.text(part, "alarm") for part in checked.items(item, "alarm", 3, width=3))
        on.add((device, field, level))
    works = []
    for item in checked.items(found.get("works"), "works", DEVICES_MAX):
        device, kind, by, length_ms, ends = checked.items(item, "work", 5, width=5)
        length = checked.integer(length_ms, "length", 1, LENGTH_MAX_MS)
        names = (checked.text(device, "device"), checked.text(kind, "kind"), checked.text(by, "by"))
        works.append(Work(*names, length, UtcMs(checked.integer(ends, "end"))))
    return on, works


def _refused(site: Site) -> frozenset[str]:
    """Devices of buses that could not hold their periods with every `fast` in force."""
    full = [bus for bus in site.buses if (verdict := fast_verdict(bus)) is not None and not verdict.holds]
    return frozenset(device.name for bus in full for device in bus.devices)
