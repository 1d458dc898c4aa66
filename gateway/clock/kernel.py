"""`seams.Clock` as Linux keeps it: CLOCK_BOOTTIME, adjtimex and timerfd, the last two by ctypes.

Python 3.11 has neither; both are read-only or our own, so no privilege is needed. asyncio's own timers round up to
a millisecond and run on CLOCK_MONOTONIC: good for `sleep_until`, too coarse for silences on a wire, which wait on a
timerfd. When adjtimex is refused (a seccomp filter), `refused` says so: else it looks like a clock that never comes.
"""

import asyncio
import ctypes
import os
import time
from pathlib import Path

from gateway.clock.timeline import BUILT
from gateway.model import BootMs, Trust, UtcMs

WORDS = {  # [clock] trust -> the word of a believed time
    "kernel": Trust.NTP,
    "system": Trust.SYSTEM,
    "rtc": Trust.RTC,
    "ioc": Trust.IOC,
}

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NAP_MAX_MS = 60_000  # the loop's timers stand still in suspend, CLOCK_BOOTTIME does not: look again
MAX_ERROR_US = 16_000_000
STA_UNSYNC = 0x0040
TIMERS_KEPT = 8  # one a bus that waits at the same moment; more are made and closed again
TFD_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC
TFD_TIMER_ABSTIME = 1


class SystemClock:
    """The machine's clock; `trust` is the site's: kernel, system, rtc, or ioc (its wall clock is never believed)."""

    def __init__(self, trust: str, *, rtc: Path = Path("/sys/class/rtc")) -> None:
        self.word = WORDS[trust]
        self.refused = ""
        self._rtc = rtc
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._idle_timers: list[int] = []

    def boot_ms(self) -> BootMs:
        """Milliseconds of CLOCK_BOOTTIME."""
        return BootMs(self.boot_ns() // NS_PER_MS)

    def boot_ns(self) -> int:
        """Nanoseconds of CLOCK_BOOTTIME."""
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def utc_ms(self) -> UtcMs:
        """CLOCK_REALTIME."""
        return UtcMs(time.clock_gettime_ns(time.CLOCK_REALTIME) // NS_PER_MS)

    def synchronised(self) -> bool:
        """Whether the wall clock may be believed; with `kernel`, `refused` tells a no of the kernel from no answer."""
        if self.word is Trust.SYSTEM:
            return True
        if self.word is Trust.RTC:
            return self.utc_ms() >= BUILT and _set_from_rtc(self._rtc)  # a battery clock without a battery is years off
        return self.word is Trust.NTP and self._kernel_synchronised()

    def max_error_ms(self) -> float | None:
        """How far the wall clock may be off, by the kernel: it grows while nobody corrects it. None: it is refused."""
        timex = _Timex()
        return timex.maxerror / 1000 if self._libc.adjtimex(ctypes.byref(timex)) >= 0 else None

    async def sleep_until(self, at: BootMs) -> None:
        """Coarse; at least one turn of the loop."""
        while True:
            left_ms = max(0, at - self.boot_ms())
            await asyncio.sleep(min(left_ms, NAP_MAX_MS) / 1000)  # noqa: TID251 - this is the seam
            if self.boot_ms() >= at:
                return

    async def wire_wait(self, until_ns: int) -> None:
        """Fine: tens of microseconds late."""
        if until_ns <= self.boot_ns():
            return
        timer = self._idle_timers.pop() if self._idle_timers else self._new_timer()
        loop = asyncio.get_running_loop()
        rang: asyncio.Future[None] = loop.create_future()
        try:
            self._arm(timer, until_ns)
            loop.add_reader(timer, _ring, timer, rang)
            await rang
        finally:
            loop.remove_reader(timer)
            self._put_back(timer)

    def close(self) -> None:
        """Close the timers; idempotent."""
        while self._idle_timers:
            os.close(self._idle_timers.pop())

    def _kernel_synchronised(self) -> bool:
        timex = _Timex()
        state = self._libc.adjtimex(ctypes.byref(timex))
        if state < 0:
            self.refused = os.strerror(ctypes.get_errno())
            return False
        self.refused = ""
        return timex.maxerror < MAX_ERROR_US and not timex.status & STA_UNSYNC

    def _new_timer(self) -> int:
        timer: int = self._libc.timerfd_create(time.CLOCK_BOOTTIME, TFD_FLAGS)
        if timer < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        return timer

    def _arm(self, timer: int, until_ns: int) -> None:
        """0 disarms, and takes back a ring that nobody has read yet."""
        when = _Itimerspec(_Timespec(0, 0), _Timespec(*divmod(until_ns, NS_PER_S)))
        if self._libc.timerfd_settime(timer, TFD_TIMER_ABSTIME, ctypes.byref(when), None) < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))

    def _put_back(self, timer: int) -> None:
        if len(self._idle_timers) >= TIMERS_KEPT:
            os.close(timer)
            return
        self._arm(timer, 0)
        self._idle_timers.append(timer)


def _ring(timer: int, rang: "asyncio.Future[None]") -> None:
    os.read(timer, 8)
    if not rang.done():
        rang.set_result(None)


def _set_from_rtc(folder: Path) -> bool:
    """Whether the kernel took its time from a real-time clock at boot: any `hctosys` that reads 1."""
    return any(_reads_one(clock / "hctosys") for clock in sorted(folder.glob("rtc*")))


def _reads_one(path: Path) -> bool:
    try:
        return path.read_text("ascii").strip() == "1"
    except OSError:
        return False  # no such clock, or not ours to read: not believed


class _Timeval(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("microseconds", ctypes.c_long))


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2); modes 0 = only read."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", _Timeval),
        ("tick", ctypes.c_long),
        ("ppsfreq", ctypes.c_long),
        ("jitter", ctypes.c_long),
        ("shift", ctypes.c_int),
        ("stabil", ctypes.c_long),
        ("jitcnt", ctypes.c_long),
        ("calcnt", ctypes.c_long),
        ("errcnt", ctypes.c_long),
        ("stbcnt", ctypes.c_long),
        ("tai", ctypes.c_int),
        ("reserved", ctypes.c_int * 11),
    )
