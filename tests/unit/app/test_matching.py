"""The demo's arithmetic: what was served and not stored."""

from gateway.app.matching import Point, Served, missing, required

S = ("meter-1", "voltage_l1")


def test_all_stored_is_nothing_missing() -> None:
    """Each served value has its own stored one."""
    served = [Point(S, at, 230.0) for at in (0, 1000, 2000)]
    assert missing(served, [Point(S, at + 3, 230.0) for at in (0, 1000, 2000)], 200) == []


def test_one_stored_point_answers_for_one_served_value() -> None:
    """Equal values near each other do not hide that one was lost."""
    served = [Point(S, 0, 230.0), Point(S, 100, 230.0)]
    assert missing(served, [Point(S, 50, 230.0)], 200) == [Point(S, 100, 230.0)]


def test_wrong_value_series_or_time_is_missing() -> None:
    """Only the same value of the same series at its time counts."""
    served = [Point(S, 0, 230.0)]
    for stored in (Point(S, 0, 230.1), Point(("meter-2", "voltage_l1"), 0, 230.0), Point(S, 201, 230.0)):
        assert missing(served, [stored], 200) == served


def test_a_stream_answers_only_for_what_lies_between_its_stored_rows() -> None:
    """A sensor that talks to nobody loses nothing; one that was asked does."""
    stream = [Served(Point(S, at, 1.0), "wind", stream=True) for at in (0, 1000, 2000, 3000)]
    asked = Served(Point(S, 0, 1.0), "wind", stream=False)
    stored = [Point(S, 1000, 1.0), Point(S, 2000, 1.0)]
    assert required(stream, stored) == [Point(S, 1000, 1.0), Point(S, 2000, 1.0)]
    assert required(stream, []) == []
    assert required([asked], []) == [asked.point]
