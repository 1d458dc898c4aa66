"""gateway.south.reads.poll: whatever a device refuses, every other field is read, in every poll, over restarts too."""

import asyncio
from collections.abc import Callable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.counters import Counters
from gateway.errors import DeviceException
from gateway.model import BootMs, Quality
from gateway.protocols.modbus_pdu import ReadRequest
from gateway.south.reads.memory import Memory
from gateway.south.reads.plan import LineCost
from gateway.south.reads.poll import Outcome, Poller, poll_together
from gateway.testing.clock import FakeClock
from tests.support.south import Slaves, a_device, a_field

COST = LineCost(1.0, 20.0)
POLLS = 25
STEPS = 8
HOUR_MS = 3_600_000
ADDRESSES = st.lists(st.integers(0, 60), min_size=1, max_size=20, unique=True)
ILLEGAL = st.frozensets(st.integers(0, 60), max_size=12)


class Rig:
    """Two groups of one device, polled by themselves or together as `picks` says."""

    def __init__(self, often: Sequence[int], seldom: Sequence[int]) -> None:
        self.clock, self.counters = FakeClock(), Counters()
        self.slaves = Slaves(self.clock, latency_ms=0)
        groups = [(list(map(a_field, group)), period) for group, period in ((often, 1000), (seldom, 10_000)) if group]
        self.device = a_device("m", *groups)
        self.addresses = [group for group in (often, seldom) if group]
        self.memory = Memory(self.device, COST)
        self.pollers = self._pollers()

    def restart(self) -> None:
        """A new process in a new boot: what is known comes from what was kept."""
        kept = self.memory.dump(self.clock.boot_ms())
        self.memory = Memory(self.device, COST)
        assert self.memory.load(kept, self.clock.boot_ms())
        self.pollers = self._pollers()

    async def poll(self, *, together: bool) -> list[tuple[list[int], Outcome]]:
        """The addresses of each group, and its outcome."""
        if together:
            outcomes = await poll_together(self.slaves, 2, self.pollers)
        else:
            outcomes = [await poller.poll(self.slaves, 2) for poller in self.pollers]
        return [(list(group), outcome) for group, outcome in zip(self.addresses, outcomes, strict=True)]

    def _pollers(self) -> list[Poller]:
        polled = self.device.polled
        return [Poller("bus-1", self.device, one, COST, self.clock, self.counters, self.memory) for one in polled]


@settings(max_examples=80, deadline=None)
@given(ADDRESSES, st.integers(0, 20), ILLEGAL, ILLEGAL, st.sampled_from([2, 3]), st.lists(st.booleans(), min_size=1))
def test_legal_fields_are_always_read(
    addresses: list[int], cut: int, before: frozenset[int], after: frozenset[int], code: int, picks: list[bool]
) -> None:
    """Also when the device changes its mind once; in the end no request is refused but those of fields once read."""
    rig = Rig(addresses[:cut], addresses[cut:])
    asyncio.run(_play(rig, before, after, code, picks))


async def _play(rig: Rig, before: frozenset[int], after: frozenset[int], code: int, picks: list[bool]) -> None:
    for illegal in (before, after):
        _refuse(rig.slaves, _over(illegal), code)
        for n in range(POLLS):
            _check(await rig.poll(together=picks[n % len(picks)]), illegal)
            if n % 7 == 3:
                rig.restart()
        await rig.clock.advance(HOUR_MS if illegal is before else 0)
    for _ in range(STEPS):  # if it was never asked so: other spans, each refusal leaves a smaller one
        _check(await rig.poll(together=False), after)
    refused = rig.counters.total("read_failures")
    _check(await rig.poll(together=False), after)
    once_read = {address for group in rig.addresses for address in group} - before
    assert rig.counters.total("read_failures") - refused == len(once_read & after)


@settings(max_examples=60, deadline=None)
@given(ADDRESSES, st.integers(1, 30), st.booleans())
def test_a_device_that_takes_only_short_reads_is_learned_in_one_poll(
    addresses: list[int],
    longest: int,
    together: bool,
) -> None:
    """No value is missing, not even in the first row, and from the second poll on nothing is refused."""
    asyncio.run(_short(Rig(addresses[::2], addresses[1::2]), longest, together=together))


async def _short(rig: Rig, longest: int, *, together: bool) -> None:
    _refuse(rig.slaves, lambda request: request.count > longest, 3)
    _check(await rig.poll(together=together), frozenset())
    refused = rig.counters.total("read_failures")
    for _ in range(3):
        _check(await rig.poll(together=together), frozenset())
    assert rig.counters.total("read_failures") == refused


@settings(max_examples=60)
@given(st.binary(max_size=40) | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists, max_leaves=9))
def test_whatever_is_loaded_is_taken_in_or_refused(value: object) -> None:
    """No other error than ValueError leaves it, whatever stands under any key."""
    memory = Rig([1, 2, 3], []).memory
    kept = memory.dump(BootMs(0))
    for key in kept:
        try:
            memory.load({**kept, key: value}, BootMs(0))
        except ValueError:
            continue


def _over(illegal: frozenset[int]) -> Callable[[ReadRequest], bool]:
    return lambda request: bool(illegal & set(range(request.address, request.address + request.count)))


def _refuse(slaves: Slaves, refuses: Callable[[ReadRequest], bool], code: int) -> None:
    slaves.refusal = lambda request: DeviceException(code) if refuses(request) else None


def _check(polled: list[tuple[list[int], Outcome]], illegal: frozenset[int]) -> None:
    for addresses, outcome in polled:
        expected = tuple(None if address in illegal else address for address in addresses)
        if set(addresses) <= illegal:
            assert outcome.row is None
            continue
        assert outcome.row is not None
        assert outcome.row.values == expected
        assert outcome.row.quality == tuple((n, Quality.REFUSED) for n, value in enumerate(expected) if value is None)
