"""A wish to stop that ends a wait at once and never cuts an exchange.

Cancelling a task in the middle of an exchange would throw an answered reading away and leave its late reply on the
wire. So a loop passes only its idle waits through `unless_asked`; everything else runs to its own end.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stop:
    """Asked once, by anyone; obeyed by the one task that waits through it."""

    def __init__(self) -> None:
        self._asked = False
        self._waiter: asyncio.Task[object] | None = None

    def asked(self) -> bool:
        """Whether it was."""
        return self._asked

    def ask(self) -> None:
        """Idempotent; the wait that runs now ends."""
        if not self._asked and self._waiter is not None:
            self._waiter.cancel()
        self._asked = True

    async def unless_asked(self, wait: Coroutine[Any, Any, T]) -> T | None:
        """What `wait` gives, or None when the stop was asked for first: `wait` is then cancelled."""
        task = asyncio.current_task()
        if self.asked() or task is None:
            wait.close()
            return None
        self._waiter = task
        try:
            return await wait
        except asyncio.CancelledError:
            if self.asked() and task.uncancel() == 0:
                return None
            raise
        finally:
            self._waiter = None
