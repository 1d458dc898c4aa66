"""The bounded queue between the buses and the disk."""

import asyncio
import logging
from collections.abc import Callable

import pytest

from gateway.app.inbox import Inbox
from gateway.counters import Counters
from gateway.model import BootMs, Event, Group, Row
from gateway.testing.clock import FakeClock, turns

GROUP = Group("meter-1", "energy_meter", "eastron/sdm630@1", ("frequency",), "f")


def row(at: int) -> Row:
    """A row at a time."""
    return Row(GROUP, BootMs(at), (50.0,))


async def test_items_come_out_in_order() -> None:
    """First in, first out, rows and events alike."""
    inbox = Inbox(FakeClock(), Counters())
    items: list[Row | Event] = [row(1), Event(BootMs(2), "", "restart"), row(3)]
    for item in items:
        inbox.put(item)
    assert [await inbox.next(None) for _ in items] == items


async def test_what_is_dropped_is_counted_and_told_first() -> None:
    """A full inbox gives up the oldest row and says how many and from when to when."""
    clock, counters = FakeClock(), Counters()
    inbox = Inbox(clock, counters, items_max=2)
    now = clock.boot_ms()
    for ago in (40, 30, 20, 10):
        inbox.put(row(now - ago))
    told = await inbox.next(None)
    assert isinstance(told, Event)
    assert (told.code, told.detail, told.urgent) == ("rows_dropped", (2, -40, -30), True)
    assert [await inbox.next(None), await inbox.next(None)] == [row(now - 20), row(now - 10)]
    assert counters.get("inbox_dropped", what="row") == 2


async def test_next_gives_up_at_its_time() -> None:
    """Nothing came until then: None."""
    clock = FakeClock()
    assert await Inbox(clock, Counters()).next(clock.boot_ms()) is None


@pytest.mark.parametrize("hurry", [lambda inbox: inbox.put(Event(BootMs(3), "", "restart")), Inbox.close])
async def test_rows_of_a_moment_come_together_and_an_event_at_once(hurry: Callable[[Inbox], None]) -> None:
    """A row alone waits a little for others; what happened, and the end, wake whoever waits."""
    inbox = Inbox(FakeClock(), Counters())
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(inbox.next(None), name="waiting")
        await turns()
        inbox.put(row(1))
        await turns()
        assert not waiting.done()
        inbox.put(row(2))
        hurry(inbox)
        await turns()
        assert (waiting.done(), await waiting, await inbox.next(None)) == (True, row(1), row(2))


async def test_a_row_that_may_be_an_alarm_comes_at_once() -> None:
    """Of a device that has alarms: a gathering of 20 ms would be a seventh of all the time that an alarm may take."""
    inbox = Inbox(FakeClock(), Counters(), hurried={GROUP.device})
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(inbox.next(None), name="waiting")
        await turns()
        inbox.put(row(1))
        await turns()
        assert (waiting.done(), await waiting) == (True, row(1))


async def test_a_row_alone_comes_too() -> None:
    """Nobody has to come after it."""
    inbox = Inbox(FakeClock(), Counters())
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(inbox.next(None), name="waiting")
        await turns()
        inbox.put(row(1))
        assert await waiting == row(1)


async def test_a_closed_inbox_is_emptied_then_ended() -> None:
    """Shutdown loses nothing that was put before."""
    inbox = Inbox(FakeClock(), Counters())
    inbox.put(row(1))
    inbox.close()
    first, ended_before = inbox.ended, await inbox.next(None)
    assert (first, ended_before) == (False, row(1))
    assert (inbox.ended, await inbox.next(None)) == (True, None)


def test_the_rest_is_all_that_is_inside() -> None:
    """A stage failed: what was dropped is told, what is left is handed out at once, in order."""
    inbox = Inbox(FakeClock(), Counters(), items_max=2)
    for at in (1, 2, 3):
        inbox.put(row(at))
    told, *rest = inbox.rest()
    assert isinstance(told, Event)
    assert (told.code, rest) == ("rows_dropped", [row(2), row(3)])
    assert (inbox.rest(), inbox.ended) == ([], True)


async def test_what_comes_after_the_end_is_counted() -> None:
    """Nobody takes it any more: a late row or event is no secret."""
    counters = Counters()
    inbox = Inbox(FakeClock(), counters)
    inbox.close()
    inbox.put(row(1))
    inbox.put(Event(BootMs(2), "", "uplink_down"))
    assert inbox.ended
    assert (counters.get("inbox_dropped", what="row"), counters.get("inbox_dropped", what="event")) == (1, 1)


async def test_every_event_is_in_the_journal_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """What a server or a device said cannot begin a line of its own; rows are not told."""
    with caplog.at_level(logging.INFO, "gateway"):
        inbox = Inbox(FakeClock(), Counters())
        inbox.put(row(1))
        inbox.put(Event(BootMs(2), "", "uplink_refused", "certificate revoked\nE gateway all is well"))
        inbox.put(Event(BootMs(3), "meter-1", "device_down", ("no_reply", 3)))
    assert [record.getMessage() for record in caplog.records] == [
        "event code=uplink_refused subject='' detail='certificate revoked\\nE gateway all is well'",
        "event code=device_down subject='meter-1' detail=('no_reply', 3)",
    ]
