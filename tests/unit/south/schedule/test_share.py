"""gateway.south.schedule.share: time saved up, spent, owed."""

from gateway.model import BootMs
from gateway.south.schedule.share import Share


def test_a_share_grows_with_time_up_to_its_bound() -> None:
    """A tenth of the time, at most 50 ms."""
    share = Share(0.1, BootMs(1000), 50)
    assert share.ready_at(BootMs(1000), 30) == 1300
    share.grow(BootMs(1300))
    assert share.ready_at(BootMs(1300), 30) == 1300
    share.grow(BootMs(99_000))
    assert share.saved_ms == 50


def test_what_took_longer_than_was_saved_is_owed() -> None:
    """100 ms taken of nothing: back at zero after a second; what took less than nothing costs nothing."""
    share = Share(0.1, BootMs(0), 50)
    share.charge(100)
    assert share.ready_at(BootMs(0), 0) == 1000
    share.charge(-500)
    assert share.ready_at(BootMs(0), 0) == 1000
