"""Where a spool lives, and how its keepers are made: the disk's, the ring's. Blocking; of the worker's thread."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.model import Segment
from gateway.site import SpoolSettings
from gateway.spool.database import MEMORY, Damaged
from gateway.spool.file import SpoolFile
from gateway.spool.folder import Folder
from gateway.spool.keeper import RING_PAGES, Keeper, Place
from gateway.spool.lock import Lock
from gateway.spool.meta import BLIND_BLOCK, BLIND_BLOCKS, BLIND_FIRST
from gateway.spool.moment import Moment
from gateway.spool.retention import max_pages
from gateway.spool.ring_mark import RingMark
from gateway.spool.salvage import Salvage

EPOCH_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
EPOCH_LENGTH = 6
RING_MARK = "spool.ring"


def random_epoch() -> str:
    """Six letters: two spools of one gateway id share one with a chance of 1 in 2 000 million."""
    return "".join(secrets.choice(EPOCH_LETTERS) for _ in range(EPOCH_LENGTH))


@dataclass(slots=True)
class Home:
    """One gateway's spool on one machine. Keeps the lock over a failing disk, until `close`."""

    settings: SpoolSettings
    gateway: str
    machine: str
    make_epoch: Callable[[], str] = random_epoch
    draw: Callable[[int], int] = secrets.randbelow  # below a number
    make_folder: Callable[..., Folder] = Folder
    others: Mapping[int, str] = field(default_factory=dict)  # names of the uplinks behind the first, by number
    _lock: Lock | None = field(default=None, init=False)
    _ring_mark: RingMark | None = field(default=None, init=False)

    def open_disk(self, *, damaged: bool = False) -> tuple[Keeper, bool]:
        """Lock, open or salvage, begin an epoch where one is due; was it damaged? Raises SpoolInUse, SpoolFailed."""
        folder = self.make_folder(
            Path(self.settings.path), reserve_bytes=self.settings.reserve_bytes, quota_bytes=self.settings.quota_bytes
        )
        self._lock = self._lock or Lock(folder.path)
        self._ring_mark = self._ring_mark or RingMark(folder.path / RING_MARK)
        if damaged:
            folder.set_aside()
        folder.finish_move()
        try:
            keeper, behind = self._keeper(folder)
        except Damaged:
            folder.set_aside()
            keeper, _ = self._keeper(folder)
            return keeper, True
        return keeper, damaged or behind

    def open_ring(self, after: Place) -> Keeper:
        """In memory, in an epoch of its own, numbered on from `after`; small enough to find room on the disk again."""
        file = SpoolFile(MEMORY, self.gateway, self.machine, tuple(self.others))
        old = (after.epoch, after.last)
        file.begin(self.make_epoch(), "ring", first_id=after.next_id, segment=after.segment, after=old)
        room = max_pages(self.settings.quota_bytes, 0)
        pages = min(RING_PAGES, room // 2)
        return Keeper(file, None, ring_pages=pages, others=self.others, ring_mark=self._ring_mark)

    def blind(self) -> Place:
        """For a ring whose disk could not even be read: numbers that no spool has reached."""
        base = BLIND_FIRST + self.draw(BLIND_BLOCKS) * BLIND_BLOCK
        return Place(next_id=base, segment=base)

    def move(self, ring: Keeper, disk: Keeper, moment: Moment, dated: list[Segment]) -> None:
        """The disk has it all before the ring is let go, and before nobody would name it any more."""
        try:
            disk.now(moment)
            disk.take_in(ring, dated)
        except BaseException:
            disk.close()
            raise
        if self._ring_mark is not None:
            self._ring_mark.forget({ring.file.meta.epoch})
        ring.close()

    def close(self) -> None:
        """Let others have it."""
        if self._ring_mark is not None:
            self._ring_mark.close()
            self._ring_mark = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _keeper(self, folder: Folder) -> tuple[Keeper, bool]:
        """And whether the mark knew of more than the file."""
        file = SpoolFile(str(folder.file), self.gateway, self.machine, tuple(self.others))
        try:
            salvage = Salvage(folder, file) if folder.salvaging.exists() else None
            behind = salvage is None and file.catch_up()
            why = file.new_epoch()
            if salvage is not None and why == "new_spool":
                why = "meta_damaged"
            if why:
                file.begin(self.make_epoch(), why, first_id=salvage.floor + 1 if salvage else 1)
            if salvage is None:
                file.trim()
            keeper = Keeper(
                file,
                folder,
                archive_days=self.settings.archive_days,
                others=self.others,
                ring_mark=self._ring_mark,
            )
            keeper.bury()  # what finds no room now, the first tick tries again
        except BaseException:
            file.close()
            raise
        if salvage is not None:
            keeper.start_salvage(salvage)
        return keeper, behind
