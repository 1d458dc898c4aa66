"""gateway.south.rows: counted, newest kept, times of a group rise."""

from gateway.counters import Counters
from gateway.model import BootMs, Group, Quality, Row
from gateway.south.rows import Rows

GROUP = Group("m", "thing", "test/thing@1", ("a", "b"), "ff")


def _row(at: int, *values: float | None) -> Row:
    return Row(GROUP, BootMs(at), values, tuple((n, Quality.NO_REPLY) for n, v in enumerate(values) if v is None))


def test_rows_are_counted_and_handed_on() -> None:
    """A reading is a good value: zero is one, null is none."""
    told: list[Row] = []
    counters = Counters()
    rows = Rows("bus-1", counters, told.append)
    rows.put(0, _row(10, 0.0, None))
    rows.put(0, _row(20, 1.0, 2.0))
    assert [row.at for row in told] == [10, 20]
    assert counters.get("rows", bus="bus-1", device="m") == 2
    assert counters.get("readings", bus="bus-1", device="m") == 3


def test_only_the_newest_row_of_a_group_is_kept() -> None:
    """Bounded by the groups, whatever the time they run."""
    rows = Rows("bus-1", Counters(), lambda _row: None)
    for at in range(100):
        rows.put(at % 2, _row(at, 1.0, 1.0))
    assert sorted(row.at for row in rows.newest) == [98, 99]


def test_a_time_that_does_not_rise_makes_no_row_but_a_count() -> None:
    """Times of one group strictly increase on the wire; another group has its own."""
    told: list[Row] = []
    counters = Counters()
    rows = Rows("bus-1", counters, told.append)
    for group, at in [(0, 10), (0, 10), (0, 9), (1, 9), (0, 11)]:
        rows.put(group, _row(at, 1.0, 1.0))
    assert [row.at for row in told] == [10, 9, 11]
    assert counters.get("rows_same_time", bus="bus-1", device="m") == 2
