"""What is wrong now, and what was said about it when. Pure.

An event is a row, a row needs sending, and sending is what went wrong: one event per code and minute at most.
"""

from gateway.model import BootMs, Detail
from gateway.north.effects import Complain

COMPLAIN_EVERY_MS = 60_000


class Complaints:
    """`hold` and `clear` for what lasts, `say` for what happened once; each answers with the events to send."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._said: dict[str, BootMs] = {}

    @property
    def held(self) -> frozenset[str]:
        """Codes of what is wrong now."""
        return frozenset(self._held)

    def hold(self, code: str, detail: Detail, now: BootMs) -> list[Complain]:
        """It is wrong from now on; said when it was not before."""
        if code in self._held:
            return []
        self._held.add(code)
        return self.say(code, detail, now)

    def clear(self, *codes: str) -> list[str]:
        """Right again; which of them were held, sorted."""
        gone = sorted(self._held.intersection(codes))
        self._held.difference_update(gone)
        return gone

    def say(self, code: str, detail: Detail, now: BootMs) -> list[Complain]:
        """It happened."""
        last = self._said.get(code)
        if last is not None and now - last < COMPLAIN_EVERY_MS:
            return []
        self._said[code] = now
        return [Complain(code, detail)]
