"""`gateway run` starts the daemon and `gateway compile` its child without loading the command line (13 MB of 39)."""

import sys


def main() -> int:
    """Start the daemon, compile a site for it, or hand over to the command line."""
    command, rest = sys.argv[1:2], sys.argv[2:]
    if command == ["run"] and "--help" not in rest:
        from gateway.app import daemon

        return daemon.main(rest)
    if command == ["compile"] and "--help" not in rest:
        from gateway.app import compile as compiler

        return compiler.main(rest)
    from gateway.cli import main as command_line

    return command_line.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
