"""gateway.protocols.modbus_exchange: which reply answers which request, and what is dropped instead."""

from gateway.protocols.modbus_exchange import (
    ASKED_MAX,
    GAP_NS,
    LATE_TIMEOUTS,
    PAUSE_MIN_NS,
    Exchange,
    ExchangeReader,
)
from gateway.protocols.modbus_frame import Frame, encode_rtu
from gateway.protocols.modbus_pdu import ReadRequest, Table, encode_request
from tests.support.wires import data, holding, reply

MS = 1_000_000
REPLY_MAX_NS = 300 * MS
LONG_NS = (LATE_TIMEOUTS + 1) * REPLY_MAX_NS


def ask(count: int, address: int = 0, unit_id: int = 1, table: Table = Table.HOLDING) -> bytes:
    """A read request of the other master."""
    return encode_rtu(Frame(unit_id, encode_request(ReadRequest(table, address, count))))


class Line:
    """A reader and a clock."""

    def __init__(self, *, settled: bool = True) -> None:
        self.reader = ExchangeReader(char_ns=1_041_667, reply_max_ns=REPLY_MAX_NS, began_ns=0)
        self.now_ns = 0
        if settled:
            self.now_ns = LONG_NS
            assert [one.pdu for one in self.says(ask(1), reply(1))] == [reply(1)[1:-2]]

    def says(self, *frames: bytes, after_ms: float = 5) -> list[Exchange]:
        """Each frame so long after the one before; then as much silence as ends a frame."""
        found = []
        for frame in frames:
            self.now_ns += round(after_ms * MS)
            found += self.reader.feed(frame, self.now_ns)
        return found + self.rest(GAP_NS)

    def rest(self, ns: int) -> list[Exchange]:
        """Nothing comes for so long."""
        self.now_ns += ns
        return self.reader.quiet(self.now_ns)


def values(found: list[Exchange]) -> list[bytes]:
    """Of what was answered."""
    return [one.data() for one in found if one.pdu is not None]


def test_a_request_and_its_reply() -> None:
    """Unit, request and data; the time is that of the reply's first byte."""
    line = Line()
    line.now_ns = 10_000 * MS
    (one,) = line.says(ask(2, 7, 3), reply(2, 9, 3))
    assert (one.unit_id, one.request, one.data(), one.first_ns) == (3, holding(2, 7), data(2, 9), 10_010 * MS)
    assert (line.reader.skipped_bytes, line.reader.unpaired, line.reader.doubtful) == (0, 0, 0)
    assert line.reader.wakes_ns is None


def test_frames_in_any_pieces() -> None:
    """Byte by byte, and both in one piece: a USB adapter joins and cuts as it likes."""
    line = Line()
    assert values(line.says(ask(2) + reply(2, 5))) == [data(2, 5)]
    assert values(line.says(*(bytes((byte,)) for byte in ask(2) + reply(2, 6)), after_ms=1)) == [data(2, 6)]


def test_a_reply_without_its_request_counts_for_nothing() -> None:
    """Also when it comes twice, or behind another unit_id's, function's or length's request."""
    line = Line()
    assert line.says(reply(2)) == []
    assert values(line.says(ask(2), reply(2), reply(2))) == [data(2)]
    for wrong in (reply(2, unit_id=2), reply(3), encode_rtu(Frame(1, b"\x04\x04\0\1\0\1"))):
        assert values(line.says(ask(2), wrong)) == []
        line.rest(LONG_NS)
    assert line.reader.unpaired == 5


def test_a_byte_between_them_parts_them() -> None:
    """It may be the rest of another request."""
    line = Line()
    assert values(line.says(ask(2), b"\0", reply(2))) == []
    assert line.reader.skipped_bytes == 1


def test_a_bad_crc_is_never_believed() -> None:
    """Neither in the request nor in the reply."""
    for at in range(8):
        line = Line()
        bad = bytearray(ask(2))
        bad[at] ^= 0x10
        assert values(line.says(bytes(bad), reply(2))) == []
    for at in range(9):
        line = Line()
        bad = bytearray(reply(2))
        bad[at] ^= 0x10
        assert values(line.says(ask(2), bytes(bad))) == []


def test_a_reply_that_comes_too_late_is_dropped() -> None:
    """Its request has been given up meanwhile, which is told."""
    line = Line()
    assert line.says(ask(2)) == []
    (unanswered,) = line.rest(REPLY_MAX_NS)
    assert (unanswered.unit_id, unanswered.request, unanswered.pdu) == (1, holding(2), None)
    assert line.says(reply(2)) == []
    assert line.reader.unpaired == 1


def test_a_late_reply_behind_the_next_request_is_doubtful() -> None:
    """Same unit, function and length, another address: it could be either's."""
    line = Line()
    found = line.says(ask(2, 0), after_ms=5)
    found += line.says(ask(2, 100), reply(2, 7), after_ms=100)
    assert values(found) == []
    assert [one.pdu for one in found] == [None]
    assert line.reader.doubtful == 1
    assert values(line.says(ask(2, 200), reply(2, 8))) == []  # and so could the next one


def test_doubt_ends_with_a_reply_that_looks_like_no_other() -> None:
    """Devices answer in order: what was owed before it will not come any more."""
    line = Line()
    line.says(ask(2, 0), ask(2, 100), reply(2, 7), after_ms=100)
    assert values(line.says(ask(5, 0), reply(5, 1))) == [data(5, 1)]
    assert values(line.says(ask(2, 100), reply(2, 3))) == [data(2, 3)]


def test_a_master_that_asks_again_is_answered_truly() -> None:
    """The same request twice: whichever the reply is to, its content is right."""
    line = Line()
    assert values(line.says(ask(2, 0), ask(2, 0), reply(2, 7), after_ms=100)) == [data(2, 7)]


def test_doubt_ends_in_a_pause_long_after_the_loss() -> None:
    """Not before: two more late replies could still be on their way."""
    line = Line()
    line.says(ask(2, 0), ask(2, 100), reply(2, 7), after_ms=100)
    assert values(line.says(ask(2, 0), reply(2, 1), after_ms=400)) == []
    line.rest(LATE_TIMEOUTS * REPLY_MAX_NS)
    assert values(line.says(ask(2, 100), reply(2, 3))) == [data(2, 3)]


def test_doubt_does_not_end_without_a_pause() -> None:
    """Back to back a shift by one would never show."""
    line = Line()
    line.says(ask(2, 0), ask(2, 100), reply(2, 7), after_ms=100)
    for n in range(40):
        line.now_ns -= GAP_NS  # `says` adds it: there is no pause here
        assert values(line.says(ask(2, 100 * n), reply(2, n), after_ms=(PAUSE_MIN_NS - 1) / MS / 2)) == []


def test_at_the_beginning_everyone_is_in_doubt() -> None:
    """What was asked before we listened may be answered first."""
    line = Line(settled=False)
    assert values(line.says(ask(2), reply(2, 7))) == []
    line.rest(LONG_NS)
    assert values(line.says(ask(2), reply(2, 7))) == [data(2, 7)]


def test_more_requests_than_are_remembered_are_all_doubtful() -> None:
    """Memory is bounded."""
    line = Line()
    line.says(*(ask(2, n) for n in range(ASKED_MAX + 2)))
    assert values(line.says(ask(9, 0), reply(9, 7))) == []


def test_coils_that_read_as_a_request_are_dropped() -> None:
    """A reply with three bytes of coils, and the request for coils at 0x03nn: the same eight bytes."""
    line = Line()
    both = encode_rtu(Frame(1, b"\x01\x03\x10\x00\x05"))
    assert both == ask(5, 0x0310, table=Table.COIL)
    assert values(line.says(ask(20, table=Table.COIL), both)) == []
    assert line.reader.unpaired == 1


def test_a_request_for_coils_is_one_when_nothing_else_is_due() -> None:
    """In step, behind a reply."""
    line = Line()
    answer = encode_rtu(Frame(1, b"\x01\x01\x15"))
    assert values(line.says(ask(5, 0x0310, table=Table.COIL), answer)) == [b"\x15"]


def test_writes_and_broadcasts_pass_by() -> None:
    """The reply to a write of one looks like the request; one to all has no reply at all."""
    line = Line()
    single = encode_rtu(Frame(1, b"\x06\0\1\0\5"))
    several = encode_rtu(Frame(1, b"\x10\0\1\0\1\2\0\5"))
    to_all = encode_rtu(Frame(0, b"\x06\0\1\0\5"))
    found = line.says(single, single, several, encode_rtu(Frame(1, b"\x10\0\1\0\1")), to_all, ask(2), reply(2, 4))
    assert [one.pdu is None for one in found] == [False, False, False]
    assert found[-1].data() == data(2, 4)
    assert line.reader.unpaired == 0


def test_an_exception_is_the_answer() -> None:
    """It is passed on, when nobody is in doubt; then it is dropped."""
    line = Line()
    refused = encode_rtu(Frame(1, b"\x83\x02"))
    (one,) = line.says(ask(2), refused)
    assert one.pdu == b"\x83\x02"
    line.says(ask(2), ask(3), after_ms=100)
    assert [one.pdu for one in line.says(refused)] == []
    assert line.reader.doubtful == 1


def test_bytes_that_waited_are_dropped_and_all_begins_anew() -> None:
    """A process that stood still: nobody knows when they came, nor what the kernel lost."""
    line = Line()
    assert line.says((ask(2) + reply(2)) * 30) == []
    assert line.reader.late_bytes == 30 * 17
    assert values(line.says(ask(2), reply(2))) == []
    line.rest(LONG_NS)
    assert values(line.says(ask(2), reply(2, 6))) == [data(2, 6)]


def test_it_says_when_silence_would_tell_it_more() -> None:
    """A torn frame ends after a gap, an open request after the longest wait for a reply."""
    line = Line()
    line.reader.feed(ask(2)[:5], line.now_ns)
    assert line.reader.wakes_ns == line.now_ns + GAP_NS
    assert line.rest(GAP_NS) == []
    assert line.reader.skipped_bytes == 5
    line.reader.feed(ask(2), line.now_ns)
    asked_ns = line.now_ns
    line.rest(GAP_NS)
    assert line.reader.wakes_ns == asked_ns + REPLY_MAX_NS + 1


def test_out_of_step_what_may_be_a_request_leaves_its_unit_in_doubt() -> None:
    """Coils at 0x03nn behind noise: it is taken for a reply, but the device may answer it later."""
    line = Line()
    assert values(line.says(b"\xff\xff", ask(2, 0x0310, table=Table.COIL), after_ms=100)) == []
    late = encode_rtu(Frame(1, b"\x01\x01\x01"))
    assert values(line.says(ask(2, 0, table=Table.COIL), late)) == []
    assert line.reader.doubtful == 1


def test_a_request_is_no_reply_of_an_odd_number_of_bytes() -> None:
    """Holding registers at 0x03nn behind noise: no reply carries three bytes of registers."""
    line = Line()
    assert values(line.says(b"\xff\xff", ask(2, 0x0310), reply(2, 7), after_ms=100)) == [data(2, 7)]
