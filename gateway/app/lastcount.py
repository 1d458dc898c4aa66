"""Until when the run before this one has told what was due: from there on this one counts (`pipeline.tally`).

`counted` in the run folder holds boot id and boot ms of an orderly stop. It is taken away by the start, so that after a
kill nothing is claimed of a time of which nobody knows what had been good.
"""

import logging
from pathlib import Path
from typing import Final

from gateway.app import files
from gateway.model import BootMs

FILE: Final = "counted"
BYTES_MAX: Final = 128

_log = logging.getLogger(__name__)


def begin(folder: Path, boot: str, now: BootMs) -> BootMs:
    """From when to count: where an orderly stop of this boot ended, else from now."""
    path = folder / FILE
    try:
        written, _, at = files.read(path, BYTES_MAX).decode("ascii").partition(" ")
        path.unlink()
        return BootMs(min(int(at), now)) if written == boot else now
    except FileNotFoundError:
        return now
    except (OSError, ValueError) as error:
        _log.warning("last_count_unknown error=%s", error)
        return now


def end(folder: Path, boot: str, at: BootMs) -> None:
    """The run has stopped in order, and all until `at` is told."""
    try:
        files.keep(folder / FILE, f"{boot} {at}".encode("ascii"))
    except OSError as error:
        _log.warning("last_count_not_noted error=%s", error)
