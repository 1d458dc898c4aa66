"""The thread that waits for disks and databases."""

import asyncio
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from gateway.seams import Worker
from gateway.testing.clock import turns
from gateway.worker import STEPS_MAX, ThreadWorker


@pytest.fixture
def worker() -> Iterator[ThreadWorker]:
    """One thread, ended."""
    made = ThreadWorker("test")
    yield made
    made.close()


async def test_all_steps_run_in_one_thread_in_order(worker: ThreadWorker) -> None:
    """More than wait at once."""
    seam: Worker = worker
    order: list[int] = []
    threads: set[int] = set()

    def step(number: int) -> None:
        order.append(number)
        threads.add(threading.get_ident())

    async with asyncio.TaskGroup() as tasks:
        for number in range(2 * STEPS_MAX):
            tasks.create_task(seam.run(partial(step, number)), name="step")
    assert order == list(range(2 * STEPS_MAX))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_errors_come_back(worker: ThreadWorker) -> None:
    """And the thread goes on."""
    with pytest.raises(KeyError):
        await worker.run(partial(dict[str, str]().__getitem__, "absent"))
    assert await worker.run(lambda: 5) == 5


async def test_a_cancel_waits_for_the_end_of_the_step(worker: ThreadWorker) -> None:
    """What was begun is done before the caller goes."""
    began, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def step() -> None:
        began.set()
        go_on.wait()
        done.set()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(worker.run(step), name="step")
        await turns(1)
        began.wait()
        task.cancel()
        await turns(1)
        task.cancel()
        await turns(1)
        assert not task.done()
        go_on.set()
    assert done.is_set()
    assert task.cancelled()


async def test_close_ends_the_thread() -> None:
    """Idempotent."""
    worker = ThreadWorker("brief")
    assert await worker.run(lambda: threading.current_thread().name) == "brief"
    worker.close()
    worker.close()
    assert "brief" not in {thread.name for thread in threading.enumerate()}


async def test_a_step_after_close_starts_the_thread_again() -> None:
    """A store that is closed and asked once more answers."""
    worker = ThreadWorker("again")
    assert await worker.run(lambda: 1) == 1
    worker.close()
    assert await worker.run(lambda: 2) == 2
    worker.close()
