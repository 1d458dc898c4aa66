"""The command `renew`: the spool goes on in a new epoch, because an old copy of its card used numbers of this one.

It is noted on disk before it is carried out, as every command (W-81); what came of one that was interrupted is told by
the event `epoch_start` of the new epoch, or by its absence.
"""

from typing import Protocol

from gateway.app.journal import Begun, Journal, NotNoted
from gateway.north.desk import CarryOut
from gateway.wire.command import Command, Outcome


class Renewable(Protocol):
    """The spool."""

    async def renew(self) -> tuple[str, str]:
        """(old epoch, new epoch); raises SpoolFailed."""
        ...


def step(spool: Renewable, journal: Journal) -> CarryOut:
    """The outcome's value is the new epoch. Raises NotNoted, SpoolFailed: the outcome is then their code."""

    async def renew(command: Command) -> Outcome:
        await journal.begin(Begun(command.id, "", command.name, "", f"ioc:{command.id}"))
        old, new = await spool.renew()
        outcome = Outcome(command.id, ok=True, code="ok", detail=f"{old} -> {new}", value=new)
        try:
            await journal.end(outcome)
        except NotNoted:
            return outcome  # it was begun: after a restart it is `interrupted`, and never carried out twice
        return outcome

    return renew
