"""gateway.south.jobs.access: fields read on request; a write made once, and believed only when it reads back."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from gateway.errors import BadReply, BusBusy, DeviceError, DeviceException, LinkDown, NoReply
from gateway.model import Quality, Row, Value
from gateway.profile.profile import Field, ModbusSource, Start
from gateway.protocols.modbus_pdu import ReadRequest, Request, Table, WriteRegisters
from gateway.south.jobs.access import NOT_CARRIED_OUT, READ_BACKS, Written, read, write
from gateway.south.jobs.permit import Permit, permit
from gateway.south.links.link import NS_PER_MS, PLAIN, Manner, NotSent, Reply
from gateway.testing.clock import FakeClock
from tests.support.asks import LEVEL, MODE, OFFSET, RELAY, SPAN, MemoryAsks, device_of, level_bus, played
from tests.support.south import a_bus
from tests.support.sunspec import OFFSETS, ChainLink, numbered, sunspec_device, tag

BUS = level_bus()
POWER = replace(MODE, name="power", address=30, scale_from="power_sf", decimals=1, write=None)
POWER_SF = replace(MODE, name="power_sf", address=31, type="i16", hidden=True, write=None)


async def wrote(asks: MemoryAsks, name: str = "zero_offset", value: Value = 0.25) -> Written:
    """The outcome of one write."""
    clock, device = FakeClock(), device_of(BUS)
    allowed = permit(BUS, device, name, value)
    assert isinstance(allowed, Permit)
    return await played(clock, write(asks, device, allowed, clock))


async def row(asks: MemoryAsks, *fields: Field) -> Row:
    """These fields, read."""
    clock = FakeClock()
    bus = level_bus((LEVEL, OFFSET, RELAY, MODE, SPAN, POWER, POWER_SF))
    return await played(clock, read(asks, bus, device_of(bus), fields, clock))


# --- write ------------------------------------------------------------------------------------------------------------


async def test_a_write_is_read_back() -> None:
    """Before, once, after."""
    asks = MemoryAsks({10: 20})
    assert await wrote(asks) == Written("ok", "", 0.2, 0.25)
    assert asks.words == {10: 25}
    assert asks.writes == [WriteRegisters(10, (25,))]
    assert len(asks.asked) == 3


@pytest.mark.parametrize(("name", "value"), [("relay", True), ("span", 2.5), ("mode", 4.0)])
async def test_every_shape_reads_back(name: str, value: Value) -> None:
    """A coil, two registers in another order, one of a list."""
    found = await wrote(MemoryAsks(), name, value)
    assert (found.code, found.after) == ("ok", value)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NoReply(), "no_reply"),
        (DeviceException(2), "device_exception"),
        (LinkDown("gone"), "link_down"),
        (BusBusy("x"), "bus_busy"),
    ],
)
async def test_a_device_that_cannot_be_read_is_not_written(error: DeviceError | LinkDown, code: str) -> None:
    """It is known before that nothing was sent."""
    asks = MemoryAsks(says=[error])
    found = await wrote(asks)
    assert (found.code, found.before, found.after) == (code, None, None)
    assert found.detail.startswith("nothing was written")
    assert asks.writes == []


@pytest.mark.parametrize("number", sorted(NOT_CARRIED_OUT))
async def test_a_clear_refusal_ends_it(number: int) -> None:
    """Exceptions that say that nothing was done."""
    asks = MemoryAsks({10: 20}, says=[None, DeviceException(number)])
    assert await wrote(asks) == Written("device_exception", f"nothing was written: exception {number}", 0.2)
    assert len(asks.asked) == 2


@pytest.mark.parametrize("error", [NotSent("hung up"), BusBusy("no time")])
async def test_a_request_that_was_not_sent_ends_it(error: LinkDown) -> None:
    """The wire was gone before, or the bus had no time: nothing to read back."""
    asks = MemoryAsks(says=[None, error])
    found = await wrote(asks)
    assert (found.code, found.detail) == (error.code, f"nothing was written: {error}")
    assert len(asks.asked) == 2


@pytest.mark.parametrize(
    "failure",
    [NoReply("late"), BadReply("torn"), DeviceException(4), DeviceException(5), DeviceException(11), LinkDown("x")],
)
async def test_what_the_device_holds_is_the_answer(failure: DeviceError | LinkDown) -> None:
    """A lost reply to a write that was carried out is ok; to one that was not, the failure: never sent twice."""
    done = MemoryAsks(says=[None, failure], does_before_it_fails=True)
    found = await wrote(done)
    assert (found.code, found.after) == ("ok", 0.25)
    lost = MemoryAsks({10: 20}, says=[None, failure])
    found = await wrote(lost)
    assert (found.code, found.before, found.after) == (failure.code, 0.2, 0.2)
    assert [len(asks.writes) for asks in (done, lost)] == [1, 1]


async def test_a_device_that_says_yes_and_does_no_is_not_confirmed() -> None:
    """With what it holds."""
    asks = MemoryAsks({10: 7}, heeds=False)
    assert await wrote(asks) == Written("not_confirmed", "", 0.07, 0.07)
    assert len(asks.asked) == 2 + READ_BACKS


async def test_a_device_may_take_a_moment() -> None:
    """The first two reads back fail, the third has it."""
    asks = MemoryAsks(says=[None, None, NoReply(), BadReply("x")])
    assert (await wrote(asks)).code == "ok"


@pytest.mark.parametrize("failure", [None, NoReply()])
async def test_what_cannot_be_read_back_is_uncertain(failure: DeviceError | None) -> None:
    """Whatever the device said to the write: the device may hold either."""
    asks = MemoryAsks({10: 20}, says=[None, failure, *[NoReply("mute")] * READ_BACKS])
    assert await wrote(asks) == Written("write_uncertain", "not read back: mute", 0.2)
    assert len(asks.writes) == 1


async def test_nothing_readable_before_is_no_value() -> None:
    """A device that says it has none may be given one."""
    asks = MemoryAsks({20: 0x0000, 21: 0x7FC0})  # NaN
    found = await wrote(asks, "span", 2.5)
    assert (found.code, found.before, found.after) == ("ok", None, 2.5)


# --- read -------------------------------------------------------------------------------------------------------------


async def test_fields_are_read_as_a_poll_reads_them() -> None:
    """In the order asked for, settings included, several tables."""
    asks = MemoryAsks({0: 0x4020, 1: 0, 10: 0xFFFF, 12: 4}, {3: True})
    found = await row(asks, MODE, OFFSET, LEVEL, RELAY)
    assert found.group.fields == ("mode", "zero_offset", "level", "relay")
    assert found.values == (4.0, -0.01, 2.5, True)
    assert found.quality == ()


async def test_what_a_field_is_scaled_by_is_read_with_it() -> None:
    """And not shown."""
    asks = MemoryAsks({30: 123, 31: 0xFFFF})
    found = await row(asks, POWER)
    assert found.group.fields == ("power",)
    assert found.values == (12.3,)


async def test_each_field_has_its_own_reason() -> None:
    """One is refused, one is no number: two reasons though there is no good value."""
    asks = MemoryAsks({20: 0, 21: 0x7FC0}, illegal=frozenset({12}))
    found = await row(asks, MODE, SPAN)
    assert found.values == (None, None)
    assert found.quality == ((0, Quality.REFUSED), (1, Quality.NOT_A_NUMBER))


async def test_a_field_that_is_good_alone_is_no_refused_one() -> None:
    """The reply for all of them was damaged, those for each were not: values, and no made-up reason."""
    asks = MemoryAsks({12: 4, 10: 0xFFFF}, says=[BadReply("torn")])
    found = await row(asks, MODE, OFFSET)
    assert (found.values, found.quality) == ((4.0, -0.01), ())


async def test_a_mute_device_has_a_reason_for_every_field() -> None:
    """No reply, for all of them, and nobody waits for each alone."""
    asks = MemoryAsks(says=[NoReply() for _ in range(40)])
    found = await row(asks, MODE, OFFSET)
    assert found.quality == ((0, Quality.NO_REPLY), (1, Quality.NO_REPLY))
    assert len(asks.asked) == 1


@pytest.mark.parametrize("error", [LinkDown("gone"), BusBusy("no time")])
async def test_a_lost_bus_is_no_devices_fault(error: LinkDown) -> None:
    """Nothing was read: whoever asked is told so."""
    with pytest.raises(LinkDown) as lost:
        await row(MemoryAsks(says=[error]), MODE)
    assert lost.value.code == error.code


async def test_a_sunspec_device_is_walked_for_a_read() -> None:
    """As long as its chain takes; one that has not the model is refused, and asked no more than a chain takes."""
    clock, device = FakeClock(), sunspec_device()
    bus = a_bus(device)
    fields = device.profile.reported
    chain = [(1, 66), *[(64_901, 7)] * 20, (103, 50)]
    found = await played(clock, read(ChainAsks(numbered(0, chain)), bus, device, fields, clock))
    assert found.values == tuple(tag(21, offset) for offset in OFFSETS)
    asks = ChainAsks(numbered(0, chain[:-1]))
    missing = await played(clock, read(asks, bus, device, fields, clock))
    assert missing.quality == tuple((n, Quality.REFUSED) for n in range(len(OFFSETS)))
    assert len(asks.link.asked) == 2 + 21


class ChainAsks:
    """`Asks` of one device with a chain."""

    def __init__(self, words: Mapping[int, int]) -> None:
        self.link = ChainLink(words)

    async def ask(self, unit_id: int, request: Request, timeout_ms: float, manner: Manner = PLAIN) -> Reply:
        """As `Asks`."""
        return await self.link.request(unit_id, request, round(timeout_ms * NS_PER_MS), manner)


async def test_a_read_of_ones_own_tells_the_device_to_measure_and_waits() -> None:
    """Where no gateway polls it, nobody else has; with one running it is its work."""
    device = device_of(BUS)
    assert isinstance(device.profile.source, ModbusSource)
    told = Start(WriteRegisters(500, (1,)), pause_ms=2000)
    source = replace(device.profile.source, start=told)
    device = replace(device, profile=replace(device.profile, source=source))
    for lone, writes in ((True, [told.request]), (False, [])):
        clock, asks = FakeClock(), MemoryAsks({0: 1234, 500: 0})
        began = clock.boot_ms()
        found = await played(clock, read(asks, BUS, device, (LEVEL,), clock, lone=lone))
        assert found.values[0] is not None
        assert asks.writes == writes
        assert asks.asked == [*writes, ReadRequest(Table.HOLDING, 0, 2)]
        assert (clock.boot_ms() - began >= 2000) == lone
