"""A recorded trace, read back."""

import json

import pytest

from gateway.profile.profile import Line
from gateway.protocols.modbus_frame import Frame, encode_rtu, encode_tcp
from gateway.protocols.modbus_pdu import ReadRequest, Table, encode_request
from simulators.recording import BadTrace, Chunk, Piece, Player, Recording, recording

HEAD = '{"v":1,"bus":"rs485-1","transport":"rtu","line":"19200 8E1"}'
ASK = encode_request(ReadRequest(Table.INPUT, 0, 1))
OTHER = encode_request(ReadRequest(Table.INPUT, 9, 1))


def reply(value: int) -> bytes:
    """One register."""
    return b"\x04\x02" + value.to_bytes(2)


def lines(*chunks: tuple[int, str, bytes], head: str = HEAD) -> list[str]:
    """A file."""
    return [head, *(json.dumps({"t_ns": t, "way": way, "bytes": data.hex()}) for t, way, data in chunks)]


def test_a_trace_is_read() -> None:
    """Head and chunks; empty lines do not matter."""
    found = recording([*lines((5, "out", b"\x01"), (9, "in", b"\x02\x03")), "\n"])
    assert found == Recording("rtu", Line(19200, 8, "E"), (Chunk(5, True, b"\x01"), Chunk(9, False, b"\x02\x03")))


@pytest.mark.parametrize(
    "bad",
    [
        [],
        ["no JSON"],
        ['{"v":2,"transport":"rtu","line":"9600 8N1"}', *lines((1, "in", b""))[1:]],
        ['{"v":1,"transport":"telex"}', *lines((1, "in", b""))[1:]],
        ['{"v":1,"transport":"rtu","line":"fast"}', *lines((1, "in", b""))[1:]],
        lines(),
        [*lines((5, "in", b"\x01")), "[]"],
        lines((5, "up", b"\x01")),
        lines((-5, "in", b"\x01")),
        lines((5, "in", b"\x01"), (4, "in", b"\x01")),
        [HEAD, '{"t_ns":1,"way":"in","bytes":"0g"}'],
        [HEAD, '{"t_ns":true,"way":"in","bytes":"00"}'],
        [HEAD, '{"t_ns":1,"way":"in","bytes":"' + "00" * 40_000 + '"}'],
    ],
)
def test_what_is_no_trace_is_refused(bad: list[str]) -> None:
    """Whatever is in the file."""
    with pytest.raises(BadTrace):
        recording(bad)


def test_each_request_has_what_came_before_the_next() -> None:
    """With its delay, in pieces as they came; asked again, the next recorded reply, and after the last the first."""
    first, second = encode_rtu(Frame(1, reply(1))), encode_rtu(Frame(1, reply(2)))
    ask = encode_rtu(Frame(1, ASK))
    player = Player(
        recording(
            lines(
                (100, "out", ask[:3]),
                (110, "out", ask[3:]),
                (150, "in", first[:2]),
                (180, "in", first[2:]),
                (200, "out", encode_rtu(Frame(2, OTHER))),
                (300, "out", ask),
                (370, "in", second),
            )
        )
    )
    for _ in range(2):
        assert player.answer(Frame(1, ASK)) == (Piece(40, first[:2]), Piece(70, first[2:]))
        assert player.answer(Frame(1, ASK)) == (Piece(70, second),)
    assert player.answer(Frame(2, OTHER)) == ()
    assert player.answer(Frame(1, OTHER)) == ()


def test_transactions_are_those_of_now() -> None:
    """Of the request that is asked, of earlier ones whose reply came late, also across pieces; others stay."""
    head = '{"v":1,"transport":"tcp"}'
    late, good = encode_tcp(Frame(1, reply(1), 10)), encode_tcp(Frame(1, reply(2), 11))
    foreign = encode_tcp(Frame(1, reply(3), 99))
    player = Player(
        recording(
            lines(
                (0, "out", encode_tcp(Frame(1, ASK, 10))),
                (5, "out", encode_tcp(Frame(1, OTHER, 11))),
                (6, "in", late[:1]),
                (7, "in", late[1:] + good + foreign),
                head=head,
            )
        )
    )
    assert player.answer(Frame(1, ASK, 500)) == ()
    expected = encode_tcp(Frame(1, reply(1), 500)) + encode_tcp(Frame(1, reply(2), 501)) + foreign
    assert player.answer(Frame(1, OTHER, 501)) == (Piece(1, expected[:1]), Piece(2, expected[1:]))


def test_a_trace_without_a_request_is_nobody() -> None:
    """It can only be played as a bus; nor is what is no request one."""
    with pytest.raises(BadTrace, match="as a bus"):
        Player(recording(lines((5, "in", encode_rtu(Frame(1, ASK))))))
    with pytest.raises(BadTrace, match="no request"):
        Player(recording(lines((5, "out", b"GET / HTTP/1.1"), head='{"v":1,"transport":"tcp"}')))
