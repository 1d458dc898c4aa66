"""gateway.south.links.trace: what is kept of what went over a wire, and how one waits for more."""

import asyncio

from gateway.south.links.trace import Chunk, Trace
from gateway.testing.clock import turns


def test_chunks_in_the_order_they_came() -> None:
    """With their time and their way."""
    trace = Trace()
    trace.note(5, b"ask", sent=True)
    trace.note(7, b"answer", sent=False)
    assert trace.chunks() == [Chunk(5, True, b"ask"), Chunk(7, False, b"answer")]
    assert trace.chunks(1) == [Chunk(7, False, b"answer")]
    assert (trace.noted, trace.chunks(2), trace.chunks(99)) == (2, [], [])


def test_it_is_bounded_in_chunks_and_in_bytes() -> None:
    """The oldest go; the numbers go on."""
    trace = Trace(chunks_max=3, bytes_max=10)
    for n in range(5):
        trace.note(n, b"ab", sent=False)
    assert [chunk.at_ns for chunk in trace.chunks()] == [2, 3, 4]
    trace.note(5, b"12345678", sent=False)
    assert [chunk.at_ns for chunk in trace.chunks()] == [4, 5]
    assert [chunk.at_ns for chunk in trace.chunks(5)] == [5]
    trace.note(6, b"x" * 11, sent=False)
    assert (trace.chunks(), trace.noted) == ([], 7)


async def test_who_waits_is_woken_by_the_next_chunk() -> None:
    """All who wait; who asks for one that is there does not wait."""
    trace = Trace()
    async with asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(trace.wait(0, 60)) for _ in range(2)]
        await turns()
        assert not any(task.done() for task in waiting)
        trace.note(1, b"x", sent=True)
        await turns()
        assert all(task.done() for task in waiting)
    await trace.wait(0, 60)


async def test_a_wait_is_bounded() -> None:
    """Nothing comes: it returns all the same."""
    await Trace().wait(0, 0.001)
