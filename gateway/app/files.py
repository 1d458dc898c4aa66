"""Small files of ours that are kept beside the spool: whole or not at all. Blocking."""

import os
from pathlib import Path


def keep(path: Path, data: bytes) -> None:
    """Put `data` in the place of what is there; raises OSError, and leaves that as it was."""
    new = path.with_suffix(".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC  # through no link of somebody else
    with os.fdopen(os.open(new, flags, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def read(path: Path, bytes_max: int) -> bytes:
    """Raises OSError; also ValueError for one that is longer, or that somebody else left there."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_uid not in {os.geteuid(), 0}:
            raise ValueError("it belongs to somebody else")
        data = file.read(bytes_max + 1)
    if len(data) > bytes_max:
        raise ValueError(f"longer than {bytes_max} bytes")
    return data
