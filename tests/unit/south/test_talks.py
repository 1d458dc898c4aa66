"""gateway.south.talks: serial devices that are asked: their rows, their silence, and what is never taken for theirs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import pytest

from gateway.counters import Counters
from gateway.errors import LinkDown
from gateway.model import Event, Group, Quality, Row
from gateway.profile.profile import Field, Line, SerialSource
from gateway.protocols.declared import Poll, SetupStep
from gateway.protocols.framing import Framing
from gateway.protocols.parse import Parse
from gateway.seams import Clock
from gateway.site import Bus, Device, Fast, Polled
from gateway.south.links.conversation_link import TalkStream
from gateway.south.links.owed import Owed
from gateway.south.talks import TalkLoop
from gateway.testing.clock import FakeClock, turns
from gateway.testing.memory import MemoryStream
from gateway.wire.documents import SouthStatus
from tests.support.south import a_device, a_field, a_profile

TIMEOUT_MS = 200
TEMPERATURE = Field("temperature", "temperature", "Cel", "f", 1, part="T")
HUMIDITY = Field("humidity", "humidity", "%", "f", 0, part="U")
FRAMING = Framing("line", 64, start=b"0,", end=b"\r")
PARSE = Parse("pairs", content_from=2, content_until=-1)
POLL = Poll("{address} 3F 0D", TIMEOUT_MS, start="{address} 2C", address="0")


def a_talker(name: str, address: str, *periods_ms: int, fields: Sequence[Field] = (TEMPERATURE, HUMIDITY)) -> Device:
    """Asked by ADDRESS?CR, answers ADDRESS,T=..,U=..CR: a group with one field for each period."""
    source = SerialSource(Line(), FRAMING, PARSE, 0, POLL)
    groups = tuple(
        Polled(Group(name, "air", "test/air@1", (field.name,), "f"), (field,), ms)
        for field, ms in zip(fields, periods_ms, strict=False)
    )
    return Device(name, a_profile(fields, source), 0, groups, address=address)


class Line485:
    """Some devices behind one port: what each says `after` ms, by what it was asked."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.after: Callable[[str], Iterable[float]] = lambda _: (30,)
        self.asked: list[str] = []

    def __call__(self, sent: bytes) -> Iterable[tuple[float, bytes]]:
        """As the script of a `MemoryStream`."""
        address = sent.decode().removesuffix("?\r")
        self.asked.append(address)
        if address in self.values:
            for after_ms in self.after(address):
                yield after_ms, f"{address},{self.values[address]}\r".encode()


class Bench:
    """A line of devices in virtual time."""

    def __init__(self, *devices: Device, owed: bool = False, transport: str = "talk") -> None:
        self.clock, self.counters, self.line = FakeClock(), Counters(), Line485()
        self.stream = MemoryStream(self.clock, self.line)
        self.missing, self.opened = False, 0
        self.start = self.clock.boot_ms()
        self.rows: list[Row] = []
        self.events: list[Event] = []
        bus = Bus("bus-1", transport, "own", "/dev/test", Line(), devices)
        self.loop = TalkLoop(
            bus, self.clock, self.counters, Random(1), self.rows.append, self.events.append, self._open, owed=owed
        )

    @asynccontextmanager
    async def running(self, ms: float) -> AsyncIterator[None]:
        """`run` for so long; stopped at the end of the test."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.loop.run(), name="bus")
            await self.clock.advance(ms)
            yield
            self.loop.stop()
            await self.clock.advance(500)
            await turns()
            assert task.done()

    @property
    def told(self) -> list[tuple[str, str, object]]:
        """Subject, code, detail of every event."""
        return [(event.subject, event.code, event.detail) for event in self.events]

    def of(self, device: str) -> list[tuple[int, tuple[object, ...]]]:
        """The rows of one device: ms after the start, and values."""
        return [(row.at - self.start, row.values) for row in self.rows if row.group.device == device]

    def missed(self, device: str, cause: str) -> float:
        """Polls that were dropped."""
        return self.counters.get("polls_missed", bus="bus-1", device=device, cause=cause)

    async def _open(self, bus: Bus, clock: Clock) -> TalkStream:
        self.opened += 1
        assert (bus.name, clock) == ("bus-1", self.clock)
        if self.missing:
            raise LinkDown("no such port")
        if self.stream.closed:  # what was on its way comes on the next one
            before, self.stream = self.stream, MemoryStream(self.clock, self.stream.script)
            self.stream._coming = before._coming
        return self.stream


async def test_every_period_gives_a_row_at_the_first_byte_of_its_answer() -> None:
    """Two groups of one device are answered by one talk."""
    bench = Bench(a_talker("air-1", "0", 1000, 2000))
    bench.line.values["0"] = "T=-1.5,U=87"
    async with bench.running(3990):
        pass
    assert bench.of("air-1") == [
        (30, (-1.5,)), (30, (87.0,)), (1030, (-1.5,)), (2030, (-1.5,)), (2030, (87.0,)), (3030, (-1.5,)),
    ]  # fmt: skip
    assert bench.line.asked == ["0"] * 4
    assert bench.counters.get("reads", bus="bus-1", device="air-1") == 4
    assert bench.counters.get("polls", bus="bus-1", device="air-1") == 6
    assert bench.events == []


async def test_a_hurried_device_is_asked_more_often_and_back() -> None:
    """At once, also amid a long wait for its next turn; its neighbour keeps its period and loses nothing."""
    fast = Fast("level > 0.8", "", "level", 1, 0.8, 1000, 60_000)
    bench = Bench(replace(a_talker("air-1", "1", 60_000), fast=fast), a_talker("air-2", "2", 20_000))
    bench.line.values = {"1": "T=10,U=1", "2": "T=20,U=2"}
    async with bench.running(5000):
        bench.loop.hurry("air-1", fast=True)
        await bench.clock.advance(10_000)
        assert 9 <= len(bench.of("air-1")) - 1 <= 11
        bench.loop.hurry("air-1", fast=False)
        calm = len(bench.of("air-1"))
        await bench.clock.advance(100_000)
        assert 2 <= len(bench.of("air-1")) - calm <= 3  # one was on its way
    assert len(bench.of("air-2")) == 6
    assert bench.counters.total("polls_missed") == 0


async def test_devices_on_one_line_answer_to_their_own_address() -> None:
    """A reply of another address is refused, whatever it is the answer to."""
    bench = Bench(a_talker("air-1", "1", 1000), a_talker("air-2", "2", 1000))
    bench.line.values = {"1": "T=10,U=1", "2": "T=20,U=2"}
    async with bench.running(2900):
        pass
    assert {values for _, values in bench.of("air-1")} == {(10.0,)}
    assert {values for _, values in bench.of("air-2")} == {(20.0,)}
    assert len(bench.of("air-1")) == len(bench.of("air-2")) == 3
    bench = Bench(a_talker("air-1", "1", 1000))
    bench.stream.script = lambda _: [(10, b"2,T=20,U=2\r")]
    async with bench.running(1000):
        pass
    assert bench.rows == []
    assert bench.counters.get("read_failures", bus="bus-1", device="air-1", cause="bad_reply") == 1


@pytest.mark.parametrize("late_ms", [250, 700, 1250, 1990])
async def test_a_late_reply_is_not_taken_for_the_next_one(late_ms: int) -> None:
    """P8: three replies come after their time, each with that of its question; no row carries an older question's."""
    bench = Bench(a_talker("air-1", "0", 1000))
    count = 0

    def late(_: bytes) -> Iterable[tuple[float, bytes]]:
        nonlocal count
        count += 1
        asked_at = bench.clock.boot_ms() - bench.start
        yield (late_ms if count < 4 else 30), f"0,T={asked_at},U=1\r".encode()

    bench.stream.script = late
    async with bench.running(30_000):
        pass
    assert len(bench.rows) > 15
    for row in bench.rows:
        assert row.at - bench.start - float(str(row.values[0])) == 30
    assert bench.counters.get("talks_uncertain", bus="bus-1") == 3
    assert bench.counters.get("talks_late", bus="bus-1") == 3


async def test_without_its_bar_a_late_reply_would_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule is what keeps it out: with the rule asleep an old answer is a row of the next question."""
    monkeypatch.setattr(Owed, "bar", lambda *_: None)
    wrong = 0
    for late_ms in range(900, 1700, 100):
        bench = Bench(a_talker("air-1", "0", 1000))

        def late(_: bytes, bench: Bench = bench, late_ms: int = late_ms) -> Iterable[tuple[float, bytes]]:
            yield late_ms, f"0,T={bench.clock.boot_ms() - bench.start},U=1\r".encode()

        bench.stream.script = late
        async with bench.running(5000):
            pass
        wrong += sum(row.at - bench.start - float(str(row.values[0])) == late_ms for row in bench.rows)
    assert wrong > 0


async def test_a_dead_device_does_not_stall_its_line() -> None:
    """P7: the living one keeps its period but for the first misses; the dead is told, and told again when it lives."""
    bench = Bench(a_talker("air-1", "1", 500), a_talker("dead-1", "2", 500))
    bench.line.values = {"1": "T=10,U=1"}
    async with bench.running(60_000):
        assert ("dead-1", "device_down", "no_reply") in bench.told
        assert bench.loop.status == SouthStatus((), ("dead-1",), ())
        assert len(bench.of("air-1")) >= 0.95 * 120
        assert bench.line.asked.count("2") < 20
        bench.line.values["2"] = "T=20,U=2"
        await bench.clock.advance(80_000)  # the longest interval of probes is 60 s, and a quarter of it by chance
        assert ("dead-1", "device_up", "") in bench.told
        assert bench.loop.status == SouthStatus((), (), ())


async def test_a_field_that_does_not_come_is_null() -> None:
    """A row without one good value is an event, once."""
    fields = (TEMPERATURE, HUMIDITY)
    device = a_talker("air-1", "0", 1000)
    both = Polled(Group("air-1", "air", "test/air@1", ("temperature", "humidity"), "ff"), fields, 1000)
    bench = Bench(replace(device, polled=(both,)))
    bench.line.values["0"] = "T=1"
    async with bench.running(900):
        bench.line.values["0"] = "X=1"
        await bench.clock.advance(2000)
        bench.line.values["0"] = "T=,U=5"
        await bench.clock.advance(1000)
    assert [(row.values, row.quality) for row in bench.rows] == [
        ((1.0, None), ((1, Quality.BAD_REPLY),)),
        ((None, 5.0), ((0, Quality.NO_VALUE),)),
    ]
    assert bench.told == [("air-1", "no_good_field", "bad_reply")]
    assert bench.loop.last_rows == (bench.rows[-1],)


async def test_a_port_that_is_missing_is_waited_for() -> None:
    """Told once; no device is to blame."""
    bench = Bench(a_talker("air-1", "0", 1000))
    bench.line.values["0"] = "T=1,U=1"
    bench.missing = True
    async with bench.running(20_000):
        assert bench.loop.status == SouthStatus(("bus-1",), (), ())
        bench.missing = False
        await bench.clock.advance(20_000)
        assert bench.loop.status == SouthStatus((), (), ())
    assert bench.told == [("bus-1", "bus_down", "no such port"), ("bus-1", "bus_up", "")]
    assert bench.rows


async def test_a_port_that_vanishes_in_a_poll_is_opened_again() -> None:
    """What is lost is that poll."""
    bench = Bench(a_talker("air-1", "0", 1000))
    bench.line.values["0"] = "T=1,U=1"
    async with bench.running(1500):
        old, bench.stream = bench.stream, MemoryStream(bench.clock, bench.line)
        old.vanish("unplugged")
        await bench.clock.advance(5000)
        assert old.closed
    assert len(bench.rows) >= 5
    assert bench.told == []


async def test_what_an_earlier_process_asked_is_waited_for() -> None:
    """The first request goes when its answer can no longer come."""
    bench = Bench(a_talker("air-1", "0", 1000), owed=True)
    bench.line.values["0"] = "T=1,U=1"
    assert bench.loop.owes
    async with bench.running(TIMEOUT_MS + 1990):
        assert bench.line.asked == []
        await bench.clock.advance(2000)
        assert bench.rows
    assert not bench.loop.owes


async def test_a_device_that_was_asked_owes_until_it_answers() -> None:
    """So the next process knows."""
    bench = Bench(a_talker("air-1", "0", 1000))
    async with bench.running(TIMEOUT_MS + 50):
        assert bench.loop.owes
        assert bench.loop.asks is None


def test_only_devices_that_are_asked() -> None:
    """A Modbus device, or one that sends by itself, on such a bus is a bug of ours."""
    with pytest.raises(TypeError):
        Bench(a_device("m", ([a_field(0)], 1000)))
    stream = a_talker("s", "0", 1000)
    source = stream.profile.source
    assert isinstance(source, SerialSource)
    with pytest.raises(TypeError):
        Bench(replace(stream, profile=replace(stream.profile, source=replace(source, poll=None))))


def a_modal(name: str, *periods_ms: int) -> Device:
    """A talker that has to be set to its mode first: 0M, confirmed by 0 ok."""
    device = a_talker(name, "0", *periods_ms)
    source = device.profile.source
    assert isinstance(source, SerialSource)
    step = SetupStep("{address} 4D 0D", "{address} 6F 6B", reply_bytes=4, timeout_ms=TIMEOUT_MS)
    return replace(device, profile=replace(device.profile, source=replace(source, setup=(step,))))


async def test_a_device_is_set_up_before_it_is_asked_and_once() -> None:
    """What was confirmed is not said again; the row's time is that of the values' answer."""
    bench = Bench(a_modal("air-1", 1000))
    says = {b"0M\r": [(30, b"0ok\r")], b"0?\r": [(30, b"0,T=20,U=1\r")]}
    bench.stream.script = lambda sent: says[sent]
    async with bench.running(3500):
        pass
    assert bench.stream.sent == [b"0M\r", *[b"0?\r"] * 4]
    assert [values for _, values in bench.of("air-1")] == [(20.0,)] * 4
    assert bench.of("air-1")[0][0] > 60
    assert bench.counters.get("setups", bus="bus-1", device="air-1") == 1


async def test_a_device_that_does_not_confirm_its_setup_is_not_asked() -> None:
    """Its values could be of another mode. It is told again, and read when it understood."""
    bench = Bench(a_modal("air-1", 1000))
    bench.stream.script = lambda sent: [] if sent == b"0M\r" else [(30, b"0,T=20,U=1\r")]
    async with bench.running(20_000):
        assert set(bench.stream.sent) == {b"0M\r"}
        assert bench.rows == []
        assert bench.told[0][:2] == ("air-1", "device_down")
        bench.stream.script = lambda sent: [(30, b"0ok\r" if sent == b"0M\r" else b"0,T=20,U=1\r")]
        await bench.clock.advance(40_000)
        assert bench.rows
        assert bench.told[-1][:2] == ("air-1", "device_up")


async def test_a_late_confirmation_is_not_taken_for_values() -> None:
    """It bars the device like any late answer."""
    bench = Bench(a_modal("air-1", 1000))
    bench.stream.script = lambda sent: [(TIMEOUT_MS + 700, b"0ok\r") if sent == b"0M\r" else (30, b"0,T=20,U=1\r")]
    async with bench.running(60_000):
        pass
    assert set(bench.stream.sent) == {b"0M\r"}
    assert bench.counters.get("talks_late", bus="bus-1") >= 1
    assert bench.rows == []


async def test_the_latency_that_is_counted_is_that_of_the_answer() -> None:
    """From the last byte of the request to the first of its answer; not the setup's, the wake-up's or the bytes'."""
    bench = Bench(a_modal("air-1", 1000))
    says = {b"0M\r": [(150, b"0ok\r")], b"0?\r": [(40, b"0,T=20,"), (60, b"U=1\r")]}
    bench.stream.script = lambda sent: says[sent]
    async with bench.running(900):
        pass
    latency_ms = bench.counters.get("latency_ms", bus="bus-1", device="air-1")
    assert latency_ms == pytest.approx(40 - 3 * 10_000 / 9600, abs=0.01)


async def test_a_half_open_connection_is_made_again() -> None:
    """Behind a converter nobody tells; at a port there is nothing to make again."""
    for transport, again in (("talk_over_tcp", True), ("talk", False)):
        bench = Bench(a_talker("air-1", "0", 1000), transport=transport)
        bench.line.values["0"] = "T=20,U=1"
        async with bench.running(3000):
            assert bench.opened == 1
            bench.line.values.clear()
            await bench.clock.advance(60_000)
            assert (bench.opened > 1) == again
            bench.line.values["0"] = "T=21,U=1"
            await bench.clock.advance(90_000)
            assert bench.of("air-1")[-1][1] == (21.0,)


async def test_a_late_reply_behind_a_converter_is_not_taken_for_the_next_one() -> None:
    """P8, with two devices in its one queue: every row has the answer to its own question."""
    bench = Bench(a_talker("air-1", "1", 1000), a_talker("air-2", "2", 1000), transport="talk_over_tcp")
    free_ms, count = 0.0, 0

    def queued(sent: bytes) -> Iterable[tuple[float, bytes]]:
        nonlocal free_ms, count
        count += 1
        now_ms = bench.clock.boot_ms() - bench.start
        begins_ms = max(now_ms, free_ms)
        free_ms = begins_ms + (900 if count in {3, 4, 5, 6, 11, 12} else 30)
        yield free_ms - now_ms, sent[:1] + f",T={now_ms},U=1\r".encode()

    bench.stream.script = queued
    async with bench.running(60_000):
        pass
    assert len(bench.rows) > 60
    assert all(row.at - bench.start - float(str(row.values[0])) <= TIMEOUT_MS + 10 for row in bench.rows)
    assert bench.counters.get("talks_late", bus="bus-1") >= 3
