"""A small ext4 of its own on a loop device, whose power can be cut: EXT4_IOC_SHUTDOWN drops all that was not flushed.

Needs root, a free loop device and e2fsprogs. Where one is missing the test is skipped and says which; with CI=true it
fails: there, nothing would have been tested.
"""

import fcntl
import os
import struct
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.support.servers import require

EXT4_IOC_SHUTDOWN = 0x8004587D  # _IOR('X', 125, __u32), in linux/ext4.h
NO_LOG_FLUSH = 2  # what was not synced is gone: dirty pages and the journal's open transaction alike
COMMAND_S = 20


class LoopDisk:
    """Mounted at `path` between `with` and its end, whatever happens in between; the image and all on it go."""

    def __init__(self, folder: Path, *, size_mb: int = 48) -> None:
        self.path = folder / "mounted"
        self._image = folder / "disk.img"
        self._size_mb = size_mb
        self._mounted = False

    def __enter__(self) -> Self:
        mkfs = require("mkfs.ext4")
        _require_root()
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(self._size_mb << 20)
        _run(mkfs, "-q", "-F", str(self._image))
        self._mount()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._unmount()
        self._image.unlink()

    def cut_power(self) -> None:
        """From now on nothing reaches it, and it answers with errors."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(fd)

    def come_back(self) -> None:
        """Power is there again: the journal is replayed. No process may have a file open on it."""
        self._unmount()
        self._mount()

    def _mount(self) -> None:
        try:
            _run("mount", "-o", "loop", str(self._image), str(self.path))
        except subprocess.CalledProcessError as error:
            _missing(f"mount -o loop: {error.stderr}")
        self._mounted = True

    def _unmount(self) -> None:
        if self._mounted:
            _run("umount", str(self.path))
            self._mounted = False


def _require_root() -> None:
    if os.geteuid() != 0:
        _missing("root is needed to mount a disk whose power can be cut")


def _missing(what: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=COMMAND_S)
