"""python -m simulators SITE.toml: serve what a gateway with this file would read.

    python -m simulators site.toml --truth truth.jsonl --ports ports.json --control sim.sock --seed 7 --seconds 60

A serial port in the file is a path: a link to a pseudo-terminal is made there, and removed at the end. The truth log
is described in `simulators.truth`, the `[signal]` tables in `simulators.signals`, the `[fault]` tables in
`simulators.faults`, `--control` in `simulators.ctl`; `--ports` is written when every bus can be asked, and says where:
the way to use port 0, any free one. A recorded trace takes the place of a site file:

    python -m simulators --replay trace.jsonl --pty /tmp/port [--as-bus]
    python -m simulators --replay trace.jsonl --tcp 1502
"""

import argparse
import asyncio
import resource
import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path

from gateway.config.compile import compile_simulator_file
from gateway.errors import Invalid
from simulators.converters import converters_of
from simulators.entry import WrongEntry
from simulators.recording import BadTrace
from simulators.replay import read_trace, replay
from simulators.serve import serve, signals_of
from simulators.signals import UnknownSignal
from simulators.targets import faults_of, served_by_us


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 stopped as asked, 1 a bus could not be served, 2 the file is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.site is None) == (options.replay is None):
        parser.error("a site file, or --replay TRACE")
    if options.replay and (options.pty is None) == (options.tcp is None):
        parser.error("--replay needs --pty LINK or --tcp PORT")
    _allow_files()
    try:
        asyncio.run(_replay(options) if options.replay else _serve(options))
    except Invalid as error:
        return _told(2, *(f"{p.file}:{p.line}: {p.path}: {p.code}: {p.detail}" for p in error.problems))
    except UnknownSignal as error:
        return _told(2, f"{options.site}: [signal]: {error}")
    except WrongEntry as error:
        return _told(2, f"{options.site}: [fault] or [converter]: {error}")
    except BadTrace as error:
        return _told(2, f"{options.replay}: {error}")
    except OSError as error:
        return _told(1, f"{options.site or options.replay}: {error}")
    return 0


def _serve(options: argparse.Namespace) -> Coroutine[None, None, None]:
    compiled = compile_simulator_file(options.site, options.profiles)
    site, config = served_by_us(compiled.site), compiled.config
    return serve(
        site,
        signals_of(site, config.signal, options.seed),
        truth=options.truth,
        ports=options.ports,
        seconds=options.seconds,
        faults=faults_of(site, config.fault),
        converters=converters_of(site, config.converter),
        control=options.control,
        seed=options.seed,
    )


def _replay(options: argparse.Namespace) -> Coroutine[None, None, None]:
    return replay(
        read_trace(options.replay),
        options.pty,
        options.tcp,
        as_bus=options.as_bus,
        ports=options.ports,
        seconds=options.seconds,
    )


def _allow_files() -> None:
    """As many as the system lets us: a thousand devices listen on a thousand sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _told(code: int, *lines: str) -> int:
    for line in lines:
        sys.stderr.write(line + "\n")
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simulators", description="Serve the devices of a site file.")
    parser.add_argument("site", type=Path, nargs="?", help="a gateway.toml, with or without [signal], [fault] tables")
    parser.add_argument("--profiles", type=Path, action="append", default=[], help="a folder of further profiles")
    parser.add_argument("--truth", type=Path, help="write every served value to this file (JSON lines)")
    parser.add_argument("--ports", type=Path, help="write the endpoint of each bus to this file (JSON), when ready")
    parser.add_argument("--seed", type=int, default=1, help="another seed is another world (default: 1)")
    parser.add_argument("--seconds", type=float, help="stop after so long (default: when told)")
    parser.add_argument("--control", type=Path, help="listen here for simctl (a unix socket)")
    parser.add_argument("--replay", type=Path, metavar="TRACE", help="serve a recorded trace instead of a site file")
    parser.add_argument("--pty", type=Path, metavar="LINK", help="replay on a pseudo-terminal that this link leads to")
    parser.add_argument("--tcp", type=int, metavar="PORT", help="replay on this port of 127.0.0.1; 0 is any free one")
    parser.add_argument("--as-bus", action="store_true", help="replay both sides, for who only listens")
    return parser


if __name__ == "__main__":
    sys.exit(main())
