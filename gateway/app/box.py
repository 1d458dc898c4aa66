"""Reads the box itself as a device, a row every period: what `box` knows, and what the stages say of themselves.

The first row comes one period after the start: a start is in a hurry, and tells more by its events. Everything that
blocks is done in a thread of its own; a disk that hangs there costs these rows, and nothing else.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from gateway.app import files
from gateway.box import certificates, life, modem
from gateway.box.figures import Figures, figures
from gateway.box.life import Life
from gateway.clock.kernel import SystemClock
from gateway.clock.timeline import Timeline
from gateway.counters import Counters
from gateway.model import BootMs, Quality, Row, UtcMs, Value
from gateway.seams import Broker, Worker
from gateway.site import Device, Site
from gateway.wire.documents import Status
from gateway.worker import ThreadWorker

FILE: Final = "box.json"
FILE_BYTES_MAX: Final = 4096
MS_PER_DAY: Final = 86_400_000

_log = logging.getLogger(__name__)


def in_site(
    site: Site,
    lived: "LifeFile",
    brokers: Sequence[Broker],
    timeline: Timeline,
    clock: SystemClock,
    counters: Counters,
    on_row: Callable[[Row], None],
    status: Callable[[], Status],
) -> "tuple[Box, ...]":
    """This box as a device, where the site has it."""
    if site.box is None:
        return ()

    def trusted_now() -> UtcMs | None:
        return timeline.trusted_utc(clock.boot_ms())

    folder, worker = Path(site.spool.path), ThreadWorker("box")
    return (Box(site.box, folder, brokers, clock, counters, worker, lived, on_row, status, trusted_now),)


class LifeFile:
    """From this start to the stop in order; where it cannot be written the next start does not know its cause."""

    def __init__(self, folder: Path, boot: str) -> None:
        self._path = folder / FILE
        self._life, self.cause = life.begun(self._known(), boot)
        self._write(self._life)

    @property
    def boots(self) -> int:
        """Of this box, this one included."""
        return self._life.boots

    def end(self) -> None:
        """The daemon stops in order."""
        self._write(life.ended(self._life))

    def _known(self) -> Life | None:
        try:
            return life.loads(files.read(self._path, FILE_BYTES_MAX))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.warning("box_file_unreadable error=%s", error)
            return None

    def _write(self, known: Life) -> None:
        try:
            files.keep(self._path, life.dumps(known))
        except OSError as error:
            _log.warning("box_file_not_written error=%s", error)


class Box:
    """The built-in device of a site; `device` is `site.box`."""

    def __init__(
        self,
        device: Device,
        spool_folder: Path,
        brokers: Sequence[Broker],
        clock: SystemClock,
        counters: Counters,
        worker: Worker,
        lived: LifeFile,
        on_row: Callable[[Row], None],
        status: Callable[[], Status],
        trusted_now: Callable[[], UtcMs | None],
    ) -> None:
        """`status` says how the stages are now; `trusted_now` is None while no clock is believed."""
        self._polled = device.polled[0]
        self._newest: tuple[Row, ...] = ()
        self._folder, self._clock, self._counters, self._worker = spool_folder, clock, counters, worker
        self._lived, self._on_row = lived, on_row
        self._status, self._trusted_now = status, trusted_now
        self._pem = [
            file
            for broker in brokers
            if broker.tls is not None
            for file in (broker.tls.ca, broker.tls.certificate)
            if file
        ]

    @property
    def last_rows(self) -> Sequence[Row]:
        """The newest, once there is one."""
        return self._newest

    async def run(self) -> None:
        """For ever."""
        due = self._clock.boot_ms()
        while True:
            due = BootMs(max(due, self._clock.boot_ms()) + self._polled.period_ms)
            await self._clock.sleep_until(due)
            await self._look()

    async def _look(self) -> None:
        at = self._clock.boot_ms()
        async with asyncio.TaskGroup() as tasks:
            signal = tasks.create_task(modem.signal_percent(), name="modem signal")
            seen, days = await self._worker.run(self._blocking)
        row = self._row(at, self._told(seen, days, signal.result()))
        self._newest = (row,)
        self._on_row(row)
        self._counters.add("rows", bus="", device=self._polled.group.device)

    def _blocking(self) -> tuple[Figures, float | None]:
        now = self._trusted_now()
        return figures(self._folder), None if now is None else certificates.days_left(self._pem, now)

    def _told(self, seen: Figures, days: float | None, signal: float | None) -> dict[str, Value | None]:
        status = self._status()
        spool, north = status.spool, status.north
        left_ms = spool.outage_left_ms
        return {
            **asdict(seen),
            "spool_pending": float(spool.pending),
            "spool_outage_left": None if left_ms is None else left_ms / MS_PER_DAY,
            "clock_error": self._clock.max_error_ms(),
            "boots": float(self._lived.boots),
            "restart_cause": self._lived.cause,
            "uplink_round_trip": north.round_trip_ms,
            "uplink_sent": north.sent_bytes / 1e6,
            "certificate_left": days,
            "modem_signal": signal,
        }

    def _row(self, at: BootMs, told: dict[str, Value | None]) -> Row:
        rounded = {field.name: field.decimals for field in self._polled.fields if field.letter == "f"}
        values = tuple(_rounded(told[name], rounded.get(name)) for name in self._polled.group.fields)
        absent = tuple((at, Quality.NOT_FITTED) for at, value in enumerate(values) if value is None)
        return Row(self._polled.group, at, values, absent)


def _rounded(value: Value | None, decimals: int | None) -> Value | None:
    return value if value is None or decimals is None or isinstance(value, str) else round(float(value), decimals)
