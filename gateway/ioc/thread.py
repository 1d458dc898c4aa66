"""`seams.Worker` as one real thread: what keeps a database or a disk that blocks out of the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class ThreadWorker:
    """Steps run one at a time, in order; the thread starts with the first one and ends with the process."""

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, step: Callable[[], T]) -> T:
        """What `step` returns or raises; a cancel waits for the step to end, and then counts."""
        future = asyncio.get_running_loop().run_in_executor(self._executor, step)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait({future})
            raise
