"""gateway.south.stream: which frames become rows, at what time, and when a device that only talks is down."""

import asyncio
import os
import pty
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from gateway.clock.kernel import SystemClock
from gateway.counters import Counters
from gateway.errors import LinkDown
from gateway.model import BootMs, Event, Group, Quality, Row
from gateway.profile.profile import Field, Line, SerialSource
from gateway.protocols.declared import SetupStep
from gateway.protocols.framing import Framing
from gateway.protocols.parse import Parse
from gateway.seams import ByteStream, Clock
from gateway.site import Bus, Device, Polled
from gateway.south.reads import set_up
from gateway.south.stream import StreamLoop
from gateway.testing.clock import FakeClock, turns
from gateway.testing.memory import MemoryStream
from gateway.wire.documents import SouthStatus
from tests.support.south import NS_PER_MS, a_device, a_field, a_profile

FRAMING = Framing(
    "line",
    80,
    start=b"$",
    end=b"\n",
    checksum="xor",
    checksum_from=1,
    checksum_until=-3,
    checksum_at=-3,
    checksum_text=True,
)
PARSE = Parse("split", content_from=1, content_until=-3, require=(("1", "M"),))
NEVER_NS = 1 << 62
SPEED = Field("speed", "wind_speed", "m/s", "f", 1, part="0")


def _frame(speed: str, unit: str = "M") -> bytes:
    content = f"{speed},{unit}".encode()
    checksum = 0
    for byte in content:
        checksum ^= byte
    return b"$" + content + f"{checksum:02X}\n".encode()


def _bus(endpoint: str, *periods_ms: int, sent_every_ms: int = 1000, source: SerialSource | None = None) -> Bus:
    source = source or SerialSource(Line(), FRAMING, PARSE, sent_every_ms)
    groups = tuple(Polled(Group("wind", "wind", "test/wind@1", ("speed",), "f"), (SPEED,), ms) for ms in periods_ms)
    return Bus("bus-1", "stream", "own", endpoint, Line(), (Device("wind", a_profile([SPEED], source), 0, groups),))


class StillStream(MemoryStream):
    """One whose reader does not come back while the process stands `still`, whatever its deadline."""

    still = False

    async def read(self, max_bytes: int, deadline_ns: int) -> tuple[bytes, int]:
        """As `ByteStream`."""
        return await super().read(max_bytes, NEVER_NS if self.still else deadline_ns)


class Bench:
    """A sensor that sends by itself, in virtual time."""

    def __init__(self, *periods_ms: int, sent_every_ms: int = 1000, source: SerialSource | None = None) -> None:
        self.clock, self.counters = FakeClock(), Counters()
        self.stream = StillStream(self.clock)
        self.opening_ms = 0
        self.missing = False
        self.greeting: tuple[int, bytes] | None = None  # what comes so many ms after the port was opened
        self.start = self.clock.boot_ms()
        self.rows: list[Row] = []
        self.events: list[Event] = []
        bus = _bus("/dev/test", *periods_ms, sent_every_ms=sent_every_ms, source=source)
        random = Random(1)
        self.loop = StreamLoop(bus, self.clock, self.counters, random, self.rows.append, self.events.append, self._open)

    def says(self, at_ms: float, data: bytes) -> None:
        """Bytes at `at_ms` after the start."""
        self.stream.arrive(round((self.start + at_ms) * NS_PER_MS), data)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """`run` beside the test; stopped at its end."""
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.loop.run())
            yield
            self.loop.stop()
            await turns()
            assert task.done()
        assert self.stream.closed

    @property
    def times(self) -> list[int]:
        """Of the rows, in ms after the start."""
        return [row.at - self.start for row in self.rows]

    @property
    def told(self) -> list[tuple[str, str, object]]:
        """Subject, code, detail of every event."""
        return [(event.subject, event.code, event.detail) for event in self.events]

    def failures(self) -> float:
        """Frames that were bad."""
        return self.counters.get("read_failures", bus="bus-1", device="wind", cause="bad_reply")

    async def _open(self, bus: Bus, clock: Clock) -> ByteStream:
        assert (bus.name, clock) == ("bus-1", self.clock)
        if self.missing:
            raise LinkDown("no such port")
        if self.opening_ms:
            await self.clock.sleep_until(BootMs(self.clock.boot_ms() + self.opening_ms))
        if self.greeting:
            self.says(self.clock.boot_ms() - self.start + self.greeting[0], self.greeting[1])
        return self.stream


async def test_a_stream_at_the_period_of_the_site_is_stored_without_a_hole() -> None:
    """1 Hz and 1 s, with a crystal that is 1 % fast and jitter: every frame is a row."""
    bench, chance = Bench(1000), Random(5)
    for n in range(100):
        bench.says(990 * n + chance.randrange(100), _frame(f"{n}.5"))
    async with bench.running():
        await bench.clock.advance(99_200)
    assert [row.values for row in bench.rows] == [(n + 0.5,) for n in range(100)]
    assert bench.counters.get("readings", bus="bus-1", device="wind") == 100


async def test_a_frame_that_was_read_late_does_not_cost_the_next_one() -> None:
    """The period goes on from when it was due: the device keeps its own rhythm, whatever held us up."""
    bench = Bench(1000)
    for n in range(6):
        bench.says(1000 * n + (362 if n == 2 else 0), _frame(f"{n}.0"))
    async with bench.running():
        await bench.clock.advance(6000)
    assert [row.values for row in bench.rows] == [(float(n),) for n in range(6)]


async def test_a_slow_crystal_costs_nothing() -> None:
    """What it lags behind is forgiven before it is a frame."""
    bench = Bench(1000)
    for n in range(300):
        bench.says(1005 * n, _frame(f"{n}.0"))
    async with bench.running():
        await bench.clock.advance(1005 * 300)
    assert len(bench.rows) == 300


async def test_a_faster_stream_is_sampled() -> None:
    """20 frames a second, one row a second; nothing is queued."""
    bench = Bench(1000, sent_every_ms=50)
    for n in range(200):
        bench.says(50 * n, _frame(f"{n}"))
    async with bench.running():
        await bench.clock.advance(10_000)
    assert bench.times == [0, 1000, 2000, 3000, 4000, 5000, 6000, 7000, 8000, 9000]
    assert bench.counters.get("reads", bus="bus-1", device="wind") == 200
    assert bench.counters.get("polls", bus="bus-1", device="wind") == len(bench.rows)
    assert bench.counters.get("frames_between", bus="bus-1", device="wind") == 200 - len(bench.rows)


async def test_other_sentences_are_passed_over() -> None:
    """They are no failure, and no sign of life of the one that is wanted."""
    framing = Framing("line", 80, start=b"$", end=b"\r\n")
    parse = Parse("sentence", content_from=1, content_until=-2, sentence="MWV")
    bench = Bench(1000, source=SerialSource(Line(), framing, parse, 1000))
    for n in range(8):
        bench.says(1000 * n, b"$GPGSV,1,2*\r\n")
        bench.says(1000 * n + 100, b"$WIMWV,1,2*\r\n" if n < 2 else b"$WIMDA,1*\r\n")
    async with bench.running():
        await bench.clock.advance(8000)
        assert bench.told[-1] == ("wind", "device_down", "no_reply")
    assert bench.failures() == 0
    assert bench.counters.get("frames_passed_over", bus="bus-1", device="wind") == 14


async def test_a_period_of_many_frames_is_kept() -> None:
    """1 Hz and 10 s: a row every tenth frame, not every eighth; each group has its own rhythm."""
    bench = Bench(10_000, 2000)
    for n in range(60):
        bench.says(1000 * n + 7, _frame(f"{n}"))
    async with bench.running():
        await bench.clock.advance(60_000)
        assert len(bench.loop.last_rows) == 2
    assert len(bench.rows) == 6 + 30


async def test_a_row_has_the_time_of_the_read_that_brought_the_first_byte() -> None:
    """A frame in three pieces, and two frames whose border lies inside a piece."""
    bench = Bench(500)
    first, second, third = _frame("1"), _frame("2"), _frame("3")
    bench.says(100, first[:2])
    bench.says(150, first[2:5])
    bench.says(200, first[5:])
    bench.says(1000, second + third[:4])
    bench.says(1600, third[4:])
    bench.says(2100, b"$ noise " + _frame("4"))
    async with bench.running():
        await bench.clock.advance(3000)
    assert [(at, row.values) for at, row in zip(bench.times, bench.rows, strict=True)] == [
        (100, (1,)),
        (1000, (2,)),
        (2100, (4,)),
    ]


async def test_a_noise_byte_does_not_make_the_next_frame_older() -> None:
    """A start byte from nowhere, and silence: the frame that comes 700 ms later has its own time."""
    bench = Bench(1000)
    bench.says(100, b"$")
    bench.says(800, _frame("1"))
    async with bench.running():
        await bench.clock.advance(1000)
    assert bench.times == [800]


async def test_bad_frames_are_counted_and_never_become_rows() -> None:
    """A wrong checksum, and a frame that is not in the unit the profile requires."""
    bench = Bench(1000)
    bench.says(0, _frame("1").replace(b"1", b"7", 1))
    bench.says(1000, _frame("2", unit="K"))
    bench.says(2000, _frame("3"))
    async with bench.running():
        await bench.clock.advance(2500)
    assert [row.values for row in bench.rows] == [(3,)]
    assert bench.failures() == 2
    assert bench.told == []


async def test_a_frame_without_a_value_makes_no_row_and_is_told_at_the_change() -> None:
    """The sensor says that it has none; the good one after it is a row; the next empty one is news again."""
    bench = Bench(1000)
    for n, speed in enumerate(["", "", "1", ""]):
        bench.says(1000 * n, _frame(speed))
    async with bench.running():
        await bench.clock.advance(4000)
    assert [row.values for row in bench.rows] == [(1,)]
    assert bench.told == [("wind", "no_good_field", str(Quality.NO_VALUE))] * 2


async def test_three_periods_of_silence_take_the_device_down() -> None:
    """Told once, urgently, with its cause; up at the first good frame; nothing is told of the bus."""
    bench = Bench(1000)
    bench.says(0, _frame("1"))
    bench.says(60_000, _frame("2"))
    async with bench.running():
        await bench.clock.advance(2999)
        assert bench.told == []
        await bench.clock.advance(1)
        assert bench.told == [("wind", "device_down", "no_reply")]
        assert bench.loop.status == SouthStatus((), ("wind",))
        await bench.clock.advance(57_001)
        assert bench.told[1:] == [("wind", "device_up", "")]
        assert bench.loop.status == SouthStatus()
    assert all(event.urgent for event in bench.events)


async def test_a_fast_stream_may_be_silent_for_three_seconds() -> None:
    """Three periods of 50 ms are too short to alarm a city; three of 10 s are what they are."""
    for sent_every_ms, down_at in [(50, 3000), (10_000, 30_000)]:
        bench = Bench(1000, sent_every_ms=sent_every_ms)
        async with bench.running():
            await bench.clock.advance(down_at - 1)
            assert bench.told == []
            await bench.clock.advance(1)
            assert bench.loop.status.devices_down == ("wind",)


async def test_nothing_but_garbage_is_a_bad_reply() -> None:
    """The cable is there, the settings are wrong: the technician is told so."""
    bench = Bench(1000)
    for n in range(10):
        bench.says(500 * n, _frame("1", unit="K"))
    async with bench.running():
        await bench.clock.advance(5000)
    assert bench.told == [("wind", "device_down", "bad_reply")]


async def test_a_missing_port_is_not_the_devices_fault() -> None:
    """Told of the bus, once; when the port comes, the device has its three periods again."""
    bench = Bench(1000)
    bench.missing = True
    async with bench.running():
        await bench.clock.advance(60_000)
        assert bench.told == [("bus-1", "bus_down", "no such port")]
        assert bench.loop.status == SouthStatus(("bus-1",), ())
        bench.missing = False
        bench.greeting = 2500, _frame("1")
        await bench.clock.advance(12_600)
        assert bench.told[1:2] == [("bus-1", "bus_up", "")]
        assert len(bench.rows) == 1


async def test_an_open_port_with_a_dead_sensor_is_the_sensors_fault() -> None:
    """The bus is believed again after ten seconds without a loss, though not a byte came."""
    bench = Bench(1000)
    bench.missing = True
    async with bench.running():
        await bench.clock.advance(5000)
        bench.missing = False
        await bench.clock.advance(25_000)
        assert bench.loop.status == SouthStatus((), ("wind",))


async def test_a_port_that_vanishes_is_opened_again() -> None:
    """The loop goes on with the next stream."""
    bench = Bench(1000)
    bench.says(0, _frame("1"))
    async with bench.running():
        await bench.clock.advance(500)
        old, bench.stream = bench.stream, StillStream(bench.clock)
        old.vanish("unplugged")
        bench.says(5000, _frame("2"))
        await bench.clock.advance(10_000)
        assert old.closed
    assert bench.times == [0, 5000]


def test_only_serial_sensors_talk_by_themselves() -> None:
    """A Modbus device on a stream is a mistake of the compiler."""
    bus = Bus("bus-1", "stream", "own", "/dev/x", Line(), (a_device("m", ([a_field(0)], 1000)),))
    with pytest.raises(TypeError):
        StreamLoop(bus, FakeClock(), Counters(), Random(1), lambda _row: None, lambda _event: None)


async def test_over_a_real_terminal() -> None:
    """Bytes through a pty, the real clock: the row that was sent, and a clean stop."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    rows: asyncio.Queue[Row] = asyncio.Queue()
    bus = _bus(os.ttyname(slave), 1000)
    loop = StreamLoop(bus, SystemClock("system"), Counters(), Random(1), rows.put_nowait, lambda _event: None)
    try:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(loop.run())
            async with asyncio.timeout(10):
                while rows.empty():  # what is sent before the port is open is flushed
                    os.write(master, _frame("4.2"))
                    await asyncio.sleep(0.02)  # noqa: TID251 - a real sensor's pause
            loop.stop()
        assert task.done()
        assert (await rows.get()).values == (4.2,)
    finally:
        os.close(master)
        os.close(slave)


async def test_frames_that_waited_are_not_taken_for_new_ones() -> None:
    """A process that stood still finds seconds of frames in one read, and nobody knows when they came."""
    bench = Bench(1000)
    bench.says(0, _frame("1.0"))
    bench.says(12_000, _frame("2.0") + _frame("3.0") + _frame("4.0"))
    bench.says(12_400, _frame("5.0"))
    async with bench.running():
        await bench.clock.advance(13_000)
    assert [(row.values, row.at - bench.start) for row in bench.rows] == [((1.0,), 0), ((5.0,), 12_400)]
    assert bench.counters.get("frames_late", bus="bus-1", device="wind") == 3


async def test_a_frame_that_came_before_the_stop_is_taken() -> None:
    """A process that is short of time is told to stop before it has read what is there."""
    bench = Bench(1000)
    bench.says(0, _frame("1.0"))
    async with bench.running():
        await bench.clock.advance(1050)
        bench.says(1050, _frame("2.0"))
    assert [row.values for row in bench.rows] == [(1.0,), (2.0,)]


async def test_one_frame_that_waited_is_not_given_the_time_of_its_read() -> None:
    """Other tasks kept the loop for 365 ms: the frame came somewhere in it. The next one has its time again."""
    bench = Bench(1000)
    bench.says(1000, _frame("1.0"))
    bench.says(2300, _frame("2.0")[:3])  # read then; it came at 1985
    bench.says(2310, _frame("2.0")[3:])
    bench.says(2985, _frame("3.0"))
    async with bench.running():
        await bench.clock.advance(1900)
        bench.stream.still = True
        await bench.clock.advance(405)
        bench.stream.still = False
        await bench.clock.advance(1000)
    assert [(row.values, row.at - bench.start) for row in bench.rows] == [((1.0,), 1000), ((3.0,), 2985)]
    assert bench.counters.get("frames_late", bus="bus-1", device="wind") == 1


async def test_a_frame_that_waited_for_the_opening_is_not_taken() -> None:
    """The port was open and nobody looked yet: the process was still starting."""
    bench = Bench(1000)
    bench.opening_ms = 365
    bench.says(365, _frame("1.0"))
    bench.says(1000, _frame("2.0"))
    async with bench.running():
        await bench.clock.advance(1100)
    assert bench.times == [1000]


async def test_frames_of_a_burst_are_not_late() -> None:
    """A fast device behind a USB adapter: several frames in one read are no sign of a stall."""
    bench = Bench(50, sent_every_ms=50)
    bench.says(0, _frame("1.0") + _frame("2.0"))
    async with bench.running():
        await bench.clock.advance(100)
    assert [row.values for row in bench.rows] == [(1.0,)]
    assert bench.counters.get("frames_late", bus="bus-1", device="wind") == 0


async def test_a_device_that_sends_by_itself_is_set_up_when_it_is_opened_and_while_it_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once at the opening; again while it is silent, APART_MS apart."""
    monkeypatch.setattr(set_up, "APART_MS", 20_000)
    steps = (SetupStep("42 01", pause_ms=50), SetupStep("42 02"))
    bench = Bench(1000, source=SerialSource(Line(), FRAMING, PARSE, 1000, setup=steps))
    bench.says(400, _frame("2.5"))
    async with bench.running():
        await bench.clock.advance(3000)
        assert bench.stream.sent == [b"B\x01", b"B\x02"]
        assert bench.stream.sent_ns[1] - bench.stream.sent_ns[0] >= 50 * NS_PER_MS
        assert len(bench.rows) == 1
        await bench.clock.advance(16_000)
        assert len(bench.stream.sent) == 2
        await bench.clock.advance(6_000)
        assert bench.stream.sent[2:] == [b"B\x01", b"B\x02"]
        await bench.clock.advance(12_000)
        assert len(bench.stream.sent) == 4
