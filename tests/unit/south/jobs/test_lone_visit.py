"""gateway.south.jobs.lone_visit: one visit over a line that nobody else has."""

from gateway.model import Quality
from gateway.profile.profile import Line
from gateway.seams import Clock
from gateway.site import Bus
from gateway.south.jobs.lone_visit import LoneVisit
from gateway.south.links.conversation_link import TalkStream
from gateway.south.visits import call
from gateway.testing.clock import FakeClock
from gateway.testing.memory import MemoryStream
from tests.support.asks import played
from tests.unit.south.test_talks import HUMIDITY, TEMPERATURE, Line485, a_talker

AIR = a_talker("air-1", "0", 1000, 1000)
BUS = Bus("bus-1", "talk", "own", "/dev/test", Line(), (AIR,))


async def test_it_asks_and_closes_the_line() -> None:
    """A silent device has no value, and one that still owes an answer is not asked again."""
    clock, line = FakeClock(), Line485()
    stream = MemoryStream(clock, line)

    async def opener(bus: Bus, _: Clock) -> TalkStream:
        assert bus is BUS
        return stream

    async with LoneVisit(BUS, clock, opener) as visits:
        line.values["0"] = "T=1.5,U=40"
        row = await played(clock, call(visits, AIR, (TEMPERATURE, HUMIDITY), clock))
        assert (row.values, row.quality) == ((1.5, 40.0), ())
        line.after = lambda _: (5000,)
        for _ in range(2):
            row = await played(clock, call(visits, AIR, (TEMPERATURE,), clock), 1000)
            assert (row.values, row.quality) == ((None,), ((0, Quality.NO_REPLY),))
        assert line.asked == ["0", "0"]
        assert not stream.closed
    assert stream.closed
