"""gateway.app.handlers: what the control socket answers."""

from collections.abc import Mapping

import orjson

from gateway.app.handlers import handlers
from gateway.control.server import Handler
from gateway.counters import Counters
from gateway.model import BootMs, Quality, Row
from gateway.pipeline.judge import Judge
from gateway.testing.clock import FakeClock
from gateway.wire.status_reader import decode_status
from tests.unit.app.test_status import GROUP, SITE, board


class Bus:
    """A bus whose newest rows are these."""

    def __init__(self, *rows: Row) -> None:
        self.last_rows = rows


def answers(*buses: Bus, counters: Counters | None = None, clock: FakeClock | None = None) -> Mapping[str, Handler]:
    """The table of a daemon with these buses."""
    return handlers(board(), buses, Judge(SITE), counters or Counters(), clock or FakeClock())


async def asked(table: Mapping[str, Handler], name: str) -> list[object]:
    """Every answer to one question."""
    return [answer async for answer in table[name]({})]


async def test_the_requests() -> None:
    """What the client and the docs name."""
    assert set(answers()) == {"status", "counters", "rows"}


async def test_status_is_the_document_of_the_topic() -> None:
    """One answer, which a reader of the wire can read."""
    (told,) = await asked(answers(), "status")
    assert decode_status(orjson.dumps(told))["gw"] == "hc-0001"


async def test_counters_are_told_as_they_are_now() -> None:
    """Name, labels, value; each time anew."""
    counters = Counters()
    table = answers(counters=counters)
    assert await asked(table, "counters") == [[]]
    counters.add("rows", 2, bus="a")
    assert await asked(table, "counters") == [[["rows", {"bus": "a"}, 2]]]


async def test_rows_with_their_age() -> None:
    """The newest of each group, of all buses."""
    clock = FakeClock()
    row = Row(GROUP, BootMs(clock.boot_ms() - 700), (1.25,))
    assert await asked(answers(Bus(row), Bus(), clock=clock), "rows") == [
        {"device": "level-1", "kind": "water_level", "age_ms": 700, "values": {"level": 1.25}, "quality": {}}
    ]


async def test_a_value_that_cannot_be_true_is_not_shown_as_one() -> None:
    """A technician sees what the centre gets: null and why."""
    wild = Row(GROUP, BootMs(1), (99.0,))
    mute = Row(GROUP, BootMs(2), (None,), ((0, Quality.REFUSED),))
    shown = await asked(answers(Bus(wild), Bus(mute)), "rows")
    assert [(one["values"], one["quality"]) for one in shown if isinstance(one, dict)] == [
        ({"level": None}, {"level": "out_of_range"}),
        ({"level": None}, {"level": "refused"}),
    ]
