"""gateway status: what the running daemon knows of itself."""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gateway.cli.lasting import lasting
from gateway.control import client
from gateway.control.client import NotRunning, SocketClient
from gateway.errors import GatewayError
from gateway.text import words

SOCKET_DEFAULT = Path("/run/gateway/control.sock")
EXIT_NO_SENSE = 1
EXIT_NOT_RUNNING = 3


def show(socket: Path, lang: str, *, as_json: bool) -> int:
    """Print it; exit 3 with what to do when no daemon answers."""
    try:
        status, rows = asyncio.run(_ask(SocketClient(socket)))
    except NotRunning as error:
        print(f"{error}\n{words.next_step(error, lang)}", file=sys.stderr)
        return EXIT_NOT_RUNNING
    except GatewayError as error:  # something answers, and not as a daemon of this version does
        print(f"{socket}: {words.title(error.code, lang)}: {error}\n{words.next_step(error, lang)}", file=sys.stderr)
        return EXIT_NO_SENSE
    if as_json:
        sys.stdout.buffer.write(orjson.dumps(status, option=orjson.OPT_INDENT_2) + b"\n")
        return 0
    console = Console()
    console.print(health(status, lang))
    console.print(values(rows, lang))
    return 0


def health(status: Mapping[str, Any], lang: str) -> Table:
    """One line a fact, worst first."""
    table = Table(title=f"{status['gw']}  {status['version']}", show_header=False, title_justify="left")
    for alarm in status["alarms"]:
        table.add_row("[red]![/]", f"[red]{words.title(alarm, lang)}[/]")
    for name, code in _down(status):
        table.add_row("[red]![/]", f"[red]{name}: {words.title(code, lang)}[/]")
    for device, field, level in status.get("alarms_on", ()):
        table.add_row("[red]![/]", f"[red]{device} {field}: {level}, {words.title('alarm_on', lang)}[/]")
    for device, kind, by, _ in status.get("maintenance", ()):
        table.add_row(device, f"[yellow]{words.title(kind, lang)} ({escape(by)})[/]")
    for device in status.get("fast", ()):
        table.add_row(device, words.title("fast_on", lang))
    online = status["online"]
    table.add_row(
        "IOC", f"[{'green' if online else 'yellow'}]{words.title('online' if online else 'offline', lang)}[/]"
    )
    if status["refusal"]:  # what the last attempt was refused for; "" once one is taken
        table.add_row("[red]![/]", f"[red]{escape(status['server'])}: {escape(status['refusal'])}[/]")
    table.add_row(words.title("clock", lang), str(status["clock"]))
    oldest = status["oldest_age_ms"]
    waiting = f"{status['pending']}" + (f"  ({oldest / 1000:.0f} s)" if oldest else "")
    table.add_row(words.title("pending", lang), waiting)
    for uplink in status.get("uplinks", ()):
        table.add_row(uplink["name"], _uplink(uplink, lang))
    for code in ("outage_left", "archive"):
        if (ms := status.get(f"{code}_ms")) is not None:
            table.add_row(words.title(code, lang), lasting(ms, lang))
    return table


def _uplink(uplink: Mapping[str, Any], lang: str) -> str:
    """What waits there, what is through, and what it is worth; then what is wrong."""
    online = "online" if uplink["connected"] else "offline"
    counts = (("pending", "pending"), ("uplink_settled", "settled"), ("uplink_parked", "parked"))
    said = [uplink["format"], words.title(online, lang)]
    said += [f"{words.title(code, lang)} {uplink[key]}" for code, key in counts]
    if uplink["settle"] == "puback":
        said.append(f"[yellow]{words.title('by_puback', lang)}[/]")
    wrong = [escape(uplink["refusal"])] if uplink["refusal"] else []
    wrong += [words.title(alarm, lang) for alarm in uplink["alarms"]]
    return "\n".join([", ".join(said), *(f"[red]! {text}[/]" for text in wrong)])


def _down(status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Buses before devices; of a bus that is open, that it is silent."""
    silent = status.get("buses_silent", ())
    yield from ((name, "bus_silent" if name in silent else "bus_down") for name in status["buses_down"])
    yield from ((name, "device_down") for name in status["devices_down"])


def values(rows: list[Mapping[str, Any]], lang: str) -> Table:
    """The newest value of every field."""
    table = Table(*(words.title(code, lang) for code in ("device", "field", "value", "age")))
    for row in rows:
        age = f"{row['age_ms'] / 1000:.1f} s"
        for field, value in row["values"].items():
            table.add_row(row["device"], field, _shown(value, row["quality"].get(field, ""), lang), age)
    return table


def _shown(value: object, code: str, lang: str) -> str:
    """A value as it is, markup in a device's text included; for none the reason."""
    return f"[yellow]- {words.title(code, lang)}[/]" if value is None else escape(str(value))


async def _ask(asked: client.Client) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    status = await client.first(asked, "status")
    rows = [row async for row in asked.ask("rows")]
    if not isinstance(status, dict):
        raise client.Refused("status is not a document")
    return status, [row for row in rows if isinstance(row, dict)]
