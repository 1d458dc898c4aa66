"""The bounded way from connection to writer."""

import asyncio

import pytest

from gateway.ioc.inbox import Inbox
from gateway.seams import Message
from gateway.testing.clock import turns


def numbered(mid: int) -> Message:
    """A message."""
    return Message("t", b"", 1, mid)


async def test_in_order() -> None:
    """First in, first out; empty gives None."""
    inbox = Inbox(3)
    assert inbox.take() is None
    for mid in (1, 2):
        await inbox.put(numbered(mid))
    await inbox.wait()
    assert [inbox.take(), inbox.take(), inbox.take()] == [numbered(1), numbered(2), None]


async def test_full_waits() -> None:
    """What does not fit waits outside, and comes in when there is room."""
    inbox = Inbox(1)
    await inbox.put(numbered(1))
    async with asyncio.TaskGroup() as group:
        putting = group.create_task(inbox.put(numbered(2)))
        await turns()
        assert not putting.done()
        assert inbox.take() == numbered(1)
        await turns()
        assert putting.done()
    assert inbox.take() == numbered(2)


async def test_closed_can_be_finished() -> None:
    """After `close` the taker is woken, takes what is there, and is never kept waiting."""
    inbox = Inbox(2)
    await inbox.put(numbered(1))
    inbox.close()
    assert inbox.take() == numbered(1)
    await inbox.wait()
    assert inbox.take() is None


async def test_a_nudge_is_over_when_nothing_is_there() -> None:
    """Who waits looks at the clock, and then sleeps again: a nudge that stayed would make it spin."""
    inbox = Inbox(2)
    inbox.nudge()
    await inbox.wait()
    assert inbox.take() is None
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await inbox.wait()
