"""gateway.south.listen: a bus where another master asks, in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from gateway.counters import Counters
from gateway.errors import LinkDown
from gateway.model import Event, Row
from gateway.profile.profile import SerialSource
from gateway.protocols.framing import Framing
from gateway.protocols.modbus_frame import Frame, encode_rtu
from gateway.protocols.modbus_pdu import encode_request
from gateway.protocols.parse import Parse
from gateway.seams import ByteStream, Clock
from gateway.site import Bus, Device
from gateway.south.listen import NEVER_MS, NEVER_NAMES_MAX, ListenLoop
from gateway.testing.clock import FakeClock, turns
from gateway.testing.memory import MemoryStream
from gateway.wire.documents import SouthStatus
from tests.support.south import NS_PER_MS, a_bus, a_device, a_field, a_profile
from tests.support.wires import holding, reply

SETTLED_MS = 5000  # who is in doubt at the beginning is believed by then


class Bench:
    """A line with another master on it."""

    def __init__(self, *devices: Device) -> None:
        self.clock, self.counters = FakeClock(), Counters()
        self.stream = MemoryStream(self.clock)
        self.missing = False
        self.start = self.clock.boot_ms()
        self.rows: list[Row] = []
        self.events: list[Event] = []
        bus = a_bus(*devices)
        self.loop = ListenLoop(
            bus, self.clock, self.counters, Random(1), self.rows.append, self.events.append, self._open
        )

    def says(self, at_ms: float, data: bytes) -> None:
        """Bytes on the line, so long after the start."""
        self.stream.arrive(round((self.start + at_ms) * NS_PER_MS), data)

    def exchange(self, at_ms: float, value: int, *, unit_id: int = 1, address: int = 0, count: int = 1) -> None:
        """A request of the other master, and the reply 20 ms later."""
        self.says(at_ms, encode_rtu(Frame(unit_id, encode_request(holding(count, address)))))
        self.says(at_ms + 20, reply(count, value, unit_id))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """`run` beside the test; stopped at its end. Not a byte was sent."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.loop.run())
            yield
            self.loop.stop()
            await turns()
            assert task.done()
        assert self.stream.closed
        assert self.stream.sent == []

    @property
    def told(self) -> list[tuple[str, str, object]]:
        """Subject, code, detail of every event."""
        return [(event.subject, event.code, event.detail) for event in self.events]

    async def _open(self, bus: Bus, clock: Clock) -> ByteStream:
        assert (bus.name, clock) == ("bus-1", self.clock)
        if self.missing:
            raise LinkDown("no such port")
        return self.stream


def meter(name: str = "m", unit_id: int = 1, period_ms: int = 1000, fields: int = 1) -> Device:
    """A device with some registers from 0."""
    return a_device(name, ([a_field(n) for n in range(fields)], period_ms), unit_id=unit_id)


async def test_rows_of_what_another_master_reads() -> None:
    """Each with the time of its reply's first byte; the chunks are in the trace; nothing is sent."""
    bench = Bench(meter())
    for second in range(5, 15):
        bench.exchange(1000 * second, second)
    async with bench.running():
        await bench.clock.advance(16_000)
        assert [row.values for row in bench.rows] == [(second,) for second in range(5, 15)]
        assert [row.at - bench.start for row in bench.rows] == [1000 * second + 20 for second in range(5, 15)]
        assert bench.loop.last_rows == (bench.rows[-1],)
        assert bench.loop.status == SouthStatus()
    assert bench.told == []
    labels = {"bus": "bus-1", "device": "m"}
    assert [bench.counters.get(name, **labels) for name in ("polls", "reads", "rows", "readings")] == [10] * 4
    assert [chunk.sent for chunk in bench.loop.trace.chunks()] == [False] * 20
    assert bench.loop.asks is None


async def test_only_devices_of_the_site_are_decoded() -> None:
    """Others are counted."""
    bench = Bench(meter())
    bench.exchange(SETTLED_MS, 7, unit_id=9)
    async with bench.running():
        await bench.clock.advance(6000)
    assert bench.rows == []
    assert bench.counters.get("overheard_of_others", bus="bus-1") == 1


async def test_a_device_that_does_not_answer_is_down() -> None:
    """Told once, urgently, with its cause; the other goes on; up at its first reply."""
    bench = Bench(meter("alive", 1), meter("dead", 2))
    for second in range(5, 70):
        bench.exchange(1000 * second, second)
        if second == 5 or second > 50:
            bench.exchange(1000 * second + 200, 1, unit_id=2)
        else:
            bench.says(1000 * second + 200, encode_rtu(Frame(2, encode_request(holding(1)))))
    async with bench.running():
        await bench.clock.advance(40_000)
        assert bench.told == [("dead", "device_down", "no_reply")]
        assert bench.loop.status == SouthStatus((), ("dead",))
        await bench.clock.advance(30_000)
        assert bench.told[1:] == [("dead", "device_up", "")]
        assert bench.loop.status == SouthStatus()
    assert all(event.urgent for event in bench.events)
    assert bench.counters.get("read_failures", bus="bus-1", device="dead", cause="no_reply") > 40


async def test_a_device_that_is_not_asked() -> None:
    """It may be well: the technician is told to look at the other master."""
    bench = Bench(meter("read", 1), meter("unread", 2))
    for second in range(5, 20):
        bench.exchange(1000 * second, second)
    async with bench.running():
        await bench.clock.advance(19_000)
        assert bench.told == [("unread", "device_down", "not_asked")]


async def test_a_master_that_asks_seldom_is_no_failure() -> None:
    """Once it is known how seldom."""
    bench = Bench(meter())
    for second in range(3, 200, 8):
        bench.exchange(1000 * second, second)
    async with bench.running():
        await bench.clock.advance(210_000)
        assert bench.told == []


async def test_a_silent_bus_is_told_as_one() -> None:
    """Not device by device; the first reply ends it, and the others have their time again."""
    bench = Bench(meter("a", 1), meter("b", 2))
    bench.exchange(30_000, 1)
    bench.exchange(31_000, 1)
    bench.exchange(32_000, 1, unit_id=2)
    bench.exchange(33_000, 1, unit_id=2)
    async with bench.running():
        await bench.clock.advance(20_000)
        assert bench.told == [("bus-1", "bus_silent", "not_asked")]
        assert bench.loop.status == SouthStatus(("bus-1",), (), ("bus-1",))
        await bench.clock.advance(15_000)
        assert bench.told[1:] == [("bus-1", "bus_heard", "")]
        assert bench.loop.status == SouthStatus()


async def test_wrong_line_settings_are_a_bad_reply() -> None:
    """Bytes come and nobody understands them."""
    bench = Bench(meter())
    for n in range(40):
        bench.says(500 * n, b"\x83\x13\xff\x07")
    async with bench.running():
        await bench.clock.advance(20_000)
        assert bench.told == [("m", "device_down", "bad_reply")]
    assert bench.counters.get("overheard_skipped_bytes", bus="bus-1") == 160


async def test_what_the_other_master_never_reads_is_told_once() -> None:
    """After ten minutes, by name; a long list is cut."""
    bench = Bench(meter(fields=3), meter("wide", 2, fields=40))
    for second in range(0, 1300, 5):
        bench.exchange(1000 * second, 1)
        bench.exchange(1000 * second + 500, 1, unit_id=2)
    async with bench.running():
        await bench.clock.advance(NEVER_MS - 1000)
        assert bench.told == []
        await bench.clock.advance(700_000)
        (few, many) = bench.told
    assert few == ("m", "never_heard", ("holding_1", "holding_2"))
    assert isinstance(many[2], tuple)
    assert many[2][0] == "holding_1"
    assert (many[2][-1], len(many[2])) == ("...", NEVER_NAMES_MAX + 1)


async def test_a_value_the_device_refuses() -> None:
    """An exception is an answer: the device is up, the failure is counted."""
    bench = Bench(meter())
    for second in range(5, 40):
        bench.says(1000 * second, encode_rtu(Frame(1, encode_request(holding(1)))))
        bench.says(1000 * second + 20, encode_rtu(Frame(1, b"\x83\x02")))
    async with bench.running():
        await bench.clock.advance(40_000)
        assert bench.told == []
    assert bench.rows == []
    assert bench.counters.get("read_failures", bus="bus-1", device="m", cause="exception_2") >= 30


async def test_a_missing_port_is_waited_for() -> None:
    """No device is blamed; what went before it came back is forgotten."""
    bench = Bench(meter())
    bench.missing = True
    async with bench.running():
        await bench.clock.advance(60_000)
        assert bench.told == [("bus-1", "bus_down", "no such port")]
        bench.missing = False
        for second in range(72, 90):
            bench.exchange(1000 * second, second)
        await bench.clock.advance(30_000)
        assert bench.told[1:] == [("bus-1", "bus_up", "")]
        assert [row.values[0] for row in bench.rows][-1] == 89


async def test_a_row_without_a_good_value_is_an_event_at_the_change() -> None:
    """The device says that it has none."""
    field = a_field(0, "f32")
    bench = Bench(a_device("m", ([field], 1000)))
    for second in range(5, 10):
        bench.exchange(1000 * second, 0x7FC0, count=2)
    async with bench.running():
        await bench.clock.advance(12_000)
        assert bench.told == [("m", "no_good_field", "not_a_number")]
    assert bench.rows == []


def test_only_modbus_can_be_overheard() -> None:
    """A serial sensor on it is a mistake of the compiler."""
    source = SerialSource(a_bus().line, Framing("line", 80, end=b"\n"), Parse("split"), 1000)
    bus = a_bus(Device("wind", a_profile([], source), 0, ()))
    with pytest.raises(TypeError):
        ListenLoop(bus, FakeClock(), Counters(), Random(1), lambda _row: None, lambda _event: None)
