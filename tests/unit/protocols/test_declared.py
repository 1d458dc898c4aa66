"""gateway.protocols.declared: what a declared device is asked, step by step, and what is made of the answers."""

import pytest

from gateway.errors import BadReply, NoReply
from gateway.protocols.conversation import Pause, Receive, Send, Talk
from gateway.protocols.declared import Poll, named, reply_framing, request, talk
from gateway.protocols.framing import Framing
from gateway.protocols.parse import Parse

FRAMING = Framing("line", 64, end=b"\r\n")
PARSE = Parse("split", content_until=-2, require=(("0", "{address}R"),))
POLL = Poll("{address} 52 0D", 300, start="{address} 52 2C", address="0", wake=b"\0", wake_ms=5)
CHANNELS = Poll("63 {channel:u8}", 300, channels=(("one", "1"), ("two", "2")))
CHANNEL_PARSE = Parse("split", content_until=-2, require=(("0", "{channel}"),))


def _end(steps: Talk, answer: bytes) -> object:
    with pytest.raises(StopIteration) as ended:
        steps.send(answer)
    return ended.value.value


def test_a_sleeper_is_woken_and_asked_by_its_address() -> None:
    """Wake, pause, request, reply; the reply has to begin with the same address."""
    steps = talk(POLL, FRAMING, PARSE, "7")
    assert next(steps) == Send(b"\0")
    assert steps.send(b"") == Pause(5)
    assert steps.send(b"") == Send(b"7R\r")
    assert steps.send(b"") == Receive(Framing("line", 64, start=b"7R,", end=b"\r\n"), 300)
    assert _end(steps, b"7R,1.5\r\n") == {"0": "7R", "1": "1.5"}


def test_no_reply_and_a_bad_one() -> None:
    """Silence is NoReply; the text of another device, whatever its framing let through, is BadReply."""
    for answer, error in ((b"", NoReply), (b"8R,1.5\r\n", BadReply)):
        steps = talk(POLL, FRAMING, PARSE)
        next(steps)
        for _ in range(3):
            steps.send(b"")
        with pytest.raises(error):
            steps.send(answer)


def test_each_channel_is_asked_for_itself() -> None:
    """One that is refused loses its own parts; one that is silent ends the talk with what came before."""
    steps = talk(CHANNELS, FRAMING, CHANNEL_PARSE)
    assert next(steps) == Send(b"c\x01")
    assert steps.send(b"") == Receive(FRAMING, 300)
    assert steps.send(b"9,5\r\n") == Send(b"c\x02")
    steps.send(b"")
    assert _end(steps, b"2,6\r\n") == {"two.0": "2", "two.1": "6"}
    steps = talk(CHANNELS, FRAMING, CHANNEL_PARSE)
    next(steps)
    steps.send(b"")
    steps.send(b"1,5\r\n")
    steps.send(b"")
    assert _end(steps, b"") == {"one.0": "1", "one.1": "5"}


def test_channels_that_are_all_refused_are_a_bad_reply() -> None:
    """Not silence: something answers."""
    steps = talk(CHANNELS, FRAMING, CHANNEL_PARSE)
    next(steps)
    steps.send(b"")
    steps.send(b"x\r\n")
    steps.send(b"")
    with pytest.raises(BadReply):
        steps.send(b"x\r\n")


def test_who_may_share_a_line() -> None:
    """Who is asked by an address and says it again; the address of the site goes before the maker's."""
    assert POLL.shares
    assert not CHANNELS.shares
    assert not Poll("{address} 52", 300, address="0").shares
    assert request(POLL) == b"0R\r"
    assert request(POLL, "5") == b"5R\r"
    assert reply_framing(CHANNELS, FRAMING) is FRAMING
    assert named("a", {"x": 1}) == {"a.x": 1}
