"""gateway.south.reads.poll against scripted slaves: rows, refusals, silences, a lost bus, groups that share reads."""

from dataclasses import replace

import pytest

from gateway.counters import Counters
from gateway.errors import BadReply, DeviceException, LinkDown, NoReply
from gateway.model import Quality
from gateway.profile.profile import Line, SerialSource
from gateway.protocols.framing import Framing
from gateway.protocols.parse import Parse
from gateway.site import Device
from gateway.south.reads.memory import REPROBE_MS, REPROBE_MS_MAX
from gateway.south.reads.poll import Poller
from gateway.testing.clock import FakeClock
from tests.support.polls import COST, FAR, NEAR, Bench, Groups, codes
from tests.support.south import a_device, a_field, a_profile


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


@pytest.mark.parametrize("exception", [1, 4, 7, 8])
async def test_other_exceptions_null_the_fields_and_split_nothing(exception: int) -> None:
    """An answer: no fields are learned as refused, the device is alive; told when nothing else is good."""
    bench = Bench(NEAR)
    bench.slaves.answers[0, 8] = DeviceException(exception)
    outcome = await bench.poll()
    assert (outcome.row, outcome.cause, outcome.answered) == (None, Quality.REFUSED, True)
    assert codes(outcome) == [("no_good_field", "refused")]
    assert (await bench.poll()).events == ()
    assert bench.failures(f"exception_{exception}") == 2
    bench.slaves.answers.clear()
    assert (await bench.poll()).row is not None
    bench.slaves.answers[0, 8] = DeviceException(exception)
    assert codes(await bench.poll()) == [("no_good_field", "refused")]


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


async def test_groups_that_are_due_together_share_reads() -> None:
    """One read brings the fields of both; each has its own row, and what came with one reply has one time."""
    bench = Groups([a_field(0), a_field(2)], [a_field(1), a_field(100)])
    often, seldom = await bench.together()
    assert bench.asked == [(0, 3), (100, 1)]
    assert often.row is not None
    assert seldom.row is not None
    assert (often.row.group, seldom.row.group) == tuple(poller.polled.group for poller in bench.pollers)
    assert (often.row.values, seldom.row.values) == ((0, 2), (1, 100))
    assert often.row.at == seldom.row.at


async def test_a_group_whose_reads_fail_fails_alone() -> None:
    """The device answers; the fields of the second group do not come."""
    bench = Groups([a_field(0)], [a_field(100)])
    bench.slaves.answers[100, 1] = NoReply()
    often, seldom = await bench.together()
    assert often.row is not None
    assert (seldom.row, seldom.cause, seldom.answered, seldom.reached) == (None, Quality.NO_REPLY, False, True)


async def test_groups_split_and_learn_together() -> None:
    """A refused register is told by the group that it belongs to, and known to both."""
    bench = Groups([a_field(0), a_field(2)], [a_field(1), a_field(3)])
    bench.slaves.illegal = {1}
    often, seldom = await bench.together()
    assert often.row is not None
    assert often.row.quality == ()
    assert seldom.row is not None
    assert seldom.row.values == (None, 3)
    assert (codes(often), codes(seldom)) == ([], [("field_refused", "holding_1")])
    await bench.together()
    assert bench.asked == [(0, 1), (2, 2)]


async def test_hidden_fields_are_read_and_not_reported() -> None:
    """The power of ten of another field; in two groups it is read once, and each row has its scaled values only."""
    power = replace(a_field(2), name="power", hidden=True)
    one, other = (replace(a_field(at), scale_from="power") for at in (3, 5))
    bench = Groups([one, power], [other, power])
    bench.pollers = [_reporting_first(poller, bench) for poller in bench.pollers]
    often, seldom = await bench.together()
    assert bench.asked == [(2, 4)]
    assert often.row is not None
    assert seldom.row is not None
    assert (often.row.values, seldom.row.values) == ((300.0,), (500.0,))


def _reporting_first(poller: Poller, bench: Groups) -> Poller:
    """The same group, but for its hidden fields."""
    group = poller.polled.group
    shown = replace(group, fields=group.fields[:1], letters=group.letters[:1])
    device = a_device("m", (poller.polled.fields, 1000))
    polled = replace(poller.polled, group=shown)
    return Poller("bus-1", device, polled, COST, bench.clock, bench.counters, bench.pollers[0].memory)


def test_only_modbus_devices_are_polled() -> None:
    """A device that sends by itself belongs to a stream."""
    serial = SerialSource(Line(), Framing("line", 80, end=b"\n"), Parse("split"), 1000)
    device = a_device("m", ([a_field(0)], 1000))
    stream = Device("s", a_profile([], serial), 0, device.polled)
    with pytest.raises(TypeError):
        Poller("bus-1", stream, device.polled[0], COST, FakeClock(), Counters())


async def test_a_row_that_scaling_leaves_empty_is_none() -> None:
    """The power of ten is none: the device answered, and nothing that it said means anything."""
    power = replace(a_field(99), name="power", hidden=True)
    bench = Groups([replace(a_field(98), scale_from="power"), power], [])
    poller = _reporting_first(bench.pollers[0], bench)
    bench.pollers = [poller]
    (outcome,) = await bench.together()
    assert (outcome.row, outcome.cause, outcome.answered) == (None, Quality.OUT_OF_RANGE, True)
    assert codes(outcome) == [("no_good_field", "out_of_range")]
