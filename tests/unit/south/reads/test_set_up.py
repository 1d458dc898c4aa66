"""gateway.south.reads.set_up: when a serial device is told what its profile says, and what is not read before it is."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from gateway.errors import NoReply
from gateway.model import BootMs
from gateway.protocols.conversation import Pause, Receive, Send, Talk
from gateway.protocols.declared import SetupStep, setup, told
from gateway.protocols.framing import Framing
from gateway.south.reads.set_up import APART_MS, LOST_VISITS, SettingUp

ASKED = SetupStep("{address} 4D", "{address} 6F", reply_bytes=4, timeout_ms=300, pause_ms=20)
SAID = SetupStep("21")
AT = BootMs(1000)


def visit() -> Talk:
    """What would be said anyway."""
    yield Send(b"?")
    return {"t": "1"}


def test_the_steps_come_before_the_visit() -> None:
    """Send, answer, pause; then one that has no answer; then the visit, whose parts are the talk's."""
    setting_up = SettingUp((ASKED, SAID))
    talk = setting_up.before(visit(), "7", AT)
    assert next(talk) == Send(b"7M")
    assert talk.send(b"") == Receive(Framing("fixed", 4, start=b"7o", length=4), 300, dates=False)
    assert talk.send(b"7o..") == Pause(20)
    assert setting_up.is_due(AT)
    assert talk.send(b"") == Send(b"!")
    assert talk.send(b"") == Send(b"?")
    assert not setting_up.is_due(AT)
    with pytest.raises(StopIteration) as end:
        talk.send(b"")
    assert end.value.value == {"t": "1"}


def test_a_step_that_is_not_confirmed_ends_the_talk() -> None:
    """The device is not asked for values that it would give in another way; it is told again at the next visit."""
    setting_up = SettingUp((ASKED,))
    talk = setting_up.before(visit(), "7", AT)
    next(talk)
    talk.send(b"")
    with pytest.raises(NoReply):
        talk.send(b"")
    setting_up.failed()
    assert setting_up.is_due(AT)


def test_a_device_that_was_lost_is_told_again_but_not_too_often() -> None:
    """After some visits in vain, and APART_MS after it was last understood: what it keeps may wear out."""
    setting_up = SettingUp((SAID,))
    setting_up.understood(AT)
    for _ in range(LOST_VISITS - 1):
        setting_up.failed()
    setting_up.answered()
    late = BootMs(AT + APART_MS)
    for _ in range(LOST_VISITS):
        assert not setting_up.is_due(late)
        setting_up.failed()
    assert not setting_up.is_due(BootMs(late - 1))
    assert setting_up.is_due(late)


def test_what_cannot_be_told() -> None:
    """An address that is none, an answer shorter than its beginning."""
    with pytest.raises(ValueError, match="no such name"):
        told(ASKED)
    with pytest.raises(ValueError, match="cannot begin"):
        told(replace(ASKED, reply_bytes=1), "7")
    assert told(SAID) == (b"!", None)


def test_a_setup_without_steps_says_nothing() -> None:
    """The talk goes on at once."""
    steps: Iterator[object] = setup(())
    assert list(steps) == []
