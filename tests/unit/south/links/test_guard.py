"""The guard on a wire in memory: order, silence, deadlines, and what it believes."""

import asyncio

import pytest

from gateway.counters import Counters
from gateway.errors import BadReply, DeviceException, LinkDown, NoReply
from gateway.profile.profile import Line
from gateway.protocols.modbus_frame import Frame, encode_rtu
from gateway.protocols.modbus_pdu import Request, WriteCoils, WriteRegisters, function
from gateway.south.links.guard import Guard, silence_ns
from gateway.south.links.link import Heard, Manner, Reply
from gateway.south.links.modbus_links import RtuWire, StreamLink
from gateway.testing.clock import FakeClock
from gateway.testing.memory import MemoryStream
from tests.support.wires import MS, data, holding, passing, reply, scripted

SILENCE_NS = 2 * MS
EXCEPTION = encode_rtu(Frame(1, b"\x83\x06"))


class Bench:
    """A guard over our RTU link over a stream in memory."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.counters = Counters()
        self.stream = MemoryStream(self.clock)
        self.guard = self.over(StreamLink(self.stream, RtuWire(), self.clock))

    def over(self, link: StreamLink, **more: object) -> Guard:
        """A guard like ours."""
        late = more.get("late")
        assert late is None or late is self.guard.late
        return Guard(
            link,
            self.clock,
            self.counters,
            bus="b",
            silence_ns=SILENCE_NS,
            late=self.guard.late if late is not None else None,
        )

    def at(self, ms: float) -> int:
        """Boot ns, `ms` from now."""
        return self.clock.boot_ns() + int(ms * MS)

    async def ask(self, request: Request, timeout_ms: float = 100, unit_id: int = 1, min_gap_ms: float = 0) -> Reply:
        """One request, with the time it takes."""
        return await passing(
            self.clock, self.guard.request(unit_id, request, self.at(timeout_ms), Manner(int(min_gap_ms * MS)))
        )

    def count(self, name: str) -> float:
        """Of this bus."""
        return self.counters.get(name, bus="b")


@pytest.fixture
def bench() -> Bench:
    """Fresh for each test."""
    return Bench()


@pytest.mark.parametrize(
    ("transport", "baud", "expected_us"),
    [("rtu", 9600, 4010), ("rtu", 115_200, 1750), ("rtu_over_tcp", 19_200, 2005), ("tcp", 9600, 0)],
)
def test_silence_is_three_and_a_half_characters_and_at_least_1750_us(
    transport: str, baud: int, expected_us: int
) -> None:
    """Serial line specification 2.5.1.1; none on TCP."""
    assert silence_ns(transport, Line(baud)) // 1000 == expected_us


async def test_a_reply_comes_through_with_its_times(bench: Bench) -> None:
    """Sent, first byte, last byte."""
    bench.stream.script = scripted({0: [(5, reply(2)[:3]), (7, reply(2)[3:])]})
    sent_ns = bench.clock.boot_ns()
    got = await bench.ask(holding(2))
    assert got == Reply(data(2), sent_ns, sent_ns + 5 * MS, sent_ns + 7 * MS)


async def test_silence_is_kept_from_the_last_received_byte(bench: Bench) -> None:
    """The next request waits; the device's own gap makes it longer."""
    bench.stream.script = scripted({0: [(5, reply(2))], 1: [(1, reply(3))], 2: [(1, reply(4))]})
    first = await bench.ask(holding(2))
    second = await bench.ask(holding(3), min_gap_ms=9)
    assert bench.stream.sent_ns[1] == first.t_done_ns + 9 * MS
    await bench.ask(holding(4))
    assert bench.stream.sent_ns[2] == second.t_done_ns + SILENCE_NS


async def test_unasked_bytes_prolong_the_silence(bench: Bench) -> None:
    """Noise on the line just before a request: the silence counts from it."""
    bench.stream.script = scripted({0: [(5, reply(2))]})
    noise_ns = bench.at(1)
    bench.stream.arrive(noise_ns, b"\xff")
    await bench.clock.advance(1.5)
    await bench.ask(holding(2))
    assert bench.stream.sent_ns[0] == noise_ns + 500_000 + SILENCE_NS  # when it was noticed


async def test_a_line_that_is_never_silent_is_no_reply_and_nothing_is_sent(bench: Bench) -> None:
    """Bounded by the deadline."""
    for at in range(400):
        bench.stream.arrive(bench.at(at), b"\xff")
    with pytest.raises(NoReply, match="busy"):
        await bench.ask(holding(2), timeout_ms=50)
    assert bench.stream.sent == []
    assert bench.count("guard_busy") == 1


async def test_one_at_a_time_first_come_first_served(bench: Bench) -> None:
    """Three callers, one wire."""
    bench.stream.script = scripted({at: [(5, reply(2 + at))] for at in range(3)})
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(bench.guard.request(1, holding(2 + at), bench.at(100)), name=f"caller {at}")
            for at in range(3)
        ]
        await bench.clock.advance(100)
    assert [len(task.result().data) for task in tasks] == [4, 6, 8]
    assert bench.stream.sent_ns == sorted(bench.stream.sent_ns)


async def test_a_deadline_that_passed_in_the_queue_sends_nothing(bench: Bench) -> None:
    """And leaves no bar: nothing was asked."""
    bench.stream.script = scripted({0: [(80, reply(2))]})
    async with asyncio.TaskGroup() as group:
        first = group.create_task(bench.guard.request(1, holding(2), bench.at(100)), name="first")
        second = group.create_task(_failure(bench.guard.request(1, holding(3), bench.at(50))), name="second")
        await bench.clock.advance(200)
    assert first.result().data == data(2)
    assert isinstance(second.result(), NoReply)
    assert len(bench.stream.sent) == 1
    assert bench.guard.barred(1, holding(3)) is None


async def _failure(awaitable: object) -> BaseException:
    with pytest.raises((NoReply, BadReply)) as caught:
        await awaitable  # type: ignore[misc]
    return caught.value


async def test_no_reply_bars_its_shape_until_late_max(bench: Bench) -> None:
    """2 s after the deadline; other shapes and units go on meanwhile."""
    deadline_ns = bench.at(100)
    with pytest.raises(NoReply):
        await bench.ask(holding(2))
    assert bench.guard.barred(1, holding(2, address=9)) == deadline_ns + 2000 * MS
    assert bench.guard.barred(1, holding(3)) is None
    assert bench.guard.barred(2, holding(2)) is None
    await bench.clock.advance(2000)
    assert bench.guard.barred(1, holding(2)) is None


async def test_a_barred_request_fails_at_once_when_it_would_wait_too_long(bench: Bench) -> None:
    """No byte is sent, no time is lost."""
    with pytest.raises(NoReply):
        await bench.ask(holding(2))
    now_ns = bench.clock.boot_ns()
    with pytest.raises(NoReply, match="owes"):
        await bench.guard.request(1, holding(2), bench.at(100))
    assert bench.clock.boot_ns() == now_ns
    assert len(bench.stream.sent) == 1
    assert bench.count("guard_barred") == 1


async def test_a_barred_request_waits_when_its_deadline_allows(bench: Bench) -> None:
    """And others are served while it waits."""
    bench.stream.script = scripted({1: [(5, reply(3))], 2: [(5, reply(2))]})
    with pytest.raises(NoReply):
        await bench.ask(holding(2))
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(bench.guard.request(1, holding(2), bench.at(5000)), name="waiting")
        other = group.create_task(bench.guard.request(1, holding(3), bench.at(100)), name="other")
        await bench.clock.advance(50)
        assert other.done()
        assert not waiting.done()
        await bench.clock.advance(3000)
    assert waiting.result().data == data(2)


async def test_a_late_reply_heard_between_polls_lifts_its_bar(bench: Bench) -> None:
    """It is drained before the next request, and passed to the rule."""
    bench.stream.script = scripted({0: [(150, reply(2, 7))], 1: [(5, reply(3))], 2: [(5, reply(2, 8))]})
    with pytest.raises(NoReply):
        await bench.ask(holding(2))
    await bench.clock.advance(60)
    await bench.ask(holding(3))
    assert bench.guard.barred(1, holding(2)) is None
    assert (await bench.ask(holding(2))).data == data(2, 8)
    assert bench.count("guard_late") == 1


async def test_a_late_reply_is_not_taken_by_who_waits(bench: Bench) -> None:
    """It comes while another length is awaited, right before the awaited one."""
    bench.stream.script = scripted({0: [(150, reply(2, 7))], 1: [(51, reply(3, 9))], 2: [(5, reply(2, 8))]})
    with pytest.raises(NoReply):
        await bench.ask(holding(2))
    assert (await bench.ask(holding(3))).data == data(3, 9)
    assert (await bench.ask(holding(2))).data == data(2, 8)


async def test_an_exception_of_a_barred_unit_is_not_believed(bench: Bench) -> None:
    """It may answer the older request: BadReply, and a bar for the newer one too."""
    bench.stream.script = scripted({1: [(5, EXCEPTION)]})
    with pytest.raises(NoReply):
        await bench.ask(holding(2))
    with pytest.raises(BadReply, match="exception 6"):
        await bench.ask(holding(3))
    assert bench.guard.barred(1, holding(3)) is not None
    assert bench.count("guard_exception_not_believed") == 1


async def test_an_exception_without_a_bar_is_the_devices_word(bench: Bench) -> None:
    """And leaves nothing owed."""
    bench.stream.script = scripted({0: [(5, EXCEPTION)]})
    with pytest.raises(DeviceException):
        await bench.ask(holding(2))
    assert bench.guard.barred(1, holding(2)) is None


async def test_a_bad_reply_bars_its_shape(bench: Bench) -> None:
    """A wrong CRC may not have been its own."""
    bench.stream.script = scripted({0: [(5, reply(2)[:-1] + b"\0")]})
    with pytest.raises(BadReply):
        await bench.ask(holding(2))
    assert bench.guard.barred(1, holding(2)) is not None


async def test_a_cancelled_caller_bars_its_shape_and_keeps_the_line_quiet(bench: Bench) -> None:
    """The reply may be on the wire: nobody talks over it until the abandoned deadline."""
    abandoned_ns = bench.at(100)
    task = asyncio.ensure_future(bench.guard.request(1, holding(2), abandoned_ns))  # noqa: TID251 - cancelled here
    await bench.clock.advance(10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.guard.barred(1, holding(2)) == abandoned_ns + 2000 * MS
    bench.stream.script = scripted({0: [(5, reply(3))]})
    await bench.ask(holding(3), timeout_ms=500)
    assert bench.stream.sent_ns[1] == abandoned_ns


async def test_the_line_is_free_again_when_the_abandoned_reply_was_heard(bench: Bench) -> None:
    """Long before its deadline."""
    bench.stream.script = scripted({0: [(20, reply(2))], 1: [(5, reply(3))]})
    task = asyncio.ensure_future(bench.guard.request(1, holding(2), bench.at(1000)))  # noqa: TID251 - cancelled here
    await bench.clock.advance(10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await bench.clock.advance(30)
    asked_ns = bench.clock.boot_ns()
    await bench.ask(holding(3))
    assert bench.stream.sent_ns[1] == asked_ns + SILENCE_NS
    assert bench.guard.barred(1, holding(2)) is None


async def test_a_caller_cancelled_in_the_queue_owes_nothing(bench: Bench) -> None:
    """Nothing of it was sent."""
    bench.stream.script = scripted({0: [(50, reply(2))]})
    async with asyncio.TaskGroup() as group:
        first = group.create_task(bench.guard.request(1, holding(2), bench.at(100)), name="first")
        second = group.create_task(bench.guard.request(1, holding(3), bench.at(100)), name="second")
        await bench.clock.advance(10)
        second.cancel()
        await bench.clock.advance(100)
    assert first.result().data == data(2)
    assert bench.guard.barred(1, holding(3)) is None


async def test_bars_outlive_the_link(bench: Bench) -> None:
    """A port that was reopened still brings the old reply."""
    with pytest.raises(NoReply):
        await bench.ask(holding(2))
    bench.stream.vanish("unplugged")
    with pytest.raises(LinkDown):
        await bench.ask(holding(3))
    assert bench.guard.barred(1, holding(3)) is None  # it was never sent
    await bench.guard.close()
    bench.stream = MemoryStream(bench.clock)
    bench.guard = bench.over(StreamLink(bench.stream, RtuWire(), bench.clock), late=bench.guard.late)
    assert bench.guard.barred(1, holding(2)) is not None


async def test_a_link_lost_in_flight_bars_too(bench: Bench) -> None:
    """The request was sent; who knows."""
    task = asyncio.ensure_future(bench.guard.request(1, holding(2), bench.at(100)))  # noqa: TID251 - awaited here
    await bench.clock.advance(10)
    bench.stream.vanish("unplugged")
    with pytest.raises(LinkDown):
        await passing(bench.clock, task)
    assert bench.guard.barred(1, holding(2)) is not None


class BlindLink:
    """A link that cannot show its input, and answers what it is told."""

    def __init__(self, clock: FakeClock, data: bytes | None) -> None:
        self.clock, self.data, self.closed = clock, data, False

    async def request(self, unit_id: int, request: Request, deadline_ns: int) -> Reply:
        """As `Link`."""
        if self.data is None:
            raise NoReply(f"{unit_id} {request} {deadline_ns}")
        return Reply(self.data, *[self.clock.boot_ns()] * 3)

    def wake(self, data: bytes) -> None:
        """As `Link`."""

    def drain(self) -> Heard | None:
        """As `Link`."""
        return None

    async def close(self) -> None:
        """As `Link`."""
        self.closed = True


async def test_behind_a_blind_link_the_whole_unit_is_barred() -> None:
    """It would take any frame of the unit_id for the reply."""
    clock = FakeClock()
    guard = Guard(BlindLink(clock, None), clock, Counters(), bus="b", silence_ns=0)
    with pytest.raises(NoReply):
        await guard.request(1, holding(2), clock.boot_ns() + MS)
    assert guard.barred(1, holding(99)) is not None
    assert guard.barred(1, WriteRegisters(1, (1,))) is not None
    assert guard.barred(2, holding(2)) is None
    assert guard.drain() is None


@pytest.mark.parametrize(("request_", "told"), [(holding(2), b"\0\0"), (WriteRegisters(1, (1,)), b"\0")])
async def test_a_link_that_does_not_count_is_not_believed(request_: Request, told: bytes) -> None:
    """The last check is the guard's."""
    clock = FakeClock()
    link = BlindLink(clock, told)
    guard = Guard(link, clock, Counters(), bus="b", silence_ns=0)
    with pytest.raises(BadReply):
        await guard.request(1, request_, clock.boot_ns() + MS)
    await guard.close()
    assert link.closed


async def test_a_device_is_woken_before_it_is_asked(bench: Bench) -> None:
    """After the silence; the pause counts from the last byte of the call, which takes its time on the line."""
    bench.stream.script = scripted({1: [(5, reply(2))]})
    asked_ns = bench.clock.boot_ns()
    manner = Manner(min_gap_ns=4 * MS, wake=b"\0\0", wake_ns=5 * MS)
    bench.stream.arrive(asked_ns, b"\xff")
    await passing(bench.clock, bench.guard.request(1, holding(2), bench.at(100), manner))
    woken_ns = asked_ns + 4 * MS
    assert bench.stream.sent[0] == b"\0\0"
    assert bench.stream.sent_ns == [woken_ns, woken_ns + 2 * SILENCE_NS * 2 // 7 + 5 * MS]


async def test_what_a_device_says_to_a_wake_byte_is_no_reply(bench: Bench) -> None:
    """Even if it looks like one; the silence after it is kept."""
    bench.stream.script = scripted({0: [(4.5, reply(2, 7))], 1: [(5, reply(2, 8))]})
    woken_ns = bench.clock.boot_ns()
    manner = Manner(wake=b"\0", wake_ns=5 * MS)
    got = await passing(bench.clock, bench.guard.request(1, holding(2), bench.at(100), manner))
    assert got.data == data(2, 8)
    heard_ns = woken_ns + SILENCE_NS * 2 // 7 + 5 * MS  # when we looked
    assert bench.stream.sent_ns[1] == heard_ns + SILENCE_NS
    assert bench.count("guard_stray") == 1


async def test_a_deadline_before_the_device_is_awake_asks_nothing(bench: Bench) -> None:
    """And owes nothing."""
    with pytest.raises(NoReply):
        await passing(
            bench.clock, bench.guard.request(1, holding(2), bench.at(10), Manner(wake=b"\0", wake_ns=50 * MS))
        )
    assert bench.stream.sent == [b"\0"]
    assert bench.guard.barred(1, holding(2)) is None


async def test_a_read_comes_before_the_first_write_whose_reply_is_its_echo(bench: Bench) -> None:
    """Functions 5 and 6, once: then it is known whether the line hears itself."""
    write = WriteRegisters(9, (1,))
    written = encode_rtu(Frame(1, bytes.fromhex("06 0009 0001")))
    bench.stream.script = scripted({0: [(5, reply(1))], 1: [(5, written)], 2: [(5, written)]})
    for _ in range(2):
        await bench.ask(write)
    assert [sent[1:6].hex() for sent in bench.stream.sent] == ["0300090001", "0600090001", "0600090001"]


@pytest.mark.parametrize("before", [holding(2), WriteRegisters(9, (1, 2))], ids=["read", "write"])
async def test_what_was_answered_before_tells_as_well(bench: Bench, before: Request) -> None:
    """Of any other function, an exception too."""
    bench.stream.script = scripted(
        {
            0: [(5, encode_rtu(Frame(1, bytes((function(before) | 0x80, 2)))))],
            1: [(5, encode_rtu(Frame(1, bytes.fromhex("05 0009 FF00"))))],
        }
    )
    with pytest.raises(DeviceException):
        await bench.ask(before)
    await bench.ask(WriteCoils(9, (True,)))
    assert len(bench.stream.sent) == 2


async def test_a_refused_read_lets_the_write_go(bench: Bench) -> None:
    """A register that can only be written."""
    written = encode_rtu(Frame(1, bytes.fromhex("06 0009 0001")))
    bench.stream.script = scripted({0: [(5, EXCEPTION)], 1: [(5, written)]})
    await bench.ask(WriteRegisters(9, (1,)))
    assert len(bench.stream.sent) == 2


async def test_a_read_that_could_not_be_made_stops_the_write(bench: Bench) -> None:
    """Nothing is known of the line: not sent, not done."""
    for at in range(400):
        bench.stream.arrive(bench.at(at), b"\xff")
    with pytest.raises(NoReply, match="busy"):
        await bench.ask(WriteRegisters(9, (1,)), timeout_ms=50)
    assert bench.stream.sent == []


async def test_behind_a_blind_link_silence_tells_nothing_of_the_line() -> None:
    """An echo would be hidden in it: no write of these two before something was answered."""
    clock = FakeClock()
    guard = Guard(BlindLink(clock, None), clock, Counters(), bus="b", silence_ns=SILENCE_NS)
    with pytest.raises(NoReply, match="ReadRequest"):
        await passing(clock, guard.request(1, WriteRegisters(9, (1,)), clock.boot_ns() + 100 * MS))


async def test_a_good_reply_makes_the_devices_no_believed_again(bench: Bench) -> None:
    """A lost reply, then one register that is refused at every poll: not disbelieved for ever."""
    bench.stream.script = scripted({at: [(5, EXCEPTION)] if at % 2 else [(5, reply(4))] for at in range(1, 99)})
    with pytest.raises(NoReply):
        await bench.ask(holding(2))
    for _ in range(8):
        with pytest.raises(BadReply):
            await bench.ask(holding(3))
        await bench.ask(holding(4))
        await bench.clock.advance(100)
    await bench.clock.advance(1100)
    with pytest.raises(DeviceException):
        await bench.ask(holding(3))


async def test_a_stray_frame_is_counted(bench: Bench) -> None:
    """A frame that nobody owes: late_max is too short, or somebody else is on the bus."""
    bench.stream.arrive(bench.at(1), reply(5))
    await bench.clock.advance(2)
    heard = bench.guard.drain()
    assert heard is not None
    assert [frame.unit_id for frame in heard.frames] == [1]
    assert bench.count("guard_stray") == 1


async def test_drain_takes_nothing_from_an_exchange(bench: Bench) -> None:
    """What comes while someone waits is for him."""
    bench.stream.script = scripted({0: [(5, reply(2)[:3]), (10, reply(2)[3:])]})
    async with asyncio.TaskGroup() as group:
        task = group.create_task(bench.guard.request(1, holding(2), bench.at(100)), name="waiting")
        await bench.clock.advance(1)
        bench.guard.drain()
        bench.guard.barred(1, holding(2))
        await bench.clock.advance(20)
    assert task.result().data == data(2)
