"""gateway.south.links.owed: who may still answer an old question."""

from gateway.protocols.framing import FrameReader, Framing
from gateway.south.links.owed import Hope, Owed

FRAMING = Framing("line", 32, start=b"#1", end=b"\r")


def _hope() -> Hope:
    return Hope(FrameReader(FRAMING, in_step=True), None)


def test_time_lifts_a_bar() -> None:
    """Each device has its own, and the newest counts."""
    owed = Owed()
    owed.bar("a", 100, None)
    owed.bar("b", 200, None)
    assert (owed.until_ns("a", 99), owed.until_ns("b", 99)) == (100, 200)
    assert (owed.until_ns("a", 100), owed.until_ns("b", 100)) == (None, 200)
    assert owed.owes(199)
    assert not owed.owes(200)


def test_the_late_reply_lifts_it() -> None:
    """In any pieces, also when its beginning had come in time; that of another device does not."""
    owed = Owed()
    hope = _hope()
    assert not hope.met(b"#1,2")
    owed.bar("a", 100, hope)
    assert owed.heard(b"1\r#2,3\r") == 1
    assert owed.until_ns("a", 0) is None
    owed.bar("a", 100, _hope())
    assert owed.heard(b"#2,3\r") == 0
    assert owed.heard(b"#1") == 0
    assert owed.until_ns("a", 0) == 100


def test_a_frame_that_does_not_fit_lifts_nothing() -> None:
    """Nor does anything where it is not known what was waited for."""
    owed = Owed()
    owed.bar("a", 100, Hope(FrameReader(FRAMING), lambda frame: b"x" in frame))
    owed.bar("b", 100, None)
    assert owed.heard(b"#1,y\r") == 0
    assert owed.heard(b"#1,x\r") == 1
    assert owed.until_ns("b", 0) == 100


def test_behind_a_converter_all_wait_in_one_queue() -> None:
    """What is asked while another's reply is owed may be taken up when that is done; bounded, as for Modbus."""
    owed = Owed(shared_queue=True)
    owed.bar("a", 1100, None, 100)
    owed.bar("b", 1300, None, 300)
    assert owed.until_ns("a", 400) == 1100
    assert owed.until_ns("b", 400) == 2100
    owed.bar("a", 2200, None, 1200)
    assert owed.until_ns("a", 1200) == 3100
    for n in range(20):
        owed.bar(f"d{n}", 2300, None, 1300)
    assert max(owed.until_ns(f"d{n}", 1300) or 0 for n in range(20)) <= 1300 + 5 * 1000
    alone = Owed()
    alone.bar("a", 1100, None, 100)
    alone.bar("b", 1300, None, 300)
    assert alone.until_ns("b", 400) == 1300
