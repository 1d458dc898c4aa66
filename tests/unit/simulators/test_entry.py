"""A table that a person wrote: defaults, and what is wrong with it."""

from collections.abc import Callable

import pytest

from simulators.entry import Entry, WrongEntry

GOOD = Entry("meter-1", {"n": 3, "x": 2.5, "on": True, "t": "10s", "hex": "01 ff", "one": 5, "list": [1, 2]})


def test_what_is_there_and_what_is_not() -> None:
    """A value, or its default."""
    assert (GOOD.whole("n", 1, 0, 9), GOOD.whole("no", 1, 0, 9)) == (3, 1)
    assert (GOOD.number("x", 1), GOOD.number("n", 1), GOOD.number("no", 1)) == (2.5, 3.0, 1.0)
    assert (GOOD.flag("on", otherwise=False), GOOD.flag("no", otherwise=True)) == (True, True)
    assert (GOOD.duration_ms("t"), GOOD.duration_ms("no")) == (10_000, None)
    assert (GOOD.hexed("hex"), GOOD.hexed("no")) == (b"\x01\xff", None)
    assert (GOOD.several("one"), GOOD.several("list"), GOOD.several("no")) == ((5,), (1, 2), ())


@pytest.mark.parametrize(
    "read",
    [
        lambda: GOOD.whole("x", 1, 0, 9),
        lambda: GOOD.whole("on", 1, 0, 9),
        lambda: GOOD.whole("n", 1, 4, 9),
        lambda: GOOD.number("t", 1),
        lambda: GOOD.number("on", 1),
        lambda: GOOD.number("x", 1, 3),
        lambda: GOOD.flag("n", otherwise=False),
        lambda: GOOD.duration_ms("n"),
        lambda: GOOD.hexed("t"),
        lambda: GOOD.only(frozenset({"n", "x"})),
    ],
)
def test_what_is_wrong_is_said_with_its_name(read: Callable[[], object]) -> None:
    """A float for a whole number, a number for a time, and so on."""
    with pytest.raises(WrongEntry, match="meter-1: "):
        read()


def test_not_a_number_is_no_number() -> None:
    """TOML can write it."""
    with pytest.raises(WrongEntry):
        Entry("m", {"x": float("nan")}).number("x", 1)
