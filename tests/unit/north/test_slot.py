"""What is remembered of one batch's sends."""

from gateway.model import BootMs
from gateway.north.effects import Rank
from gateway.north.slot import AGAIN_MAX_MS, Slot, State
from tests.support.backlog import make_batch


def test_the_ladder_of_sending_again() -> None:
    """10 s, doubling to 5 min; from the start again on a new connection."""
    slot = Slot(make_batch(1), Rank.FRESH)
    waits = []
    for serial in range(1, 9):
        slot.send(serial, BootMs(1_000))
        waits.append(slot.again_at - 1_000)
    assert waits == [10_000, 20_000, 40_000, 80_000, 160_000, AGAIN_MAX_MS, AGAIN_MAX_MS, AGAIN_MAX_MS]
    assert (slot.first_serial, slot.serial, slot.state) == (1, 8, State.OUT)
    slot.restart()
    assert (slot.state, slot.rank, slot.first_serial, slot.delay_ms) == (State.DUE, Rank.BACKLOG, 0, 10_000)
    slot.send(9, BootMs(5_000))
    assert (slot.first_serial, slot.first_sent) == (9, 1_000)


def test_outside_the_window_it_costs_no_body() -> None:
    """Hundreds may wait there."""
    slot = Slot(make_batch(1, body=b"x" * 1_000), Rank.BACKLOG)
    slot.forget_body()
    assert slot.batch.body == b""
    assert slot.batch.id == make_batch(1).id


def test_what_came_back_is_a_suspect() -> None:
    """It counts against the half of the window that such batches may hold."""
    slot = Slot(make_batch(1, urgent=True), Rank.BACKLOG)
    before = slot.suspect
    slot.come_back()
    assert (before, slot.suspect) == (False, True)
    assert (slot.state, slot.rank) == (State.READING, Rank.URGENT)
