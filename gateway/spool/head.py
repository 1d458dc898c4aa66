"""Page 1 of the file: SQLite's header and the schema, the same in every spool of this version.

SQLite believes most of it, whatever it says: with another text encoding every text is another one, with a table less
there is a table less. So it is compared with what a new file has, at each open; and because it is the same in every
file, the page of a damaged one is simply written anew before its rows are fetched.

    0  magic, page size, versions, reserved bytes, fractions      compared (versions: 1 or 2)
   24  change counter, pages, free list                           SQLite's own checks
   40  schema cookie                                              no matter
   44  schema format, ..., encoding                               compared
   60  user_version                                               holds its own check (`migrate`)
   64  ..., application id                                        compared
  100  the schema, as a tree of rows                              compared as rows, by `Database`
"""

import os
import sqlite3
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

from gateway.errors import SpoolFailed
from gateway.spool import migrate, queries
from gateway.spool.meta import VERSION
from gateway.spool.migrate import NewerVersion

Schema: TypeAlias = list[tuple[str, int, str]]

HEADER_BYTES = 100
PAGE_BYTES = 4096
WAL_VERSIONS = slice(18, 20)
COUNTER, PAGES, FREE_LIST, VALID_FOR = slice(24, 28), slice(28, 32), slice(32, 40), slice(92, 96)
VERSION_WORD = slice(60, 64)
UNSET = {44: 4, 56: 4}  # at, bytes: schema format and encoding are 0 until there is a table


def right(path: Path) -> bool:
    """Whether the header could be one of ours; so could no file, or an empty one. Raises SpoolFailed."""
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except FileNotFoundError:
        return True
    except OSError as error:
        raise SpoolFailed(str(error)) from error
    return not header or (len(header) == HEADER_BYTES and _constant(header) in _constants() and _version(header) > 0)


def is_schema(found: Schema) -> bool:
    """Whether name, root page and SQL of all there is are as a new file has them."""
    return found == list(_fresh()[1])


def renew(path: Path) -> None:
    """Write page 1 of a damaged file anew: it is only read after this. Raises SpoolFailed; NewerVersion untouched."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            header = os.pread(fd, HEADER_BYTES, 0)
            if _constant(header) in _constants() and _version(header) > VERSION:
                raise NewerVersion(_version(header))
            pages = os.fstat(fd).st_size // PAGE_BYTES
            if pages:
                os.pwrite(fd, _first_page(pages), 0)
        finally:
            os.close(fd)
    except OSError as error:
        raise SpoolFailed(str(error)) from error


def _first_page(pages: int) -> bytes:
    page = bytearray(_fresh()[0])
    page[WAL_VERSIONS] = b"\2\2"
    page[PAGES] = pages.to_bytes(4, "big")
    page[FREE_LIST] = bytes(8)
    page[VALID_FOR] = page[COUNTER]
    return bytes(page)


@lru_cache(maxsize=1)
def _fresh() -> tuple[bytes, tuple[tuple[str, int, str], ...]]:
    """Page 1 and the schema of a new file."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    try:
        database.execute(queries.load("connect")["page_size"])
        for statement in queries.load("schema").values():
            database.execute(statement)
        migrate.mark(database, VERSION)
        rows = database.execute(queries.load("spool")["schema"]).fetchall()
        return database.serialize()[:PAGE_BYTES], tuple(rows)
    finally:
        database.close()


@lru_cache(maxsize=1)
def _constants() -> set[bytes]:
    header = bytearray(_fresh()[0][:HEADER_BYTES])
    found = {_constant(bytes(header))}
    for at, size in UNSET.items():
        header[at : at + size] = bytes(size)
        found.add(_constant(bytes(header)))
    return found


def _constant(header: bytes) -> bytes:
    """The parts that never change."""
    versions = b"\2" if set(header[WAL_VERSIONS]) <= {1, 2} else header[WAL_VERSIONS]
    return header[:18] + versions + header[20:24] + header[44:48] + header[52:60] + header[64:92]


def _version(header: bytes) -> int:
    return migrate.version_in(int.from_bytes(header[VERSION_WORD], "big"))
