"""The inline worker keeps the seam's promises, in one thread."""

import threading
from functools import partial

import pytest

from gateway.seams import Worker
from gateway.testing.worker import InlineWorker


async def test_it_runs_where_it_is_called() -> None:
    """Results and errors come back as they are."""
    worker: Worker = InlineWorker()
    assert await worker.run(threading.get_ident) == threading.get_ident()
    with pytest.raises(KeyError):
        await worker.run(partial(dict[str, str]().__getitem__, "absent"))


async def test_before_is_asked_first() -> None:
    """So that a test can count, or fail a step before it begins."""
    steps: list[str] = []
    worker = InlineWorker(before=lambda: steps.append("before"))
    await worker.run(lambda: steps.append("step"))
    assert steps == ["before", "step"]
