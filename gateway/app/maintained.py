"""The command `maintenance`: the centre says that somebody works on a device, and for how long (W-98, W-99).

It is what `gateway maintenance` asks for on the box, by `ioc:` and the id of the command. Noted on disk before it is
carried out, as every command (W-81); what came of one that was interrupted its events tell, or their absence.
"""

from collections.abc import Mapping
from typing import Protocol

from gateway.app.journal import Begun, Journal, NotNoted
from gateway.errors import Malformed
from gateway.north.desk import CarryOut
from gateway.wire.command import Command, Outcome


class Watches(Protocol):
    """Who knows which devices are in maintenance."""

    def maintain(self, arguments: Mapping[str, object], by: str) -> str:
        """Its code; raises Malformed."""
        ...

    async def keep(self) -> None:
        """On disk, so that it outlives a restart."""
        ...


def step(watch: Watches, journal: Journal) -> CarryOut:
    """Raises NotNoted: the outcome is then its code, and nothing was done."""

    async def maintain(command: Command) -> Outcome:
        by = f"ioc:{command.id}"
        await journal.begin(Begun(command.id, "", command.name, "", by))
        try:
            code, detail = watch.maintain(command.arguments, by), ""
        except Malformed as error:
            code, detail = "bad_arguments", str(error)
        await watch.keep()
        outcome = Outcome(command.id, ok=code == "ok", code=code, detail=detail)
        try:
            await journal.end(outcome)
        except NotNoted:
            return outcome  # it was begun: after a restart it is `interrupted`, and never carried out twice
        return outcome

    return maintain
