"""`python -m tests.sim --seeds N --from S`: many months. `--seed S`: one again, with its plan."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from tests.sim.plan import HOUR_BY_SECOND, MONTH, draw
from tests.sim.run import Outcome, run


def main(arguments: Sequence[str] | None = None) -> int:
    """1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50, help="how many")
    parser.add_argument("--from", type=int, default=1, dest="first", metavar="S", help="the first of them")
    parser.add_argument("--seed", type=int, help="replay one")
    parser.add_argument("--days", type=float, help="instead of 30")
    parser.add_argument("--by-second", action="store_true", help="an hour with every timer as it is, not a month")
    parser.add_argument("--digest", action="store_true", help="print that of the history and nothing else")
    options = parser.parse_args(arguments)
    form = HOUR_BY_SECOND if options.by_second else MONTH
    form = form if options.days is None else replace(form, days=options.days)
    if options.digest:
        _say(run(options.seed or options.first, form).digest)
        return 0
    if options.seed is not None:
        for fault in draw(options.seed, form):
            _say(f"{fault.at_s / 3600:8.2f} h  {fault.what} for {fault.for_s:.0f} s, size {fault.size:.3f}")
        return _told(run(options.seed, form), 0.0, sys.argv[1:])
    failed = 0
    for seed in range(options.first, options.first + options.seeds):
        began = time.monotonic()  # noqa: TID251 - wall time of the run itself
        again = ["--seed", str(seed), *(["--by-second"] if options.by_second else [])]
        failed += _told(run(seed, form), time.monotonic() - began, again)  # noqa: TID251 - as above
    _say(f"{options.seeds} seeds, {failed} failed")
    return int(failed > 0)


def _told(outcome: Outcome, took_s: float, again: list[str]) -> int:
    counts = ", ".join(f"{name} {count}" for name, count in outcome.counts.items())
    _say(f"seed {outcome.seed}: {'BROKEN' if outcome.broken else 'kept'} in {took_s:.1f} s; {counts}")
    for line in outcome.broken:
        _say(f"  {line}")
    if outcome.broken:
        _say(f"  replay: python -m tests.sim {' '.join(again)}")
    return int(bool(outcome.broken))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
