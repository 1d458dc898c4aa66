"""simctl: change values and faults of running simulators.

    python -m simulators.ctl SOCKET COMMAND...

SOCKET is what `python -m simulators` was given as `--control`. The commands are described in `simulators.commands`;
`-` in place of a command reads them from standard input, a line each.
"""

import argparse
import shlex
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

ANSWER_S = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0 done, 1 refused, 2 nobody answers."""
    options = _parser().parse_args(arguments)
    lines = sys.stdin if options.command == ["-"] else [shlex.join(options.command)]
    try:
        return _talk(options.socket, lines)
    except OSError as error:
        sys.stderr.write(f"{options.socket}: {error}\n")
        return 2


def _talk(path: Path, lines: Iterable[str]) -> int:
    code = 0
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_S)
        connection.connect(str(path))
        heard = connection.makefile(encoding="utf-8")
        for line in lines:
            connection.sendall(f"{line.strip()}\n".encode())
            for said in _answer(heard):
                if said.startswith("error:"):
                    sys.stderr.write(f"{said}\n")
                    code = 1
                elif said != "ok":
                    sys.stdout.write(f"{said}\n")
    return code


def _answer(heard: Iterable[str]) -> Iterator[str]:
    for line in heard:
        said = line.rstrip("\n")
        yield said
        if said == "ok" or said.startswith("error:"):
            return
    raise ConnectionError("hung up")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulators.ctl", description="Change values and faults of running simulators."
    )
    parser.add_argument("socket", type=Path, help="the --control of the simulators")
    parser.add_argument(
        "command",
        nargs=argparse.REMAINDER,
        help="set KEY VALUE | release KEY | fault NAME KIND [KEY=VALUE]... | clear NAME | list | - (from stdin)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
