"""The rule for late replies, without a wire."""

from gateway.protocols.modbus_frame import Frame
from gateway.protocols.modbus_pdu import ReadDeviceId, ReadRequest, Table, WriteRegisters
from gateway.south.links.late import QUEUED_MAX, LateReplies, Shape, late_max_ns, shape_of

TEN = shape_of(1, ReadRequest(Table.HOLDING, 0, 10))
ELEVEN = shape_of(1, ReadRequest(Table.HOLDING, 0, 11))
INPUT_TEN = shape_of(1, ReadRequest(Table.INPUT, 0, 10))
OTHER = shape_of(2, ReadRequest(Table.HOLDING, 0, 10))
TEN_FRAME = Frame(1, bytes((3, 20)) + bytes(20))
S = 1_000_000_000
ASKED = (1 * S, 2 * S)  # and the deadline: owed until 5 S


def test_a_shape_is_what_a_reply_tells() -> None:
    """unit_id, function, length: not the address."""
    assert shape_of(1, ReadRequest(Table.HOLDING, 777, 10)) == TEN == Shape(1, 3, 22)
    assert shape_of(1, WriteRegisters(5, (1,))) == Shape(1, 6, 5)
    assert shape_of(1, ReadDeviceId()) == Shape(1, 43, None)


def test_a_bar_stops_its_own_shape_only() -> None:
    """Another length, function or unit_id goes on."""
    late = LateReplies()
    late.bar(TEN, *ASKED)
    assert late.barred_ns(TEN, 1 * S) == 5 * S
    assert [late.barred_ns(shape, 1 * S) for shape in (ELEVEN, INPUT_TEN, OTHER)] == [None, None, None]


def test_a_bar_ends_with_its_time() -> None:
    """And is forgotten."""
    late = LateReplies()
    late.bar(TEN, *ASKED)
    assert late.barred_ns(TEN, 5 * S - 1) == 5 * S
    assert late.barred_ns(TEN, 5 * S) is None
    assert not late.holds(1, 5 * S)


def test_replies_that_are_owed_come_one_after_the_other() -> None:
    """What is asked meanwhile is taken up when the first is done, and may take as long: a timeout and late_max."""
    late = LateReplies(shared_queue=False)
    late.bar(TEN, *ASKED)
    late.bar(ELEVEN, 2 * S, 3 * S)
    late.bar(OTHER, 2 * S, 3 * S)
    assert [late.barred_ns(shape, 1 * S) for shape in (TEN, ELEVEN, OTHER)] == [5 * S, 9 * S, 6 * S]


def test_behind_a_converter_all_units_share_one_queue() -> None:
    """It waits for a dead device before it asks the next."""
    late = LateReplies()
    late.bar(TEN, *ASKED)
    late.bar(OTHER, 2 * S, 3 * S)
    assert late.barred_ns(OTHER, 1 * S) == 9 * S


def test_a_queue_is_bounded() -> None:
    """However many dead devices there are: at most four requests are waited for, and then its own."""
    late = LateReplies()
    for unit_id in range(2, 40):
        late.bar(shape_of(unit_id, ReadRequest(Table.HOLDING, 0, 10)), *ASKED)
    late.bar(TEN, *ASKED)
    assert late.barred_ns(TEN, 1 * S) == 1 * S + (QUEUED_MAX + 1) * 4 * S


def test_a_good_reply_ends_the_waiting_for_a_queue() -> None:
    """Of its own unit_id only: a converter may ask several lines at once."""
    late = LateReplies()
    for shape in (TEN, OTHER, ELEVEN):
        late.bar(shape, *ASKED)
    assert [late.barred_ns(shape, 1 * S) for shape in (TEN, OTHER, ELEVEN)] == [5 * S, 9 * S, 13 * S]
    late.answered(1)
    assert [late.barred_ns(shape, 1 * S) for shape in (TEN, OTHER, ELEVEN)] == [5 * S, 9 * S, 5 * S]


def test_a_good_reply_shows_that_a_disbelieved_exception_left_nothing() -> None:
    """Its bar goes; that of a request which was not answered stays, for it may have been overtaken."""
    late = LateReplies()
    late.bar(TEN, *ASKED)
    late.bar(ELEVEN, *ASKED, disbelieved=True)
    late.answered(2)
    assert late.barred_ns(ELEVEN, 1 * S) is not None
    late.answered(1)
    assert (late.barred_ns(TEN, 1 * S), late.barred_ns(ELEVEN, 1 * S)) == (5 * S, None)


def test_a_reply_that_was_heard_is_out_of_the_queue() -> None:
    """What comes after it is expected sooner."""
    late = LateReplies()
    late.bar(TEN, *ASKED)
    late.heard(TEN_FRAME, 1 * S)
    late.bar(ELEVEN, 2 * S, 3 * S)
    assert late.barred_ns(ELEVEN, 1 * S) == 6 * S


def test_what_was_asked_before_a_late_reply_came_may_begin_only_then() -> None:
    """The device was busy until this moment: what waited for it may take a timeout and late_max from here."""
    late = LateReplies()
    late.bar(TEN, *ASKED)
    late.heard(TEN_FRAME, 4 * S)
    late.bar(ELEVEN, 3 * S, 4 * S)
    assert late.barred_ns(ELEVEN, 4 * S) == 8 * S
    late.bar(OTHER, 9 * S, 10 * S)
    assert late.barred_ns(OTHER, 10 * S) == 13 * S


def test_its_late_frame_lifts_a_bar() -> None:
    """Once; a second frame like it is owed by nobody."""
    late = LateReplies()
    late.bar(TEN, *ASKED)
    assert late.heard(TEN_FRAME, 1 * S)
    assert late.barred_ns(TEN, 1 * S) is None
    assert not late.heard(TEN_FRAME, 1 * S)


def test_other_frames_lift_nothing() -> None:
    """Another unit_id, function or length, or no pdu at all."""
    late = LateReplies()
    late.bar(TEN, *ASKED)
    for frame in (
        Frame(2, TEN_FRAME.pdu),
        Frame(1, b"\x04" + TEN_FRAME.pdu[1:]),
        Frame(1, b"\x03\x02\0\0"),
        Frame(1, b""),
    ):
        assert not late.heard(frame, 1 * S)
    assert late.barred_ns(TEN, 1 * S) == 5 * S


def test_a_late_exception_lifts_the_only_bar_of_its_function() -> None:
    """With two it cannot be told whose it is, and both stay."""
    late = LateReplies()
    late.bar(TEN, *ASKED)
    late.bar(INPUT_TEN, *ASKED)
    assert late.heard(Frame(1, b"\x83\x06"), 1 * S)
    assert late.barred_ns(TEN, 1 * S) is None
    assert late.barred_ns(INPUT_TEN, 1 * S) is not None
    late.bar(TEN, *ASKED)
    late.bar(ELEVEN, *ASKED)
    assert late.heard(Frame(1, b"\x83\x06"), 1 * S)
    assert None not in (late.barred_ns(TEN, 1 * S), late.barred_ns(ELEVEN, 1 * S))


def test_a_unit_with_any_bar_is_held() -> None:
    """Its exceptions are not to be believed."""
    late = LateReplies()
    late.bar(TEN, *ASKED)
    assert late.holds(1, 1 * S)
    assert not late.holds(2, 1 * S)


def test_a_blind_bar_stops_the_whole_unit_and_only_time_lifts_it() -> None:
    """What a link without sight needs."""
    late = LateReplies()
    late.bar(Shape(1, None, None), *ASKED)
    assert [late.barred_ns(shape, 1 * S) for shape in (TEN, INPUT_TEN, OTHER)] == [5 * S, 5 * S, None]
    assert not late.heard(TEN_FRAME, 1 * S)
    assert late.barred_ns(TEN, 1 * S) == 5 * S


def test_a_shape_of_any_length_bars_every_length() -> None:
    """43/14, both ways."""
    late = LateReplies()
    identity = shape_of(1, ReadDeviceId())
    late.bar(identity, *ASKED)
    assert late.barred_ns(identity, 1 * S) == 5 * S
    assert late.heard(Frame(1, bytes.fromhex("2B 0E 01 01 00 00 00")), 1 * S)
    assert late.barred_ns(identity, 1 * S) is None


def test_late_max_is_three_timeouts_and_at_least_two_seconds() -> None:
    """After the deadline."""
    assert late_max_ns(1 * S) == 3 * S
    assert late_max_ns(1) == 2 * S
