"""When refused rows are an outage."""

from gateway.ioc.breaker import Breaker
from gateway.model import BootMs

WHY = "field type conflict"


def test_few_rows_are_rows() -> None:
    """Up to 100 rows a minute are dead letters, however little else is written."""
    breaker = Breaker()
    breaker.wrote(BootMs(0), 100)
    assert not breaker.refused(BootMs(0), WHY, 100)
    assert not breaker.outages


def test_many_rows_of_many_are_rows() -> None:
    """More than 100 but at most 1 % of the minute are dead letters too."""
    breaker = Breaker()
    breaker.wrote(BootMs(0), 50_000)
    assert not breaker.refused(BootMs(1000), WHY, 500)
    assert breaker.refused(BootMs(2000), WHY, 1)


def test_an_outage_stays() -> None:
    """It is told once, and holds until an operator acts, also when the minute is over."""
    breaker = Breaker()
    breaker.wrote(BootMs(0), 101)
    assert breaker.refused(BootMs(0), WHY, 101)
    assert not breaker.refused(BootMs(0), WHY, 101)
    breaker.wrote(BootMs(600_000), 1_000_000)
    assert breaker.outages == {WHY}


def test_the_minute_moves() -> None:
    """What was refused more than a minute ago does not count."""
    breaker = Breaker()
    for second in range(0, 600, 61):
        breaker.wrote(BootMs(second * 1000), 90)
        assert not breaker.refused(BootMs(second * 1000), WHY, 90)
    assert not breaker.outages


def test_reasons_are_counted_apart() -> None:
    """100 rows each for two reasons are no outage."""
    breaker = Breaker()
    breaker.wrote(BootMs(0), 200)
    assert not breaker.refused(BootMs(0), WHY, 100)
    assert not breaker.refused(BootMs(0), "unable to parse", 100)


def test_an_accepted_reason_is_none() -> None:
    """What the operator accepts costs its rows."""
    breaker = Breaker(frozenset((WHY,)))
    assert not breaker.refused(BootMs(0), WHY, 10_000)
    assert not breaker.outages
