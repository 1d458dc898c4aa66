"""The fake is held to the Protocol's words."""

import pytest

from gateway.errors import LinkDown
from gateway.testing.clock import FakeClock
from gateway.testing.memory import MemoryStream
from tests.support.wires import MS, passing


async def test_answers_come_after_their_time() -> None:
    """Counted from the write."""
    clock = FakeClock()
    stream = MemoryStream(clock, lambda sent: [(5, sent.upper()), (7, b"!")])
    stream.write(b"abc")
    sent_ns = clock.boot_ns()
    assert await passing(clock, stream.read(9, sent_ns + 100 * MS)) == (b"ABC", sent_ns + 5 * MS)
    assert await passing(clock, stream.read(9, sent_ns + 100 * MS)) == (b"!", sent_ns + 7 * MS)
    assert (stream.sent, stream.sent_ns) == ([b"abc"], [sent_ns])


async def test_a_deadline_passes_with_nothing() -> None:
    """And what comes later is still there."""
    clock = FakeClock()
    stream = MemoryStream(clock)
    stream.arrive(clock.boot_ns() + 50 * MS, b"late")
    assert (await passing(clock, stream.read(9, clock.boot_ns() + 10 * MS)))[0] == b""
    assert stream.drain_input() == b""
    await clock.advance(50)
    assert stream.drain_input() == b"late"


async def test_a_read_takes_no_more_than_asked() -> None:
    """The rest stays in front."""
    clock = FakeClock()
    stream = MemoryStream(clock)
    stream.arrive(0, b"abcdef")
    stream.arrive(0, b"gh")
    assert [(await stream.read(4, 0))[0] for _ in range(3)] == [b"abcd", b"ef", b"gh"]


async def test_a_vanished_stream_is_down_for_everyone() -> None:
    """read, write and drain_input."""
    clock = FakeClock()
    stream = MemoryStream(clock)
    stream.vanish("unplugged")
    with pytest.raises(LinkDown, match="unplugged"):
        await stream.read(9, clock.boot_ns() + MS)
    with pytest.raises(LinkDown, match="unplugged"):
        stream.write(b"x")
    with pytest.raises(LinkDown, match="unplugged"):
        stream.drain_input()
    await stream.close()
    assert stream.closed
