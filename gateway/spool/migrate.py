"""From a file of an older version to this one: one step a version, one transaction a step.

The version of a file is in `user_version` of SQLite's header, which no change of a table can hide; in its low half,
with its complement in the high one, so that a flipped bit is damage and not a newer version. Files of version 1 that
were made before it was written there have 0.

Invariants
    - a step and the version that it leads to are written together: a power cut, or a full disk, leaves the step before.
    - every row that a step changes or copies gets its `row_crc` by `row.sealed`; one that was not intact stays so.
    - what cannot be brought here is left as it is (SpoolFailed: the spool goes on in RAM, and tries again).
    - there is no way back: a file of a newer version is refused (`NewerVersion`) before anything is written, and is
      never salvaged, set aside or replaced.
"""

import sqlite3
from collections.abc import Callable, Mapping
from typing import TypeAlias

from gateway.errors import SpoolFailed
from gateway.spool import queries
from gateway.spool.meta import VERSION

Step: TypeAlias = Callable[[sqlite3.Connection], None]

STEPS: Mapping[int, Step] = {}  # by the version that it leads from; the first one will lead from 1
UNMARKED = 1
HALF = 0x7FFF  # the sign bit stays free


class NewerVersion(SpoolFailed):
    """The file is of a version that this build does not know; nothing in it was touched."""

    code = "spool_newer_version"

    def __init__(self, found: int, known: int = VERSION) -> None:
        super().__init__(f"made by a newer version: {found}, this one knows {known}")
        self.found = found


def word_of(version: int) -> int:
    """What `user_version` is in a file of this version."""
    return (version ^ HALF) << 16 | version


def version_in(word: int) -> int:
    """The version that a `user_version` tells; 0: none, it is damaged."""
    version = word & HALF
    return UNMARKED if word == 0 else version if word == word_of(version) else 0


def version_of(db: sqlite3.Connection) -> int:
    """Of a file that has its tables; 0 = damaged. Raises sqlite3.Error, as all here does."""
    (word,) = db.execute(queries.load("migrate")["get_version"]).fetchone()
    return version_in(word)


def refuse_newer(db: sqlite3.Connection, known: int) -> None:
    """Raises NewerVersion; reads only the header."""
    if (found := version_of(db)) > known:
        raise NewerVersion(found, known)


def mark(db: sqlite3.Connection, version: int) -> None:
    """Write the version, in the transaction that is open."""
    db.execute(queries.load("migrate")["put_version"] % word_of(version))


def migrate(db: sqlite3.Connection, target: int, steps: Mapping[int, Step]) -> list[int]:
    """The versions that were reached on the way; raises what a step raises, and that step is then undone."""
    reached = []
    sql = queries.load("migrate")
    while (version := version_of(db)) < target:
        db.execute(sql["begin"])
        try:
            steps[version](db)
            mark(db, version + 1)
            db.execute(sql["commit"])
        except BaseException:
            if db.in_transaction:
                db.execute(sql["rollback"])
            raise
        reached.append(version + 1)
    return reached
