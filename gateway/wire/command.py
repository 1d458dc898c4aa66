"""Commands down, outcomes up (docs/specs/wire.md, section 7; a `reply` is a device's, never the IOC's).

    {"v":1,"id":"c-20261124-7","expires":1795484690000,"name":"recall","arguments":{...}}
    {"v":1,"id":"c-20261124-7","ok":false,"code":"expired"}

The id makes a command idempotent: a gateway carries out an id once, however often it comes. Whether it has expired is
for whoever has a trusted clock to say; an unknown name is answered with an outcome, so it is no error here.
"""

import re
from dataclasses import dataclass
from typing import Final

import orjson

from gateway.model import UtcMs
from gateway.wire import checked

MAX_BYTES: Final = 16 * 1024
MAX_ARGUMENTS: Final = 64
COMMAND_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Command:
    """What the IOC asks of a gateway."""

    id: str
    expires: UtcMs
    name: str
    arguments: dict[str, object]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command."""

    id: str
    ok: bool
    code: str


def decode(message: bytes) -> Command:
    """Raises Malformed; bounded. The values of `arguments` are for the one who carries the command out to check."""
    document = checked.opened(message, MAX_BYTES)
    arguments = checked.obj(document.get("arguments", {}), "arguments")
    checked.items(list(arguments), "arguments", MAX_ARGUMENTS)
    return Command(
        checked.name(document.get("id"), "id", COMMAND_ID),
        UtcMs(checked.utc(document.get("expires"), "expires")),
        checked.name(document.get("name"), "name", checked.WORD),
        arguments,
    )


def encode(outcome: Outcome) -> bytes:
    """The payload of up/outcome."""
    return orjson.dumps({"v": checked.VERSION, "id": outcome.id, "ok": outcome.ok, "code": outcome.code})


def encode_command(command: Command) -> bytes:
    """The payload of down/command: the IOC's side; raises ValueError above 16 KiB."""
    message = orjson.dumps(
        {
            "v": checked.VERSION,
            "id": command.id,
            "expires": command.expires,
            "name": command.name,
            "arguments": command.arguments,
        }
    )
    if len(message) > MAX_BYTES:
        raise ValueError(f"{len(message)} bytes in one command")
    return message


def decode_outcome(message: bytes) -> Outcome:
    """The IOC's side; raises Malformed."""
    document = checked.opened(message, MAX_BYTES)
    return Outcome(
        checked.name(document.get("id"), "id", COMMAND_ID),
        checked.boolean(document.get("ok"), "ok"),
        checked.name(document.get("code"), "code", checked.WORD),
    )
