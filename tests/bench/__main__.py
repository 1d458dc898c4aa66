"""python -m tests.bench [NAME...]: what was promised beside what this machine does. It reports; it judges nothing.

Exit status 0, or 1 when a bench itself broke. Every process it starts is ended by its pid, also after Ctrl-C.
"""

import argparse
import compileall
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import pytest

import gateway
from tests.bench import (
    daemon,
    dead,
    decode,
    drain,
    flood,
    latency,
    plan,
    reads,
    rtu,
    simulators,
    size,
    spool,
    start,
    uplink,
)
from tests.bench.table import HEADER, Budget, Row, line, machine, row_line

Measure = Callable[[Path], Iterator[Row]]
BENCHES: dict[str, tuple[Measure, Sequence[Budget], int]] = {  # name: (how, what, seconds it may take)
    "daemon": (daemon.measure, daemon.BUDGETS, 200),
    "start": (start.measure, start.BUDGETS, 150),
    "plan": (plan.measure, plan.BUDGETS, 20),
    "decode": (decode.measure, decode.BUDGETS, 20),
    "spool": (spool.measure, spool.BUDGETS, 60),
    "size": (size.measure, size.BUDGETS, 40),
    "latency": (latency.measure, latency.BUDGETS, 90),
    "flood": (flood.measure, flood.BUDGETS, 120),
    "dead": (dead.measure, dead.BUDGETS, 120),
    "drain": (drain.measure, drain.BUDGETS, 150),
    "reads": (reads.measure, reads.BUDGETS, 60),
    "rtu": (rtu.measure, rtu.BUDGETS, 90),
    "uplink": (uplink.measure, uplink.BUDGETS, 300),
    "simulators": (simulators.measure, simulators.BUDGETS, 60),
}


INTERRUPTED = 130


class TooLong(Exception):
    """A bench did not end in its time."""


def main(arguments: Sequence[str]) -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", nargs="*", help=f"of {', '.join(BENCHES)}; without one, all")
    names = parser.parse_args(arguments).name or list(BENCHES)
    if strange := sorted(set(names) - set(BENCHES)):
        parser.error(f"no such bench: {', '.join(strange)}")
    compileall.compile_dir(str(Path(gateway.__file__).parent), quiet=1)  # as pip does; compiling costs a daemon 1 MB
    print(machine(), line(HEADER), sep="\n", flush=True)
    signal.signal(signal.SIGALRM, _ring)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    try:
        broken = [name for name in names if not _ran(name)]
    except KeyboardInterrupt:
        return INTERRUPTED
    return 1 if broken else 0


def _ran(name: str) -> bool:
    """Whether it came to its end."""
    measure, budgets, limit_s = BENCHES[name]
    left = {budget.what: budget for budget in budgets}
    signal.alarm(limit_s)
    try:
        with tempfile.TemporaryDirectory(prefix=f"bench-{name}-", ignore_cleanup_errors=True) as folder:
            for row in measure(Path(folder)):
                left.pop(row.what, None)  # a row may also be a detail of the one before it
                _print([row])
    except pytest.skip.Exception as missing:  # a server that is not installed
        _print(budget.not_yet(str(missing)) for budget in left.values())
    except Exception as error:  # noqa: BLE001 - one broken bench must not take the others with it
        _print(budget.broke(type(error).__name__) for budget in left.values())
        traceback.print_exc()
        return False
    finally:
        signal.alarm(0)
    return True


def _print(rows: Iterable[Row]) -> None:
    for row in rows:
        print(row_line(row), flush=True)


def _ring(number: int, frame: FrameType | None) -> None:
    raise TooLong(f"signal {number} in {frame.f_code.co_qualname if frame else 'no frame'}")


def _interrupted(_: int, __: FrameType | None) -> None:
    """Once: what ends the children must not be interrupted in its turn."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
