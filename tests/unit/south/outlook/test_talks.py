"""gateway.south.outlook.talks: what a line of serial devices that are asked has to do."""

from dataclasses import replace

import pytest

from gateway.profile.profile import Line, SerialSource
from gateway.protocols.declared import Poll
from gateway.protocols.framing import Framing
from gateway.protocols.parse import Parse
from gateway.site import Bus, Device, Fast
from gateway.south.outlook.outlook import fast_verdict
from gateway.south.outlook.talks import LATENCY_MS, talks_outlook
from gateway.south.reads.talk_cost import answered_ms, unanswered_ms
from tests.support.south import a_bus, a_device, a_field, a_profile

CHAR_MS = 1000 * 10 / 9600
ONE = Poll("3F 0D", 300, wake=b"\0", wake_ms=5)
TWO = Poll("3F {channel:u8}", 300, channels=(("a", "1"), ("b", "2")))


def _line(poll: Poll | None, *periods_ms: int) -> Bus:
    source = SerialSource(Line(), Framing("line", 40, end=b"\r"), Parse("split"), 0 if poll else 1000, poll)
    groups = a_device("m", *(([a_field(n)], ms) for n, ms in enumerate(periods_ms))).polled
    return a_bus(Device("s", a_profile([], source), 0, groups), transport="talk")


def _costs(bus: Bus) -> tuple[float, float]:
    (device,) = bus.devices
    source = device.profile.source
    assert isinstance(source, SerialSource)
    return unanswered_ms(bus, device, source), answered_ms(bus, device, source, 10)


def test_what_a_visit_takes() -> None:
    """Bytes at the speed of the line, silences, the device's own time; unanswered, only the first request."""
    assert _costs(_line(ONE, 1000)) == pytest.approx((305 + 6.5 * CHAR_MS, 15 + 46.5 * CHAR_MS))
    assert _costs(_line(TWO, 1000)) == pytest.approx((300 + 5.5 * CHAR_MS, 20 + 91 * CHAR_MS))
    assert _costs(_line(None, 1000)) == (0, 0)


def test_all_groups_of_a_device_are_one_visit() -> None:
    """So the shortest period counts; a line that has too much to do is told."""
    talks, verdict = talks_outlook(_line(ONE, 1000, 5000))
    assert [(talk.device.name, talk.period_ms) for talk in talks] == [("s", 1000)]
    assert verdict.load == pytest.approx((5 + LATENCY_MS + 46.5 * CHAR_MS) / 1000)
    assert verdict.holds
    assert not talks_outlook(_line(ONE, 100))[1].holds


def test_a_line_with_every_fast_in_force() -> None:
    """ADR 0050 holds for serial lines too: what cannot be asked so often is not hurried."""
    bus = _line(ONE, 10_000)
    assert fast_verdict(bus) is None
    for period_ms, holds in ((1000, True), (100, False)):
        fast = Fast("f0 > 1", "", "f0", 1, 1.0, period_ms, 60_000)
        told = fast_verdict(replace(bus, devices=tuple(replace(device, fast=fast) for device in bus.devices)))
        assert told is not None
        assert told.holds is holds
        assert told.load == pytest.approx((5 + LATENCY_MS + 46.5 * CHAR_MS) / period_ms)


def test_a_line_that_sends_by_itself_has_nothing_to_do() -> None:
    """Nobody is asked."""
    assert talks_outlook(_line(None, 1000))[0] == []
