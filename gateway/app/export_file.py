"""A file of exported batches: whole under its own name, or not there.

Lines go into `NAME.part` beside it, each page after a look at the free space; at the end one fsync, then the name,
which must be free: nothing is ever overwritten. What was begun and could not be ended is removed. The medium may be a
stick with FAT, which has no hard links: there the name is looked at, then taken.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gateway.errors import GatewayError

MARGIN_BYTES: Final = 1 << 20  # of the medium, that stays free
MODE: Final = 0o640
NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class ExportExists(GatewayError):
    """There is a file of that name."""

    code = "export_exists"


class ExportNoRoom(GatewayError):
    """The medium is full, or its file system takes no larger file."""

    code = "export_no_room"


class ExportFailed(GatewayError):
    """The medium cannot be written."""

    code = "export_failed"


class ExportFile:
    """A context: `add` pages inside it, `finish` at the end; left without that, nothing remains."""

    def __init__(self, path: Path, free_bytes: Callable[[Path], int] | None = None) -> None:
        self._path, self._part = path, path.with_name(f"{path.name}.part")
        self._free_bytes = free_bytes or _free_bytes
        self._fd = -1
        self.size_bytes = 0

    def __enter__(self) -> Self:
        """Raises ExportExists, ExportFailed."""
        if self._path.exists() or self._path.is_symlink():
            raise ExportExists(str(self._path))
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._part, flags, MODE)
        except FileExistsError:
            raise ExportExists(str(self._part)) from None
        except OSError as error:
            raise ExportFailed(f"{self._path}: {error.strerror}") from error
        return self

    def add(self, lines: tuple[bytes, ...]) -> None:
        """Raises ExportNoRoom, ExportFailed."""
        data = b"".join(lines)
        try:
            if self._free_bytes(self._path.parent) < len(data) + MARGIN_BYTES:
                raise ExportNoRoom(f"{self._path}: {self.size_bytes + len(data)} bytes")
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            raise _named(error, self._path) from error
        self.size_bytes += len(data)

    def finish(self) -> None:
        """On the medium, under its name. Raises ExportExists, ExportNoRoom, ExportFailed."""
        try:
            os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1
            _take_name(self._part, self._path)
            _sync(self._path.parent)
        except OSError as error:
            raise _named(error, self._path) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is not finished goes."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._part.unlink(missing_ok=True)


def _take_name(part: Path, path: Path) -> None:
    try:
        os.link(part, path)
    except FileExistsError:
        raise ExportExists(str(path)) from None
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if path.exists():
            raise ExportExists(str(path)) from None
        part.rename(path)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize


def _named(error: OSError, path: Path) -> GatewayError:
    full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    return (ExportNoRoom if full else ExportFailed)(f"{path}: {error.strerror}")
