"""What the devices have taught us, over restarts: `learned.json` in the spool's folder.

    {"v":1,"devices":[{"device":"meter-1","profile":"eastron/sdm630@1",...}]}     (gateway.south.reads.memory)

Written at most every ten minutes, when something has changed, and at the stop. Losing it costs a few refused reads
after the next start, so nothing here keeps the gateway from starting or stopping: what can't be read is told and left
out, what can't be written is counted and tried again.
"""

import logging
from pathlib import Path
from typing import Final

import orjson

from gateway.app import files
from gateway.counters import Counters
from gateway.model import BootMs, Event
from gateway.seams import Clock, Worker
from gateway.site import Site
from gateway.south.reads.memory import Memory, memories

FILE: Final = "learned.json"
VERSION: Final = 1
KEEP_EVERY_MS: Final = 600_000
FILE_BYTES_MAX: Final = 8 << 20
DEVICES_MAX: Final = 10_000  # that are looked at
TOLD_MAX: Final = 16  # events of one file

_log = logging.getLogger(__name__)


class Learned:
    """The memories of a site's devices: filled from the file by `load`, kept in it by `run` and `keep`."""

    def __init__(self, site: Site, clock: Clock, counters: Counters, worker: Worker) -> None:
        self.memories = memories(site)
        self._path = Path(site.spool.path) / FILE
        self._clock, self._counters, self._worker = clock, counters, worker
        self._kept = self._changes

    def load(self) -> tuple[Event, ...]:
        """What could not be read of the file is told, the rest is taken in; a file that is not there is no news."""
        try:
            found = _devices(orjson.loads(files.read(self._path, FILE_BYTES_MAX)))
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            return (self._unreadable(str(error)),)
        events = [event for plain in found[:DEVICES_MAX] if (event := self._load(plain)) is not None]
        self._kept = self._changes
        return tuple(events[:TOLD_MAX])

    async def run(self) -> None:
        """Keep it now and then, for ever."""
        while True:
            await self._clock.sleep_until(BootMs(self._clock.boot_ms() + KEEP_EVERY_MS))
            await self.keep()

    async def keep(self) -> None:
        """Write the file when something has changed since."""
        changes = self._changes
        if changes == self._kept:
            return
        data = self._dumped()
        try:
            await self._worker.run(lambda: files.keep(self._path, data))
            self._kept = changes
        except OSError as error:
            self._counters.add("learned_not_kept")
            _log.warning("learned_not_kept file=%s error=%s", self._path, error)
        finally:
            self._worker.close()  # a thread for a write every ten minutes need not wait for the next one

    @property
    def _changes(self) -> int:
        return sum(memory.changes for memory in self.memories.values())

    def _dumped(self) -> bytes:
        now = self._clock.boot_ms()
        return orjson.dumps({"v": VERSION, "devices": [memory.dump(now) for memory in self.memories.values()]})

    def _load(self, plain: object) -> Event | None:
        if not isinstance(plain, dict):
            return self._unreadable("an entry is no object")
        memory: Memory | None = self.memories.get(str(plain.get("device")))
        if memory is None:
            return None  # it has left the site
        try:
            memory.load(plain, self._clock.boot_ms())
        except ValueError as error:
            return self._unreadable(f"{plain['device']}: {error}")
        return None

    def _unreadable(self, why: str) -> Event:
        self._counters.add("learned_unreadable")
        return Event(self._clock.boot_ms(), "", "learned_unreadable", why)


def _devices(document: object) -> list[object]:
    """Raises ValueError."""
    if not isinstance(document, dict) or document.get("v") != VERSION or not isinstance(document.get("devices"), list):
        raise ValueError("not a file of this version")
    devices: list[object] = document["devices"]
    return devices
