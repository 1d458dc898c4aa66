"""gateway.south.visits: a row of one visit, or why there is none."""

import pytest

from gateway.errors import LinkDown
from gateway.model import BootMs, Quality, Row
from gateway.site import Device, Polled
from gateway.south.reads.poll import Outcome
from gateway.south.visits import call
from gateway.testing.clock import FakeClock
from tests.unit.south.test_talks import HUMIDITY, TEMPERATURE, a_talker

AIR = a_talker("air-1", "0", 1000, 1000)


class Said:
    """`Visits` that ends as told."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.asked: list[Polled] = []

    async def visit(self, device: Device, polled: Polled) -> Outcome:
        """What was wanted."""
        assert device is AIR
        self.asked.append(polled)
        return self.outcome


async def test_the_row_is_of_the_fields_that_were_wanted() -> None:
    """In their order, whichever groups they are polled in."""
    clock = FakeClock()
    said = Said(Outcome(None, None, answered=True))
    await call(said, AIR, (HUMIDITY, TEMPERATURE), clock)
    (polled,) = said.asked
    row = Row(polled.group, BootMs(5), (87.0, 21.5))
    assert row.group.fields == ("humidity", "temperature")
    assert await call(Said(Outcome(row, None, answered=True)), AIR, (HUMIDITY, TEMPERATURE), clock) is row


@pytest.mark.parametrize(
    ("outcome", "cause"),
    [
        (Outcome(None, Quality.NO_REPLY, answered=False), Quality.NO_REPLY),
        (Outcome(None, Quality.BAD_REPLY, answered=True), Quality.BAD_REPLY),
    ],
)
async def test_without_a_good_value_each_field_has_the_reason(outcome: Outcome, cause: Quality) -> None:
    """A value is never made up."""
    row = await call(Said(outcome), AIR, (HUMIDITY, TEMPERATURE), FakeClock())
    assert (row.values, row.quality) == ((None, None), ((0, cause), (1, cause)))


async def test_a_bus_that_is_away_is_no_devices_fault() -> None:
    """It is raised."""
    with pytest.raises(LinkDown, match="pulled out"):
        await call(Said(Outcome(None, None, answered=False, link_down=LinkDown("pulled out"))), AIR, (), FakeClock())
