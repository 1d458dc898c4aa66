"""Which server next, and when."""

from random import Random

from gateway.north.doors import HOME_AFTER_MS, WAIT_MAX_MS, Doors


def test_failures_go_round_and_wait_longer_up_to_a_minute() -> None:
    """Full jitter: anything from 0 to a bound that doubles."""
    doors = Doors(3, Random(1))
    waits = []
    for n in range(40):
        assert doors.at == n % 3
        waits.append(doors.failed())
    assert all(wait <= min(WAIT_MAX_MS, 1_000 << (n + 1)) for n, wait in enumerate(waits))
    assert max(waits[10:]) > 40_000
    assert min(waits[10:]) < 10_000


def test_two_gateways_do_not_come_back_together() -> None:
    """Other seeds, other waits."""
    one, other = Doors(1, Random(1)), Doors(1, Random(2))
    assert [one.failed() for _ in range(8)] != [other.failed() for _ in range(8)]


def test_a_connection_that_held_for_a_minute_forgives_failures() -> None:
    """The same door is tried again, within 4 s: a moment spread, in case the whole city lost it too."""
    doors = Doors(2, Random(1))
    for _ in range(9):
        doors.failed()
    assert doors.at == 1
    assert doors.lost(60_000) <= 4_000
    assert doors.at == 1


def test_a_connection_that_did_not_hold_counts_as_a_failure() -> None:
    """A server that takes us and throws us out must not be hammered."""
    doors = Doors(2, Random(1))
    waits = [doors.lost(5_000) for _ in range(30)]
    assert max(waits[10:]) > 30_000


def test_after_ten_healthy_minutes_the_first_door_is_tried_first() -> None:
    """The order of the file is a preference."""
    doors = Doors(2, Random(1))
    doors.failed()
    doors.lost(HOME_AFTER_MS)
    assert doors.at == 0
    doors.failed()
    doors.home()
    assert doors.at == 0
