"""When one batch may be tried again while nobody answers."""

from gateway.model import BootMs
from gateway.north.mute import Mute


def tries(mute: Mute, until_s: int) -> list[int]:
    """The seconds at which a try was taken, asked once a second."""
    return [second for second in range(until_s) if mute.takes_try(BootMs(second * 1000))]


def test_silence_is_tried_at_once_then_after_20_s_doubling_to_5_min() -> None:
    """The first 10 s of the ladder were waited before it was called silence."""
    mute = Mute()
    mute.fall("no_receipts", BootMs(0))
    assert tries(mute, 1000) == [0, 20, 60, 140, 300, 600, 900]


def test_a_refused_version_is_tried_after_10_s() -> None:
    """That answer came at once, so the whole ladder is ahead."""
    mute = Mute()
    mute.fall("version_refused", BootMs(0))
    assert tries(mute, 100) == [10, 30, 70]


def test_another_reason_does_not_start_the_ladder_again() -> None:
    """Silence that turns into a refusal goes on where it was."""
    mute = Mute()
    mute.fall("no_receipts", BootMs(0))
    assert mute.takes_try(BootMs(0))
    mute.fall("version_refused", BootMs(1000))
    assert (mute.why, mute.takes_try(BootMs(11_000)), mute.takes_try(BootMs(20_000))) == (
        "version_refused",
        False,
        True,
    )


def test_an_answer_ends_it() -> None:
    """False again; the next silence begins with the first step."""
    mute = Mute()
    assert not mute
    mute.fall("no_receipts", BootMs(0))
    tries(mute, 500)
    mute.end()
    assert not mute
    mute.fall("no_receipts", BootMs(600_000))
    assert mute.takes_try(BootMs(600_000))
