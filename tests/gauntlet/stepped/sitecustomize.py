"""In front of a process's wall clock: the file that GAUNTLET_CLOCK names says how many seconds it is off, now.

Python imports this by its name when this folder is on its path. Nothing but CLOCK_REALTIME is touched: libfaketime also
stands in front of every wait, and a daemon under it stands still for seconds when its clock is stepped.
"""

import os
import time
from pathlib import Path

_read = time.clock_gettime_ns
_file = Path(os.environ["GAUNTLET_CLOCK"])
NS_PER_S = 1_000_000_000


def _stepped(clock: int) -> int:
    off_s = int(_file.read_text() or "0") if clock == time.CLOCK_REALTIME else 0
    return _read(clock) + off_s * NS_PER_S


time.clock_gettime_ns = _stepped
