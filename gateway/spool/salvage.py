"""A damaged file, read seq by seq into a fresh one, behind the polling.

SQLite stops a scan at the first malformed page; asked for one id at a time it loses only what lies on that page. So:
the small tables first (whatever of them can be read), then every id that the epochs say should be there, a few at a
time between appends. What is not found by then is a gap `corrupt`. If the epochs are lost too, every id up to the
highest is tried, and the rows themselves, which carry epoch, seq and id, tell which epochs there were.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from gateway.errors import SpoolError
from gateway.model import SeqRanges
from gateway.spool import head, moving
from gateway.spool.database import Database, Ranges
from gateway.spool.file import SpoolFile
from gateway.spool.folder import Folder
from gateway.spool.meta import Meta
from gateway.spool.migrate import NewerVersion
from gateway.spool.row import Record, Stretch
from gateway.spool.view import View

STEP_IDS = 64

T = TypeVar("T")


class Salvage:
    """From `folder.salvaging` into `file`; `todo` are the ids not tried yet."""

    def __init__(self, folder: Folder, file: SpoolFile) -> None:
        self._folder, self._file = folder, file
        self._old: Database | None = _tried(lambda: _opened(folder), None)
        self.found = self.lost = 0
        if self._old is not None and not file.view.stretches:
            view, meta, whole = read_small(self._old, file.gateway, file.told)
            moving.plant(file, view, meta, whole=whole)
        file.catch_up()
        self.todo = self._wanted()

    @property
    def floor(self) -> int:
        """A new epoch in the fresh file begins above this id."""
        return self.todo.ranges[-1][1] if self.todo else 0

    def next(self) -> SeqRanges:
        """The ids of the next step."""
        first = next(self.todo.seqs(), 0)
        return self.todo.intersection(SeqRanges.of([(first, first + STEP_IDS - 1)]))

    def fetch(self) -> list[Record]:
        """The rows of the next step that can be read, and are not in the fresh file since before a restart."""
        old = self._old
        if old is None:
            return []
        wanted = [id_ for id_ in self.next().seqs() if self._file.db.record(id_) is None]
        found = [_tried(lambda id_=id_: old.record(id_), None) for id_ in wanted]  # type: ignore[misc]  # bound at once
        return [record for record in found if record is not None]

    def done(self, records: list[Record]) -> SeqRanges:
        """These were written; returns the pending ids of the step that are lost."""
        step, self.todo = self.next(), self.todo.minus(self.next())
        there = SeqRanges.of_seqs(id_ for id_ in step.seqs() if self._file.db.record(id_) is not None)
        self.found += len(records)
        lost = step.minus(there).intersection(self._file.view.pending())
        self.lost += len(lost)
        return lost

    def _wanted(self) -> SeqRanges:
        if self._old is None:
            return SeqRanges()
        known = _present(self._file.view)
        highest = _tried(self._old.highest, None) or 0
        return known or SeqRanges.of([(_tried(self._old.lowest, None) or 1, highest)])

    def close(self) -> None:
        """The old file is done with, or the daemon ends."""
        if self._old is not None:
            self._old.close()
            self._old = None


def _opened(folder: Folder) -> Database:
    """With a page 1 that is right, whatever it was: what a flip in it hides is still there."""
    head.renew(folder.salvaging)
    return Database(str(folder.salvaging), make=False)


def read_small(old: Database, gateway: str, told: Sequence[Stretch] = ()) -> tuple[View, Meta | None, bool]:
    """All but the log, as far as it can be read, and whether table `settled` was read whole.

    `told` are the stretches by the mark. They may be behind, so of lost ones they say only where meta goes on from.
    """
    meta = _tried(old.meta, None)
    none: tuple[Ranges, bool] = ({}, False)
    ranges, whole = _tried(old.ranges, none)
    stretches = _tried(old.stretches, list[Stretch]()) or _led_to(meta, told)
    view = View(gateway, stretches, _tried(old.segments, {}), parked=_tried(old.parked, {}))
    view.load(ranges)
    if view.stretches:
        last = view.stretches[-1]
        by_log = (_tried(old.highest, None) or 0) - last.shift
        if meta is not None and (last.epoch, last.shift) == (meta.epoch, meta.next_id - meta.next_seq):
            by_log = max(by_log, meta.next_seq - 1)
            meta = replace(meta, next_seq=by_log + 1, next_id=by_log + 1 + last.shift)
        else:
            meta = None  # it tells of another time than the epochs
        view.grow(max(by_log, last.last, last.first - 1))
    return view, meta, whole


def _led_to(meta: Meta | None, told: Sequence[Stretch]) -> list[Stretch]:
    """These, if meta goes on from the last of them; else none."""
    if meta is None or not told or (told[-1].epoch, told[-1].shift) != (meta.epoch, meta.next_id - meta.next_seq):
        return []
    return list(told)


def _present(view: View) -> SeqRanges:
    """Ids that should be in the old file: pending, archive, another gateway's."""
    return view.pending().union(view.kept_settled()).union(view.foreign())


def _tried(read: Callable[[], T], otherwise: T) -> T:
    """What can be read of a damaged file; what cannot is counted as lost where it is missed. A newer one is no such."""
    try:
        return read()
    except NewerVersion:
        raise
    except SpoolError:
        return otherwise
