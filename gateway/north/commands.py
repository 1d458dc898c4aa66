"""Which commands may run: not seen before, not expired, known, allowed, with a trusted clock. Pure."""

from collections import OrderedDict
from collections.abc import Iterable

from gateway.model import UtcMs
from gateway.wire.command import Command, Outcome

REMEMBERED_MAX = 1024
AHEAD_MAX_MS = 2 * 86_400_000  # what is valid for longer would outlive our memory of its id: it could be sent again
INTERRUPTED = "interrupted"  # the gateway stopped in the middle: what became of it nobody knows


class CommandGate:
    """Admits each command id once. What must survive a restart is noted on disk by whoever carries a command out."""

    def __init__(
        self, known: frozenset[str], allowed: frozenset[str] | None = None, seen: Iterable[Outcome] = ()
    ) -> None:
        """`known`: names this build can carry out; `allowed`: names this site permits, None = all that are known.

        `seen`: what became of commands before this start, oldest first.
        """
        self._known = known
        self._allowed = known if allowed is None else allowed
        self._seen: OrderedDict[str, Outcome | None] = OrderedDict()
        for outcome in seen:
            self._remember(outcome.id, outcome)

    def refusal(self, command: Command, now: UtcMs | None) -> Outcome | None:
        """Why it is not carried out; None = it is, now. `now` is None while no clock is trusted."""
        if command.id in self._seen:
            return _again(command.id, self._seen[command.id])
        code = self._code(command, now)
        if code is not None:
            return Outcome(command.id, ok=False, code=code)
        self._remember(command.id, None)
        return None

    def done(self, outcome: Outcome) -> None:
        """What became of a command that was admitted."""
        if outcome.id in self._seen:
            self._seen[outcome.id] = outcome

    def _code(self, command: Command, now: UtcMs | None) -> str | None:
        if now is not None and now >= command.expires:
            return "expired"
        if now is not None and command.expires - now > AHEAD_MAX_MS:
            return "expires_too_late"
        if command.name not in self._known:
            return "unknown_command"
        if command.name not in self._allowed:
            return "not_allowed"
        return "clock_not_trusted" if now is None else None

    def _remember(self, command_id: str, outcome: Outcome | None) -> None:
        self._seen[command_id] = outcome
        if len(self._seen) > REMEMBERED_MAX:
            self._seen.popitem(last=False)


def _again(command_id: str, first: Outcome | None) -> Outcome:
    if first is None or first.code == INTERRUPTED:
        return Outcome(command_id, ok=False, code=INTERRUPTED)
    return Outcome(command_id, ok=False, code="repeated", detail=first.detail, value=first.value, was=first.code)
