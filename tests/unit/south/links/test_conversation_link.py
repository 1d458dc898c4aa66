"""gateway.south.links.conversation_link: what is done for a talk, and what comes out of it."""

import asyncio
from collections.abc import Iterable, Mapping

import pytest

from gateway.counters import Counters
from gateway.errors import BadReply, GatewayError, LinkDown, NoReply
from gateway.profile.profile import Line
from gateway.protocols.conversation import Pause, Receive, Send, SetBaud, Talk
from gateway.protocols.framing import Framing
from gateway.south.links.conversation_link import ConversationLink, Told
from gateway.south.links.link import NotSent
from gateway.south.links.owed import Owed
from gateway.south.links.pulse import Pulse
from gateway.south.links.trace import Trace
from gateway.testing.clock import FakeClock
from gateway.testing.memory import MemoryStream
from tests.support.south import NS_PER_MS

LINE = Framing("line", 64, start=b"#", end=b"\r")
CHAR_MS = 10 / 9.6  # 9600 8N1


def _ask(request: bytes = b"?\r", timeout_ms: int = 200) -> Talk:
    yield Send(request)
    frame = yield Receive(LINE, timeout_ms)
    if not frame:
        raise NoReply("nothing came")
    return {"frame": frame}


class Bench:
    """A link on a port in virtual time."""

    def __init__(self, *answers: tuple[float, bytes]) -> None:
        self.clock, self.counters, self.owed = FakeClock(), Counters(), Owed()
        self.answers = list(answers)
        self.stream = MemoryStream(self.clock, self._answer)
        self.link = ConversationLink(self.stream, Line(), self.clock, self.owed, Trace(), self.counters, bus="bus-1")

    def _answer(self, sent: bytes) -> Iterable[tuple[float, bytes]]:
        assert sent
        answers, self.answers = self.answers, []
        return answers

    async def made(self, talk: Talk, ms: float = 1000) -> Told:
        """What a talk ends with."""
        told, _ = await asyncio.gather(self.link.talk("a", talk), self.clock.advance(ms), return_exceptions=True)
        if isinstance(told, BaseException):
            raise told
        return told

    async def failed(self, talk: Talk, ms: float = 1000) -> GatewayError:
        """What it raises."""
        with pytest.raises(GatewayError) as raised:
            await self.made(talk, ms)
        return raised.value

    def barred(self) -> bool:
        """Whether the device owes a reply."""
        return self.owed.owes(self.clock.boot_ns())


async def test_a_question_and_its_answer() -> None:
    """The time is that of the first byte of the frame; what stood before it is passed over."""
    bench = Bench((20, b"xx"), (30, b"#1"), (35, b".5\rzz"))
    began_ns = bench.clock.boot_ns()
    told = await bench.made(_ask())
    assert told.parts == {"frame": b"#1.5\r"}
    assert (told.t_sent_ns - began_ns, told.t_first_ns - told.t_sent_ns) == (0, 30 * NS_PER_MS)
    assert bench.stream.sent == [b"?\r"]
    assert not bench.barred()


async def test_silence_ends_after_its_time_from_the_last_byte_that_was_sent() -> None:
    """Then the device owes a reply, until that can no longer come."""
    bench = Bench()
    began_ns = bench.clock.boot_ns()
    assert isinstance(await bench.failed(_ask()), NoReply)
    ended_ns = began_ns + round((200 + 2 * CHAR_MS) * NS_PER_MS)
    assert bench.owed.until_ns("a", ended_ns) == pytest.approx(ended_ns + 2000 * NS_PER_MS, abs=1000)
    assert bench.counters.get("talks_uncertain", bus="bus-1") == 1


async def test_noise_alone_is_a_bad_reply_and_ends() -> None:
    """A wire that never rests is given up when the longest frame would be over."""
    bench = Bench(*((at, b"x") for at in range(1, 3000, 10)))
    error = await bench.failed(_ask(), ms=400 + 2 * CHAR_MS + 1)
    assert isinstance(error, BadReply)
    assert "bytes came" in str(error)
    assert bench.barred()


async def test_a_slow_frame_is_waited_for() -> None:
    """Bytes that keep coming keep it alive, beyond the timeout."""
    frame = b"#123456789.1\r"
    bench = Bench(*((150 + 20 * at, frame[at : at + 1]) for at in range(len(frame))))
    assert (await bench.made(_ask(timeout_ms=200))).parts == {"frame": frame}


async def test_what_came_before_is_no_answer() -> None:
    """A late reply is shown to the rule, and dropped; the line has to be silent first."""
    bench = Bench((400, b"#late\r"))
    await bench.failed(_ask(), ms=450)
    assert bench.barred()
    bench.stream.arrive(bench.clock.boot_ns() + 5 * NS_PER_MS, b"#more")
    await bench.clock.advance(6)
    bench.answers = [(10, b"#new\r")]
    asked_ns = bench.clock.boot_ns()
    told = await bench.made(_ask())
    assert told.parts == {"frame": b"#new\r"}
    assert told.t_sent_ns - asked_ns == pytest.approx(3.5 * CHAR_MS * NS_PER_MS, rel=0.01)
    assert bench.counters.get("talks_late", bus="bus-1") == 1
    assert not bench.barred()


async def test_our_own_echo_is_passed_over() -> None:
    """Whole, in pieces, alone; and a reply that begins as the question does is no echo."""
    for answers in (
        [(1, b"?\r#1\r")],
        [(1, b"?"), (2, b"\r"), (9, b"#1\r")],
        [(9, b"?#1\r")],
    ):
        assert (await Bench(*answers).made(_ask())).parts == {"frame": b"#1\r"}
    assert (await Bench((9, b"#1\r")).made(_ask(b"#1?\r"))).parts == {"frame": b"#1\r"}
    told = await Bench((9, b"#1"), (10, b"0\r")).made(_ask(b"#1?\r"))
    assert (told.parts, told.t_first_ns - told.t_sent_ns) == ({"frame": b"#10\r"}, 9 * NS_PER_MS)
    assert isinstance(await Bench((1, b"?\r")).failed(_ask()), NoReply)


async def test_the_speed_changes_when_all_has_left_and_is_that_of_the_bus_again() -> None:
    """Also when the talk before ended badly."""

    def talk() -> Talk:
        yield Send(b"12345")
        yield SetBaud(300)
        yield Pause(20)
        yield Send(b"x")
        yield Receive(LINE, 50)
        raise NoReply("nothing came")

    bench = Bench()
    began_ns = bench.clock.boot_ns()
    await bench.failed(talk())
    assert bench.stream.sent_ns[1] - began_ns == pytest.approx((5 * CHAR_MS + 20) * NS_PER_MS, rel=0.01)
    assert bench.stream.bauds == [300]
    bench.answers = [(5, b"#1\r")]
    await bench.made(_ask())
    assert bench.stream.bauds == [300, 9600]


async def test_what_stands_behind_a_frame_is_the_next_ones() -> None:
    """Two frames in one piece; a question in between makes the rest old."""

    def twice(*, ask_again: bool) -> Talk:
        yield Send(b"?")
        first = yield Receive(LINE, 100)
        if ask_again:
            yield Send(b"!")
        second = yield Receive(LINE, 100)
        return {"first": first, "second": second}

    both: Mapping[str, object] = {"first": b"#1\r", "second": b"#2\r"}
    assert (await Bench((5, b"#1\r#2\r")).made(twice(ask_again=False))).parts == both
    bench = Bench((5, b"#1\r#2\r"))
    assert (await bench.made(twice(ask_again=True))).parts == {**both, "second": b""}
    assert bench.barred()


async def test_a_frame_that_does_not_fit_is_passed_over() -> None:
    """Whoever asks says what fits."""

    def talk() -> Talk:
        yield Send(b"?")
        frame = yield Receive(LINE, 100, fits=lambda frame: b"2" in frame)
        return {"frame": frame}

    assert (await Bench((5, b"#1\r#2\r")).made(talk())).parts == {"frame": b"#2\r"}


async def test_a_line_that_is_never_silent_is_not_spoken_on() -> None:
    """Something sends by itself: nothing is sent, nobody owes."""
    bench = Bench()
    for at_ms in range(2000):
        bench.stream.arrive(bench.clock.boot_ns() + at_ms * NS_PER_MS, b"z")
    error = await bench.failed(_ask())
    assert isinstance(error, BadReply)
    assert bench.stream.sent == []
    assert not bench.barred()


async def test_a_port_that_vanishes() -> None:
    """Before the question it is nobody's fault; after it the device may have done it, and owes."""
    bench = Bench()
    bench.stream.vanish("unplugged")
    assert isinstance(await bench.failed(_ask()), NotSent)
    assert not bench.barred()
    bench = Bench()

    def unplugged(_: bytes) -> Iterable[tuple[float, bytes]]:
        bench.stream.vanish("unplugged")
        return ()

    bench.stream.script = unplugged
    lost = await bench.failed(_ask())
    assert isinstance(lost, LinkDown)
    assert not isinstance(lost, NotSent)
    assert bench.barred()
    await bench.link.close()


async def test_whatever_a_protocol_module_does_is_a_bad_reply() -> None:
    """A bug of its own, a talk without an end; nothing foreign leaves."""

    def bug() -> Talk:
        yield Send(b"?")
        raise ZeroDivisionError("oops")

    def circles() -> Talk:
        while True:
            yield Pause(0)

    error = await Bench().failed(bug())
    assert isinstance(error, BadReply)
    assert "ZeroDivisionError" in str(error)
    assert "steps" in str(await Bench().failed(circles()))


async def test_a_cancel_leaves_the_device_barred() -> None:
    """Its reply may still come."""
    bench = Bench()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(bench.link.talk("a", _ask()), name="talk")
        await bench.clock.advance(10)
        task.cancel()
    assert bench.barred()


async def test_a_name_does_not_date_the_values() -> None:
    """The time of a talk is that of the first frame that carries some."""

    def named() -> Talk:
        yield Send(b"?\r")
        name = yield Receive(LINE, 200, dates=False)
        frame = yield Receive(LINE, 200)
        return {"name": name, "frame": frame}

    told = await Bench((20, b"#me\r"), (150, b"#1.5\r")).made(named())
    assert told.parts == {"name": b"#me\r", "frame": b"#1.5\r"}
    assert told.t_first_ns - told.t_sent_ns == 150 * NS_PER_MS


async def test_a_connection_that_carries_nothing_any_more_is_lost() -> None:
    """Over TCP, after some questions in a long time without a byte; a byte of whomever says that it lives."""
    bench = Bench()
    bench.link._pulse = Pulse()
    for _ in range(2):
        assert isinstance(await bench.failed(_ask(), 6000), NoReply)
    bench.stream.arrive(bench.clock.boot_ns(), b"x")
    await bench.clock.advance(10)
    bench.link.listen()
    for _ in range(2):
        assert isinstance(await bench.failed(_ask(), 6000), NoReply)
    assert isinstance(await bench.failed(_ask(), 6000), LinkDown)


async def test_latency_is_counted_from_the_end_of_the_last_question() -> None:
    """Of the answer that dates the values; of what was not asked, none."""
    bench = Bench((30, b"#1.5\r"))
    told = await bench.made(_ask(b"12345678?\r"))
    assert told.latency_ns == pytest.approx((30 - 10 * CHAR_MS) * NS_PER_MS, rel=1e-3)

    def overheard() -> Talk:
        frame = yield Receive(LINE, 200)
        return {"frame": frame}

    bench.stream.arrive(bench.clock.boot_ns() + 50 * NS_PER_MS, b"#2\r")
    told = await bench.made(overheard())
    assert (told.parts, told.latency_ns) == ({"frame": b"#2\r"}, None)
