"""`gateway ioc ...`: the commands of the operation centre; what each does stands in its noun's module."""

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from gateway.cli import ioc
from gateway.cli import recall as recalls
from gateway.cli.arguments import LANG

IOC_FILE = Annotated[Path, typer.Argument(metavar="IOC.toml")]
IOC_DEFAULT = Path("/etc/gateway/ioc.toml")

app = typer.Typer(help="The operation centre: store batches, prove completeness.", no_args_is_help=True)


@app.command()
def ingest(
    file: IOC_FILE = IOC_DEFAULT,
    name: Annotated[str, typer.Option("--name", help="this worker, as receipts name it")] = "ingest-1",
    lang: LANG = "en",
) -> int:
    """Store batches and answer with receipts until SIGTERM; run as many workers as you like."""
    return ioc.ingest(file, name, lang)


@app.command()
def audit(
    file: IOC_FILE = IOC_DEFAULT,
    gateway: Annotated[Optional[str], typer.Option("--gateway", help="only this one")] = None,  # noqa: UP045 - Typer reads the annotation
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="as 2026-11-24T10:00 (local) or ...Z")] = "",
    to: Annotated[str, typer.Option("--to", metavar="TIME")] = "",
    *,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    lang: LANG = "en",
) -> int:
    """Class every batch: stored, explained, pending, expired, unexplained; exit 1 for unexplained ones.

    Tells delivery and measurement completeness of each gateway.
    """
    return ioc.audit(file, ioc.Look(gateway, from_, to, json), sys.stdout, lang)


@app.command()
def recall(
    file: IOC_FILE = IOC_DEFAULT,
    gateway: Annotated[Optional[str], typer.Option("--gateway", help="only this one")] = None,  # noqa: UP045 - Typer reads the annotation
    from_: Annotated[str, typer.Option("--from", metavar="TIME", help="as 2026-11-24T10:00 (local) or ...Z")] = "",
    to: Annotated[str, typer.Option("--to", metavar="TIME")] = "",
    lasts_s: Annotated[int, typer.Option("--expires", min=10, max=165_600, help="seconds to wait at most")] = 3600,
    *,
    missing: Annotated[bool, typer.Option("--missing", help="every batch that audit cannot explain")] = False,
    lang: LANG = "en",
) -> int:
    """Bring batches that the store has lost back from the gateways; exit 1 when some are still missing at the end."""
    wanted = recalls.Wanted(gateway, from_, to, lasts_s, missing)
    return recalls.recall(file, wanted, sys.stdout, lang)


@app.command("command", context_settings={"ignore_unknown_options": True})
def ioc_command(
    gateway: Annotated[str, typer.Argument(metavar="GATEWAY")],
    name: Annotated[
        str, typer.Argument(metavar="COMMAND", help="write device=D field=F value=V, maintenance device=D for_ms=N")
    ],
    arguments: Annotated[Optional[list[str]], typer.Argument(metavar="KEY=VALUE")] = None,  # noqa: UP045 - Typer reads the annotation
    file: Annotated[Path, typer.Option("--file", help="the centre's file: commands go as its operator")] = IOC_DEFAULT,
    command_id: Annotated[str, typer.Option("--id", help="of a command sent before, to hear what became of it")] = "",
    lasts_s: Annotated[int, typer.Option("--expires", min=1, max=86_400, help="seconds until it is refused")] = 60,
    lang: LANG = "en",
) -> int:
    """Send a command to a gateway and wait for its outcome; exit 1 when it was not carried out, 3 when none came."""
    return ioc.command(file, ioc.Order(gateway, name, arguments or (), command_id, lasts_s), sys.stdout, lang)


@app.command("import")
def ioc_import(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="made by `gateway spool export`")],
    file: Annotated[Path, typer.Option("--file", help="the centre's file")] = IOC_DEFAULT,
    lang: LANG = "en",
) -> int:
    """Store exported batches as if they had been sent; again is harmless; exit 1 when something was not stored."""
    return ioc.import_files(file, files, sys.stdout, lang)
