"""gateway.south.reads.visit against scripted slaves: what is asked, in which order, how often, and until when."""

from dataclasses import replace

import pytest

from gateway.errors import DeviceException, NoReply
from gateway.model import Quality
from gateway.south.reads.memory import LATENCIES_NEW
from gateway.south.reads.visit import Together
from tests.support.polls import FAR, NEAR, Bench, Groups, codes, times
from tests.support.south import NS_PER_MS, a_device, a_field


async def test_exception_3_splits_a_read_as_2_does() -> None:
    """Some devices call it an illegal value when a read is too long, or goes over a hole."""
    bench = Bench(NEAR)
    bench.slaves.answers[0, 8] = DeviceException(3)
    outcome = await bench.poll()
    assert bench.asked == [(0, 8), (0, 4), (4, 4)]
    assert outcome.row is not None
    assert outcome.row.values == tuple(range(8))
    await bench.poll()
    assert bench.asked == [(0, 4), (4, 4)]


@pytest.mark.parametrize("exception", [5, 6])
async def test_a_busy_device_is_asked_again_after_the_others(exception: int) -> None:
    """Once more is enough here: the row is whole, and nothing waited that could be read meanwhile."""
    bench = Bench(FAR)
    bench.slaves.answers[0, 1] = times(1, DeviceException(exception))
    outcome = await bench.poll()
    assert bench.asked == [(0, 1), (100, 1), (200, 1), (0, 1)]
    assert outcome.row is not None
    assert outcome.row.quality == ()
    sent = [at for at, _ in bench.slaves.sent_at]
    assert sent[3] - sent[0] >= 100


async def test_a_device_that_is_always_busy_costs_two_retries_once() -> None:
    """It is alive, its fields are null, each refusal is counted; from the next poll on there is no second try."""
    bench = Bench(NEAR)
    bench.slaves.answers[0, 8] = DeviceException(6)
    outcome = await bench.poll()
    assert (outcome.row, outcome.cause, outcome.answered) == (None, Quality.NO_REPLY, True)
    assert codes(outcome) == [("no_good_field", "no_reply")]
    assert bench.asked == [(0, 8)] * 3
    await bench.poll()
    assert bench.asked == [(0, 8)]
    assert bench.failures("exception_6") == 4
    assert bench.counters.total("busy_retries") == 2
    bench.slaves.answers.clear()
    await bench.poll()
    bench.slaves.answers[0, 8] = times(1, DeviceException(6))
    assert (await bench.poll()).row is not None


async def test_no_retry_ends_after_the_next_poll_is_due() -> None:
    """A busy answer that came late in the period is the last word of this poll."""
    bench = Bench(NEAR)
    bench.slaves.latency_ms = 950
    bench.slaves.answers[0, 8] = DeviceException(6)
    await bench.poll()
    assert bench.asked == [(0, 8)]


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


async def test_a_deadline_allows_for_the_bytes_on_the_wire() -> None:
    """Timeout of the device, plus the modelled time of the exchange: 15 characters of 1 ms, 10 ms of silences."""
    bench = Bench([a_field(0)])
    bench.slaves.dead = {1}
    start = bench.clock.boot_ms()
    await bench.poll(patience=1)
    assert bench.clock.boot_ms() - start == pytest.approx(200 + 25, abs=10)


async def test_a_group_that_is_not_reached_is_still_due() -> None:
    """The first group comes first and uses up the patience: nothing is known of the second one."""
    bench = Groups([a_field(100)], [a_field(0)])
    bench.slaves.dead = {1}
    often, seldom = await bench.together(patience=1)
    assert bench.asked == [(100, 1)]
    assert (often.cause, often.reached) == (Quality.NO_REPLY, True)
    assert (seldom.cause, seldom.answered, seldom.reached) == (None, False, False)


async def test_latency_is_measured() -> None:
    """From the end of the request (8 characters of 1 ms, and one of the reply) to the first byte of the reply."""
    bench = Bench(NEAR)
    bench.slaves.latency_ms = 40
    for _ in range(LATENCIES_NEW):
        await bench.poll()
    assert bench.counters.get("latency_ms", bus="bus-1", device="m") == 32.0  # 31, as it is kept


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
    assert codes(outcome) == [("field_refused", "holding_5")]


def test_the_fields_of_all_groups_are_one_list() -> None:
    """A field that is in two groups stands in it once; each group knows its own."""
    power = replace(a_field(9), hidden=True)
    device = a_device("m", ([a_field(0), power], 1000), ([a_field(1), power], 500))
    together = Together(device.polled)
    assert together.wanted.fields == (a_field(0), power, a_field(1))
    assert together.members == [[0, 1], [2, 1]]
    assert together.period_ms == 500
    assert [together.concern(number, [0]) for number in (0, 1)] == [True, False]
    assert [together.concern(number, [1]) for number in (0, 1)] == [True, True]
