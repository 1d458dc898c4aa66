"""Commands down, outcomes up (docs/specs/wire.md, section 7; a `reply` is a device's, never the IOC's).

    {"v":1,"id":"c-20261124-7","expires":1795484690000,"name":"recall","arguments":{...}}
    {"v":1,"id":"c-20261124-7","ok":false,"code":"expired"}
    {"v":1,"id":"c-20261124-8","ok":true,"code":"ok","value":0.25}

The id makes a command idempotent: a gateway carries out an id once, however often it comes. Whether it has expired is
for whoever has a trusted clock to say; an unknown name is answered with an outcome, so it is no error here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from gateway.errors import Malformed
from gateway.model import SeqRanges, UtcMs, Value
from gateway.wire import checked

MAX_BYTES: Final = 16 * 1024
MAX_ARGUMENTS: Final = 64
MAX_VALUE_BYTES: Final = 255  # of a text, as in a row (W-39)
RESEND_RANGES_MAX: Final = 128  # of one command (W-92)
NOT_KEPT_MAX: Final = 256  # ranges of one outcome (W-95)
COMMAND_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Command:
    """What the IOC asks of a gateway."""

    id: str
    expires: UtcMs
    name: str
    arguments: dict[str, object]


@dataclass(frozen=True, slots=True)
class Resent:
    """What became of `resend` (W-95): what goes again is in the ledger when it has arrived, not before."""

    kept: int  # batches that go again, or wait to go anyway
    not_kept: SeqRanges  # these will never come; not all of them when there are too many
    not_kept_n: int  # batches, in all


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command."""

    id: str
    ok: bool
    code: str
    detail: str = ""  # for people
    value: Value | None = None  # of a write: what the field holds now, as it was read back
    was: str = ""  # of a repeated command: the code of its first outcome
    resent: Resent | None = None  # of `resend`


@dataclass(frozen=True, slots=True)
class WriteArguments:
    """What the command `write` asks for (W-83); whether it may be is for the gateway to say."""

    device: str
    field: str
    value: Value


@dataclass(frozen=True, slots=True)
class ResendArguments:
    """What the command `resend` asks for (W-92)."""

    epoch: str
    seqs: SeqRanges


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


def write_arguments(arguments: Mapping[str, object]) -> WriteArguments:
    """Raises Malformed; arguments that a later version may add are ignored (W-3).

    Also for a number that no float holds: what is written is what was asked for, or nothing.
    """
    asked = arguments.get("value")
    value = value_of(asked, "value")
    if value != asked:
        raise Malformed("schema", f"value: {asked} cannot be held exactly")
    return WriteArguments(
        checked.name(arguments.get("device"), "device"),
        checked.name(arguments.get("field"), "field", checked.FIELD),
        value,
    )


def resend_arguments(arguments: Mapping[str, object]) -> ResendArguments:
    """Raises Malformed, also for ranges that name nothing."""
    seqs = _ranges(arguments.get("ranges"), "ranges", RESEND_RANGES_MAX)
    if not seqs:
        raise Malformed("schema", "ranges: none")
    return ResendArguments(checked.name(arguments.get("epoch"), "epoch"), seqs)


def value_of(value: object, what: str) -> Value:
    """A value of a field: a boolean, a finite number or a bounded text; raises Malformed."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        number = checked.finite(value)
        if number is None:
            raise Malformed("schema", f"{what}: not a finite number")
        return number
    return checked.text(value, what, MAX_VALUE_BYTES)


def encode(outcome: Outcome) -> bytes:
    """The payload of up/outcome; what there is nothing to say of is left out."""
    document: dict[str, object] = {"v": checked.VERSION, "id": outcome.id, "ok": outcome.ok, "code": outcome.code}
    if outcome.detail:
        document["detail"] = checked.cleaned(outcome.detail)
    if outcome.value is not None:
        document["value"] = outcome.value
    if outcome.was:
        document["was"] = outcome.was
    if (resent := outcome.resent) is not None:
        document |= {"kept": resent.kept, "not_kept": resent.not_kept.ranges, "not_kept_n": resent.not_kept_n}
    return orjson.dumps(document)


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
        checked.text(document.get("detail", ""), "detail"),
        None if document.get("value") is None else value_of(document["value"], "value"),
        checked.name(document["was"], "was", checked.WORD) if "was" in document else "",
        _resent(document) if "kept" in document else None,
    )


def _resent(document: Mapping[str, object]) -> Resent:
    return Resent(
        checked.integer(document["kept"], "kept"),
        _ranges(document.get("not_kept", []), "not_kept", NOT_KEPT_MAX),
        checked.integer(document.get("not_kept_n", 0), "not_kept_n"),
    )


def _ranges(value: object, what: str, count_max: int) -> SeqRanges:
    pairs = [checked.items(pair, what, 2, 2) for pair in checked.items(value, what, count_max)]
    ranges = [(checked.seq(first, what), checked.seq(last, what)) for first, last in pairs]
    if any(first > last for first, last in ranges):
        raise Malformed("schema", f"{what}: a range that ends before it begins")
    return SeqRanges.of(ranges)
