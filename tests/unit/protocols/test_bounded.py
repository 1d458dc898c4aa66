"""gateway.protocols.bounded: what a module of somebody else may do, and what becomes of the rest."""

import sys
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest

from gateway.errors import BadReply, NoReply, ProtocolFailed
from gateway.protocols import bounded
from gateway.protocols.conversation import Pause, Receive, Send, SetBaud, Talk
from gateway.protocols.framing import Framing

LINE = Framing("line", 16, end=b"\r")


def _raise(_: bytes) -> bool:
    raise RuntimeError("from fits")


def _endless() -> Iterator[Any]:
    while True:
        yield Pause(0)


def _nothing() -> Iterator[Any]:
    yield from ()


def _cling() -> Iterator[Any]:
    try:
        yield Pause(0)
    finally:
        raise RuntimeError("will not go")


CASES: dict[str, tuple[Callable[[], Any], str]] = {
    "raises at once": (lambda: 1 // 0, "ZeroDivisionError"),
    "is no generator": (lambda: 7, "no talk, but int"),
    "has no end": (_endless, "no end after 1024 steps"),
    "sends too much": (lambda: (step for step in [Send(bytes(1 << 19))]), "no end after 262144 bytes"),
    "waits too long": (lambda: (step for step in [Pause(120_001)]), "ms of waiting"),
    "waits before time": (lambda: (step for step in [Pause(-1)]), "no step"),
    "asks for a giant": (lambda: (step for step in [Receive(Framing("line", 1 << 20, end=b"\r"), 1)]), "1048576 bytes"),
    "asks for nonsense": (lambda: (step for step in [Receive(Framing("ring", 9, end=b"\r"), 1)]), "no such kind"),
    "takes an odd speed": (lambda: (step for step in [SetBaud(7)]), "no step"),
    "yields no step": (lambda: (step for step in ["Send"]), "no step"),
    "raises in fits": (lambda: (step for step in [Receive(LINE, 1, _raise)]), "RuntimeError: from fits"),
    "ends with nothing": (_nothing, "NoneType"),
}


def _install(monkeypatch: pytest.MonkeyPatch, poll: Callable[[], Any]) -> str:
    module = ModuleType("someone")
    unused = Mock()
    protocol = SimpleNamespace(check=unused, alone=unused, answer=unused, poll=lambda _address, _parts: poll())
    vars(module)["PROTOCOL"] = protocol
    monkeypatch.setitem(sys.modules, "someone", module)
    return "someone:PROTOCOL"


def _follow(visit: Talk) -> None:
    for step in visit:
        if isinstance(step, Receive) and step.fits:
            assert step.fits(b"x") is False


@pytest.mark.parametrize("case", sorted(CASES))
def test_whatever_it_does_it_is_the_modules_failure(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """ProtocolFailed, with the cause in words."""
    poll, why = CASES[case]
    visit = bounded.visit(_install(monkeypatch, poll), "", ())
    with pytest.raises(ProtocolFailed, match=why):
        _follow(visit)


@pytest.mark.parametrize(
    "place", ["no.such.module:X", "gateway.errors:Nothing", "gateway.errors:Invalid", "", ":", "x"]
)
def test_what_cannot_be_loaded_is_a_failure(place: str) -> None:
    """No module, no attribute, no protocol."""
    with pytest.raises(ProtocolFailed):
        next(bounded.visit(place, "", ()))


@pytest.mark.parametrize("error", [NoReply("silence"), BadReply("noise")])
def test_what_a_device_does_is_the_devices(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """NoReply and BadReply come through as they are."""

    def poll() -> Iterator[Any]:
        yield Pause(0)
        raise error

    with pytest.raises(type(error), match=str(error)):
        list(bounded.visit(_install(monkeypatch, poll), "", ()))


def test_what_will_not_be_closed_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the module, also when a visit is cut off."""
    visit = bounded.visit(_install(monkeypatch, _cling), "", ())
    next(visit)
    with pytest.raises(ProtocolFailed, match="will not go"):
        visit.close()


def test_only_what_fields_can_take_is_told() -> None:
    """Texts and numbers; ASCII bytes are a text."""
    told = {"a": "1", "b": 2, "c": 2.5, "d": b"7", "e": b"\xff", "f": None, "g": [], 8: 1, "h": "9" * 5000, "i": True}
    assert bounded.told(told) == {"a": "1", "b": 2, "c": 2.5, "d": "7", "i": True}
    with pytest.raises(ProtocolFailed):
        bounded.told({str(n): n for n in range(bounded.PARTS_MAX + 1)})
    assert bounded.told({"big": 10**6000}) == {"big": 10**6000}
