"""Whose turn it is to be sent."""

from gateway.north.effects import Rank
from gateway.north.slot import Slot, State
from gateway.north.turn import Turn
from tests.support.backlog import make_batch


def test_urgent_then_fresh_in_order_then_the_oldest_of_the_backlog() -> None:
    """The order of design section 10, whatever the order of coming."""
    slots = [
        Slot(make_batch(2), Rank.BACKLOG),
        Slot(make_batch(9), Rank.FRESH),
        Slot(make_batch(1), Rank.BACKLOG),
        Slot(make_batch(8), Rank.FRESH),
        Slot(make_batch(10, urgent=True), Rank.URGENT),
    ]
    assert drained(slots) == [10, 8, 9, 1, 2]


def test_every_fourth_of_what_is_not_urgent_is_backlog() -> None:
    """However many fresh ones wait."""
    slots = [Slot(make_batch(seq), Rank.FRESH if seq > 20 else Rank.BACKLOG) for seq in range(1, 60)]
    sent = drained(slots)
    assert [seq for seq in sent[:16] if seq <= 20] == [1, 2, 3, 4]


def test_what_waits_for_its_puback_is_passed_over() -> None:
    """A batch is never published twice at once."""
    slot = Slot(make_batch(1), Rank.FRESH)
    assert Turn().next([slot], {slot.batch.id}) is None
    slot.state = State.OUT
    assert Turn().next([slot], set()) is None


def drained(slots: list[Slot]) -> list[int]:
    """All of them, one after the other."""
    turn, sent = Turn(), list[int]()
    while (slot := turn.next(slots, set())) is not None:
        turn.took(slot.rank)
        slot.state = State.OUT
        sent.append(slot.batch.id.seq)
    return sent
