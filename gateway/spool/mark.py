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
    segment, *stretches = json.loads(text)
    return segment, tuple(Stretch(*stretch) for stretch in stretches)
