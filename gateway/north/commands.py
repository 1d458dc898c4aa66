"""Which commands may run: not expired, known, allowed, with a trusted clock, not seen before. Pure."""

from collections import OrderedDict

from gateway.model import UtcMs
from gateway.wire.command import Command

REMEMBERED_MAX = 1024


class CommandGate:
    """Admits each command id once. What must survive a restart is noted on disk by whoever carries a command out."""

    def __init__(self, known: frozenset[str], allowed: frozenset[str] | None = None) -> None:
        """`known`: names this build can carry out; `allowed`: names this site permits, None = all that are known."""
        self._known = known
        self._allowed = known if allowed is None else allowed
        self._seen: OrderedDict[str, None] = OrderedDict()

    def admit(self, command: Command, now: UtcMs | None) -> str | None:
        """The code of a refusal, or None; `now` is None while no clock is trusted."""
        if now is not None and now >= command.expires:
            return "expired"
        if command.name not in self._known:
            return "unknown_command"
        if command.name not in self._allowed:
            return "not_allowed"
        if now is None:
            return "clock_not_trusted"
        if command.id in self._seen:
            return "repeated"
        self._remember(command.id)
        return None

    def _remember(self, command_id: str) -> None:
        self._seen[command_id] = None
        if len(self._seen) > REMEMBERED_MAX:
            self._seen.popitem(last=False)
