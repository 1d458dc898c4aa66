"""What rings in memory say of themselves on the disk that fails: `spool.ring`, so that one that dies is named.

A ring ends with its process, and nothing else on the disk tells that its epoch ever was. Two slots of a page each, in
the mark's format: earlier rings that ended so and are not in the spool yet, then the one that runs.

    slot 0 | slot 1     each: [serial, [first_id, epoch, first, last, ...], ...] SPACE crc-32 NEWLINE zeros

`first` is the first seq that waits: what is below it has its receipt. Behind `last`, nothing waits. The intact slot
with the higher serial is the word.

One slot is written after each step. It is flushed at most every FLUSH_MS, and from then on the other one is written:
a write that the power cut tears never costs what was flushed. The file has its full size from the beginning, so that a
full disk can still be told in place. What the disk does not take cannot be told; that is no failure of the ring's.
"""

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from gateway.model import BootMs, SeqRanges
from gateway.spool.mark import Word, parsed, written
from gateway.spool.row import Stretch

SLOT_BYTES = 4096
SLOTS = 2
SLOTS_AT = range(0, SLOTS * SLOT_BYTES, SLOT_BYTES)
NOTHING: Word = (0, ())
FLUSH_MS = 10_000  # a card has so many writes in it; what came since is what a power cut may cost


class RingMark:
    """Beside one spool, under its lock; never raises. What cannot be read is not written either: it may tell."""

    def __init__(self, path: Path) -> None:
        self._path, self._fd = path, -1
        self._ended: tuple[Stretch, ...] = ()  # rings of processes that are over, of any gateway
        self._own: Stretch | None = None  # the one that runs
        self._serial, self._slot = 0, 0
        self._said: tuple[Stretch, ...] | None = None  # None: nobody knows what stands there
        self._flushed_at: BootMs | None = None
        self._unflushed = False
        self._opened()

    def ended(self, gateway: str) -> list[Stretch]:
        """Rings of this gateway that ended with their process; the seqs of each that had no receipt."""
        return [ring for ring in self._ended if ring.gateway == gateway] if self._opened() else []

    def tell(self, ring: Stretch, at: BootMs) -> None:
        """How far the ring that runs is: `first` is the first seq that waits."""
        if not self._opened():
            return
        self._own = ring
        rings = self._rings()
        if rings != self._said:
            self._said = rings if self._write(self._slot, self._text()) else None
            self._unflushed = True
        if self._unflushed and (self._flushed_at is None or at - self._flushed_at >= FLUSH_MS):
            self._flushed_at = at
            if self._flush():
                self._slot = (self._slot + 1) % SLOTS
            else:
                self._said = None  # the kernel may have forgotten what it could not write: the same slot once more

    def forget(self, epochs: Collection[str]) -> None:
        """The spool itself knows these rings now."""
        if not self._opened():
            return
        self._ended = tuple(ring for ring in self._ended if ring.epoch not in epochs)
        if self._own is not None and self._own.epoch in epochs:
            self._own, self._flushed_at = None, None
        self._said = self._rings()
        self._fill(*[self._text()] * SLOTS)

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            self._flush()
            os.close(self._fd)
            self._fd = -1

    def _opened(self) -> bool:
        """Read once; whether it could be."""
        if self._fd >= 0:
            return True
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        try:
            data = os.pread(fd, SLOTS * SLOT_BYTES, 0)
        except OSError:
            os.close(fd)
            return False
        slots = [data[at : at + SLOT_BYTES] for at in SLOTS_AT]
        words = [parsed(slot) or NOTHING for slot in slots]
        self._fd = fd
        self._serial, self._ended = _newest(words)
        self._slot = min(range(SLOTS), key=lambda slot: words[slot][0])
        if len(data) < SLOTS * SLOT_BYTES:
            self._fill(*slots)
        return True

    def _rings(self) -> tuple[Stretch, ...]:
        return (*self._ended, *([self._own] if self._own is not None and self._own.last else []))

    def _text(self) -> bytes:
        """The next word; as many rings as find room, the newest."""
        self._serial += 1
        kept = list(self._rings())
        while len(text := written(self._serial, kept)) > SLOT_BYTES:
            del kept[0]
        return text

    def _fill(self, *slots: bytes) -> None:
        """All of it, at once, and flushed."""
        for slot, text in enumerate(slots):
            self._write(slot, text)
        self._unflushed = True
        self._flush()

    def _write(self, slot: int, text: bytes) -> bool:
        """A whole page: the disk need not be read for it."""
        try:
            return os.pwrite(self._fd, text.ljust(SLOT_BYTES, b"\0"), slot * SLOT_BYTES) == SLOT_BYTES
        except OSError:
            return False  # the next step tells again

    def _flush(self) -> bool:
        """Whether all that was written is on the disk."""
        try:
            if self._unflushed:
                os.fdatasync(self._fd)
        except OSError:
            return False
        self._unflushed = False
        return True


def look(path: Path, gateway: str) -> list[Stretch]:
    """As `RingMark.ended`, for who changes nothing; without a file, or one that can be read, none."""
    try:
        data = path.read_bytes()
    except OSError:
        return []
    words = [parsed(data[at : at + SLOT_BYTES]) or NOTHING for at in SLOTS_AT]
    return [ring for ring in _newest(words)[1] if ring.gateway == gateway]


def waiting(ring: Stretch, pending: SeqRanges) -> Stretch:
    """A ring from its first seq that waits on; with nothing that waits it begins behind its end."""
    first = pending.ranges[0][0] if pending else ring.last + 1
    return replace(ring, first=first, first_id=first + ring.shift)


def _newest(words: Sequence[Word]) -> Word:
    """The later word, without rings of which nothing waits."""
    serial, rings = max(words, key=lambda word: word[0])
    return serial, tuple(ring for ring in rings if ring.last >= ring.first)
