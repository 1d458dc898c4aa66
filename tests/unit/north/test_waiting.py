"""What is remembered outside the window."""

from gateway.model import BootMs
from gateway.north.effects import Rank
from gateway.north.slot import Slot
from gateway.north.waiting import RETRY_PARKED_MS, WAITING_MAX, Waiting
from tests.support.backlog import make_batch


def slot(seq: int) -> Slot:
    """One that was sent."""
    return Slot(make_batch(seq), Rank.BACKLOG)


def test_what_was_set_aside_comes_back_in_order_and_without_its_body() -> None:
    """The body is on disk."""
    waiting = Waiting()
    for seq in (3, 1, 2):
        waiting.put_aside(slot(seq))
    assert waiting.place(slot(1).batch.id) == "aside"
    back = [waiting.take_back() for _ in range(4)]
    assert [one.batch.id.seq if one else None for one in back] == [3, 1, 2, None]
    assert back[0] is not None
    assert back[0].batch.body == b""
    assert waiting.place(slot(1).batch.id) == ""


def test_a_parked_one_is_set_aside_after_an_hour() -> None:
    """Not a millisecond before, and then once."""
    waiting = Waiting()
    waiting.park(slot(1), BootMs(5))
    assert waiting.place(slot(1).batch.id) == "parked"
    assert waiting.unpark(BootMs(5 + RETRY_PARKED_MS - 1)) == []
    assert [one.batch.id.seq for one in waiting.unpark(BootMs(5 + RETRY_PARKED_MS))] == [1]
    assert waiting.place(slot(1).batch.id) == "aside"
    assert waiting.unpark(BootMs(10 * RETRY_PARKED_MS)) == []


def test_both_lists_are_bounded() -> None:
    """What finds no room stays parked; an hour's worth comes back only as far as there is room to set it aside."""
    waiting = Waiting()
    for seq in range(1, WAITING_MAX + 10):
        waiting.park(slot(seq), BootMs(0))
    assert waiting.place(slot(WAITING_MAX + 1).batch.id) == ""
    for seq in range(1_000, 1_000 + WAITING_MAX - 5):
        waiting.put_aside(slot(seq))
    assert len(waiting.unpark(BootMs(RETRY_PARKED_MS))) == 5
    assert not waiting.room_aside
    assert waiting.place(slot(6).batch.id) == "parked"
