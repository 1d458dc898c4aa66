"""A worker without a thread: each step runs where it is called, so that a simulation stays in one thread."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class InlineWorker:
    """`seams.Worker` at once. `before` is called ahead of each step: raise there, or count."""

    def __init__(self, before: Callable[[], None] | None = None) -> None:
        self._before = before

    async def run(self, step: Callable[[], T]) -> T:
        """What `step` returns or raises."""
        if self._before is not None:
            self._before()
        return step()

    def close(self) -> None:
        """Nothing to end."""
