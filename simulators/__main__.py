"""python -m simulators SITE.toml: serve what a gateway with this file would read.

    python -m simulators site.toml --truth truth.jsonl --ports ports.json --control sim.sock --seed 7 --seconds 60

A serial port in the file is a path: a link to a pseudo-terminal is made there, and removed at the end. The truth log
is described in `simulators.truth`, the `[signal]` tables in `simulators.signals`, the `[fault]` tables in
`simulators.faults`, `--control` in `simulators.ctl`; `--ports` is written when every bus can be asked, and says where:
the way to use port 0, any free one. A recorded trace takes the place of a site file:

    python -m simulators --replay trace.jsonl --pty /tmp/port [--as-bus]
    python -m simulators --replay trace.jsonl --tcp 1502

So does one device of the library (`simulators.bench`), and the twin of a real site (`simulators.twin`):

    python -m simulators --profile xy/md02 --pty /tmp/md02
    python -m simulators --twin /etc/gateway/gateway.toml --into /tmp/twin
"""

import argparse
import asyncio
import resource
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path

from gateway.config.compile import compile_simulator_file, library_of
from gateway.errors import Invalid
from simulators.bench import BUS, bench, to_copy
from simulators.converters import converters_of
from simulators.entry import WrongEntry
from simulators.recording import BadTrace
from simulators.replay import read_trace, replay
from simulators.serve import serve, signals_of
from simulators.signals import UnknownSignal
from simulators.targets import faults_of, served_by_us
from simulators.twin import BROKER, simulated, twin


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 stopped as asked, 1 a bus could not be served, 2 the file is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    asked = [name for name in _WAYS if getattr(options, name) is not None]
    if len(asked) != 1:
        parser.error("one of: a site file, --replay TRACE, --profile ID, --twin SITE")
    places = [name for name in ("pty", "tcp", "serial") if getattr(options, name) is not None]
    if options.replay and (len(places) != 1 or options.serial):
        parser.error("--replay needs --pty LINK or --tcp PORT")
    if options.profile and len(places) != 1:
        parser.error("--profile needs --pty LINK, --tcp PORT or --serial PORT")
    if options.twin and options.twin.absolute().parent == options.into.absolute():
        parser.error("--into must not be the folder of the site file")
    _allow_files()
    try:
        asyncio.run(_WAYS[asked[0]](options))
    except Invalid as error:
        return _told(2, *(f"{p.file}:{p.line}: {p.path}: {p.code}: {p.detail}" for p in error.problems))
    except UnknownSignal as error:
        return _told(2, f"{options.site}: [signal]: {error}")
    except WrongEntry as error:
        return _told(2, f"{options.site}: [fault] or [converter]: {error}")
    except BadTrace as error:
        return _told(2, f"{options.replay}: {error}")
    except OSError as error:
        return _told(1, f"{getattr(options, asked[0])}: {error}")
    return 0


def _serve(
    options: argparse.Namespace, tell: Callable[[Mapping[str, str]], None] | None = None
) -> Coroutine[None, None, None]:
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
        tell=tell,
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


def _bench(options: argparse.Namespace) -> Coroutine[None, None, None]:
    library = library_of(options.profiles)
    port = options.pty or options.serial
    where = {"port": str(port.absolute())} if port else {"host": f"127.0.0.1:{options.tcp}"}
    site = bench(library, options.profile, where, options.variant, options.unit_id)
    return serve(
        site,
        signals_of(site, {}, options.seed),
        truth=options.truth,
        ports=options.ports,
        seconds=options.seconds,
        control=options.control,
        seed=options.seed,
        tell=lambda endpoints: _said("# for the gateway's site file", to_copy(site, endpoints[BUS])),
        real=options.serial is not None,
    )


def _twin(options: argparse.Namespace) -> Coroutine[None, None, None]:
    compile_simulator_file(options.twin, options.profiles)
    text, folder = options.twin.read_text("utf-8"), options.into.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    options.site, file = folder / "twin.simulated.toml", folder / "twin.toml"
    options.site.write_text(simulated(text, folder), "utf-8")
    more = "".join(f" --profiles {path.absolute()}" for path in options.profiles)

    def tell(endpoints: Mapping[str, str]) -> None:
        file.write_text(twin(text, folder, endpoints), "utf-8")
        _said(f"gateway run {file}{more}", f"needs a broker at {BROKER}; nothing of it reaches the real centre")

    return _serve(options, tell)


def _said(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


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
    parser.add_argument("--profile", metavar="ID", help="serve one device of the library: vendor/model[@version]")
    parser.add_argument("--variant", help="of --profile: which variant of it")
    parser.add_argument("--unit-id", type=int, help="of --profile: its address (default: as it comes from its maker)")
    parser.add_argument("--twin", type=Path, metavar="SITE", help="serve the devices of a real site, none of it real")
    parser.add_argument("--into", type=Path, default=Path("twin"), help="folder of the twin's files (default: twin)")
    parser.add_argument("--pty", type=Path, metavar="LINK", help="on a pseudo-terminal that this link leads to")
    parser.add_argument("--tcp", type=int, metavar="PORT", help="on this port of 127.0.0.1; 0 is any free one")
    parser.add_argument(
        "--serial", type=Path, metavar="PORT", help="of --profile: on a real port, wired to a gateway's"
    )
    parser.add_argument("--as-bus", action="store_true", help="replay both sides, for who only listens")
    return parser


_WAYS = {"site": _serve, "replay": _replay, "profile": _bench, "twin": _twin}


if __name__ == "__main__":
    sys.exit(main())
