"""What a fault is made of."""

from random import Random

from gateway.protocols.modbus_frame import Frame, encode_rtu, encode_tcp
from simulators.fault import Exchange, Refused


def exchange(framing: str, tid: int | None = None) -> Exchange:
    """Of unit_id 255, the last one."""
    return Exchange(framing, b"", Frame(255, b"\x04\x02\x00\x01", tid), 100, Random(1))


def test_a_reply_is_framed_as_its_medium_wants() -> None:
    """With the right checksum or transaction, which both begin again after the last; a stream's bytes stay."""
    assert exchange("rtu").good == encode_rtu(Frame(255, b"\x04\x02\x00\x01"))
    assert exchange("rtu").wire(b"\x84\x02", unit_id=1) == encode_rtu(Frame(0, b"\x84\x02"))
    assert exchange("tcp", 0xFFFF).wire(b"\x84\x02", tid=2) == encode_tcp(Frame(255, b"\x84\x02", 1))
    assert exchange("stream").wire(b"$1\r\n") == b"$1\r\n"


def test_requests_are_hit_by_function_or_by_address() -> None:
    """Either is enough."""
    refused = Refused(2, frozenset({3}), ((10, 12),))
    assert [refused.hits(*asked) for asked in ((3, 0, 0), (4, 9, 9), (4, 9, 10), (4, 12, 20), (4, 13, 20))] == [
        True, False, True, True, False,
    ]  # fmt: skip
