"""An upgrade of either side brings back the batches that were refused before it, once: `versions.json` by the spool.

    {"v":1,"ours":["1.0.0"],"theirs":["1.0.0","1.1.0"]}

heard -> fresh? -> disk there? -> unparked -> event `refused_again` -> noted -> written. A power cut in between brings
them back once more. A file that cannot be read or written is told, and costs just that: they are tried again at each
start.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import orjson

from gateway.app import files
from gateway.model import BootMs, Event
from gateway.north.versions import Seen, Versions
from gateway.seams import Clock, Worker

NAME: Final = "versions.json"
VERSION: Final = 1
BYTES_MAX: Final = 64 * 1024
TEXT_MAX: Final = 64
RETRY_MS: Final = 10_000

_log = logging.getLogger(__name__)


class Unparks(Protocol):
    """The spool."""

    @property
    def whole(self) -> bool:
        """Whether the disk is used: what is parked there can be brought back."""
        ...

    async def unpark_all(self, why: str) -> int:
        """How many were parked for this reason, or one of its kind."""
        ...


class Upgrades:
    """Of one spool's life; `run` does what `heard` finds worth doing."""

    def __init__(
        self, folder: Path, ours: str, spool: Unparks, clock: Clock, worker: Worker, on_event: Callable[[Event], None]
    ) -> None:
        self._path, self._spool, self._clock = folder / NAME, spool, clock
        self._worker, self._on_event = worker, on_event
        self._kept = self._read()
        self._versions = Versions(ours, self._kept)
        self._news = asyncio.Event()

    def heard(self, theirs: str) -> None:
        """A receipt told this version of the centre, "" when it told none."""
        self._versions.heard(theirs)
        if self._versions.seen != self._kept or self._versions.fresh.theirs:
            self._news.set()

    async def run(self) -> None:
        """For ever."""
        while True:
            while not await self.step():
                await self._clock.sleep_until(BootMs(self._clock.boot_ms() + RETRY_MS))
            await self._news.wait()
            self._news.clear()

    async def step(self) -> bool:
        """Bring back what is due; False: not now, the disk fails."""
        fresh = self._versions.fresh
        if fresh != Seen():
            count = await self._spool.unpark_all("refused")
            if not self._spool.whole:  # the ring was looked at, and not what is on the disk
                return False
            self._versions.note(fresh)
            self._tell(count, fresh)
        await self._keep()
        return True

    def _tell(self, count: int, fresh: Seen) -> None:
        _log.info("version_seen ours=%s theirs=%s refused_again=%d", fresh.ours, fresh.theirs, count)
        if count:
            who, versions = ("gateway", fresh.ours) if fresh.ours else ("ioc", fresh.theirs)
            self._on_event(Event(self._clock.boot_ms(), "", "refused_again", (count, who, versions[0])))

    def _read(self) -> Seen:
        try:
            return _seen(orjson.loads(files.read(self._path, BYTES_MAX)))
        except FileNotFoundError:
            return Seen()
        except (OSError, ValueError) as error:
            _log.warning("versions_unreadable file=%s error=%s", self._path, error)
            return Seen()

    async def _keep(self) -> None:
        seen = self._versions.seen
        if seen == self._kept:
            return
        data = orjson.dumps({"v": VERSION, "ours": seen.ours, "theirs": seen.theirs})
        try:
            await self._worker.run(lambda: files.keep(self._path, data))
        except OSError as error:
            _log.warning("versions_not_kept file=%s error=%s", self._path, error)
        finally:
            self._worker.close()  # a thread for a write a year need not wait for the next one
        self._kept = seen  # also when it failed: it is tried at the next news


def _seen(document: object) -> Seen:
    """Raises ValueError."""
    if not isinstance(document, dict) or document.get("v") != VERSION:
        raise ValueError("not a file of this version")
    return Seen(_texts(document.get("ours")), _texts(document.get("theirs")))


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) and len(text) <= TEXT_MAX for text in value):
        raise ValueError("not a list of versions")
    return tuple(value)
