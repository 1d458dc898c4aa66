"""python -m simulators SITE.toml: serve what a gateway with this file would read.

    python -m simulators site.toml --truth truth.jsonl --ports ports.json --seed 7 --seconds 60

A serial port in the file is a path: a link to a pseudo-terminal is made there, and removed at the end. The truth log
is described in `simulators.truth`, the `[signal]` tables in `simulators.signals`; `--ports` is written when every bus
can be asked, and says where: the way to use port 0, any free one.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.config.compile import compile_simulator_file
from gateway.errors import Invalid
from simulators.serve import serve, signals_of
from simulators.signals import UnknownSignal


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 stopped as asked, 1 a bus could not be served, 2 the file is wrong."""
    options = _parser().parse_args(arguments)
    try:
        compiled = compile_simulator_file(options.site)
        signals = signals_of(compiled.site, compiled.config.signal, options.seed)
    except Invalid as error:
        return _told(2, *(f"{p.file}:{p.line}: {p.path}: {p.code}: {p.detail}" for p in error.problems))
    except UnknownSignal as error:
        return _told(2, f"{options.site}: [signal]: {error}")
    try:
        asyncio.run(serve(compiled.site, signals, truth=options.truth, ports=options.ports, seconds=options.seconds))
    except OSError as error:
        return _told(1, f"{options.site}: {error}")
    return 0


def _told(code: int, *lines: str) -> int:
    for line in lines:
        sys.stderr.write(line + "\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulators", description="Serve the devices of a site file.")
    parser.add_argument("site", type=Path, help="a gateway.toml, with or without [signal] tables")
    parser.add_argument("--truth", type=Path, help="write every served value to this file (JSON lines)")
    parser.add_argument("--ports", type=Path, help="write the endpoint of each bus to this file (JSON), when ready")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another world (default: 1)")
    parser.add_argument("--seconds", type=float, help="stop after so long (default: when told)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
