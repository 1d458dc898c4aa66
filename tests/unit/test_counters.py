"""`gateway.counters`: counted once, labelled, bounded."""

from gateway.counters import LABEL_SETS_MAX, Counters


def test_a_count_adds_up_by_its_labels() -> None:
    """Label sets are apart, their order does not matter, the total joins them."""
    counters = Counters()
    counters.add("rows", device="a", why="late")
    counters.add("rows", 2, why="late", device="a")
    counters.add("rows", device="b", why="late")
    assert counters.get("rows", device="a", why="late") == 3
    assert counters.total("rows") == 4


def test_what_was_never_counted_is_zero() -> None:
    """Asking creates nothing."""
    counters = Counters()
    assert counters.get("rows") == 0
    assert counters.total("rows") == 0
    assert list(counters) == []


def test_set_replaces_a_last_value() -> None:
    """A gauge holds its last value only."""
    counters = Counters()
    counters.set("queue", 7)
    counters.set("queue", 3)
    assert counters.get("queue") == 3


def test_iteration_is_sorted_and_complete() -> None:
    """What people are shown comes in a stable order."""
    counters = Counters()
    counters.add("b")
    counters.add("a", x="2")
    counters.add("a", x="1")
    assert list(counters) == [("a", {"x": "1"}, 1), ("a", {"x": "2"}, 1), ("b", {}, 1)]


def test_labels_that_strangers_choose_are_bounded() -> None:
    """Beyond the bound a new label set is counted under overflow; nothing is lost of the total, known ones go on."""
    counters = Counters()
    for number in range(LABEL_SETS_MAX + 10):
        counters.add("messages", gateway=f"g{number}")
    counters.add("messages", gateway="g0")
    assert counters.total("messages") == LABEL_SETS_MAX + 11
    assert counters.get("messages", gateway="g0") == 2
    assert counters.get("messages", overflow="true") == 10
    assert len(list(counters)) == LABEL_SETS_MAX + 1
