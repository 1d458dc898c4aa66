"""Arguments and options that several commands have, each said once."""

from pathlib import Path
from typing import Annotated, Optional

import typer

LANG = Annotated[str, typer.Option("--lang", help="vi or en", envvar="GATEWAY_LANG")]
PROFILES = Annotated[
    Optional[list[Path]],  # noqa: UP045 - Typer reads the annotation
    typer.Option("--profiles", help="a folder of further profiles; later ones override", file_okay=False),
]
SITE_FILE = Annotated[Path, typer.Argument(metavar="SITE.toml")]
SITE_DEFAULT = Path("/etc/gateway/gateway.toml")
SOCKET = Annotated[Path, typer.Option("--socket", help="the daemon's control socket", envvar="GATEWAY_SOCKET")]
DEVICE = Annotated[str, typer.Argument(metavar="DEVICE")]
TARGET = Annotated[str, typer.Argument(metavar="BUS|PORT|HOST", help="a bus of the gateway, ttyUSB0, or HOST[:PORT]")]
SPOOL = Annotated[
    Optional[Path],  # noqa: UP045 - Typer reads the annotation
    typer.Option("--spool", metavar="DIR", help="this folder itself: a card in a reader, a box that is stopped"),
]
