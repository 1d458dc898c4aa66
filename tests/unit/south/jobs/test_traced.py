"""gateway.south.jobs.traced: what bytes on a wire mean to the person who looks at them."""

from collections.abc import Callable

import pytest

from gateway.protocols.modbus_frame import Frame, encode_rtu, encode_tcp
from gateway.south.jobs.traced import GAP_NS, HELD_MAX_BYTES, Decoder, Said
from gateway.south.links.trace import Chunk
from tests.support.wires import reply

MS = 1_000_000
ASK = encode_rtu(Frame(1, b"\x03\0\x10\0\2"))


def decoded(
    *chunks: tuple[bool, bytes], transport: str = "rtu", listens: bool = False, apart_ms: int = 20
) -> list[Said]:
    """Everything that is said of chunks 20 ms apart, and of the silence after them."""
    decoder = Decoder(transport, listens=listens)
    said = []
    for n, (sent, data) in enumerate(chunks):
        said += decoder.feed(Chunk(n * apart_ms * MS, sent, data))
    return said + decoder.quiet(1 << 62)


def words(said: list[Said]) -> list[str]:
    """Their codes, without the common beginning."""
    return [one.word.removeprefix("trace_") for one in said]


def test_a_request_and_its_reply() -> None:
    """What was asked, what came, how long after, and all bytes."""
    ask, answer = decoded((True, ASK), (False, reply(2, 7)[:3]), (False, reply(2, 7)[3:]))
    assert (ask.word, ask.values, ask.unit_id) == ("trace_read_holding", {"count": 2, "address": "0x0010"}, 1)
    assert (ask.sent, ask.data, ask.gap_ns, ask.bad) == (True, ASK, None, False)
    assert (answer.word, answer.values) == ("trace_registers", {"count": 2, "values": "7 7"})
    assert (answer.sent, answer.data, answer.at_ns, answer.gap_ns) == (False, reply(2, 7), 20 * MS, 20 * MS)


@pytest.mark.parametrize(
    ("pdu", "answer", "word", "values"),
    [
        (b"\x01\0\0\0\3", b"\x01\x01\x05", "bits", {"count": 3, "values": "1 0 1"}),
        (b"\x04\0\0\0\x0a", b"\x04\x14" + bytes(20), "registers", {"count": 10, "values": "0 0 0 0 0 0 0 0 …"}),
        (b"\x06\0\1\0\5", b"\x06\0\1\0\5", "written", {}),
        (b"\x05\0\1\xff\0", b"\x05\0\1\xff\0", "written", {}),
        (b"\x2b\x0e\1\0", b"\x2b\x0e\1\1\0\0\1\0\4Acme", "identity", {"text": "Acme"}),
        (b"\x03\0\0\0\1", b"\x83\x02", "exception", {"number": 2}),
    ],
)
@pytest.mark.parametrize("transport", ["rtu", "rtu_over_tcp", "tcp"])
def test_every_kind_of_reply(transport: str, pdu: bytes, answer: bytes, word: str, values: dict[str, object]) -> None:
    """On every framing."""
    encode: Callable[[Frame], bytes] = encode_tcp if transport == "tcp" else encode_rtu
    asked, answered = encode(Frame(1, pdu, 9)), encode(Frame(1, answer, 9))
    said = decoded((True, asked), (False, answered), transport=transport)[1]
    assert (said.word, said.values, said.bad) == (f"trace_{word}", values, word == "exception")


def test_a_reply_of_which_eight_bytes_look_like_a_request() -> None:
    """Two registers whose CRC ends in 0: without that byte its CRC is good, too. Bytes come one by one."""
    ask, answer = encode_rtu(Frame(1, b"\x04\0\1\0\2")), encode_rtu(Frame(1, b"\x04\4\0\x70\0\xd4"))
    assert answer.endswith(b"\0")
    for listens in (False, True):
        one_by_one = [(False, bytes((byte,))) for byte in answer]
        said = decoded((not listens, ask), *one_by_one, (not listens, ask), listens=listens, apart_ms=1)
        assert words(said)[:2] == ["read_input", "registers"]
        assert said[1].values == {"count": 2, "values": "112 212"}
        assert words(said)[2:] in (["read_input"], ["read_input", "no_reply"])


def test_an_echo_that_looks_like_the_beginning_of_a_reply() -> None:
    """A request from register 0x0400 on, heard back: silence, or the reply behind it, tells what it was."""
    ask = encode_rtu(Frame(1, b"\x04\4\0\0\2"))
    answer = encode_rtu(Frame(1, b"\x04\4\0\1\0\2"))
    assert words(decoded((True, ask), (False, ask), (False, answer), apart_ms=1)) == ["read_input", "echo", "registers"]
    assert words(decoded((True, ask), (False, ask)))[:2] == ["read_input", "echo"]


def test_what_is_written_is_shown() -> None:
    """Numbers, as they go to the device."""
    (said,) = decoded((True, encode_rtu(Frame(1, b"\x10\0\1\0\2\4\0\5\1\0"))))
    assert (said.word, said.values) == ("trace_write_holding", {"address": "0x0001", "values": "5 256"})


def test_a_request_without_a_reply() -> None:
    """Told when the next one is sent; it has no bytes."""
    said = decoded((True, ASK), (True, ASK), (False, reply(2)))
    assert words(said) == ["read_holding", "no_reply", "read_holding", "registers"]
    assert said[1].data == b""


def test_bytes_that_are_no_frame() -> None:
    """A bad CRC, an end that is missing, noise before a frame, a frame that answers nothing, our own echo."""
    bad = reply(2)[:-1] + b"\0"
    assert words(decoded((True, ASK), (False, bad))) == ["read_holding", "bad_crc"]
    (_, torn) = decoded((True, ASK), (False, reply(2)[:5]))
    assert (torn.word, torn.values) == ("trace_incomplete", {"count": 5, "length": 9})
    assert words(decoded((True, ASK), (False, b"\0\xff" + reply(2)))) == ["read_holding", "noise", "registers"]
    assert words(decoded((True, ASK), (False, reply(3)))) == ["read_holding", "unasked"]
    assert words(decoded((True, ASK), (False, ASK + reply(2)))) == ["read_holding", "echo", "registers"]


def test_what_wakes_a_device_is_no_request() -> None:
    """Bytes that were sent before one."""
    assert words(decoded((True, b"\0"), (True, ASK), (False, reply(2)))) == ["raw", "read_holding", "registers"]


def test_silence_ends_what_is_incomplete() -> None:
    """Half a frame, and the other half when nobody waits for it any more."""
    decoder = Decoder("rtu")
    decoder.feed(Chunk(0, True, ASK))
    assert decoder.feed(Chunk(1, False, reply(2)[:5])) == []
    assert decoder.quiet(GAP_NS) == []
    assert words(decoder.quiet(GAP_NS + 1)) == ["incomplete"]
    assert words(decoder.feed(Chunk(GAP_NS * 2, False, b"\1"))) == []
    assert words(decoder.feed(Chunk(GAP_NS * 4, True, ASK))) == ["noise", "no_reply", "read_holding"]


def test_a_bus_that_listens_hears_both_sides() -> None:
    """The request comes in too, in one piece with its reply or not; a reply alone answers nothing."""
    assert (
        words(decoded((False, ASK + reply(2)), (False, ASK), (False, reply(2)), listens=True))
        == [
            "read_holding",
            "registers",
        ]
        * 2
    )
    assert words(decoded((False, reply(2)), listens=True)) == ["unasked"]
    assert words(decoded((False, ASK), (False, ASK), listens=True)) == ["read_holding", "no_reply", "read_holding"]


def test_a_stream_is_text() -> None:
    """What came without a pause is one piece; what cannot be printed is a dot; a stream without pauses is cut."""
    (one,) = decoded((False, b"$1.5"), (False, b",M\r\n"), (False, b"x"), transport="stream", apart_ms=30)
    (other,) = decoded((False, b"ab\n"), transport="stream")
    assert (one.word, one.data, one.values) == ("trace_text", b"$1.5,M\r\nx", {"text": "$1.5,M··x"})
    assert other.values == {"text": "ab·"}
    asked, told = decoded((True, b"0R0\r\n"), (False, b"0R0,Ta=1C\r\n"), transport="talk")
    assert [(one.sent, one.values) for one in (asked, told)] == [
        (True, {"text": "0R0··"}), (False, {"text": "0R0,Ta=1C··"}),
    ]  # fmt: skip
    (cut,) = Decoder("stream").feed(Chunk(0, False, b"x" * (HELD_MAX_BYTES + 1)))
    assert len(cut.data) == HELD_MAX_BYTES + 1
