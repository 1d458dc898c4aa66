"""The tables, read and written as values; every foreign error becomes ours here. What belongs together is `file`'s.

A row that fails its row_crc is treated as absent, and said so where the caller must know. sqlite3 errors turn into
SpoolFull (no page left), Damaged (SQLite calls the file malformed) or SpoolFailed (the disk). Every statement is known
to be right, so what SQLite cannot prepare or answer in any other way is the file's fault too.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias, cast

from gateway.errors import SpoolFailed, SpoolFull
from gateway.model import Segment, SeqRanges
from gateway.spool import head, migrate, queries
from gateway.spool.meta import VERSION, Meta
from gateway.spool.row import COPIES, Columns, Record, Stretch, intact, sealed, segment_columns, segment_of_row

MEMORY = ":memory:"

Ranges: TypeAlias = dict[tuple[int, str], SeqRanges]  # by (uplink, epoch)

_FULL = {sqlite3.SQLITE_FULL}
_DAMAGED = {
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_ERROR,
}


class Damaged(SpoolFailed):
    """The file contradicts itself: not a matter of trying again, but of salvage."""


class Database:
    """One connection, of the thread that made it; `make` gives an empty file tables.

    Raises SpoolFailed, Damaged, and NewerVersion for a file that a newer build made; an older one is migrated.
    """

    def __init__(self, path: str, *, make: bool = True) -> None:
        self._sql = queries.load("spool")
        with _translated():
            self._db = sqlite3.connect(path, isolation_level=None)
        try:
            self._set_up(path, make=make)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, flushed when this block is left."""
        with _translated():
            self._db.execute(self._sql["begin"])
            try:
                yield
                self._db.execute(self._sql["commit"])
            except BaseException:
                self._roll_back()
                raise

    def close(self) -> None:
        """Idempotent; never raises: what it could not do, the next open finds done or not."""
        try:
            self._db.close()
        except sqlite3.Error:
            return  # a failing disk cannot be closed any better

    # -- meta, epoch, segment

    def meta(self) -> Meta | None:
        """None when it is damaged, or was never written."""
        rows = self._rows("get_meta")
        return Meta(*rows[0][:-1]) if rows and intact(rows[0]) else None  # type: ignore[arg-type]  # STRICT, and crc

    def put_meta(self, meta: Meta) -> None:
        """Replace it."""
        self._do("put_meta", sealed(meta.columns()))

    def stretches(self) -> list[Stretch]:
        """In order of sending; raises Damaged when both copies of one are lost."""
        found: dict[int, Stretch] = {}
        lost = set()
        for row in self._rows("all_epochs"):
            if intact(row):
                stretch = Stretch(*row[1:-1])  # type: ignore[arg-type]  # STRICT, and crc
                found[stretch.first_id] = stretch
            else:
                lost.add(row[1])
        if lost - set(found):
            raise Damaged("an epoch is lost")
        return [found[first_id] for first_id in sorted(found)]

    def put_stretch(self, stretch: Stretch) -> None:
        """Both copies."""
        for copy in COPIES:
            self._do("put_epoch", sealed(stretch.columns(copy)))

    def drop_stretch(self, stretch: Stretch) -> None:
        """Both copies."""
        self._do("drop_epoch", (stretch.first_id,))

    def segments(self) -> dict[int, Segment]:
        """By number; what is lost in both copies is missing."""
        intact_rows = [row for row in self._rows("all_segments") if intact(row)]
        found = [segment_of_row(row[1:-1]) for row in intact_rows]
        # a flip between the two writes of a dating cannot happen (one transaction), but a dated copy wins anyway
        return {s.number: s for s in sorted(found, key=lambda s: s.offset_ms is not None)}

    def put_segment(self, segment: Segment) -> None:
        """Both copies."""
        for copy in COPIES:
            self._do("put_segment", sealed(segment_columns(segment, copy)))

    def drop_segment(self, number: int) -> None:
        """Both copies."""
        self._do("drop_segment", (number,))

    # -- settled, parked

    def ranges(self) -> tuple[Ranges, bool]:
        """What is settled and what is gone, and whether every row of it was intact."""
        rows = self._rows("all_settled")
        found: dict[tuple[int, str], list[tuple[int, int]]] = {}
        for row in rows:
            if intact(row):
                uplink, epoch, first, last, _ = cast("tuple[int, str, int, int, int]", row)
                found.setdefault((uplink, epoch), []).append((first, last))
        return {key: SeqRanges.of(pairs) for key, pairs in found.items()}, all(map(intact, rows))

    def put_ranges(self, before: Ranges | None, after: Ranges) -> None:
        """Change table `settled` from one state to another; None = whatever stands there."""
        if before is None:
            self._do("clear_settled", ())
            before = {}
        for key in before.keys() | after.keys():
            old, new = set(before.get(key, SeqRanges()).ranges), set(after.get(key, SeqRanges()).ranges)
            for first, _ in old - new:
                self._do("drop_settled", (*key, first))
            for pair in new - old:
                self._do("put_settled", sealed((*key, *pair)))

    def parked(self) -> dict[str, dict[int, str]]:
        """Why, by epoch and seq."""
        found: dict[str, dict[int, str]] = {}
        for row in self._rows("all_parked"):
            if intact(row):
                epoch, seq, why, _ = cast("tuple[str, int, str, int]", row)
                found.setdefault(epoch, {})[seq] = why
        return found

    def put_parked(self, epoch: str, seq: int, why: str) -> None:
        """Park one."""
        self._do("put_parked", sealed((epoch, seq, why)))

    def drop_parked(self, epoch: str, seq: int) -> None:
        """Unpark one."""
        self._do("drop_parked", (epoch, seq))

    # -- batch

    def record(self, id_: int) -> Record | None:
        """None when it is damaged, or not there."""
        return next((record for _, record in self.rows(id_, id_, 1)), None)

    def rows(self, first: int, last: int, limit: int, *, urgent: bool = False) -> list[tuple[int, Record | None]]:
        """Ids that have a row within closed bounds, rising, and the batch where it is intact."""
        rows = self._rows("some_urgent" if urgent else "some_batches", (first, last, limit))
        return [(cast("int", row[0]), Record(*row[:-1]) if intact(row) else None) for row in rows]  # type: ignore[arg-type]  # STRICT, and crc

    def put_record(self, record: Record) -> None:
        """Append it."""
        self._do("put_batch", sealed(record.columns()))

    def drop_records(self, ids: SeqRanges) -> None:
        """Delete them, those that are there."""
        for first, last in ids.ranges:
            self._do("drop_batches", (first, last))

    def lowest(self) -> int | None:
        """The first id."""
        return cast("int | None", self._rows("first_id")[0][0])

    def highest(self) -> int | None:
        """The last id."""
        return cast("int | None", self._rows("last_id")[0][0])

    # -- all of it

    def bad_rows(self, name: str) -> int:
        """How many rows of a small table fail their row_crc; `name` of its statement."""
        return sum(not intact(row) for row in self._rows(name))

    # -- the file

    def pages(self) -> tuple[int, int]:
        """(all, free), from the header."""
        return self._number("page_count"), self._number("free_pages")

    def limit_pages(self, pages: int) -> None:
        """SQLite's own limit; it never shrinks a file for it."""
        with _translated():
            self._db.execute(self._sql["limit_pages"] % pages)

    def _set_up(self, path: str, *, make: bool) -> None:
        self._db.text_factory = _text
        with _translated():
            for name, pragma in queries.load("connect").items():
                if name == "journal_mode":  # behind locking_mode, and before anything of ours that may write
                    migrate.refuse_newer(self._db, VERSION)  # this first look undoes what a power cut left half done
                    if path != MEMORY and not head.right(Path(path)):
                        raise Damaged("the header is damaged")
                self._db.execute(pragma)
            mode = self._db.execute("PRAGMA journal_mode").fetchone()[0]
        if path != MEMORY and mode != "wal":
            raise SpoolFailed(f"journal_mode {mode}")
        pages, free = self.pages()
        if not 0 <= free <= pages:  # room is reckoned with it
            raise Damaged("more pages are free than there are")
        if self._rows("schema"):
            self._migrate()
            if not head.is_schema(cast("head.Schema", self._rows("schema"))):
                raise Damaged("the schema is damaged")
            return
        if not make or pages > 1:
            raise Damaged("no tables")
        with self.transaction():
            for statement in queries.load("schema").values():
                self._db.execute(statement)
            migrate.mark(self._db, VERSION)

    def _migrate(self) -> None:
        """A step that fails is no matter of salvage: that would read the old rows in this version's layout."""
        try:
            with _translated():
                migrate.migrate(self._db, VERSION, migrate.STEPS)
        except Damaged as error:
            raise SpoolFailed(f"cannot be brought to version {VERSION}: {error}") from error

    def _roll_back(self) -> None:
        try:
            if self._db.in_transaction:
                self._db.execute(self._sql["rollback"])
        except sqlite3.Error:
            return  # the error that brought us here is the one to tell; an open transaction ends with its connection

    def _rows(self, name: str, parameters: Columns = ()) -> list[Columns]:
        with _translated():
            return self._db.execute(self._sql[name], parameters).fetchall()

    def _do(self, name: str, parameters: Columns) -> None:
        with _translated():
            self._db.execute(self._sql[name], parameters)

    def _number(self, name: str) -> int:
        return cast("int", self._rows(name)[0][0])


@contextmanager
def _translated() -> Iterator[None]:
    """No sqlite3 error leaves this module; a mistake of ours in using it does."""
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except UnicodeDecodeError as error:  # SQLite's message quotes what it found in a damaged schema
        raise Damaged("malformed database schema") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code of an extended one
        if code in _FULL:
            raise SpoolFull(str(error)) from error
        raise (Damaged if code in _DAMAGED else SpoolFailed)(str(error)) from error


def _text(data: bytes) -> str:
    """A flipped bit may leave what is not UTF-8: it is for row_crc to say so."""
    return data.decode("utf-8", "surrogateescape")
