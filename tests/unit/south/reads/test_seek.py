"""gateway.south.reads.seek, in polls of a SunSpec device: what is asked, what is told, no value from elsewhere."""

import pytest

from gateway.counters import Counters
from gateway.errors import DeviceException, LinkDown, NoReply
from gateway.model import Quality
from gateway.south.links.link import NS_PER_MS
from gateway.south.reads.place import WALK_AGAIN_MS
from gateway.south.reads.poll import Outcome, Poller
from gateway.south.reads.seek import QUESTIONS
from gateway.testing.clock import FakeClock
from tests.support.polls import COST, codes
from tests.support.sunspec import OFFSETS, ChainLink, numbered, sunspec_device, tag

USUAL = [(1, 66), (103, 50)]
LATER = [(1, 66), (64_901, 7), (120, 26), (160, 48), (103, 50)]


class Walk:
    """One group of one device with a chain."""

    def __init__(self, models: list[tuple[int, int]], base: int = 40_000, max_registers: int = 125) -> None:
        self.clock, self.counters = FakeClock(), Counters()
        self.link = ChainLink(numbered(base, models))
        device = sunspec_device(max_registers=max_registers)
        self.poller = Poller("bus-1", device, device.polled[0], COST, self.clock, self.counters)

    async def poll(self, patience: int = 2) -> Outcome:
        """One."""
        self.link.asked.clear()
        return await self.poller.poll(self.link, patience)


def values(number: int) -> tuple[int, ...]:
    """Of the model of this number in the chain."""
    return tuple(tag(number, offset) for offset in OFFSETS)


async def test_the_first_poll_finds_the_model_and_reads_it() -> None:
    """Two questions, and one read that has the header with the values; from then on that read."""
    walk = Walk(USUAL)
    for asked in ([(40_000, 4), (40_070, 2), (40_070, 21)], [(40_070, 21)]):
        outcome = await walk.poll()
        assert outcome.row is not None
        assert outcome.row.values == values(1)
        assert walk.link.asked == asked


async def test_a_long_walk_is_spread_over_polls() -> None:
    """A few questions each, so that the other devices of the bus have their turns; nothing is told of it."""
    walk = Walk(LATER, base=50_000)
    first = await walk.poll()
    assert first == Outcome(None, None, answered=True)
    assert len(walk.link.asked) == QUESTIONS
    outcome = await walk.poll()
    outcome = outcome if outcome.row else await walk.poll()
    assert outcome.row is not None
    assert outcome.row.values == values(4)


async def test_a_chain_that_changed_gives_no_value() -> None:
    """Whatever stands there now is not taken for the model; the next poll walks again."""
    walk = Walk(USUAL)
    await walk.poll()
    walk.link.words = numbered(40_000, LATER)
    outcome = await walk.poll()
    assert (outcome.row, outcome.answered, outcome.events) == (None, True, ())
    assert walk.counters.total("places_lost") == 1
    await walk.poll()
    outcome = await walk.poll()
    assert outcome.row is not None
    assert outcome.row.values == values(4)


async def test_a_chain_that_is_shorter_now_is_walked_again() -> None:
    """The old place is refused, which says nothing of the model's registers: at the new place all are read at once."""
    walk = Walk(LATER)
    await walk.poll()
    await walk.poll()
    walk.link.words = numbered(40_000, USUAL)
    assert (await walk.poll()).row is None
    outcome = await walk.poll()
    assert outcome.row is not None
    assert outcome.row.values == values(1)
    assert walk.link.asked[-1] == (40_070, 21)


async def test_values_without_their_header_are_no_values() -> None:
    """The read that has it was lost; the others of the visit may have come from anywhere."""
    walk = Walk(USUAL, max_registers=10)
    assert (await walk.poll()).row is not None
    header = walk.link.asked[2]
    walk.link.fails = lambda request: NoReply() if (request.address, request.count) == header else None
    outcome = await walk.poll()
    assert (outcome.row, outcome.cause, outcome.answered) == (None, Quality.NO_REPLY, True)
    walk.link.fails = lambda _: None
    assert (await walk.poll()).row is not None
    assert walk.counters.total("places_lost") == 0


async def test_a_device_without_the_model_is_told_and_left_in_peace() -> None:
    """Once, with what it has; it is not asked for a minute."""
    walk = Walk([(1, 66), (113, 60)])
    outcome = await walk.poll()
    assert (outcome.row, outcome.cause, outcome.answered) == (None, Quality.REFUSED, True)
    assert codes(outcome) == [("model_not_found", "1 (66), 113 (60)")]
    outcome = await walk.poll()
    assert walk.link.asked == []
    assert outcome.waits_until == walk.clock.boot_ms() + WALK_AGAIN_MS
    await walk.clock.advance(WALK_AGAIN_MS)
    assert codes(await walk.poll()) == []
    assert walk.link.asked


async def test_a_dead_device_costs_what_any_dead_device_costs() -> None:
    """A probe is one lost question; the next one begins at the next base, so that silence at one does not end it."""
    walk = Walk(USUAL, base=50_000)
    silent = {40_000, 0}
    walk.link.fails = lambda request: NoReply() if request.address in silent else None
    for base in (40_000, 0):
        outcome = await walk.poll(patience=1)
        assert (outcome.cause, outcome.answered) == (Quality.NO_REPLY, False)
        assert walk.link.asked == [(base, 4)]
    assert (await walk.poll(patience=1)).row is not None


@pytest.mark.parametrize("exception", [5, 6])
async def test_a_busy_device_is_asked_later(exception: int) -> None:
    """It is alive; the question stands."""
    walk = Walk(USUAL)
    walk.link.fails = lambda request: DeviceException(exception) if request.address == 40_070 else None
    outcome = await walk.poll()
    assert (outcome.cause, outcome.answered) == (Quality.NO_REPLY, True)
    walk.link.fails = lambda _: None
    assert (await walk.poll()).row is not None
    assert walk.link.asked == [(40_070, 2), (40_070, 21)]


async def test_a_converter_that_reaches_nobody_is_silence() -> None:
    """Exception 11."""
    walk = Walk(USUAL)
    walk.link.fails = lambda _: DeviceException(11)
    assert (await walk.poll()).cause is Quality.NO_REPLY


async def test_a_lost_bus_is_told() -> None:
    """In the walk as in a read."""
    walk = Walk(USUAL)
    lost = LinkDown("unplugged")
    walk.link.fails = lambda _: lost
    assert (await walk.poll()).link_down is lost


async def test_a_question_waits_for_a_late_answer() -> None:
    """One that could be taken for its own."""
    walk = Walk(USUAL)
    until = walk.clock.boot_ns() + 5_000 * NS_PER_MS
    walk.link.bars[40_000] = until
    outcome = await walk.poll()
    assert outcome.waits_until == until // NS_PER_MS
    assert walk.link.asked == []
