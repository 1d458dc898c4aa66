"""The control socket's lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control import protocol
from gateway.control.protocol import Answer, Request
from gateway.errors import Malformed


def test_request_survives_the_line() -> None:
    """A request decodes to itself."""
    request = Request(7, "rows", {"device": "meter-1"})
    assert protocol.decode_request(protocol.encode_request(request)) == request


def test_answers_survive_the_line() -> None:
    """Data and error answers decode to themselves."""
    for answer in (Answer(1, last=False, data={"a": [1, 2]}), Answer(1, last=True, error="unknown_request")):
        assert protocol.decode_answer(protocol.encode_answer(answer)) == answer


@given(st.binary(max_size=200))
def test_garbage_is_malformed_and_nothing_else(line: bytes) -> None:
    """Whatever bytes come, the only error is Malformed."""
    for decode in (protocol.decode_request, protocol.decode_answer):
        try:
            decode(line)
        except Malformed:
            continue


def test_a_long_line_is_refused_unread() -> None:
    """A request beyond its bound is refused by size, before parsing."""
    with pytest.raises(Malformed, match="limit"):
        protocol.decode_request(b" " * (protocol.REQUEST_BYTES_MAX + 1))
