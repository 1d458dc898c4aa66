"""A small ext4 of its own on a loop device, so that the kernel's counters of it count nothing else. Needs root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

SIZE_BYTES = 256 << 20
SECTOR_BYTES = 512
SECTORS_WRITTEN, FLUSHES = 6, 15  # columns of /sys/block/*/stat (Documentation/block/stat.rst)
COMMAND_S = 20


class NoDisk(Exception):
    """None can be made here."""


@dataclass(frozen=True, slots=True)
class Written:
    """To the device, since it was attached."""

    size_bytes: int
    flushes: int


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted one."""

    folder: Path
    _stat: Path

    def written(self) -> Written:
        """Everything that is still in the kernel's cache is written first."""
        _run("sync", "-f", str(self.folder))
        columns = self._stat.read_text().split()
        return Written(int(columns[SECTORS_WRITTEN]) * SECTOR_BYTES, int(columns[FLUSHES]))


@contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    """Gone after the `with`; raises NoDisk."""
    if os.geteuid() != 0:
        raise NoDisk("needs root, to mount a file system of its own")
    image, where = folder / "image", folder / "mounted"
    where.mkdir()
    with image.open("wb") as file:
        file.truncate(SIZE_BYTES)
    with ExitStack() as stack:
        _run("mkfs.ext4", "-q", str(image))
        device = _run("losetup", "--find", "--show", str(image))
        stack.callback(_run, "losetup", "--detach", device)
        _run("mount", "-t", "ext4", device, str(where))
        stack.callback(_run, "umount", str(where))
        yield Disk(where, Path("/sys/block") / Path(device).name / "stat")


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else error
        raise NoDisk(f"{command[0]}: {str(said).strip()}") from error
    return done.stdout.strip()
