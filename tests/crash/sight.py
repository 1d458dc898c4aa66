"""All that anybody can read of a damaged spool: two damages that leave the same to be read are one, and tried once.

What SQLite reads are the pages of the file under those of the WAL, as far as the WAL's checksums hold: SQLite says so
itself, of a copy. What lies between the cell pointers of a tree's page and its first cell is room, which nobody reads.
A file that is cut off inside a page reads as zeros up to the page's end. What we read past SQLite is kept as it is: the
header, how many pages are whole, the mark, the words of the note of rings; so is the WAL's own header.

Where SQLite reads nothing at all, the files themselves are compared.
"""

import sqlite3
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

from gateway.spool.head import HEADER_BYTES, PAGE_BYTES
from gateway.spool.mark import parsed
from gateway.spool.ring_mark import SLOT_BYTES, SLOTS

DB, WAL, MARK, RING = "spool.db", "spool.db-wal", "spool.mark", "spool.ring"
WAL_HEADER_BYTES = 32
TREES = {2: 12, 5: 12, 10: 8, 13: 8}  # type of a page: bytes of its header


def sight(files: Mapping[str, bytes], folder: Path) -> bytes:
    """A digest of it; `folder` is for the copies."""
    db, wal = files.get(DB, b""), files.get(WAL, b"")
    pages = _read_by_sqlite(db, wal, folder)
    digest = blake2b(digest_size=16)
    for part in (
        files.get(MARK, b""),
        _words(files.get(RING, b"")),
        db[:HEADER_BYTES],
        (len(db) // PAGE_BYTES).to_bytes(4, "big"),
        wal[:WAL_HEADER_BYTES],
        _padded(db) + b"?" + wal if pages is None else _without_room(pages),
    ):
        digest.update(len(part).to_bytes(4, "big") + part)
    return digest.digest()


def _words(ring: bytes) -> bytes:
    """What a note of rings says: of each slot what its own line ends."""
    return repr([parsed(ring[at : at + SLOT_BYTES]) for at in range(0, SLOTS * SLOT_BYTES, SLOT_BYTES)]).encode()


def in_room(db: bytes) -> list[int]:
    """Where in a file without a WAL nobody reads."""
    return [at + inside for at in range(0, len(db), PAGE_BYTES) for inside in _room(db[at : at + PAGE_BYTES], at)]


def _room(page: bytes, at: int) -> range:
    """Of a page of a tree, what lies between its pointers and its cells; of any other, nothing."""
    start = 0 if at else HEADER_BYTES
    header_bytes = TREES.get(page[start])
    if header_bytes is None:
        return range(0)
    cells, content = (int.from_bytes(page[start + field : start + field + 2], "big") for field in (3, 5))
    return range(start + header_bytes + 2 * cells, content)


def _without_room(data: bytes) -> bytes:
    pages = ((at, data[at : at + PAGE_BYTES]) for at in range(0, len(data), PAGE_BYTES))
    return b"".join(page[: room.start] + page[room.stop :] if (room := _room(page, at)) else page for at, page in pages)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % PAGE_BYTES)


def _read_by_sqlite(db: bytes, wal: bytes, folder: Path) -> bytes | None:
    """Every page as SQLite gives it; None when it refuses."""
    folder.mkdir(exist_ok=True)
    path, beside = folder / DB, folder / WAL
    path.write_bytes(db)
    if wal:
        beside.write_bytes(wal)
    else:
        beside.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        return connection.serialize()
    except sqlite3.Error:
        return None
    finally:
        connection.close()
