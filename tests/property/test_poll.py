"""gateway.south.poll: whatever addresses a device refuses, every other field is read, in every poll."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.counters import Counters
from gateway.model import Quality
from gateway.south.plan import LineCost
from gateway.south.poll import Outcome, Poller
from gateway.testing.clock import FakeClock
from tests.support.south import Slaves, a_device, a_field

COST = LineCost(1.0, 20.0)
POLLS = 25


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=20, unique=True),
    st.frozensets(st.integers(0, 60), max_size=12),
    st.frozensets(st.integers(0, 60), max_size=12),
)
def test_legal_fields_are_always_read(addresses: list[int], before: frozenset[int], after: frozenset[int]) -> None:
    """Also when the device changes its mind once; in the end no request is refused but those of fields once read."""
    asyncio.run(_play(addresses, before, after))


async def _play(addresses: list[int], before: frozenset[int], after: frozenset[int]) -> None:
    clock, counters = FakeClock(), Counters()
    slaves = Slaves(clock, latency_ms=0)
    device = a_device("m", ([a_field(address) for address in addresses], 1000))
    poller = Poller("bus-1", device, device.polled[0], COST, clock, counters)
    slaves.illegal = set(before)
    for _ in range(POLLS):
        _check(await poller.poll(slaves, 2), addresses, before)
    slaves.illegal = set(after)
    await clock.advance(3_600_000)
    for _ in range(POLLS):
        _check(await poller.poll(slaves, 2), addresses, after)
    refused = counters.total("read_failures")
    _check(await poller.poll(slaves, 2), addresses, after)
    once_read = set(addresses) - before
    assert counters.total("read_failures") - refused == len(once_read & after)


def _check(outcome: Outcome, addresses: list[int], illegal: frozenset[int]) -> None:
    expected = tuple(None if address in illegal else address for address in addresses)
    if set(addresses) <= illegal:
        assert outcome.row is None
        return
    assert outcome.row is not None
    assert outcome.row.values == expected
    assert outcome.row.quality == tuple((n, Quality.REFUSED) for n, value in enumerate(expected) if value is None)
