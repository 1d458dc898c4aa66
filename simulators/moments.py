"""The simulators' own clocks and the one way they wait: they may not share the gateway's, which they test."""

import asyncio
import ctypes
import os
import struct
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from gateway.model import UtcMs

_CLOCK_BOOTTIME = time.CLOCK_BOOTTIME
_TFD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
_TFD_TIMER_ABSTIME = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on both clocks."""

    boot_ns: int  # CLOCK_BOOTTIME, the clock that the gateway stamps readings with
    utc_ms: UtcMs


def boot_ns() -> int:
    """CLOCK_BOOTTIME."""
    return time.clock_gettime_ns(_CLOCK_BOOTTIME)


def now() -> Instant:
    """This moment."""
    return Instant(boot_ns(), UtcMs(time.clock_gettime_ns(time.CLOCK_REALTIME) // 1_000_000))


class Alarm:
    """A timerfd: waits of tenths of a millisecond, which the event loop's own timers round up to whole ones."""

    def __init__(self) -> None:
        self._fd: int = _LIBC.timerfd_create(_CLOCK_BOOTTIME, _TFD_FLAGS)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Once, at the end."""
        os.close(self._fd)

    async def until(self, at_ns: int, or_done: "asyncio.Future[None] | None" = None) -> None:
        """Wait for a boot time, or for `or_done`; returns at once when it is past. One waiter at a time."""
        if at_ns <= boot_ns():
            return
        loop = asyncio.get_running_loop()
        rang = loop.create_future() if or_done is None else or_done
        self._set(at_ns)
        loop.add_reader(self._fd, wake, rang)
        try:
            await rang
        finally:
            loop.remove_reader(self._fd)
            self._set(0)

    def _set(self, at_ns: int) -> None:
        """Arm, or disarm with 0; setting also takes back an expiry that was not read."""
        spec = struct.pack("@qqqq", 0, 0, at_ns // 1_000_000_000, at_ns % 1_000_000_000)
        if _LIBC.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, spec, None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")


def wake(waiter: "asyncio.Future[None]") -> None:
    """What a reader calls when its file is ready; it may be called again before it is removed."""
    if not waiter.done():
        waiter.set_result(None)
