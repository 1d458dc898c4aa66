"""`gateway run` under libfaketime: `python -m tests.support.faked_gateway KERNEL-FILE SITE`.

What that library does on Debian 12 (0.9.10), with FAKETIME_DONT_FAKE_MONOTONIC=1:

    CLOCK_REALTIME              faked; FAKETIME_TIMESTAMP_FILE is read again at every call with FAKETIME_NO_CACHE=1
    CLOCK_BOOTTIME, _MONOTONIC  real, and so are asyncio's timers
    adjtimex                    not faked: what the kernel says of its clock has to come from a file
    time.sleep                  an absolute sleep, taken for a wall-clock one: it hangs, so an Event waits instead
    timerfd, absolute           taken for a wall-clock one, so that it never rings: goes to libc itself

Everything else is the daemon as it is, but that it looks at its clock every second, so that a test is brief.
"""

import ctypes
import errno
import sys
import threading
import time
from pathlib import Path
from typing import Any

from gateway.app import daemon
from gateway.clock import follow, kernel

LOOKS_MS = 1_000


class Kernel:
    """libc past the library, and adjtimex as the file says: `synchronised`, `refused`, or anything else for not yet."""

    def __init__(self, said: Path) -> None:
        self._libc: Any = ctypes.CDLL("libc.so.6", use_errno=True)
        self._said = said
        self.timerfd_create, self.timerfd_settime = self._libc.timerfd_create, self._libc.timerfd_settime

    def adjtimex(self, pointer: object) -> int:
        """The answer of adjtimex, and in the struct what belongs to it."""
        said = self._said.read_text("ascii")
        if said == "refused":
            ctypes.set_errno(errno.EPERM)
            return -1
        timex = pointer._obj  # type: ignore[attr-defined]
        timex.maxerror, timex.status = (500, 0) if said == "synchronised" else (16_000_000, kernel.STA_UNSYNC)
        return 0


def main(said: Path, site: str) -> int:
    """The daemon's exit status."""
    make = kernel.SystemClock.__init__

    def made(clock: kernel.SystemClock, trust: str) -> None:
        make(clock, trust)
        clock._libc = Kernel(said)  # type: ignore[assignment]

    kernel.SystemClock.__init__ = made  # type: ignore[method-assign,assignment]
    follow.PERIOD_MS = LOOKS_MS
    time.sleep = _slept  # type: ignore[assignment]
    return daemon.main([site])


def _slept(seconds: float) -> None:
    threading.Event().wait(seconds)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2]))
