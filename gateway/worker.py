"""`seams.Worker` with a thread: a disk or a database is waited for there, never in the event loop."""

import asyncio
import threading
from collections.abc import Callable
from queue import Queue
from typing import TypeAlias, TypeVar

T = TypeVar("T")

STEPS_MAX = 64  # that wait; whoever comes then waits in the loop, in order

_Work: TypeAlias = Callable[[], None]


class ThreadWorker:
    """One thread, one bounded queue; steps run one at a time, in order. The first step starts it, `close` ends it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: Queue[_Work | None] = Queue()
        self._room = asyncio.Semaphore(STEPS_MAX)
        self._thread: threading.Thread | None = None

    async def run(self, step: Callable[[], T]) -> T:
        """What `step` returns or raises; a cancel waits for its end, so that no step is ever left half known."""
        async with self._room:
            loop = asyncio.get_running_loop()
            done: asyncio.Future[T] = loop.create_future()
            self._queue.put(lambda: _carry_out(step, loop, done))
            self._start()
            return await _to_the_end(done)

    def close(self) -> None:
        """After the last step; waits for the thread. Idempotent."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _start(self) -> None:
        """A daemon thread: a disk that hangs must not keep the process from ending."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()

    def _serve(self) -> None:
        while (work := self._queue.get()) is not None:
            work()


def _carry_out(step: Callable[[], T], loop: asyncio.AbstractEventLoop, done: "asyncio.Future[T]") -> None:
    """In the thread."""
    try:
        result = step()
    except BaseException as error:  # noqa: BLE001 - carried to the caller, whatever it is
        loop.call_soon_threadsafe(done.set_exception, error)
    else:
        loop.call_soon_threadsafe(done.set_result, result)


async def _to_the_end(done: "asyncio.Future[T]") -> T:
    cancelled: asyncio.CancelledError | None = None
    while not done.done():
        try:
            await asyncio.wait([done])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from done.exception()
    return done.result()
