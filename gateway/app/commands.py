"""Commands of the centre, carried out; and what the journal remembers of those of an earlier life."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from gateway.app.fields import Fields, audit
from gateway.app.journal import Begun, Kept
from gateway.app.resends import RESEND
from gateway.errors import Malformed
from gateway.model import BootMs, Event
from gateway.north.commands import INTERRUPTED, CommandGate
from gateway.north.desk import CarryOut
from gateway.south.jobs.access import Written
from gateway.wire.command import Command, Outcome, write_arguments

WRITE: Final = "write"
RENEW: Final = "renew"
MAINTENANCE: Final = "maintenance"
KNOWN: Final = frozenset({WRITE, RENEW, MAINTENANCE, RESEND})
ALWAYS: Final = frozenset({RESEND})  # it gives the centre what was the centre's already, and changes nothing here


def gate(allowed: Iterable[str], kept: Kept) -> CommandGate:
    """What this site lets the centre do, beside what it always may; nothing is carried out again after a restart."""
    return CommandGate(KNOWN, ALWAYS.union(allowed), kept.ended)


def steps(fields: Fields) -> Mapping[str, CarryOut]:
    """How each command is carried out."""

    async def write(command: Command) -> Outcome:
        try:
            asked = write_arguments(command.arguments)
        except Malformed as error:
            return Outcome(command.id, ok=False, code="bad_arguments", detail=str(error))
        by = f"ioc:{command.id}"
        written = await fields.write(command.id, asked.device, asked.field, asked.value, by)
        return Outcome(command.id, written.code == "ok", written.code, written.detail, written.after)

    return {WRITE: write}


def tell(kept: Kept, now: BootMs, on_event: Callable[[Event], None]) -> None:
    """At the start: what was interrupted, and what of the journal could not be read."""
    for begun in kept.interrupted:
        if begun.device:  # else no write: what came of it is seen elsewhere (renew: an epoch_start, or none)
            on_event(_interrupted(begun, now))
    if kept.damaged:
        on_event(Event(now, "", "command_journal_damaged", str(kept.damaged)))


def _interrupted(begun: Begun, now: BootMs) -> Event:
    return Event(now, begun.device, "write_uncertain", audit(begun, Written(INTERRUPTED)), urgent=True)
