"""A disk under a spool that fails on order: whatever would be written to it or opened on it; memory never does."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from gateway.errors import SpoolFailed
from gateway.spool.database import Database
from gateway.spool.home import Home
from gateway.spool.keeper import Keeper


class FailingDisk:
    """Between `with patched()` and its end. What lies beside the database works, as on a disk that is full."""

    def __init__(self) -> None:
        self.failing = False

    @contextmanager
    def patched(self) -> Iterator[None]:
        """Every spool that is opened meanwhile lies on it."""
        put_meta, keeper = Database.put_meta, Home._keeper

        def put(database: Database, meta: object) -> None:
            if self.failing and database._db.execute("PRAGMA database_list").fetchone()[2]:
                raise SpoolFailed("disk I/O error")
            put_meta(database, meta)  # type: ignore[arg-type]

        def made(home: Home, folder: object) -> tuple[Keeper, bool]:
            if self.failing:
                raise SpoolFailed("disk I/O error")
            return keeper(home, folder)  # type: ignore[arg-type]

        with patch.object(Database, "put_meta", put), patch.object(Home, "_keeper", made):
            yield
