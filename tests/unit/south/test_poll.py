"""gateway.south.poll against scripted slaves: rows, refusals, silences, bars, a lost bus."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.counters import Counters
from gateway.errors import BadReply, DeviceException, LinkDown, NoReply
from gateway.model import Quality
from gateway.profile.profile import Field, Line, SerialSource
from gateway.protocols.framing import Framing
from gateway.protocols.parse import Parse
from gateway.site import Device
from gateway.south.plan import LineCost
from gateway.south.poll import REPROBE_MS, REPROBE_MS_MAX, Outcome, Poller
from gateway.testing.clock import FakeClock
from tests.support.south import NS_PER_MS, Slaves, a_device, a_field, a_profile

COST = LineCost(1.0, 10.0)  # 11 registers are bridged, 12 are not
FAR = [a_field(0), a_field(100), a_field(200)]  # three reads
NEAR = [a_field(n) for n in range(8)]  # one read


class Bench:
    """One group of one device on a scripted bus."""

    def __init__(self, fields: Sequence[Field]) -> None:
        self.clock, self.counters = FakeClock(), Counters()
        self.slaves = Slaves(self.clock)
        device = a_device("m", (fields, 1000))
        self.poller = Poller("bus-1", device, device.polled[0], COST, self.clock, self.counters)

    async def poll(self, patience: int = 2) -> Outcome:
        """One poll, in as much virtual time as it needs."""
        self.slaves.asked.clear()
        task = asyncio.create_task(self.poller.poll(self.slaves, patience))  # noqa: TID251 - time has to move beside it
        while not task.done():
            await self.clock.advance(10)
        return await task

    @property
    def asked(self) -> list[tuple[int, int]]:
        """Address and count of each request of the last poll."""
        return [(address, count) for _, address, count in self.slaves.asked]

    def failures(self, cause: str) -> float:
        """Reads that failed so."""
        return self.counters.get("read_failures", bus="bus-1", device="m", cause=cause)


def _codes(outcome: Outcome) -> list[tuple[str, object]]:
    return [(event.code, event.detail) for event in outcome.events]


async def test_a_row_has_every_field_and_the_time_of_the_first_byte() -> None:
    """Three reads back to back, one row, stamped when the first byte of the first reply came."""
    bench = Bench(FAR)
    start = bench.clock.boot_ms()
    outcome = await bench.poll()
    assert outcome.row is not None
    assert outcome.row.values == (0, 100, 200)
    assert outcome.row.quality == ()
    assert outcome.row.at == start + 10
    assert (outcome.cause, outcome.answered, outcome.events) == (None, True, ())
    assert bench.counters.total("reads") == 3


@pytest.mark.parametrize(("error", "quality"), [(NoReply(), Quality.NO_REPLY), (BadReply(), Quality.BAD_REPLY)])
async def test_a_failed_read_nulls_its_own_fields_only(error: Exception, quality: Quality) -> None:
    """The rest of the row is kept, and the row's time is that of the first good read."""
    bench = Bench(FAR)
    bench.slaves.answers[0, 1] = error
    start = bench.clock.boot_ms()
    outcome = await bench.poll()
    assert outcome.row is not None
    assert outcome.row.values == (None, 100, 200)
    assert outcome.row.quality == ((0, quality),)
    assert outcome.row.at == start + 20
    assert bench.failures(str(quality)) == 1


async def test_nothing_good_makes_no_row_but_a_cause() -> None:
    """A dead device costs `patience` timeouts, not one for each read."""
    bench = Bench(FAR)
    bench.slaves.dead = {1}
    outcome = await bench.poll(patience=2)
    assert (outcome.row, outcome.cause, outcome.answered) == (None, Quality.NO_REPLY, False)
    assert len(bench.asked) == 2
    assert len((await bench.poll(patience=1)).events) == 0
    assert len(bench.asked) == 1


async def test_reads_that_stay_silent_cannot_hide_those_that_answer() -> None:
    """Two of three blocks are never answered: the third is found, and asked first from then on."""
    bench = Bench(FAR)
    bench.slaves.answers = {(0, 1): NoReply(), (100, 1): NoReply()}
    rows = [(await bench.poll(patience=1)).row for _ in range(4)]
    assert rows[:2] == [None, None]
    assert all(row is not None and row.values == (None, None, 200) for row in rows[2:])
    assert bench.asked[0] == (200, 1)


async def test_exception_2_splits_the_read_and_keeps_the_rest_of_the_row() -> None:
    """One illegal register of eight: seven values in the very same poll, told once."""
    bench = Bench(NEAR)
    bench.slaves.illegal = {5}
    outcome = await bench.poll()
    assert outcome.row is not None
    assert outcome.row.values == (0, 1, 2, 3, 4, None, 6, 7)
    assert outcome.row.quality == ((5, Quality.REFUSED),)
    assert _codes(outcome) == [("field_refused", "holding_5")]


async def test_what_was_refused_is_read_around() -> None:
    """From the second poll on there are two reads, none over the refused register, and no more news."""
    bench = Bench(NEAR)
    bench.slaves.illegal = {5}
    await bench.poll()
    outcome = await bench.poll()
    assert sorted(bench.asked) == [(0, 5), (6, 2)]
    assert outcome.row is not None
    assert outcome.row.quality == ((5, Quality.REFUSED),)
    assert outcome.events == ()


async def test_a_hole_between_fields_refuses_no_field() -> None:
    """The device does not like register 3, which nobody wants: both sides are read, nothing is told."""
    bench = Bench([a_field(0), a_field(1), a_field(6), a_field(7)])
    bench.slaves.illegal = {3}
    first, second = await bench.poll(), await bench.poll()
    assert sorted(bench.asked) == [(0, 2), (6, 2)]
    for outcome in (first, second):
        assert outcome.row is not None
        assert outcome.row.values == (0, 1, 6, 7)
        assert outcome.events == ()


async def test_a_refused_field_is_asked_for_again_ever_less_often_but_hourly() -> None:
    """After 1, 4, 16 minutes, then every hour; each time by one read of its own; never told again."""
    bench = Bench(NEAR)
    bench.slaves.illegal = {5}
    await bench.poll()
    asked_after = []
    waited = 0
    while waited < 4 * REPROBE_MS_MAX:
        await bench.clock.advance(REPROBE_MS)
        waited += REPROBE_MS
        outcome = await bench.poll()
        assert outcome.events == ()
        if (5, 1) in bench.asked:
            asked_after.append(round(waited / REPROBE_MS))
    assert asked_after == [1, 5, 21, 81, 141, 201]


async def test_a_field_that_is_legal_again_comes_back() -> None:
    """A device that booted with exception 2 for everything is whole again after a minute."""
    bench = Bench(NEAR)
    bench.slaves.illegal = set(range(8))
    outcome = await bench.poll()
    assert (outcome.row, outcome.cause, outcome.answered) == (None, Quality.REFUSED, True)
    assert len(outcome.events) == 9  # each field, and that there is not one good
    bench.slaves.illegal = set()
    assert (await bench.poll()).cause is None
    assert bench.asked == []
    await bench.clock.advance(REPROBE_MS)
    outcome = await bench.poll()
    assert outcome.row is not None
    assert outcome.row.values == tuple(range(8))
    await bench.poll()
    assert bench.asked == [(0, 8)]


async def test_a_register_once_read_is_never_given_up() -> None:
    """It is refused after months of good values: asked at every poll, alone, and back as soon as it answers."""
    bench = Bench(NEAR)
    await bench.poll()
    bench.slaves.illegal = {5}
    await bench.poll()
    for _ in range(3):
        await bench.poll()
        assert sorted(bench.asked) == [(0, 5), (5, 1), (6, 2)]
    bench.slaves.illegal = set()
    outcome = await bench.poll()
    assert outcome.row is not None
    assert outcome.row.quality == ()
    await bench.poll()
    assert bench.asked == [(0, 8)]


async def test_a_hole_is_forgotten_after_an_hour() -> None:
    """A refused span without a guilty field is tried again, and learned again if it has to be."""
    bench = Bench([a_field(0), a_field(6)])
    bench.slaves.illegal = {3}
    await bench.poll()
    await bench.clock.advance(REPROBE_MS_MAX)
    await bench.poll()
    assert bench.asked == [(0, 7), (0, 1), (6, 1)]
    await bench.poll()
    assert bench.asked == [(0, 1), (6, 1)]


async def test_other_exceptions_null_the_fields_and_split_nothing() -> None:
    """Busy (6) is an answer: no fields are learned as refused, the device is alive; told when nothing else is good."""
    bench = Bench(NEAR)
    bench.slaves.answers[0, 8] = DeviceException(6)
    outcome = await bench.poll()
    assert (outcome.row, outcome.cause, outcome.answered) == (None, Quality.REFUSED, True)
    assert _codes(outcome) == [("no_good_field", "refused")]
    assert (await bench.poll()).events == ()
    assert bench.failures("exception_6") == 2
    bench.slaves.answers.clear()
    assert (await bench.poll()).row is not None
    bench.slaves.answers[0, 8] = DeviceException(6)
    assert _codes(await bench.poll()) == [("no_good_field", "refused")]


@pytest.mark.parametrize("exception", [10, 11])
async def test_a_converter_that_reaches_nobody_is_no_answer(exception: int) -> None:
    """Exceptions 10 and 11 are the converter's; the device behind it is silent."""
    bench = Bench(NEAR)
    bench.slaves.answers[0, 8] = DeviceException(exception)
    outcome = await bench.poll()
    assert (outcome.cause, outcome.answered) == (Quality.NO_REPLY, False)


async def test_a_barred_read_is_made_in_halves() -> None:
    """Other lengths, so that the late reply cannot be taken for them; the row is whole."""
    bench = Bench(NEAR)
    bench.slaves.bars[0, 8] = 10**15
    outcome = await bench.poll()
    assert bench.asked == [(0, 4), (4, 4)]
    assert outcome.row is not None
    assert outcome.row.values == tuple(range(8))


async def test_a_barred_read_of_one_field_waits_while_the_rest_goes_on() -> None:
    """It is null in the row; the outcome says when it may be asked."""
    bench = Bench(FAR)
    until_ns = bench.clock.boot_ns() + 1500 * NS_PER_MS + 1
    bench.slaves.bars[100, 1] = until_ns
    outcome = await bench.poll()
    assert outcome.row is not None
    assert outcome.row.quality == ((1, Quality.NO_REPLY),)
    assert outcome.waits_until == until_ns // NS_PER_MS + 1


async def test_nothing_but_barred_reads_is_no_failure() -> None:
    """Nothing was asked, so nothing is known."""
    bench = Bench([a_field(0)])
    bench.slaves.bars[0, 1] = bench.clock.boot_ns() + 5 * NS_PER_MS
    outcome = await bench.poll()
    assert (outcome.row, outcome.cause, outcome.answered) == (None, None, False)
    assert outcome.waits_until == bench.clock.boot_ms() - 10 + 5


async def test_what_was_read_before_the_bus_went_away_is_kept() -> None:
    """The row holds the first block; the loss is in the outcome, and no device is to blame."""
    bench = Bench(FAR)
    bench.slaves.answers[100, 1] = LinkDown("unplugged")
    outcome = await bench.poll()
    assert outcome.row is not None
    assert outcome.row.values == (0, None, None)
    assert isinstance(outcome.link_down, LinkDown)
    bench.slaves.answers[0, 1] = LinkDown("unplugged")
    outcome = await bench.poll()
    assert (outcome.row, outcome.cause) == (None, None)


async def test_a_deadline_allows_for_the_bytes_on_the_wire() -> None:
    """Timeout of the device, plus the modelled time of the exchange: 15 characters of 1 ms, 10 ms of silences."""
    bench = Bench([a_field(0)])
    bench.slaves.dead = {1}
    start = bench.clock.boot_ms()
    await bench.poll(patience=1)
    assert bench.clock.boot_ms() - start == pytest.approx(200 + 25, abs=10)


def test_only_modbus_devices_are_polled() -> None:
    """A device that sends by itself belongs to a stream."""
    serial = SerialSource(Line(), Framing("line", 80, end=b"\n"), Parse("split"), 1000)
    device = a_device("m", ([a_field(0)], 1000))
    stream = Device("s", a_profile([], serial), 0, device.polled)
    with pytest.raises(TypeError):
        Poller("bus-1", stream, device.polled[0], COST, FakeClock(), Counters())
