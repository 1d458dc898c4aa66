"""Our links on a stream in memory: what is taken for the answer, what is kept for the guard, what ends the link."""

import asyncio
from collections.abc import Awaitable

import pytest

from gateway.errors import BadReply, DeviceException, LinkDown, NoReply
from gateway.profile.profile import Line
from gateway.protocols.modbus_frame import Frame, encode_rtu, encode_tcp
from gateway.protocols.modbus_pdu import ReadRequest, Table, WriteRegisters
from gateway.site import Bus
from gateway.south.links.link import Heard, Link, NotSent
from gateway.south.links.modbus_links import UNHEARD_MAX, RtuWire, StreamLink, TcpWire, open_own
from gateway.south.links.pulse import Pulse
from gateway.south.links.trace import Trace
from gateway.testing.clock import FakeClock
from gateway.testing.memory import MemoryStream, Script
from tests.support.wires import MS, data, holding, passing, reply, scripted

WRITE = WriteRegisters(1, (3,))
WRITE_FRAME = encode_rtu(Frame(1, bytes.fromhex("06 0001 0003")))


class Bench:
    """A link of ours and its stream."""

    def __init__(self, wire: RtuWire | TcpWire, script: Script) -> None:
        self.clock = FakeClock()
        self.stream = MemoryStream(self.clock, script)
        self.trace = Trace()
        self.link: Link = StreamLink(self.stream, wire, self.clock, self.trace)

    async def ask(self, request: ReadRequest | WriteRegisters, timeout_ms: int = 100) -> bytes:
        """The data of one exchange with unit_id 1."""
        deadline_ns = self.clock.boot_ns() + timeout_ms * MS
        return (await passing(self.clock, self.link.request(1, request, deadline_ns))).data

    def heard(self) -> Heard:
        """What the link kept."""
        heard = self.link.drain()
        assert heard is not None
        return heard


def rtu(*answers: bytes) -> Bench:
    """The n-th request is answered with the n-th bytes, 5 ms later."""
    return Bench(RtuWire(), scripted({at: [(5, answer)] for at, answer in enumerate(answers)}))


def tcp(*answers: bytes) -> Bench:
    """The same over TCP."""
    return Bench(TcpWire(), scripted({at: [(5, answer)] for at, answer in enumerate(answers)}))


def mbap(pdu: str, tid: int, unit_id: int = 1) -> bytes:
    """A TCP frame."""
    return encode_tcp(Frame(unit_id, bytes.fromhex(pdu), tid))


async def test_rtu_asks_and_takes_the_answer() -> None:
    """The bytes of the specification's example."""
    bench = rtu(reply(3, 0x22B))
    assert await bench.ask(holding(3, 0x6B)) == data(3, 0x22B)
    assert bench.stream.sent[0][:-2] == bytes.fromhex("01 03 006B 0003")


async def test_rtu_passes_over_what_does_not_fit() -> None:
    """Another unit_id, another length, garbage, our echo: and tells the guard of the whole frames."""
    other, longer = reply(3, unit_id=2), reply(4)
    echo = encode_rtu(Frame(1, bytes.fromhex("03 0000 0003")))
    bench = rtu(echo + b"\xff\x01\x03" + other + longer + reply(3))
    assert await bench.ask(holding(3)) == data(3)
    assert [(frame.unit_id, len(frame.pdu)) for frame in bench.heard().frames] == [(2, 8), (1, 10)]
    assert bench.heard().frames == ()


async def test_what_comes_behind_the_answer_is_kept_too() -> None:
    """A second answer in the same bytes is nobody's."""
    bench = rtu(reply(3, 7) + reply(3, 8))
    assert await bench.ask(holding(3)) == data(3, 7)
    assert len(bench.heard().frames) == 1


async def test_the_first_byte_is_that_of_the_answer() -> None:
    """Not that of a late frame before it."""
    bench = Bench(RtuWire(), scripted({0: [(5, reply(4)), (9, reply(3)[:2]), (11, reply(3)[2:])]}))
    sent_ns = bench.clock.boot_ns()
    got = await passing(bench.clock, bench.link.request(1, holding(3), sent_ns + 100 * MS))
    assert (got.t_sent_ns, got.t_first_ns, got.t_done_ns) == (sent_ns, sent_ns + 9 * MS, sent_ns + 11 * MS)


async def test_the_first_byte_is_not_that_of_our_echo() -> None:
    """Nor of noise that comes with it: the device answers later, and the row's time is its answer's."""
    for before in (b"", b"\x01\x03\x06"):
        echo = encode_rtu(Frame(1, bytes.fromhex("03 0000 0003")))
        answers = [(2, echo + before), (9, reply(3)[:2]), (11, reply(3)[2:])]
        bench = Bench(RtuWire(), scripted({0: answers}))
        sent_ns = bench.clock.boot_ns()
        got = await passing(bench.clock, bench.link.request(1, holding(3), sent_ns + 100 * MS))
        assert got.t_first_ns == sent_ns + 9 * MS


async def test_a_frame_that_began_before_the_request_is_not_its_answer() -> None:
    """Half of a late reply was held when its shape became free again; its rest comes, and then the answer."""
    late = reply(3, 7)
    bench = Bench(RtuWire(), scripted({0: [(5, late[:6])], 1: [(2, late[6:]), (9, reply(3, 8))]}))
    with pytest.raises(BadReply):
        await bench.ask(holding(3))
    assert await bench.ask(holding(3)) == data(3, 8)
    assert [frame.pdu[2:] for frame in bench.heard().frames] == [data(3, 7)]


async def test_a_frame_that_stood_whole_behind_a_false_header_is_not_the_next_answer() -> None:
    """Noise that looks like the beginning of a long frame hides a late reply until the wanted one is looked for."""
    bench = rtu(b"", b"\x02\x03\x80" + reply(3, 7), reply(3, 8))
    for _ in range(2):
        with pytest.raises((NoReply, BadReply)):
            await bench.ask(holding(4))
    assert await bench.ask(holding(3)) == data(3, 8)


class Babbling(MemoryStream):
    """A wire on which bytes come without a pause: every read has some at once, also after its deadline."""

    async def read(self, max_bytes: int, deadline_ns: int) -> tuple[bytes, int]:
        """A millisecond of noise."""
        await self._clock.wire_wait(self._clock.boot_ns() + MS)
        assert self._clock.boot_ns() < deadline_ns + 10 * MS, "it is read for ever"
        return bytes(10)[:max_bytes], self._clock.boot_ns()


async def test_a_wire_that_never_pauses_is_given_up_at_the_deadline() -> None:
    """Else an endpoint that floods us would hold the whole process."""
    clock = FakeClock()
    link = StreamLink(Babbling(clock), RtuWire(), clock)
    with pytest.raises(BadReply, match="1000 bytes"):
        await passing(clock, link.request(1, holding(3), clock.boot_ns() + 100 * MS))


async def test_nothing_and_nothing_good_are_told_apart() -> None:
    """NoReply and BadReply, both at the deadline."""
    bench = rtu(b"", reply(3)[:-1], reply(3))
    with pytest.raises(NoReply):
        await bench.ask(holding(3))
    with pytest.raises(BadReply, match="10 bytes"):
        await bench.ask(holding(3))
    assert await bench.ask(holding(3)) == data(3)


async def test_an_exception_is_told_at_once() -> None:
    """With its code."""
    with pytest.raises(DeviceException) as refused:
        await rtu(encode_rtu(Frame(1, b"\x83\x02"))).ask(holding(3))
    assert refused.value.exception == 2


async def test_the_echo_of_a_write_is_not_its_reply() -> None:
    """Function 6 answers with its own request: on a line that was heard to echo, it has to come twice."""
    question = encode_rtu(Frame(1, bytes.fromhex("03 0000 0003")))
    bench = rtu(question + reply(3), WRITE_FRAME, WRITE_FRAME + WRITE_FRAME)
    await bench.ask(holding(3))
    with pytest.raises(NoReply, match="echo"):
        await bench.ask(WRITE)
    assert await bench.ask(WRITE) == WRITE_FRAME[2:-2]


@pytest.mark.parametrize("noise", [b"", b"\xff\0"], ids=["clean", "behind noise"])
async def test_an_unanswered_read_tells_of_the_echo_too(noise: bytes) -> None:
    """Its echo came, its reply did not: NoReply, and the next write is not taken in by its own."""
    question = encode_rtu(Frame(1, bytes.fromhex("03 0000 0003")))
    bench = rtu(noise + question, WRITE_FRAME, WRITE_FRAME + WRITE_FRAME)
    with pytest.raises(BadReply if noise else NoReply):
        await bench.ask(holding(3))
    with pytest.raises(NoReply):
        await bench.ask(WRITE)
    assert await bench.ask(WRITE) == WRITE_FRAME[2:-2]


async def test_a_line_without_echo_needs_no_second_reply_to_a_write() -> None:
    """Also after it stopped to echo."""
    question = encode_rtu(Frame(1, bytes.fromhex("03 0000 0003")))
    bench = rtu(WRITE_FRAME, question + reply(3), reply(3), WRITE_FRAME)
    await bench.ask(WRITE)
    await bench.ask(holding(3))
    await bench.ask(holding(3))
    assert await bench.ask(WRITE) == WRITE_FRAME[2:-2]


async def test_the_echo_of_a_read_that_looks_like_its_reply_is_not_believed() -> None:
    """Function 1 at 0x03xx for 24 coils: its own frame has the form of an answer with three bytes."""
    request = ReadRequest(Table.COIL, 0x0321, 24)
    echo = encode_rtu(Frame(1, bytes.fromhex("01 0321 0018")))
    answer = encode_rtu(Frame(1, bytes.fromhex("01 03 AABBCC")))
    assert await rtu(echo + answer).ask(request) == bytes.fromhex("AABBCC")


async def test_drain_takes_what_came_between() -> None:
    """With the time of its last byte."""
    bench = rtu()
    bench.stream.arrive(bench.clock.boot_ns() + MS, reply(3))
    await bench.clock.advance(2)
    assert bench.heard() == Heard((Frame(1, reply(3)[1:-2]),), bench.clock.boot_ns())
    assert bench.heard().frames == ()


async def test_what_is_kept_is_bounded() -> None:
    """A babbling line cannot eat RAM."""
    bench = rtu()
    for _ in range(3 * UNHEARD_MAX):
        bench.stream.arrive(0, reply(1))
    assert len(bench.heard().frames) == UNHEARD_MAX


async def test_tcp_asks_and_takes_the_answer() -> None:
    """Transactions rise; another one's frame is passed over and kept."""
    bench = tcp(mbap("03 02 0007", 1), mbap("03 02 0008", 1) + mbap("03 02 0009", 2))
    assert await bench.ask(holding(1)) == b"\0\x07"
    assert await bench.ask(holding(1)) == b"\0\x09"
    assert bench.heard().frames == (Frame(1, bytes.fromhex("03 02 0008"), 1),)
    assert [sent[:2] for sent in bench.stream.sent] == [b"\0\x01", b"\0\x02"]


@pytest.mark.parametrize("pdu", ["04 02 0007", "03 04 0007 0008", "03 02 00", "84 02", "03 04 0007"])
async def test_tcp_with_our_transaction_and_something_else_is_bad_at_once(pdu: str) -> None:
    """The server has spent its answer; the link goes on."""
    bench = tcp(mbap(pdu, 1), mbap("03 02 0007", 2))
    asked_ns = bench.clock.boot_ns()
    with pytest.raises(BadReply):
        await bench.ask(holding(1))
    assert bench.clock.boot_ns() < asked_ns + 10 * MS
    assert await bench.ask(holding(1)) == b"\0\x07"


async def test_tcp_passes_over_what_may_be_an_earlier_requests() -> None:
    """A converter gave it our transaction: ours is still to come. Once it is accounted for, a misfit is bad at once."""
    bench = tcp(b"", mbap("03 02 0007", 2) + mbap("03 04 0008 0009", 2), mbap("03 02 0007", 3))
    with pytest.raises(NoReply):
        await bench.ask(holding(1))
    assert await bench.ask(holding(2)) == bytes.fromhex("0008 0009")
    assert [len(frame.pdu) for frame in bench.heard().frames] == [4]
    asked_ns = bench.clock.boot_ns()
    with pytest.raises(BadReply):
        await bench.ask(holding(2))
    assert bench.clock.boot_ns() < asked_ns + 10 * MS
    assert [len(frame.pdu) for frame in bench.heard().frames] == [4]


async def test_everything_that_goes_over_the_wire_is_noted() -> None:
    """Sent, answered, drained and called awake, with its times; nothing that was not sent."""
    bench = rtu(reply(3))
    begun_ns = bench.clock.boot_ns()
    await bench.ask(holding(3))
    bench.link.wake(b"\0")
    bench.stream.arrive(bench.clock.boot_ns(), b"\x55")
    bench.heard()
    bench.stream.vanish("unplugged")
    with pytest.raises(NotSent):
        bench.link.wake(b"\0")
    chunks = bench.trace.chunks()
    assert [(chunk.sent, chunk.data) for chunk in chunks] == [
        (True, bench.stream.sent[0]),
        (False, reply(3)),
        (True, b"\0"),
        (False, b"\x55"),
    ]
    assert [chunk.at_ns - begun_ns for chunk in chunks[:2]] == [0, 5 * MS]


async def _failure(asked: Awaitable[object]) -> BaseException:
    with pytest.raises((NoReply, LinkDown)) as failure:
        await asked
    return failure.value


async def test_a_connection_without_a_pulse_is_lost() -> None:
    """Ten seconds of requests without one byte; a serial port has none to lose."""
    for pulse, lost in ((Pulse(), LinkDown), (None, NoReply)):
        clock = FakeClock()
        link = StreamLink(MemoryStream(clock), TcpWire(), clock, pulse=pulse)
        for error in (NoReply, NoReply, lost):
            async with asyncio.TaskGroup() as group:
                asked = link.request(1, holding(1), clock.boot_ns() + 4_000 * MS)
                task = group.create_task(_failure(asked), name="asked")
                await clock.advance(4_000)
            assert type(task.result()) is error


async def test_tcp_from_another_unit_is_bad() -> None:
    """unit_id is checked on TCP too."""
    with pytest.raises(BadReply):
        await tcp(mbap("03 02 0007", 1, unit_id=2)).ask(holding(1))


async def test_tcp_byte_count_is_checked() -> None:
    """A frame of the right length whose count says otherwise."""
    with pytest.raises(BadReply):
        await tcp(mbap("03 04 0007", 1)).ask(holding(1))


@pytest.mark.parametrize("torn", [mbap("03 02 0007", 1)[:-1], b"\0\x01\0\x01\0\x05\x01\x03"], ids=["torn", "lost step"])
async def test_tcp_that_lost_step_is_bad_and_then_dead(torn: bytes) -> None:
    """Nothing behind it can be trusted: the owner opens another link."""
    bench = tcp(torn, mbap("03 02 0007", 2))
    with pytest.raises(BadReply):
        await bench.ask(holding(1))
    with pytest.raises(LinkDown, match="lost step"):
        await bench.ask(holding(1))
    assert len(bench.stream.sent) == 1


async def test_tcp_that_lost_step_between_requests_is_dead() -> None:
    """Found while draining."""
    bench = tcp()
    bench.stream.arrive(0, b"HTTP/1.1 400 Bad Request")
    assert bench.heard().frames == ()
    with pytest.raises(LinkDown, match="lost step"):
        await bench.ask(holding(1))


async def test_transactions_wrap_and_skip_zero() -> None:
    """Some servers treat 0 as none."""
    wire = TcpWire()
    tids = [int.from_bytes(wire.ask(1, holding(1))[:2], "big") for _ in range(0x10001)]
    assert (tids[0], tids[0xFFFE], tids[0xFFFF]) == (1, 0xFFFF, 1)


async def test_a_vanished_port_is_link_down_and_stays_so() -> None:
    """While waiting, while draining, and ever after."""
    bench = rtu()
    bench.stream.vanish("unplugged")
    assert bench.heard().frames == ()
    for _ in range(2):
        with pytest.raises(LinkDown, match="unplugged"):
            await bench.ask(holding(1))


async def test_a_closed_link_is_down() -> None:
    """Close is idempotent."""
    bench = rtu()
    await bench.link.close()
    await bench.link.close()
    assert bench.stream.closed
    with pytest.raises(LinkDown, match="closed"):
        await bench.ask(holding(1))


@pytest.mark.parametrize(
    ("transport", "endpoint"), [("tcp", "502"), ("tcp", "host:modbus"), ("stream", "127.0.0.1:1"), ("rtu", "/dev/none")]
)
async def test_a_bus_that_cannot_be_opened_is_link_down(transport: str, endpoint: str) -> None:
    """With its endpoint in the text."""
    with pytest.raises(LinkDown, match=endpoint):
        await open_own(Bus("b", transport, "own", endpoint, Line(), ()), FakeClock())
