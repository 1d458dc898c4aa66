"""The command tree: arguments in, an exit status out. What a command does stands in its noun's module."""

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from gateway import __version__
from gateway.cli import check as checks
from gateway.cli import demo as demos
from gateway.cli import ioc, profile, skeleton
from gateway.cli import maintenance as maintenances
from gateway.cli import plan as plans
from gateway.cli import probe as probes
from gateway.cli import push as pushes
from gateway.cli import read as reads
from gateway.cli import recall as recalls
from gateway.cli import scan as scans
from gateway.cli import spool as spools
from gateway.cli import status as statuses
from gateway.cli import trace as traces
from gateway.cli import write as writes
from gateway.protocols.modbus_pdu import Table

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
IOC_FILE = Annotated[Path, typer.Argument(metavar="IOC.toml")]
IOC_DEFAULT = Path("/etc/gateway/ioc.toml")
OWN_PROFILES = Path("my-profiles")
SITE, CABINET, OTHERS = "The site file", "At the cabinet", "More"  # groups of the help

app = typer.Typer(
    help="Reads sensors, keeps every reading on its own disk, and lets go of it only on the IOC's word.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
centre = typer.Typer(help="The operation centre: store batches, prove completeness.", no_args_is_help=True)
profiles = typer.Typer(help="Device profiles.", no_args_is_help=True)
kept = typer.Typer(help="What the box keeps: look, check, carry it away.", no_args_is_help=True)
app.add_typer(centre, name="ioc", rich_help_panel=OTHERS)
app.add_typer(profiles, name="profile", rich_help_panel=OTHERS)
app.add_typer(kept, name="spool", rich_help_panel=CABINET)


def main(arguments: list[str]) -> int:
    """Exit status; Typer's own are kept (2 for wrong usage), and 130 is Ctrl-C, whenever it comes."""
    try:
        result = app(arguments, prog_name="gateway", standalone_mode=False)
    except typer.Exit as done:
        return done.exit_code
    except (typer.Abort, KeyboardInterrupt):  # the latter before there is a command
        return 130
    except typer.TyperException as usage:
        if said := usage.format_message():  # nothing is to be said when the help was what was asked for
            context = getattr(usage, "ctx", None)  # of the command where it went wrong
            command = context.command_path if context else "gateway"
            print(f"gateway: {said}\nTry '{command} --help'.", file=sys.stderr)
        return usage.exit_code
    return result if isinstance(result, int) else 0


@app.command(rich_help_panel=SITE)
def run(file: SITE_FILE = SITE_DEFAULT, profile_folders: PROFILES = None) -> int:
    """Run the gateway of a site file until SIGTERM."""
    from gateway.app import daemon  # noqa: PLC0415 - `gateway run` itself never comes here: see gateway.__main__

    return daemon.main([str(file), *[f"--profiles={folder}" for folder in profile_folders or ()]])


@app.command(rich_help_panel=SITE)
def check(file: SITE_FILE = SITE_DEFAULT, profile_folders: PROFILES = None, lang: LANG = "en") -> int:
    """Print every problem of a site file and its profiles, each with what to do; exit 2 when there is one."""
    return checks.check(file, profile_folders or [], lang, sys.stdout)


@app.command(rich_help_panel=SITE)
def plan(
    file: SITE_FILE = SITE_DEFAULT,
    profile_folders: PROFILES = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    lang: LANG = "en",
) -> int:
    """Show each read and its time, the load of each bus and what to do about it, and what the uplink carries."""
    return plans.show(file, profile_folders or [], lang, sys.stdout, as_json=json)


@app.command(rich_help_panel=CABINET)
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


@app.command(rich_help_panel=CABINET)
def read(
    device: DEVICE,
    fields: Annotated[Optional[list[str]], typer.Argument(metavar="FIELD")] = None,  # noqa: UP045 - Typer reads the annotation
    socket: SOCKET = statuses.SOCKET_DEFAULT,
    file: Annotated[Path, typer.Option("--site", help="where no gateway runs: its site file")] = SITE_DEFAULT,
    profile_folders: PROFILES = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="the answer as it is")] = False,
    lang: LANG = "en",
) -> int:
    """Read fields of a device now, settings included; all of them where none is named."""
    where = reads.Where(socket, file, profile_folders or ())
    return reads.show(where, device, fields or (), lang, as_json=json)


@app.command(  # a value may begin with a minus
    rich_help_panel=CABINET, context_settings={"ignore_unknown_options": True}
)
def write(
    device: DEVICE,
    field: Annotated[str, typer.Argument(metavar="FIELD")],
    value: Annotated[str, typer.Argument(metavar="VALUE")],
    socket: SOCKET = statuses.SOCKET_DEFAULT,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="without being asked")] = False,
    lang: LANG = "en",
) -> int:
    """Write a field of a device where profile and site allow it, and read it back; the centre is told."""
    return writes.write(socket, device, field, value, lang, sure=yes)


@app.command(  # a value may begin with a minus
    rich_help_panel=CABINET, context_settings={"ignore_unknown_options": True}
)
def push(
    device: DEVICE,
    values: Annotated[list[str], typer.Argument(metavar="FIELD=VALUE...")],
    socket: Annotated[Path, typer.Option("--socket", envvar="GATEWAY_PUSH_SOCKET")] = pushes.SOCKET_DEFAULT,
    age: Annotated[str, typer.Option("--age", help="how long ago it was read: 90s")] = "0s",
    lang: LANG = "en",
) -> int:
    """Hand in a reading from a program of this box; done when it is on disk."""
    return pushes.hand_in(socket, device, values, age, lang)


@app.command(rich_help_panel=CABINET)
def trace(
    bus: Annotated[str, typer.Argument(metavar="BUS", help="or the file of a recording")],
    socket: SOCKET = statuses.SOCKET_DEFAULT,
    last: Annotated[int, typer.Option("--last", min=0, help="so many frames; 0 = all that are kept")] = 20,
    record: Annotated[Optional[Path], typer.Option("--record", help="write all to this file")] = None,  # noqa: UP045 - Typer reads the annotation
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until Ctrl-C")] = False,
    json: Annotated[bool, typer.Option("--json", help="JSON lines, for programs")] = False,
    lang: LANG = "en",
) -> int:
    """Show what went over a bus: each frame, its bytes, and what they mean."""
    return traces.show(socket, bus, traces.Wanted(last, follow, record, json, lang))


@app.command(rich_help_panel=CABINET)
def scan(
    target: TARGET,
    line: Annotated[str, typer.Option("--line", metavar="LINE", help="only this one, as 9600 8N1")] = "",
    unit_ids: Annotated[str, typer.Option("--unit-ids", metavar="IDS", help="only these, as 1-20,144")] = "",
    socket: SOCKET = statuses.SOCKET_DEFAULT,
    profile_folders: PROFILES = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="every unit_id on every line, when nobody answers")] = False,
    json: Annotated[bool, typer.Option("--json", help="a JSON line for each finding")] = False,
    lang: LANG = "en",
) -> int:
    """Find every Modbus device, name its profile, print what to copy into the site file; only reads."""
    wanted = scans.Wanted(target, line, unit_ids, socket, profile_folders or (), all_)
    return scans.show(wanted, lang, as_json=json)


@app.command(rich_help_panel=CABINET)
def probe(
    target: TARGET,
    unit_id: Annotated[int, typer.Argument(metavar="UNIT_ID", min=0, max=255)],
    stretch: Annotated[str, typer.Argument(metavar="FIRST[-LAST]", help="addresses, as 0-79 or 0x5B00-0x5B40")],
    table: Annotated[Table, typer.Option("--table")] = Table.HOLDING,
    line: Annotated[
        str, typer.Option("--line", metavar="LINE", help="of a port that the gateway does not use; else 9600 8N1")
    ] = "",
    socket: SOCKET = statuses.SOCKET_DEFAULT,
    *,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    lang: LANG = "en",
) -> int:
    """Read a stretch of registers and show it in every type and order, likely values marked; only reads."""
    wanted = probes.Wanted(target, unit_id, stretch, str(table), line, socket)
    return probes.show(wanted, lang, as_json=json)


@app.command(rich_help_panel=CABINET)
def maintenance(
    device: DEVICE,
    for_: Annotated[str, typer.Option("--for", metavar="TIME", help="as 30m or 2h, at most 24h; 0s ends it")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="who works on it")],
    why: Annotated[str, typer.Option("--why", metavar="TEXT")] = "",
    socket: SOCKET = statuses.SOCKET_DEFAULT,
    *,
    calibration: Annotated[bool, typer.Option("--calibration", help="its values are those of a calibration")] = False,
    lang: LANG = "en",
) -> int:
    """Say that somebody works on a device: its readings are kept, its alarms rest; it ends by itself."""
    return maintenances.ask(socket, maintenances.Work(device, for_, by, why, calibration), lang)


@app.command(rich_help_panel=OTHERS)
def demo(
    seconds: Annotated[Optional[float], typer.Option("--seconds", min=1, help="end by itself")] = None,  # noqa: UP045 - Typer reads the annotation
    *,
    plain: Annotated[bool, typer.Option("--plain", help="lines instead of a live table")] = False,
) -> int:
    """Run the whole chain on this machine: simulated sensors, broker, gateway, ingest, store."""
    return demos.show(seconds, plain=plain)


@app.command(rich_help_panel=OTHERS)
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


@centre.command()
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


@centre.command("command", context_settings={"ignore_unknown_options": True})
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


@centre.command("import")
def ioc_import(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="made by `gateway spool export`")],
    file: Annotated[Path, typer.Option("--file", help="the centre's file")] = IOC_DEFAULT,
    lang: LANG = "en",
) -> int:
    """Store exported batches as if they had been sent; again is harmless; exit 1 when something was not stored."""
    return ioc.import_files(file, files, sys.stdout, lang)


@kept.command("status")
def spool_status(
    socket: SOCKET = statuses.SOCKET_DEFAULT,
    folder: SPOOL = None,
    *,
    json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    lang: LANG = "en",
) -> int:
    """Show what is kept and what waits, and how long an outage may last."""
    return spools.status(spools.Where(socket, folder), lang, sys.stdout, as_json=json)


@kept.command("verify")
def spool_verify(socket: SOCKET = statuses.SOCKET_DEFAULT, folder: SPOOL = None, lang: LANG = "en") -> int:
    """Check every row against what was written; changes nothing; exit 1 when something is damaged."""
    return spools.verify(spools.Where(socket, folder), lang, sys.stdout)


@kept.command("export")
def spool_export(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="a new file, as on a USB stick")],
    since: Annotated[str, typer.Option("--from", metavar="TIME", help="2026-11-24 or 2026-11-24T08:30")] = "",
    until: Annotated[str, typer.Option("--to", metavar="TIME")] = "",
    epoch: Annotated[str, typer.Option("--epoch", help="only this one")] = "",
    seqs: Annotated[str, typer.Option("--seqs", metavar="RANGES", help="only these, as 12-40,77")] = "",
    socket: SOCKET = statuses.SOCKET_DEFAULT,
    folder: SPOOL = None,
    *,
    parked: Annotated[bool, typer.Option("--parked", help="only what the centre has refused")] = False,
    all_: Annotated[bool, typer.Option("--all", help="also what the centre has")] = False,
    lang: LANG = "en",
) -> int:
    """Write what waits into a file, for `gateway ioc import`; the gateway goes on, and still sends it."""
    asked = spools.Asked(since, until, epoch, seqs, parked, all_)
    return spools.export(spools.Where(socket, folder), path, asked, lang, sys.stdout)


@kept.command("renew")
def spool_renew(
    socket: SOCKET = statuses.SOCKET_DEFAULT,
    folder: SPOOL = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="without being asked")] = False,
    lang: LANG = "en",
) -> int:
    """Begin a new epoch: after an old copy of the card was used, or when the centre asks for it."""
    return spools.renew(spools.Where(socket, folder), lang, sys.stdout, sure=yes)


@profiles.command("check")
def profile_check(
    profile_folders: PROFILES = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="the shipped ones too")] = False,
    lang: LANG = "en",
) -> int:
    """Print every problem of profiles and their vectors; exit 2 when there is one."""
    return profile.check(profile_folders or [], lang, sys.stdout, shipped=all_)


@profiles.command("list")
def profile_list(
    wanted: Annotated[list[str] | None, typer.Argument(help="words that must be in its id, kind or title")] = None,
    profile_folders: PROFILES = None,
    lang: LANG = "en",
) -> int:
    """Print the devices that are known, or those that hold all the words."""
    return profile.list_(wanted or [], profile_folders or [], lang, sys.stdout)


@profiles.command("show")
def profile_show(
    wanted: Annotated[str, typer.Argument(help="vendor/model")], profile_folders: PROFILES = None, lang: LANG = "en"
) -> int:
    """Print what is known of a device: its line, its warnings, its fields and where they stand."""
    return profile.show(wanted, profile_folders or [], lang, sys.stdout)


@profiles.command("new")
def profile_new(
    wanted: Annotated[str, typer.Argument(help="vendor/model")],
    folder: Annotated[Path, typer.Option(help="a folder of profiles of your own", file_okay=False)] = OWN_PROFILES,
    *,
    serial: Annotated[bool, typer.Option("--serial/--modbus", help="sends frames, or is asked by Modbus")] = False,
    lang: LANG = "en",
) -> int:
    """Write a profile and its vectors to be filled in; nothing is overwritten."""
    return skeleton.new(wanted, folder, lang, sys.stdout, serial=serial)
