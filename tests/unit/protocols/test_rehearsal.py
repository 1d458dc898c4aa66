"""gateway.protocols.rehearsal: two sides played against each other."""

import pytest

from gateway.errors import NoReply
from gateway.protocols import dlt645, iec62056, vedirect
from gateway.protocols.conversation import Pause, Receive, Send, SetBaud, Talk
from gateway.protocols.framing import Framing
from gateway.protocols.plugin import Twin
from gateway.protocols.rehearsal import Said, device, joined, recorded, rehearse, silent_ms, took_ms

LINE = Framing("line", 16, end=b"\r")


def _ask(timeout_ms: int = 100) -> Talk:
    yield Send(b"A\r")
    first = yield Receive(LINE, timeout_ms)
    second = yield Receive(LINE, timeout_ms)
    return {"first": first, "second": second}


def test_what_stands_behind_a_frame_is_the_next_ones() -> None:
    """One piece may bring two frames."""
    found, said = rehearse(_ask(), recorded([Said(ours=True, data=b"A\r"), Said(ours=False, data=b"B\rC\r")]))
    assert found == {"first": b"B\r", "second": b"C\r"}
    assert said == (Said(ours=True, data=b"A\r"), Said(ours=False, data=b"B\rC\r"))


def test_who_waits_too_long_is_told_that_nothing_came() -> None:
    """A pause of the other side is time that goes by."""

    def slow(ms: int) -> Twin:
        yield Receive(LINE, 1000)
        yield Pause(ms)
        yield Send(b"B\r")
        yield Receive(LINE, 1000)

    assert rehearse(_ask(), slow(100))[0] == {"first": b"B\r", "second": b""}
    assert rehearse(_ask(), slow(101))[0]["first"] == b""


def test_bytes_at_another_speed_are_lost() -> None:
    """As on a wire."""
    exchange: list[Said | SetBaud] = [Said(ours=True, data=b"A\r"), SetBaud(9600), Said(ours=False, data=b"B\r")]
    assert rehearse(_ask(), recorded(exchange), 300)[0]["first"] == b""


def test_what_has_no_end_is_given_up() -> None:
    """A talk that goes round in circles; two that wait for each other are told in the end."""

    def circles() -> Talk:
        while True:
            yield Pause(0)

    with pytest.raises(ValueError, match="no end"):
        rehearse(circles(), recorded([]))


def test_pieces_are_joined_by_who_says_them() -> None:
    """So that a recording need not know how they were cut."""
    said = [Said(ours=True, data=b"a"), Said(ours=True, data=b"b"), Said(ours=False, data=b"c")]
    assert joined(said) == (Said(ours=True, data=b"ab"), Said(ours=False, data=b"c"))


def test_how_long_a_visit_takes() -> None:
    """Bytes at their speeds, and pauses; in vain: what is waited for."""
    told = {"1.8.0 [kWh]": "1"}
    meter = device(iec62056.PROTOCOL, "", told)
    took = took_ms(iec62056.PROTOCOL.poll("", tuple(told)), meter, 10, 300)
    asked = 10_000 * (5 + 16 + 6) / 300
    assert asked + 750 < took < asked + 750 + 40
    assert silent_ms(iec62056.PROTOCOL.poll("", tuple(told)), 10, 300) == 2000 + 50_000 / 300
    assert silent_ms(vedirect.PROTOCOL.poll("", ("V",)), 10, 19200) == 2500
    assert 1000 < silent_ms(dlt645.PROTOCOL.poll("A" * 12, ("02010100", "02010200")), 11, 2400) < 1100


def test_what_a_talk_raises_comes_out() -> None:
    """NoReply is the talk's own."""
    with pytest.raises(NoReply):
        rehearse(vedirect.PROTOCOL.poll("", ()), recorded([]))
