"""Whether the run before this one left replies owed: they would answer the first requests of this one.

`running` in the run folder holds the boot id while a daemon runs; a stop in order removes it, unless a reply is owed at
that moment. Found at a start of the same boot, the run before was killed or left one, nobody knows of which shape; so
the buses wait until it cannot come any more (`BusLoop`). After a boot nothing is waited for: that took longer.
"""

import logging
from pathlib import Path
from typing import Final

from gateway.app import files

FILE: Final = "running"
BYTES_MAX: Final = 64

_log = logging.getLogger(__name__)


def begin(folder: Path, boot: str) -> bool:
    """Note that a run has begun; whether the one before left replies owed in this boot. In doubt it did."""
    try:
        owed = files.read(folder / FILE, BYTES_MAX).decode("ascii") == boot
    except FileNotFoundError:
        owed = False
    except (OSError, ValueError) as error:
        _log.warning("last_run_unknown error=%s", error)
        owed = True
    _write(folder / FILE, boot)
    return owed


def end(folder: Path) -> None:
    """The run has stopped in order, and nothing is owed."""
    try:
        (folder / FILE).unlink(missing_ok=True)
    except OSError as error:
        _log.warning("last_run_not_ended error=%s", error)


def _write(path: Path, boot: str) -> None:
    """A folder that cannot be written costs the next start its caution, told here; it costs this one nothing."""
    try:
        files.keep(path, boot.encode("ascii"))
    except OSError as error:
        _log.warning("last_run_not_noted error=%s", error)
