"""The search for guilty lines."""

from gateway.ioc.bisect import Bisect


def test_all_taken_costs_one_write() -> None:
    """A request without a guilty line is written once."""
    search = Bisect(1000)
    assert search.next() == range(1000)
    search.took()
    assert search.next() is None
    assert search.guilty == []


def test_nothing_to_write() -> None:
    """No lines, no write."""
    assert Bisect(0).next() is None


def test_a_part_stays_until_it_is_answered() -> None:
    """A busy database is asked the same again."""
    search = Bisect(3)
    assert search.next() == search.next() == range(3)


def test_all_dropped_needs_no_search() -> None:
    """When the database dropped as many lines as were sent, each is guilty."""
    search = Bisect(3)
    search.refused("beyond retention policy", dropped=3)
    assert search.next() is None
    assert search.guilty == [(line, "beyond retention policy") for line in range(3)]


def test_fewer_dropped_needs_a_search() -> None:
    """A count alone does not say which lines."""
    search = Bisect(2)
    search.refused("field type conflict", dropped=1)
    assert search.next() == range(1)
    search.took()
    assert search.next() == range(1, 2)
    search.refused("field type conflict", dropped=1)
    assert search.guilty == [(1, "field type conflict")]
