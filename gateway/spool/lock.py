"""One owner of a spool at a time: an flock on `spool.lock`, held until `release` or the end of the process."""

import fcntl
import os
from pathlib import Path

from gateway.errors import SpoolFailed, SpoolInUse


class Lock:
    """Taken by its constructor, before anything else in the folder is touched; raises SpoolInUse or SpoolFailed."""

    def __init__(self, folder: Path) -> None:
        try:
            self._fd = os.open(folder / "spool.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SpoolFailed(str(error)) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _pid(self._fd)
            os.close(self._fd)
            raise SpoolInUse(pid) from None
        self._sign()

    def release(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _sign(self) -> None:
        """Leave our pid for whoever comes in vain; a full disk only costs them the number."""
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)
        except OSError:
            return  # the lock itself holds without it


def _pid(fd: int) -> int:
    """0 when the owner could not leave its pid."""
    text = os.pread(fd, 20, 0).strip()
    return int(text) if text.isdigit() else 0
