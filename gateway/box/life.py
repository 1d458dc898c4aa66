"""How often this box has booted, and why the daemon was started: `box.json` beside the spool.

    {"v":1,"boot":"4f1c09a2b3d4","boots":17,"stopped":true}

`stopped` is written at a stop in order. So a start finds one of four:
    restart     same boot, stopped in order: an update, a technician
    crash       same boot, not stopped: the daemon was killed or fell
    reboot      another boot, stopped in order: the system went down as it should
    power       another boot, not stopped: power was lost, or the system hung
    first       no file, or one that cannot be read
"""

from dataclasses import dataclass, replace
from typing import Final

import orjson

VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Life:
    """What the file says."""

    boot: str
    boots: int
    stopped: bool


def begun(known: Life | None, boot: str) -> tuple[Life, str]:
    """The life from this start on, and the start's cause."""
    if known is None:
        return Life(boot, 1, stopped=False), "first"
    if known.boot == boot:
        return replace(known, stopped=False), "restart" if known.stopped else "crash"
    return Life(boot, known.boots + 1, stopped=False), "reboot" if known.stopped else "power"


def ended(life: Life) -> Life:
    """Stopped in order."""
    return replace(life, stopped=True)


def dumps(life: Life) -> bytes:
    """The file."""
    return orjson.dumps({"v": VERSION, "boot": life.boot, "boots": life.boots, "stopped": life.stopped})


def loads(data: bytes) -> Life:
    """Raises ValueError for what is not one."""
    known = orjson.loads(data)
    if not isinstance(known, dict) or known.get("v") != VERSION:
        raise ValueError("not a file of this version")
    boot, boots, stopped = known.get("boot"), known.get("boots"), known.get("stopped")
    if not isinstance(boot, str) or type(boots) is not int or boots < 1 or not isinstance(stopped, bool):
        raise ValueError("not the life of a box")
    return Life(boot, boots, stopped=stopped)
