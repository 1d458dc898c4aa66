"""The bounded queue between the buses and the disk."""

from gateway.app.inbox import Inbox
from gateway.counters import Counters
from gateway.model import BootMs, Event, Group, Row
from gateway.testing.clock import FakeClock

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


async def test_a_closed_inbox_is_emptied_then_ended() -> None:
    """Shutdown loses nothing that was put before."""
    inbox = Inbox(FakeClock(), Counters())
    inbox.put(row(1))
    inbox.close()
    first, ended_before = inbox.ended, await inbox.next(None)
    assert (first, ended_before) == (False, row(1))
    assert (inbox.ended, await inbox.next(None)) == (True, None)
