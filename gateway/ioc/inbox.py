"""Between the connection and the writer: bounded, so that a slow database slows the broker down, not the memory up."""

import asyncio
from collections import deque

from gateway.seams import Message


class Inbox:
    """One side puts, one side takes; closing lets the taker finish what is there."""

    def __init__(self, messages_max: int) -> None:
        self._messages: deque[Message] = deque()
        self._max = messages_max
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self.closed = False

    async def put(self, message: Message) -> None:
        """Waits while it is full."""
        while len(self._messages) >= self._max:
            self._room.clear()
            await self._room.wait()
        self._messages.append(message)
        self._arrived.set()

    def take(self) -> Message | None:
        """The oldest, without waiting; None when there is none now."""
        if not self._messages:
            self._rest()
            return None
        self._room.set()
        message = self._messages.popleft()
        if not self._messages:
            self._rest()
        return message

    async def wait(self) -> None:
        """Until there is one, or none will come any more, or somebody nudged."""
        await self._arrived.wait()

    def nudge(self) -> None:
        """Let who waits look at the clock: cheaper than a timer of its own for every message."""
        self._arrived.set()

    def close(self) -> None:
        """Nothing more is put."""
        self.closed = True
        self._arrived.set()

    def _rest(self) -> None:
        if not self.closed:
            self._arrived.clear()
