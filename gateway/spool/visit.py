"""A spool whose daemon does not run, held by the lock: looked at, exported, verified, renewed. Blocking.

Whoever looks changes nothing: no epoch begins, nothing is trimmed, salvaged or given up; the daemon does that when it
starts. SQLite itself may move what is in the WAL into the file. Files that are made belong to whoever runs this.
"""

from pathlib import Path

from gateway.errors import SpoolFailed
from gateway.spool import export, verify
from gateway.spool.database import Database
from gateway.spool.export import Exported, Wanted
from gateway.spool.file import SpoolFile
from gateway.spool.home import RING_MARK, random_epoch
from gateway.spool.lock import Lock
from gateway.spool.report import Report, report_of
from gateway.spool.ring_mark import look
from gateway.spool.salvage import read_small
from gateway.spool.verify import Verified
from gateway.spool.view import NONE


class NoSpool(SpoolFailed):
    """There is no spool in this folder."""

    code = "no_spool"


class Visit:
    """Takes the lock; raises NoSpool, SpoolInUse, NewerVersion, SpoolFailed. Close it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "spool.db"
        self.salvaging = (folder / "salvaging.db").exists()  # rows of it are missing here until the daemon ran
        if not self._path.is_file():
            raise NoSpool(str(folder))
        self._lock = Lock(folder)
        try:
            self._open()
        except BaseException:
            self._lock.release()
            raise

    def close(self) -> None:
        """Idempotent."""
        self._db.close()
        self._lock.release()

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        return self._path.stat().st_size

    @property
    def died(self) -> int:
        """Batches of rings in memory that ended with their process, and that no gap names until the daemon ran."""
        rings = look(self._path.with_name(RING_MARK), self._view.gateway)
        buried = self._view.buried().intersection(self._view.pending())
        return len(buried) + sum(r.last - r.first + 1 for r in rings if not self._view.live(r.epoch))

    def report(self) -> Report:
        """What is kept."""
        return report_of(self._view)

    def export(self, wanted: Wanted, after: int) -> Exported:
        """As `Spool.export`."""
        return export.page(self._db, self._view, wanted, after)

    def verify(self, after: int) -> Verified:
        """As `Spool.verify`."""
        return verify.page(self._db, self._view, NONE, after)

    def renew(self) -> tuple[str, str]:
        """As `Spool.renew`; raises SpoolFailed for a spool that the daemon must mend first."""
        if not self._view.stretches:
            raise SpoolFailed("no epoch")
        newest = self._view.stretches[-1]
        self._db.close()
        file = SpoolFile(str(self._path), newest.gateway, newest.machine, tuple(self._view.others))
        try:
            if why := file.new_epoch():
                raise SpoolFailed(why)
            file.renew(random_epoch())
            return newest.epoch, file.meta.epoch
        finally:
            file.close()
            self._open()

    def _open(self) -> None:
        self._db = Database(str(self._path), make=False)
        try:
            self._view, _, _ = read_small(self._db, "")
        except BaseException:
            self._db.close()
            raise
        if self._view.stretches:
            self._view.gateway = self._view.stretches[-1].gateway
