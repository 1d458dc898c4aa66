"""gateway.app.fields: every write is noted, told, and goes to its end."""

import asyncio
import errno
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.app.fields import REFUSAL_MS, WRITES_MAX, NoSuchDevice, NoSuchField, NotAsked
from gateway.errors import BadReply, DeviceException, LinkDown, NoReply
from gateway.model import BootMs, Quality, Row, Value
from gateway.profile.profile import Line
from gateway.site import Bus, Device, Polled
from gateway.south.jobs.access import READ_BACKS, Written
from gateway.south.reads import poll
from gateway.testing.clock import turns
from gateway.wire.command import Outcome
from tests.support.asks import MemoryAsks, played
from tests.support.fields import FieldsBench, listening
from tests.unit.south.test_talks import HUMIDITY, TEMPERATURE, a_talker

OFFSET = "zero_offset"


def write(bench: FieldsBench, id_: str = "c-1", field: str = OFFSET, value: Value = 0.25) -> "asyncio.Task[Written]":
    """As a command of the centre."""
    return bench.tasks.create_task(bench.fields.write(id_, "level-1", field, value, f"ioc:{id_}"), name=id_)


async def wrote(bench: FieldsBench, id_: str = "c-1", field: str = OFFSET, value: Value = 0.25) -> Written:
    """The same, over."""
    return await played(bench.clock, bench.fields.write(id_, "level-1", field, value, f"ioc:{id_}"))


async def test_a_write_is_told_and_remembered(tmp_path: Path) -> None:
    """Urgent, on the device: field, value, by whom, code, before, after; the next life knows its end."""
    bench = FieldsBench(tmp_path, asks=MemoryAsks({10: 20}))
    async with bench.running():
        assert (await wrote(bench)).code == "ok"
    assert bench.told == [("level-1", "field_written", (OFFSET, 0.25, "ioc:c-1", "ok", 0.2, 0.25), True)]
    assert bench.counters.get("writes", code="ok") == 1
    async with bench.running():
        assert bench.kept.ended == (Outcome("c-1", ok=True, code="ok", value=0.25),)


async def test_a_boolean_is_told_as_a_number(tmp_path: Path) -> None:
    """A detail has numbers and texts."""
    bench = FieldsBench(tmp_path)
    async with bench.running():
        await wrote(bench, field="relay", value=True)
    assert bench.told == [("level-1", "field_written", ("relay", 1, "ioc:c-1", "ok", 0, 1), True)]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("level", 1.0, "not_writable"),
        ("nothing", 1.0, "no_such_field"),
        (OFFSET, 6.0, "out_of_limits"),
        (OFFSET, "x", "bad_value"),
    ],
)
async def test_a_refusal_is_told_and_nothing_is_asked(tmp_path: Path, field: str, value: Value, code: str) -> None:
    """It is no alarm, and not noted: nothing was begun."""
    bench = FieldsBench(tmp_path)
    async with bench.running():
        assert (await wrote(bench, field=field, value=value)).code == code
    assert bench.told == [("level-1", "write_refused", (field, value, "ioc:c-1", code, "", ""), False)]
    assert bench.asks.asked == []
    async with bench.running():
        assert bench.kept.ended == ()


@pytest.mark.parametrize(
    ("asks", "event", "code"),
    [
        (MemoryAsks(says=[NoReply()]), "write_failed", "no_reply"),
        (MemoryAsks(says=[None, DeviceException(2)]), "write_failed", "device_exception"),
        (MemoryAsks(heeds=False), "write_failed", "not_confirmed"),
        (MemoryAsks(says=[None, BadReply(), *[LinkDown("x")] * READ_BACKS]), "write_uncertain", "write_uncertain"),
    ],
)
async def test_each_failure_has_its_event(tmp_path: Path, asks: MemoryAsks, event: str, code: str) -> None:
    """What did not work, and what nobody knows."""
    bench = FieldsBench(tmp_path, asks=asks)
    async with bench.running():
        assert (await wrote(bench)).code == code
    ((subject, told, detail, urgent),) = bench.told
    assert (subject, told, urgent) == ("level-1", event, True)
    assert isinstance(detail, tuple)
    assert detail[3] == code


async def test_what_cannot_be_noted_is_not_written(tmp_path: Path) -> None:
    """A full disk: nobody could say later that it was done."""
    bench = FieldsBench(tmp_path)
    async with bench.running():
        bench.before.append(OSError(errno.ENOSPC, "no space"))
        found = await wrote(bench)
        assert found.code == "not_noted"
        assert bench.asks.asked == []
        assert [code for _, code, _, _ in bench.told] == ["write_refused"]
        assert (await wrote(bench, "c-2")).code == "ok"


async def test_an_end_that_cannot_be_noted_is_still_the_outcome(tmp_path: Path) -> None:
    """The event is out; the next life will call it interrupted."""
    bench = FieldsBench(tmp_path)
    async with bench.running():
        writing = write(bench)
        await turns()
        bench.before.append(OSError(errno.EIO, "i/o"))
        await bench.clock.advance(10_000)
        assert (await writing).code == "ok"
    assert [code for _, code, _, _ in bench.told] == ["field_written", "command_journal_failed"]
    async with bench.running():
        assert [one.id for one in bench.kept.interrupted] == ["c-1"]


async def test_a_write_goes_to_its_end_though_nobody_waits(tmp_path: Path) -> None:
    """Whoever asked hung up in the middle."""
    bench = FieldsBench(tmp_path)
    async with bench.running():
        writing = write(bench)
        await turns()
        writing.cancel()
        await turns()
        assert writing.cancelled()
        await bench.clock.advance(10_000)
        assert [code for _, code, _, _ in bench.told] == ["field_written"]


async def test_one_at_a_time_and_not_too_many(tmp_path: Path) -> None:
    """In order; one too many is told busy, and can be asked for again."""
    bench = FieldsBench(tmp_path)
    async with bench.running() as fields:
        writing = [write(bench, f"c-{n}", value=n / 100) for n in range(WRITES_MAX)]
        await turns()
        assert len(bench.asks.writes) == 1
        assert (await fields.write("c-9", "level-1", OFFSET, 0.5, "local")).code == "busy"
        await bench.clock.advance(10_000)
        assert {(await one).code for one in writing} == {"ok"}
        assert bench.asks.words[10] == WRITES_MAX - 1
        assert (await wrote(bench, "c-9")).code == "ok"


async def test_a_stop_waits_for_the_write_that_is_on(tmp_path: Path) -> None:
    """Its event must reach the disk; no other is begun."""
    bench = FieldsBench(tmp_path)
    async with bench.running() as fields:
        writing, waiting = write(bench), write(bench, "c-3", value=0.75)
        await turns()
        closing = bench.tasks.create_task(fields.close(10), name="close")
        await turns()
        assert not closing.done()
        assert (await fields.write("c-2", "level-1", OFFSET, 0.5, "local")).code == "busy"
        await bench.clock.advance(10_000)
        await closing
        assert [(await writing).code, (await waiting).code] == ["ok", "busy"]


async def test_a_life_that_ends_in_the_middle_is_told_by_the_next(tmp_path: Path) -> None:
    """Cancelled between the write and its read back."""
    bench = FieldsBench(tmp_path)
    async with bench.running():
        writing = write(bench)
        await turns()
    with pytest.raises(asyncio.CancelledError):
        await writing
    async with bench.running():
        assert [(one.id, one.field, one.value) for one in bench.kept.interrupted] == [("c-1", OFFSET, 0.25)]


async def test_refusals_take_their_time(tmp_path: Path) -> None:
    """Each is an event: who asks for nonsense as fast as they can makes four a second, and no flood."""
    bench = FieldsBench(tmp_path)
    async with bench.running():
        asked = [write(bench, f"c-{n}", field="nothing") for n in range(WRITES_MAX)]
        await turns()
        assert len(bench.told) == 1
        for n in range(1, WRITES_MAX):
            await bench.clock.advance(REFUSAL_MS)
            assert len(bench.told) == n + 1
        await bench.clock.advance(REFUSAL_MS)
        assert {(await one).code for one in asked} == {"no_such_field"}


async def test_a_device_of_nobody(tmp_path: Path) -> None:
    """An outcome for a command, an error for a reader; no event: there is no device to tell it of."""
    bench = FieldsBench(tmp_path)
    async with bench.running() as fields:
        assert (await fields.write("c-1", "other-1", OFFSET, 1.0, "local")).code == "no_such_device"
        with pytest.raises(NoSuchDevice):
            await fields.read("other-1")
        with pytest.raises(NoSuchField, match="nothing"):
            await fields.read("level-1", ("level", "nothing"))
    assert bench.told == []


async def test_a_bus_that_only_listens_is_neither_read_nor_written(tmp_path: Path) -> None:
    """Not one byte."""
    bench = FieldsBench(tmp_path, bus=listening())
    async with bench.running() as fields:
        with pytest.raises(NotAsked):
            await fields.read("level-1")
        assert (await wrote(bench)).code == "not_writable"


async def test_a_serial_device_that_is_asked_is_visited(tmp_path: Path) -> None:
    """All its fields, judged as any; one that sends by itself is not asked."""
    field = replace(TEMPERATURE, low=-40.0, high=60.0)
    air = a_talker("air-1", "0", 1000, fields=(field, HUMIDITY))

    class Visited:
        async def visit(self, device: Device, polled: Polled) -> poll.Outcome:
            assert device is air
            return poll.Outcome(Row(polled.group, BootMs(1), (99.0, 40.0)), None, answered=True)

    bus = Bus("bus-1", "talk", "own", "/dev/test", Line(), (air,))
    bench = FieldsBench(tmp_path, bus=bus, visits={"bus-1": Visited()})
    async with bench.running() as fields:
        _, _, found, row = await fields.read("air-1")
        assert [one.name for one in found] == ["temperature", "humidity"]
        assert (row.values, row.quality) == ((None, 40.0), ((0, Quality.OUT_OF_RANGE),))
        assert (await wrote(bench)).code == "no_such_device"
        refused = await played(bench.clock, fields.write("c-2", "air-1", "humidity", 1.0, "local"))
        assert refused.code == "not_writable"
    stream = FieldsBench(tmp_path, bus=replace(bench.bus, transport="stream"))
    async with stream.running() as other:
        with pytest.raises(NotAsked):
            await other.read("air-1")


async def test_what_is_read_is_judged(tmp_path: Path) -> None:
    """A level of 50 m cannot be true here; settings are among the fields, hidden ones are not."""
    bench = FieldsBench(tmp_path, asks=MemoryAsks({0: 0x4248, 1: 0, 10: 25}))
    async with bench.running() as fields:
        _, device, found, row = await played(bench.clock, fields.read("level-1"))
        assert [field.name for field in found] == [field.name for field in device.profile.fields]
        assert row.values == (None, 0.25, False, 0.0, 0.0)
        assert row.quality == ((0, Quality.OUT_OF_RANGE),)
        _, _, found, row = await played(bench.clock, fields.read("level-1", ("mode", OFFSET, "mode")))
        assert [field.name for field in found] == ["mode", OFFSET]
