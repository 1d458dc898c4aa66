"""A refused write: find the guilty lines, and have every other one taken. Pure.

A database that refuses a request names at most one line of it, so halves are written until each guilty line stands
alone. Writing a line twice changes nothing. Every line ends in a part that was taken, or is guilty; none is guessed.
Where the database says that it dropped as many lines for one reason as were sent, all of them are guilty at once.
"""


class Bisect:
    """Ask `next` for a part, write it, say `took` or `refused`; until `next` is None. `guilty` is then complete."""

    def __init__(self, lines: int) -> None:
        self._open = [range(lines)] if lines else []
        self._guilty: list[tuple[int, str]] = []

    def next(self) -> range | None:
        """The part to write now; the same one until it is answered."""
        return self._open[-1] if self._open else None

    def took(self) -> None:
        """The database has all of that part."""
        self._open.pop()

    def refused(self, reason: str, dropped: int = 0) -> int:
        """Some line of that part will never be taken; how many lines are found guilty by it."""
        part = self._open.pop()
        if len(part) == 1 or dropped == len(part):
            self._guilty += ((line, reason) for line in part)
            return len(part)
        middle = len(part) // 2
        self._open += [part[middle:], part[:middle]]
        return 0

    @property
    def guilty(self) -> list[tuple[int, str]]:
        """(line, reason), rising."""
        return sorted(self._guilty)
