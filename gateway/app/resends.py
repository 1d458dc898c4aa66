"""The command `resend`: the centre misses batches that it had a receipt for; what is still kept goes again.

    kept? -> noted on disk -> unparked, handed to north -> outcome: how many go again, which ranges are not kept

The outcome says what will be sent, not that it has arrived: the centre sees that in its ledger. What was handed to
north is lost by a restart, and the centre, which knows what it still misses, asks again: asking twice does no harm.
"""

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from gateway.errors import Malformed
from gateway.model import SeqRanges
from gateway.spool.view import Kept
from gateway.wire.command import NOT_KEPT_MAX, Command, Outcome, Resent, resend_arguments

RESEND: Final = "resend"


class Keeps(Protocol):
    """The spool."""

    async def kept(self, epoch: str, seqs: SeqRanges) -> Kept:
        """What of these is still here; raises SpoolFailed while that cannot be known."""
        ...

    async def unpark_seqs(self, epoch: str, seqs: SeqRanges) -> None:
        """Offered again."""
        ...


class Sends(Protocol):
    """The uplink."""

    @property
    def recalls_full(self) -> bool:
        """No more can be remembered now."""
        ...

    def resend(self, epoch: str, archived: SeqRanges, unparked: SeqRanges) -> None:
        """`archived` go again."""
        ...


async def resend(command: Command, spool: Keeps, uplink: Sends, note: Callable[[Outcome], Awaitable[None]]) -> Outcome:
    """Raises SpoolFailed and NotNoted: nothing was done then."""
    try:
        asked = resend_arguments(command.arguments)
    except Malformed as error:
        return Outcome(command.id, ok=False, code="bad_arguments", detail=str(error))
    if uplink.recalls_full:
        return Outcome(command.id, ok=False, code="busy", detail="too much is being sent again already")
    kept = await spool.kept(asked.epoch, asked.seqs)
    outcome = Outcome(command.id, ok=True, code="ok", resent=_resent(kept))
    await note(outcome)
    await spool.unpark_seqs(asked.epoch, kept.parked)
    uplink.resend(asked.epoch, kept.archived, kept.parked)
    return outcome


def _resent(kept: Kept) -> Resent:
    """A range that is named is not kept; when there are too many, the rest is for the next time it is asked for."""
    batches = len(kept.archived) + len(kept.parked) + len(kept.waiting)
    return Resent(batches, SeqRanges(kept.gone.ranges[:NOT_KEPT_MAX]), len(kept.gone))
