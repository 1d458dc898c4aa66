"""When batches that were refused are worth another try: at a version of either side that was never seen here. Pure.

    ours     of this gateway: known at its start
    theirs   of the centre: told by its receipts, "" by one that does not tell

Each version counts once in a spool's life, so that two of them that take turns bring nothing back again and again. The
first one of the centre is no upgrade of anything. A centre is upgraded worker by worker, and an old worker would refuse
again what the new one may take: a new version of theirs counts when RUN receipts in a row came from it, from nobody
else. At most SEEN_MAX of each side are remembered, the latest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

RUN: Final = 20
SEEN_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Seen:
    """Versions of each side that had their turn, in the order of coming."""

    ours: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()


class Versions:
    """Told of versions; `fresh` are those at which refused batches are to be tried again, until they are `noted`."""

    def __init__(self, ours: str, seen: Seen) -> None:
        self.seen = seen
        self._ours = ours
        self._last: str | None = None
        self._run = 0

    def heard(self, theirs: str) -> None:
        """A receipt told this version of the centre."""
        if not self.seen.theirs:
            self.seen = replace(self.seen, theirs=(theirs,))
        self._run = self._run + 1 if theirs == self._last else 1
        self._last = theirs

    @property
    def fresh(self) -> Seen:
        """What has not had its turn yet."""
        alone = self._last if self._last is not None and self._run >= RUN else None
        return Seen(
            () if self._ours in self.seen.ours else (self._ours,),
            () if alone is None or alone in self.seen.theirs else (alone,),
        )

    def note(self, fresh: Seen) -> None:
        """They had their turn."""
        self.seen = Seen(_latest(self.seen.ours, fresh.ours), _latest(self.seen.theirs, fresh.theirs))


def _latest(seen: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    return (*seen, *more)[-SEEN_MAX:]
