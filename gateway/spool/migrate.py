"""From a file of an older version to this one: one step a version, one transaction a step.

The version of a file is `user_version` in SQLite's header, which no change of a table can hide. Files of version 1 that
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


class NewerVersion(SpoolFailed):
    """The file is of a version that this build does not know; nothing in it was touched."""

    code = "spool_newer_version"

    def __init__(self, found: int, known: int = VERSION) -> None:
        super().__init__(f"made by a newer version: {found}, this one knows {known}")
        self.found = found


def version_of(db: sqlite3.Connection) -> int:
    """Of a file that has its tables. Raises sqlite3.Error, as all here does."""
    (version,) = db.execute(queries.load("migrate")["get_version"]).fetchone()
    return version or UNMARKED


def refuse_newer(db: sqlite3.Connection, known: int) -> None:
    """Raises NewerVersion; reads only the header."""
    if (found := version_of(db)) > known:
        raise NewerVersion(found, known)


def mark(db: sqlite3.Connection, version: int) -> None:
    """Write the version, in the transaction that is open."""
    db.execute(queries.load("migrate")["put_version"] % version)


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
