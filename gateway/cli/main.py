"""The command tree: arguments in, an exit status out. What a command does stands in its noun's module."""

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from gateway import __version__
from gateway.cli import check as checks
from gateway.cli import demo as demos
from gateway.cli import ioc, profile
from gateway.cli import plan as plans
from gateway.cli import status as statuses

LANG = Annotated[str, typer.Option("--lang", help="vi or en", envvar="GATEWAY_LANG")]
PROFILES = Annotated[
    Optional[list[Path]],  # noqa: UP045 - Typer reads the annotation
    typer.Option("--profiles", help="a folder of further profiles; later ones override", file_okay=False),
]
SITE_FILE = Annotated[Path, typer.Argument(metavar="SITE.toml")]
SITE_DEFAULT = Path("/etc/gateway/gateway.toml")
IOC_FILE = Annotated[Path, typer.Argument(metavar="IOC.toml")]
IOC_DEFAULT = Path("/etc/gateway/ioc.toml")

app = typer.Typer(
    help="Reads sensors, keeps every reading on its own disk, and lets go of it only on the IOC's word.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
centre = typer.Typer(help="The operation centre: store batches, prove completeness.", no_args_is_help=True)
profiles = typer.Typer(help="Device profiles.", no_args_is_help=True)
app.add_typer(centre, name="ioc")
app.add_typer(profiles, name="profile")


def main(arguments: list[str]) -> int:
    """Exit status; Typer's own are kept (2 for wrong usage)."""
    try:
        result = app(arguments, standalone_mode=False)
    except typer.Exit as done:
        return done.exit_code
    except typer.Abort:
        return 130
    except typer.TyperException as usage:
        if said := usage.format_message():  # nothing is to be said when the help was what was asked for
            print(f"gateway: {said}\nTry 'gateway --help'.", file=sys.stderr)
        return usage.exit_code
    return result if isinstance(result, int) else 0


@app.command()
def run(file: SITE_FILE = SITE_DEFAULT, profile_folders: PROFILES = None) -> int:
    """Run the gateway of a site file until SIGTERM."""
    from gateway.app import daemon  # noqa: PLC0415 - `gateway run` itself never comes here: see gateway.__main__

    return daemon.main([str(file), *[f"--profiles={folder}" for folder in profile_folders or ()]])


@app.command()
def check(file: SITE_FILE = SITE_DEFAULT, profile_folders: PROFILES = None, lang: LANG = "en") -> int:
    """Print every problem of a site file and its profiles, each with what to do; exit 2 when there is one."""
    return checks.check(file, profile_folders or [], lang, sys.stdout)


@app.command()
def plan(file: SITE_FILE = SITE_DEFAULT, profile_folders: PROFILES = None, lang: LANG = "en") -> int:
    """Show each read, its fields and time, and the load of each bus."""
    return plans.show(file, profile_folders or [], lang, sys.stdout)


@app.command()
def status(
    socket: Annotated[
        Path, typer.Option("--socket", help="the daemon's control socket", envvar="GATEWAY_SOCKET")
    ] = statuses.SOCKET_DEFAULT,
    *,
    json: Annotated[bool, typer.Option("--json", help="the status document as it is")] = False,
    lang: LANG = "en",
) -> int:
    """Show what the running gateway knows of itself: clock, devices, values, spool, uplink."""
    return statuses.show(socket, lang, as_json=json)


@app.command()
def demo(
    seconds: Annotated[Optional[float], typer.Option("--seconds", min=1, help="end by itself")] = None,  # noqa: UP045 - Typer reads the annotation
    *,
    plain: Annotated[bool, typer.Option("--plain", help="lines instead of a live table")] = False,
) -> int:
    """Run the whole chain on this machine: simulated sensors, broker, gateway, ingest, store."""
    return demos.show(seconds, plain=plain)


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


@centre.command()
def ingest(
    file: IOC_FILE = IOC_DEFAULT,
    name: Annotated[str, typer.Option("--name", help="this worker, as receipts name it")] = "ingest-1",
    lang: LANG = "en",
) -> int:
    """Store batches and answer with receipts until SIGTERM; run as many workers as you like."""
    return ioc.ingest(file, name, lang)


@centre.command()
def audit(
    file: IOC_FILE = IOC_DEFAULT,
    gateway: Annotated[Optional[str], typer.Option("--gateway", help="only this one")] = None,  # noqa: UP045 - Typer reads the annotation
    lang: LANG = "en",
) -> int:
    """Class every batch: stored, explained, pending, expired, unexplained; exit 1 for unexplained ones."""
    return ioc.audit(file, gateway, sys.stdout, lang)


@profiles.command("check")
def profile_check(
    profile_folders: PROFILES = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="the shipped ones too")] = False,
    lang: LANG = "en",
) -> int:
    """Print every problem of profiles and their vectors; exit 2 when there is one."""
    return profile.check(profile_folders or [], lang, sys.stdout, shipped=all_)
