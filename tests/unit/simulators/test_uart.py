"""Two UARTs: the same settings understand each other, others hear garbage."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.profile.profile import Line
from simulators.uart import heard

BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)


@given(st.binary(max_size=40), st.sampled_from(BAUDS), st.sampled_from("NEO"), st.sampled_from((1, 2)))
@settings(max_examples=60)
def test_the_same_settings_understand_each_other(data: bytes, baud: int, parity: str, stop_bits: int) -> None:
    """Every byte, whatever they are set to; a second stop bit makes no difference."""
    assert heard(data, Line(baud, 8, parity, stop_bits), Line(baud, 8, parity, 1)) == data


@given(st.binary(min_size=1, max_size=40), st.sampled_from((9500, 9700, 9804)))
@settings(max_examples=40)
def test_clocks_may_differ_a_little(data: bytes, baud: int) -> None:
    """3 % is what a crystal and a divider leave."""
    assert heard(data, Line(9600), Line(baud)) == data


def test_what_a_wrong_baud_hears_is_what_the_wire_says() -> None:
    """Bit by bit: a low of 18 bits for 9, two for the start, a start too short to be one."""
    assert heard(b"\x00", Line(4800), Line(9600)) == b"\x00\x00"
    assert heard(b"\xff", Line(4800), Line(9600)) == b"\xfe"  # two low bits: start and the lowest
    assert heard(b"\xff", Line(9600), Line(7200)) == b"\xff"  # three quarters of a bit low are still a start
    assert heard(b"\xff", Line(115200), Line(9600)) == b""  # too short to be one


@pytest.mark.parametrize("baud", [baud for baud in BAUDS if baud != 9600])
def test_a_request_at_another_baud_is_garbage(baud: int) -> None:
    """The same garbage each time."""
    request = bytes.fromhex("01 04 00 00 00 02 71 cb")
    assert heard(request, Line(baud), Line(9600)) != request
    assert heard(request, Line(baud), Line(9600)) == heard(request, Line(baud), Line(9600))


def test_parity_is_a_bit_too() -> None:
    """Taken for a stop bit, or a stop bit for it, the characters run into each other."""
    data = bytes(range(64))
    assert heard(data, Line(9600, 8, "E"), Line(9600)) != data
    assert heard(data, Line(9600), Line(9600, 8, "E")) != data
    assert heard(data, Line(9600, 8, "E"), Line(9600, 8, "O")) == b""
    assert heard(b"ABC", Line(9600, 7, "E"), Line(9600, 7, "E")) == b"ABC"
