"""Small files of ours that are kept beside the spool: whole or not at all. Blocking.

Neither is followed where somebody else has put a link, nor waited for where it is no file: opening a pipe may take for
ever.
"""

import os
import stat
from io import BufferedReader
from pathlib import Path
from typing import Final

FLAGS: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def keep(path: Path, data: bytes) -> None:
    """Put `data` in the place of what is there; raises OSError, and leaves that as it was."""
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, FLAGS | os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def read(path: Path, bytes_max: int) -> bytes:
    """Raises OSError; also ValueError for one that is longer, or that somebody else left there."""
    with regular(path) as file:
        if os.fstat(file.fileno()).st_uid not in {os.geteuid(), 0}:
            raise ValueError("it belongs to somebody else")
        data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise ValueError(f"longer than {bytes_max} bytes")
    return data


def regular(path: Path) -> BufferedReader:
    """Opened for reading; raises OSError, also for what is no file."""
    file = os.fdopen(os.open(path, FLAGS | os.O_RDONLY), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(f"{path}: not a file")
    return file
