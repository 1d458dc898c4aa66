"""When a fault is on."""

import pytest

from simulators.entry import Entry, WrongEntry
from simulators.timetable import Timetable


def table(**keys: object) -> Timetable:
    """From the keys of a file; `for` is written for_."""
    return Timetable.of(Entry("m", {key.rstrip("_"): value for key, value in keys.items()}))


def test_without_keys_it_is_on_for_ever() -> None:
    """From the beginning."""
    assert [table().window(at) for at in (0, 1, 10**9)] == [0, 0, 0]
    assert not table().over(10**9)


def test_windows_come_again() -> None:
    """after, for, every; the end of a window is not in it."""
    on = table(after="10s", for_="5s", every="60s")
    times = (0, 9_999, 10_000, 14_999, 15_000, 69_999, 70_000, 74_999, 75_000)
    assert [on.window(at) for at in times] == [None, None, 0, 0, None, None, 1, 1, None]
    assert not on.over(10**9)


def test_one_window_is_over_once() -> None:
    """Then it can be forgotten."""
    on = table(after="1s", for_="2s")
    assert [on.window(at) for at in (999, 1000, 2999, 3000)] == [None, 0, 0, None]
    assert (on.over(2999), on.over(3000)) == (False, True)


def test_it_counts_from_when_it_was_said() -> None:
    """A command's `after` is from the command on."""
    assert Timetable.of(Entry("m", {"for": "1s"}), now_ms=5000).window(5500) == 0
    assert Timetable.of(Entry("m", {"for": "1s"}), now_ms=5000).window(4999) is None


@pytest.mark.parametrize(
    "keys",
    [
        {"every": "5s"},
        {"every": "5s", "for_": "6s"},
        {"for_": "0s"},
        {"share": 1.5},
        {"times": 0},
        {"after": "soon"},
    ],
)
def test_what_makes_no_sense_is_refused(keys: dict[str, object]) -> None:
    """Each with its reason."""
    with pytest.raises(WrongEntry):
        table(**keys)
