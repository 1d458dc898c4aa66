"""The real worker."""

import asyncio
import threading

import pytest

from gateway.ioc.thread import ThreadWorker
from gateway.testing.clock import turns


async def test_in_one_other_thread() -> None:
    """Steps run outside the loop's thread, all in the same one."""
    worker = ThreadWorker("test")
    names = {await worker.run(lambda: threading.current_thread().name) for _ in range(3)}
    assert len(names) == 1
    assert names != {threading.current_thread().name}


async def test_what_a_step_raises() -> None:
    """Comes out where it was asked for."""
    with pytest.raises(ZeroDivisionError):
        await ThreadWorker("test").run(lambda: 1 / 0)


async def test_a_cancel_waits() -> None:
    """A step that runs is never abandoned: the cancel counts when it has ended."""
    worker, started, go, ended = ThreadWorker("test"), threading.Event(), threading.Event(), threading.Event()

    def step() -> None:
        started.set()
        go.wait()
        ended.set()

    task = asyncio.get_running_loop().create_task(worker.run(step))
    await turns()
    await asyncio.to_thread(started.wait)
    task.cancel()
    await turns()
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
