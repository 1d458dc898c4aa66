"""A wish to stop that ends a wait at once and never cuts an exchange; and a call that ends only a nap.

Cancelling a task in the middle of an exchange would throw an answered reading away and leave its late reply on the
wire. So a loop passes only its idle waits through `unless_asked` and `nap`; everything else runs to its own end.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Stop:
    """Asked once, by anyone; obeyed by the one task that waits through it."""

    def __init__(self) -> None:
        self._asked = False
        self._called = False
        self._waiter: asyncio.Task[object] | None = None
        self._naps = False

    def asked(self) -> bool:
        """Whether it was."""
        return self._asked

    def ask(self) -> None:
        """Idempotent; the wait that runs now ends."""
        self._asked = True
        self._interrupt()

    def call(self) -> None:
        """End a nap that runs now; nothing else."""
        if self._naps:
            self._called = True
            self._interrupt()

    async def unless_asked(self, wait: Coroutine[Any, Any, T]) -> T | None:
        """What `wait` gives, or None when the stop was asked for first: `wait` is then cancelled."""
        task = asyncio.current_task()
        if self._asked or task is None:
            wait.close()
            return None
        self._waiter = task
        try:
            return await wait
        except asyncio.CancelledError:
            if (self._asked or self._called) and task.uncancel() == 0:
                return None
            raise
        finally:
            self._waiter = None

    async def nap(self, wait: Coroutine[Any, Any, object]) -> None:
        """As `unless_asked`; a `call` ends it too."""
        self._naps, self._called = True, False
        try:
            await self.unless_asked(wait)
        finally:
            self._naps = self._called = False

    def _interrupt(self) -> None:
        """Once a wait: each cancel has to be taken back."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.cancel()
