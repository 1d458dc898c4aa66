"""A second word for how far the log went: `spool.mark`, written after each commit, never flushed by itself.

Nothing in a file tells that its end is gone: a WAL that was cut off, or that has one flipped bit, is simply a shorter
WAL, and a database of no bytes is a new one. The mark tells. It is written when the commit is on disk, so a mark that
is ahead of the file means that the file lost something; one that is behind, or unreadable, means nothing at all.

    [segment, [first_id, epoch, first, last, gateway, machine, old_epoch, old_last, why], ...] SPACE crc-32 NEWLINE
"""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias
from zlib import crc32

from gateway.spool.row import Stretch

Word: TypeAlias = tuple[int, tuple[Stretch, ...]]  # highest segment, stretches; the last one is open

BYTES_MAX = 4096
STRETCHES_MAX = 16  # the newest
NUMBER_MAX = 1 << 62  # ids and seqs: what is above it no spool has reached, and SQLite has no room for sums of it
COLUMNS = (int, str, int, int, str, str, str, int, str)


class Mark:
    """Beside one file; never raises: without it the spool is as good as its file."""

    def __init__(self, path: Path) -> None:
        self._path, self._fd, self._said = path, -1, b""

    def read(self) -> Word | None:
        """What it says; None when there is none, or it is damaged."""
        try:
            return parsed(self._path.read_bytes()[:BYTES_MAX])
        except OSError:
            return None

    def write(self, segment: int, stretches: Sequence[Stretch]) -> None:
        """Where the log stands now."""
        text = written(segment, stretches)
        if text == self._said:
            return
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.pwrite(self._fd, text, 0)
            self._said = text
        except OSError:
            self._said = b""  # an older mark is no contradiction; what is wrong with the disk, the file will meet

    def close(self) -> None:
        """Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def news(word: Word | None, stretches: Sequence[Stretch]) -> tuple[int, list[Stretch]]:
    """What a mark knows beyond these: the highest segment, and stretches to be written, one that grew among them."""
    segment, told = word or (0, ())
    if not stretches:
        return segment, list(told)
    stands = stretches[-1]
    same = next((s for s in told if (s.first_id, s.epoch) == (stands.first_id, stands.epoch)), None)
    ahead = [s for s in told if s.first_id > stands.first_id]
    if same is None or not (ahead or same.last > stands.last):
        return segment, []  # of another file, or so old that its epoch is over; or no news
    return segment, [replace(stands, last=max(same.last, stands.last)), *ahead]


def written(segment: int, stretches: Sequence[Stretch]) -> bytes:
    """As it lies in the file; longer or shorter than the one before, its own line says where it ends."""
    text = json.dumps([segment, *(stretch.columns(0)[1:] for stretch in stretches[-STRETCHES_MAX:])]).encode()
    return text + b" %d\n" % crc32(text)


def parsed(data: bytes) -> Word | None:
    """None for anything but what `written` made."""
    text, _, crc = data.partition(b"\n")[0].rpartition(b" ")
    if not crc.isdigit() or int(crc) != crc32(text):
        return None
    try:
        segment, *stretches = json.loads(text)
    except (ValueError, TypeError):
        return None
    if not (_is_number(segment) and all(map(_is_stretch, stretches))):
        return None
    return segment, tuple(Stretch(*stretch) for stretch in stretches)


def _is_stretch(columns: object) -> bool:
    """Whether its columns are of their types: a strange file may have a right CRC."""
    if not isinstance(columns, list) or len(columns) != len(COLUMNS):
        return False
    pairs = zip(columns, COLUMNS, strict=True)
    return all(_is_number(value) if kind is int else isinstance(value, kind) for value, kind in pairs)


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < NUMBER_MAX
