"""Which site runs: the one the files say, or, when they are broken, the last good one.

The files are compiled by a child process, where pydantic lives and dies. Its output is kept with the hashes of its
sources, so that unchanged files need no child at the next start, and so that a box that boots with a broken file
runs on instead of going dark.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway import site as sites
from gateway import sources
from gateway.app import files
from gateway.errors import GatewayError
from gateway.site import Site

COMPILE_TIMEOUT_S = 60
SITE_BYTES_MAX = 64 << 20

_log = logging.getLogger(__name__)


class NoSite(GatewayError):
    """The files are broken and there is no last good site: nothing can be started."""

    code = "no_site"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A site to run; `broken` when its files are not what it was compiled from and could not be compiled."""

    site: Site
    broken: bool


def load(path: Path, folders: Sequence[Path]) -> Loaded:
    """Raises NoSite after the child has printed every problem."""
    kept_at = _kept_at(path)
    kept = _read(kept_at)
    if kept is not None and kept.sources == sources.of(path, folders):
        return Loaded(kept, broken=False)
    compiled = _compile(path, folders)
    site = None if compiled is None else _parsed(compiled)
    if compiled is not None and site is not None:
        _keep(kept_at, compiled)
        return Loaded(site, broken=False)
    if kept is None:
        raise NoSite(str(path))
    _log.error("site_file_broken file=%s running=last_good", path)
    return Loaded(kept, broken=True)


def _kept_at(path: Path) -> Path:
    """Beside the spool under systemd (StateDirectory=), else beside the site file."""
    state = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(state) / "site.json" if state else path.with_name(f".{path.name}.last-good.json")


def _read(kept_at: Path) -> Site | None:
    try:
        return sites.loads(files.read(kept_at, SITE_BYTES_MAX))
    except (OSError, ValueError):
        return None  # absent, torn, of another version or somebody else's: the child makes a new one


def _parsed(compiled: bytes) -> Site | None:
    """Before it takes the place of the last good one."""
    try:
        return sites.loads(compiled)
    except ValueError as error:
        _log.error("compile_unreadable error=%s", error)  # cut short, or something else spoke on its stdout
        return None


def _compile(path: Path, folders: Sequence[Path]) -> bytes | None:
    command = [sys.executable, "-m", "gateway", "compile", str(path)]
    for folder in folders:
        command += ["--profiles", str(folder)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=COMPILE_TIMEOUT_S, check=False)  # noqa: S603 - our own command
    except subprocess.TimeoutExpired:
        _log.error("compile_timeout file=%s timeout_s=%g", path, COMPILE_TIMEOUT_S)
        return None
    except OSError as error:  # no memory or no process left for a child
        _log.error("compile_failed file=%s error=%s", path, error)
        return None
    return done.stdout if done.returncode == 0 else None


def _keep(kept_at: Path, compiled: bytes) -> None:
    """A folder that can't be written only costs the next start a child."""
    try:
        files.keep(kept_at, compiled)
    except OSError as error:
        _log.warning("site_not_kept file=%s error=%s", kept_at, error)
