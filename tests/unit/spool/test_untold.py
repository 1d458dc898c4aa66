"""gateway.spool.untold: SET-2, when what is settled has waited long enough."""

from gateway.model import BootMs, SeqRanges
from gateway.spool.untold import SETTLED_MAX, SETTLED_MS_MAX, Told, Untold


def told(first: int, last: int) -> Told:
    """A receipt of the first uplink."""
    return 1, "a", SeqRanges.of([(first, last)])


def test_nothing_is_never_due() -> None:
    """SET-2: an idle spool writes nothing."""
    assert not Untold().due(BootMs(10**9))


def test_age_and_number_make_it_due() -> None:
    """SET-2: 5 s after the oldest, or 20 seqs in however many receipts."""
    untold = Untold()
    untold.add(told(1, 1), BootMs(100))
    assert not untold.due(BootMs(100 + SETTLED_MS_MAX - 1))
    assert untold.due(BootMs(100 + SETTLED_MS_MAX))
    untold.add(told(2, SETTLED_MAX), BootMs(101))
    assert untold.due(BootMs(101))


def test_what_a_failed_step_took_comes_back_first() -> None:
    """SET-1: a receipt is let go of only by a step that was done; until then it is due as before."""
    untold = Untold()
    untold.add(told(1, 1), BootMs(0))
    taken = untold.take()
    untold.add(told(2, 2), BootMs(1))
    untold.give_back(taken)
    assert untold.take() == [told(1, 1), told(2, 2)]
    assert untold.due(BootMs(SETTLED_MS_MAX))


def test_what_came_during_the_step_still_waits() -> None:
    """SET-2: a file that has all it was told does not end the wait of what it was not told."""
    untold = Untold()
    untold.add(told(1, 1), BootMs(0))
    untold.take()
    untold.add(told(2, 2), BootMs(1))
    untold.saved()
    assert untold.due(BootMs(SETTLED_MS_MAX))
    untold.take()
    untold.saved()
    assert not untold.due(BootMs(SETTLED_MS_MAX))
