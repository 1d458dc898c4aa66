"""One after the other."""

from simulators.lane import Lane


def test_an_exchange_begins_when_the_one_before_has_ended() -> None:
    """What comes meanwhile waits; afterwards nothing does."""
    lane = Lane()
    assert lane.begin_ns(5) == 5
    lane.busy(100)
    assert (lane.begin_ns(7), lane.begin_ns(100), lane.begin_ns(101)) == (100, 100, 101)
    lane.busy(50)
    assert lane.begin_ns(7) == 100


def test_who_does_not_queue_does_not_hear() -> None:
    """Until it is free again."""
    lane = Lane()
    lane.busy(100, queue=False)
    assert (lane.begin_ns(99), lane.begin_ns(100)) == (None, 100)
