"""gateway.protocols.dlt645: frames, forms of values, and both sides of a visit."""

from collections.abc import Sequence

import pytest

from gateway.errors import BadReply, NoReply
from gateway.protocols.dlt645 import ANYONE, PROTOCOL, READ, REFUSED, TOLD, TOLD_IN_PART, WAKE, form_of, frame_of
from gateway.protocols.plugin import SerialProtocol
from gateway.protocols.rehearsal import Said, device, recorded, rehearse

METER = "123456789012"
VOLTAGE = bytes.fromhex("00010102")


def _visit(parts: Sequence[str], *answers: bytes, address: str = METER) -> object:
    exchange = []
    for part, answer in zip(parts, answers, strict=False):
        question = frame_of(address, READ, bytes.fromhex(part)[::-1])
        exchange += [Said(ours=True, data=WAKE + question), Said(ours=False, data=answer)]
    found, _ = rehearse(PROTOCOL.poll(address, parts), recorded(exchange))
    return found


def _told(value: str, own: str = METER, control: int = TOLD) -> bytes:
    return WAKE + frame_of(own, control, VOLTAGE + bytes.fromhex(value)[::-1])


def test_it_is_a_protocol() -> None:
    """Whoever is there has to be alone; a part is a data identifier whose form is known."""
    assert isinstance(PROTOCOL, SerialProtocol)
    PROTOCOL.check(METER, ("00010000", "02800002"))
    assert PROTOCOL.alone(ANYONE)
    assert not PROTOCOL.alone(METER)
    for address, parts in (("", ()), ("12", ()), (METER, ("02060000",)), (METER, ("0201010",))):
        with pytest.raises(ValueError, match=r"digits|identifier"):
            PROTOCOL.check(address, parts)


def test_frames_are_those_of_the_captures() -> None:
    """The question for the energy of meter 123456789012."""
    assert (
        frame_of(METER, READ, bytes.fromhex("00000100")).hex(" ") == "68 12 90 78 56 34 12 68 11 04 33 33 34 33 68 16"
    )


def test_the_voltage_of_the_facts() -> None:
    """Wake bytes in front, less 33 hex, the lowest byte first."""
    assert _visit(["02010100"], _told("2305")) == {"02010100": "230.5"}
    assert _visit(["02010100"], _told("2305").removeprefix(WAKE)) == {"02010100": "230.5"}


def test_our_question_coming_back_is_no_answer() -> None:
    """A line that echoes: bit 7 of the control says who speaks."""
    echo = WAKE + frame_of(METER, READ, VOLTAGE)
    assert _visit(["02010100"], echo + _told("2305")) == {"02010100": "230.5"}


def test_another_meter_and_another_answer_are_passed_over() -> None:
    """A late one of the question before has its own data identifier."""
    late = WAKE + frame_of(METER, TOLD, bytes.fromhex("00020102") + b"\x11\x11")
    assert _visit(["02010100"], late + _told("9999", "999999999999") + _told("2305")) == {"02010100": "230.5"}


@pytest.mark.parametrize("value", ["23", "002305", "23A5", "F305"])
def test_a_value_of_another_form_is_not_told(value: str) -> None:
    """Another size, a digit above 9: nothing comes of it."""
    with pytest.raises(BadReply):
        _visit(["02010100"], _told(value))


def test_no_value_and_a_part_of_one() -> None:
    """All F or all E; and the meter that says that more follows."""
    assert _visit(["02010100"], _told("FFFF")) == {"02010100": ""}
    assert _visit(["02010100"], _told("EEEE")) == {"02010100": ""}
    with pytest.raises(BadReply):
        _visit(["02010100"], _told("2305", control=TOLD_IN_PART))


def test_what_is_refused_costs_itself() -> None:
    """The others are told; where all are refused that is a bad reply, where nobody speaks none."""
    parts = ["02010200", "02010100"]
    refused = WAKE + frame_of(METER, REFUSED, b"\x02")
    assert _visit(parts, refused, _told("2305")) == {"02010100": "230.5"}
    with pytest.raises(BadReply):
        _visit(parts, refused, refused)
    with pytest.raises(NoReply):
        _visit(parts)
    assert _visit(list(reversed(parts)), _told("2305")) == {"02010100": "230.5"}


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("00010000", "999999.99"),
        ("00021500", "0.01"),
        ("02010300", "0.0"),
        ("02020100", "-799.999"),
        ("02020200", "0.001"),
        ("02030000", "-12.3456"),
        ("02800002", "50.00"),
        ("02010100", ""),
    ],
)
@pytest.mark.parametrize("address", [METER, ANYONE])
def test_the_twin_answers_what_it_is_told(part: str, text: str, address: str) -> None:
    """Each form, its ends, both signs."""
    found, _ = rehearse(PROTOCOL.poll(address, (part,)), device(PROTOCOL, address, {part: text}))
    told = found[part]
    assert isinstance(told, str)
    assert told == text or float(told) == float(text)


def test_the_twin_refuses_what_it_has_not() -> None:
    """And is silent for another address."""
    with pytest.raises(BadReply):
        rehearse(PROTOCOL.poll(METER, ("02010100",)), device(PROTOCOL, METER, {}))
    with pytest.raises(NoReply):
        rehearse(PROTOCOL.poll(METER, ("02010100",)), device(PROTOCOL, "000000000009", {"02010100": "1"}))


def test_what_does_not_fit_is_not_said() -> None:
    """Too many digits, a sign where there is none."""
    for part, text in (("02010100", "1000.0"), ("02010100", "-1.0"), ("02020100", "800")):
        with pytest.raises(ValueError, match="fit"):
            rehearse(PROTOCOL.poll(METER, (part,)), device(PROTOCOL, METER, {part: text}))
    assert form_of("02030100").signed
