"""What is settled and not on its way to the disk yet: it goes along with the next step, or has one of its own in time.

Lost before that, it costs a second sending and nothing else; so telling a part twice is harmless. Pure.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

from gateway.model import BootMs, SeqRanges

Told: TypeAlias = tuple[int, str, SeqRanges]
"""(uplink, epoch, seqs)."""

SETTLED_MAX: Final = 20  # wait for an append at most
SETTLED_MS_MAX: Final = 5_000


class Untold:
    """Mutable, of the loop's side. The count and the age are of all that no step has been seen to save."""

    def __init__(self) -> None:
        self._waiting: list[Told] = []
        self._since: BootMs | None = None
        self._count = 0

    def add(self, told: Told, at: BootMs) -> None:
        """One more receipt, or what is one there."""
        self._waiting.append(told)
        self._count += len(told[2])
        if self._since is None:
            self._since = at

    def take(self) -> list[Told]:
        """All of it, for the step that begins."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def give_back(self, told: Sequence[Told]) -> None:
        """That step failed, or its file did."""
        self._waiting = [*told, *self._waiting]

    def saved(self) -> None:
        """The file has all it was told; what came meanwhile still waits."""
        if not self._waiting:
            self._count, self._since = 0, None

    def due(self, now: BootMs) -> bool:
        """Whether it has waited long enough for an append to take it along."""
        return self._since is not None and (self._count >= SETTLED_MAX or now - self._since >= SETTLED_MS_MAX)
