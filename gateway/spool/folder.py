"""The spool's folder: the file, what lies beside it, and the disk under it. Blocking; OSError becomes SpoolFailed.

spool.db  spool.db-wal   the spool
spool.mark               how far the log went, said once more
spool.ring               what rings in memory said of themselves: one that dies with its process is named by it
spool.lock               who owns it
ballast                  8 MB of nothing: removed when the disk is full in spite of the reserve, so that there is
                         room to make room in
salvaging.db             a damaged file while its rows are fetched
damaged-N.db             what is left of one; the first to go when there is no room
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import SpoolFailed
from gateway.spool.retention import BALLAST_BYTES

SUFFIXES = ("", "-wal", "-journal")


class Folder:
    """Made if it is not there; raises SpoolFailed."""

    def __init__(self, path: Path, *, reserve_bytes: int, quota_bytes: int) -> None:
        self.path, self.reserve_bytes, self.quota_bytes = path, reserve_bytes, quota_bytes
        self.file = path / "spool.db"
        self.salvaging = path / "salvaging.db"
        self._ballast = path / "ballast"
        self._ballast_bytes = min(BALLAST_BYTES, quota_bytes // 8)
        with _translated():
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def free_bytes(self) -> int:
        """Of the disk, for us."""
        with _translated():
            disk = os.statvfs(self.path)
            return disk.f_bavail * disk.f_frsize

    def beside_bytes(self) -> int:
        """What else in here counts in the quota; not what is being fetched from, which will go."""
        with _translated():
            return self._ballast_bytes + sum(path.stat().st_size for path in self.aside())

    def aside(self) -> list[Path]:
        """What is left of damaged files, oldest first."""
        with _translated():
            return sorted(self.path.glob("damaged-*"), key=lambda path: (path.stat().st_mtime_ns, path.name))

    def make_ballast(self) -> bool:
        """If it is missing, and the disk has room for it and as much again over the reserve. False: it did not work.

        The spool works without it: what goes wrong here is no failure of the disk, and tried again.
        """
        if self._ballast.exists() or self.free_bytes() < self.reserve_bytes + 2 * self._ballast_bytes:
            return True
        try:
            fd = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, self._ballast_bytes)
            except OSError:
                self._ballast.unlink()  # somebody was faster
                raise
            finally:
                os.close(fd)
        except OSError:
            return False
        return True

    def drop_ballast(self) -> bool:
        """Whether there was any."""
        return self._remove([self._ballast])

    def drop_aside(self) -> str:
        """The oldest of what is left of damaged files; "" when there was none."""
        oldest = self.aside()[:1]
        return oldest[0].name if self._remove(oldest) else ""

    def set_aside(self) -> None:
        """Out of the way with a damaged file, to be fetched from; one that was in its place is done with."""
        if self.salvaging.exists():
            self.finish_salvage()
        self._move(self.file, self.salvaging)

    def finish_move(self) -> None:
        """The power failed between two renames of `set_aside`: a file without its WAL would be older than it is."""
        parts = [self.salvaging.with_name(self.salvaging.name + suffix) for suffix in SUFFIXES[1:]]
        if not self.salvaging.exists() and any(part.exists() for part in parts):
            self._move(self.file, self.salvaging)

    def finish_salvage(self) -> None:
        """All that could be fetched is."""
        with _translated():
            taken = {path.name for path in self.path.glob("damaged-*")}
        number = next(n for n in range(1, len(taken) + 2) if f"damaged-{n}.db" not in taken)
        self._move(self.salvaging, self.path / f"damaged-{number}.db")

    def _move(self, old: Path, new: Path) -> None:
        """The WAL first: without it the file would be older than it is."""
        with _translated():
            for suffix in reversed(SUFFIXES):
                part = old.with_name(old.name + suffix)
                if part.exists():
                    part.rename(new.with_name(new.name + suffix))
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def _remove(self, paths: list[Path]) -> bool:
        with _translated():
            there = [path for path in paths if path.exists()]
            for path in there:
                path.unlink()
            return bool(there)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SpoolFailed(str(error)) from error
