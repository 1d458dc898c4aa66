"""gateway read: fields of one device as they are now, through the running gateway, or alone where none runs."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.app.field_requests import described
from gateway.app.fields import wanted
from gateway.cli.check import WRONG_FILE, paragraph
from gateway.cli.found import UNITS
from gateway.cli.status import EXIT_NO_SENSE, EXIT_NOT_RUNNING
from gateway.clock.kernel import SystemClock
from gateway.config.compile import compile_file
from gateway.control.client import Client, NoAccess, NotRunning, Refused, SocketClient
from gateway.errors import GatewayError, Invalid
from gateway.pipeline.judge import plausible
from gateway.seams import Clock
from gateway.site import Bus, Site
from gateway.south.bus import open_link
from gateway.south.jobs import access
from gateway.south.jobs.lone import Lone
from gateway.south.jobs.lone_visit import LoneVisit
from gateway.south.jobs.ways import Way
from gateway.south.links.link import Link
from gateway.south.links.trace import Trace
from gateway.south.visits import call
from gateway.text import words

FAILED = 1
EXACT_BELOW = 1e15  # up to there a float can be a whole number and look like one
ALONE = {
    "en": "The gateway does not run: its bus is opened for this.",
    "vi": "Gateway không chạy: mở bus riêng cho lần đọc này.",
}


@dataclass(frozen=True, slots=True)
class Where:
    """The running gateway, and the site file for when there is none."""

    socket: Path
    file: Path
    profiles: Sequence[Path]


def show(where: Where, device: str, fields: Sequence[str], lang: str, *, as_json: bool) -> int:
    """Exit 0 when every field has a good value, 1 when one has none or nothing could be read, 2 for a wrong file."""
    try:
        answer = asyncio.run(asked(SocketClient(where.socket), "read", device=device, fields=list(fields)))
    except NoAccess as error:  # it runs, and owns the bus
        return not_understood(where.socket, error, lang)
    except NotRunning:
        print(ALONE.get(lang, ALONE["en"]), file=sys.stderr)
        return _alone(where, device, fields, lang, as_json=as_json)
    except GatewayError as error:
        return not_understood(where.socket, error, lang)
    return _shown(device, answer, lang, as_json=as_json)


async def asked(client: Client, name: str, **arguments: object) -> Mapping[str, Any]:
    """The last answer of a request that may take its time; raises NotRunning or Refused."""
    last: object = None
    async for answer in client.ask(name, **arguments):
        last = answer
    if not isinstance(last, dict) or not isinstance(last.get("code"), str):
        raise Refused("no answer to this")
    return last


def not_understood(socket: Path, error: GatewayError, lang: str) -> int:
    """Something answers, and not as a daemon of this version does; or none does."""
    code = str(error) if isinstance(error, Refused) and words.next_step(str(error), lang) else error.code
    print(f"{socket}: {words.title(code, lang)}: {error}\n{words.next_step(code, lang)}", file=sys.stderr)
    return EXIT_NOT_RUNNING if isinstance(error, NotRunning) else EXIT_NO_SENSE


def said(code: str, detail: str, lang: str) -> str:
    """What went wrong, why, and what to do."""
    return f"{words.title(code, lang)}" + (f": {detail}" if detail else "") + f"\n{words.next_step(code, lang)}"


def shown_value(field: Mapping[str, Any], lang: str) -> str:
    """With its unit; for none the reason."""
    if field["value"] is None:
        return f"- {words.title(str(field['quality']), lang)}"
    return with_unit(field["value"], str(field["unit"]))


def with_unit(value: object, unit: str) -> str:
    """As people write it; 1 is the unit of what has none."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, float):
        return str(value)
    text = f"{value:.0f}" if value.is_integer() and abs(value) < EXACT_BELOW else str(value)
    return f"{text} {UNITS.get(unit, unit)}".rstrip()


def table(device: str, fields: Sequence[Mapping[str, Any]], lang: str) -> Table:
    """One line a field."""
    columns = [words.title(code, lang) for code in ("field", "value", "writable")]
    shown = Table(*columns, title=device, title_justify="left")
    for field in fields:
        value, limits = escape(shown_value(field, lang)), escape(str(field["limits"]))
        may = (limits or words.title("yes", lang)) if field["writable"] else ""
        shown.add_row(str(field["field"]), f"[yellow]{value}[/]" if field["value"] is None else value, may)
    return shown


def _shown(device: str, answer: Mapping[str, Any], lang: str, *, as_json: bool) -> int:
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(answer, option=orjson.OPT_INDENT_2) + b"\n")
    elif answer["code"] == "ok":
        Console().print(table(device, answer["fields"], lang))
    if answer["code"] != "ok":
        print(said(answer["code"], str(answer["detail"]), lang), file=sys.stderr)
        return FAILED
    return FAILED if any(field["value"] is None for field in answer["fields"]) else 0


def _alone(where: Where, name: str, fields: Sequence[str], lang: str, *, as_json: bool) -> int:
    try:
        site = compile_file(where.file, where.profiles).site
    except Invalid as invalid:
        sys.stderr.writelines(paragraph(problem, lang) for problem in invalid.problems)
        return WRONG_FILE
    try:
        answer = asyncio.run(_read_alone(site, name, fields))
    except GatewayError as error:
        answer = {"code": error.code, "detail": str(error), "fields": []}
    return _shown(name, answer, lang, as_json=as_json)


async def _read_alone(site: Site, name: str, names: Sequence[str]) -> dict[str, Any]:
    """Raises as `app.fields.wanted` does, and LinkDown."""
    bus, device, fields = wanted(site, name, tuple(names))
    clock = SystemClock("system")

    if bus.talks:
        async with LoneVisit(bus, clock) as visits:
            row = plausible(await call(visits, device, fields, clock), fields)
        return {"code": "ok", "detail": "", "fields": described(bus, device, fields, row)}

    async def opener(_: Bus, clock: Clock) -> Link:
        return await open_link(bus, clock, Trace())

    async with Lone(bus.endpoint, Way(bus.transport, bus.line), clock, opener) as asks:
        row = plausible(await access.read(asks, bus, device, fields, clock, lone=True), fields)
    return {"code": "ok", "detail": "", "fields": described(bus, device, fields, row)}
