"""A disk that remembers: every write, truncate, sync and delete of the spool's SQLite files, in order.

    spool code -> database.py -> `sqlite3` (replaced) -> apsw connection -> Disk (an SQLite VFS) -> the real files
                                                                             |
                                                                             v  log: Write, Truncate, Sync, ..., Fact

The spool's own code and statements run unchanged; only the module `sqlite3` that database.py sees is another one,
because a VFS of apsw is not seen by the library of the standard module. What the states are replayed *into* is the
standard library's SQLite, which is the one that recovers on a box.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import apsw

REPLACED = "gateway.spool.database.sqlite3"


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes at a place."""

    file: str
    at: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    """To a length."""

    file: str
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    """The file, and its name, are on the medium."""

    file: str


@dataclass(frozen=True, slots=True)
class Delete:
    """A name is gone; on the medium too, if its folder was synced."""

    file: str
    synced: bool


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that was promised to the caller, or tried: what a state is judged by."""

    what: str
    epoch: str = ""
    seq: int = 0
    detail: Any = None


Op: TypeAlias = Write | Truncate | Sync | Delete | Fact


class Disk(apsw.VFS):
    """Records into `log` whatever happens under it; `failing` answers every write with an I/O error."""

    def __init__(self, name: str) -> None:
        self.log: list[Op] = []
        self.failing = False
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        """One more file."""
        return File(self, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's
        """The name goes."""
        super().xDelete(name, syncdir)
        self.log.append(Delete(Path(name).name, bool(syncdir)))


class File(apsw.VFSFile):
    """One open file of a Disk."""

    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._disk, self._name = disk, Path(path).name if path else ""
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        """Then noted."""
        self._fail(apsw.IOError)
        super().xWrite(data, offset)
        self._disk.log.append(Write(self._name, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802 - SQLite's name
        """Then noted."""
        self._fail(apsw.IOError)
        super().xTruncate(size)
        self._disk.log.append(Truncate(self._name, size))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Then noted."""
        self._fail(apsw.IOError)
        super().xSync(flags)
        self._disk.log.append(Sync(self._name))

    def _fail(self, error: Callable[[str], Exception]) -> None:
        if self._disk.failing:
            raise error("disk I/O error")


class Connection:
    """As much of `sqlite3.Connection` as database.py uses, over apsw."""

    text_factory: object = str  # nothing damaged is read while recording

    def __init__(self, path: str, vfs: str) -> None:
        with _as_stdlib():
            self._db = apsw.Connection(path, vfs=vfs if path != ":memory:" else None)

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> "Rows":
        """The first row is there, and nothing is left half done."""
        with _as_stdlib():
            return Rows(self._db.execute(sql, tuple(parameters)).fetchall())

    @property
    def in_transaction(self) -> bool:
        """Whether one is open."""
        return self._db.in_transaction

    def close(self) -> None:
        """As SQLite closes: a last checkpoint, and the WAL is deleted."""
        with _as_stdlib():
            self._db.close()


class Rows:
    """A cursor that has been read to its end."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def fetchall(self) -> list[Any]:
        """All."""
        return self._rows

    def fetchone(self) -> Any:
        """The first."""
        return self._rows[0]


def stand_in(vfs: str) -> Any:
    """For the module `sqlite3` in database.py: the same names, another `connect`."""
    module = SimpleNamespace(**vars(sqlite3))
    module.connect = lambda path, **_: Connection(path, vfs)
    return module


@contextmanager
def _as_stdlib() -> Iterator[None]:
    """Apsw's errors under the names and with the codes of the standard module."""
    try:
        yield
    except apsw.Error as error:
        translated = sqlite3.OperationalError(str(error))
        translated.sqlite_errorcode = getattr(error, "extendedresult", getattr(error, "result", 0))
        raise translated from error
