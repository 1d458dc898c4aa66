"""The centre's clock: bounds from receipts, when they count, and how a box without a clock asks for one."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.clock.receipts import ASK_LATER_MS, ASK_SOON_MS, GOOD_FOR_MS, WAY_MS_MAX, ReceiptTime
from gateway.model import BootMs, UtcMs

TRUE = 1_795_521_600_000
MIN = 60_000


def told(receipts: ReceiptTime, sent: int, way_ms: int, back_ms: int, true: int = TRUE) -> None:
    """A receipt whose `now` was read `back_ms` before it arrived."""
    arrived = sent + way_ms
    receipts.told(BootMs(sent), BootMs(arrived), UtcMs(arrived - back_ms + true))


def off_ms(receipts: ReceiptTime, at: int = MIN, true: int = TRUE) -> int:
    """How wrong it is."""
    utc = receipts.utc(BootMs(at))
    assert utc is not None
    return utc - at - true


def test_the_first_receipt_gives_the_middle() -> None:
    """Right within half of the way."""
    receipts = ReceiptTime()
    assert receipts.utc(BootMs(MIN)) is None
    assert not receipts.synchronised(BootMs(MIN))
    told(receipts, MIN, 2_000, 0)
    assert off_ms(receipts) == 1_000
    assert receipts.synchronised(BootMs(MIN))


def test_a_way_of_more_than_two_seconds_is_not_counted() -> None:
    """It says too little."""
    receipts = ReceiptTime()
    told(receipts, MIN, WAY_MS_MAX + 1, 0)
    assert receipts.utc(BootMs(MIN)) is None
    told(receipts, MIN, WAY_MS_MAX, 0)
    assert receipts.utc(BootMs(MIN)) is not None


def test_quick_receipts_make_it_better_and_slow_ones_never_worse() -> None:
    """The offset moves only as far as a receipt forces it."""
    receipts = ReceiptTime()
    told(receipts, MIN, 2_000, 0)
    told(receipts, 2 * MIN, 60, 30)
    assert off_ms(receipts) == 30
    told(receipts, 3 * MIN, 2_000, 0)
    told(receipts, 4 * MIN, 2_000, 1_900)
    assert off_ms(receipts) == 30


@given(st.lists(st.tuples(st.integers(0, WAY_MS_MAX), st.integers(0, WAY_MS_MAX)), min_size=1, max_size=20))
def test_it_is_never_worse_than_a_second(ways: list[tuple[int, int]]) -> None:
    """Whatever the ways, and wherever in them `now` was read; and as good as the quickest."""
    receipts = ReceiptTime()
    for turn, (way_ms, back_ms) in enumerate(ways):
        told(receipts, turn * MIN, way_ms, min(way_ms, back_ms))
        assert abs(off_ms(receipts)) <= WAY_MS_MAX // 2
    assert abs(off_ms(receipts)) <= min(way_ms for way_ms, _ in ways)


def test_a_crystal_that_drifts_is_followed() -> None:
    """50 ppm for a week."""
    receipts = ReceiptTime()
    for minute in range(7 * 24 * 60):
        at = minute * MIN
        told(receipts, at, 100, 50, TRUE + at * 50 // 1_000_000)
    assert abs(off_ms(receipts, at, TRUE + at * 50 // 1_000_000)) <= 50


def test_its_word_ends() -> None:
    """Where the kernel's would: after about nine hours without a receipt. The time stays."""
    receipts = ReceiptTime()
    told(receipts, MIN, 0, 0)
    assert receipts.synchronised(BootMs(MIN + GOOD_FOR_MS))
    assert not receipts.synchronised(BootMs(MIN + GOOD_FOR_MS + 1))
    assert off_ms(receipts, MIN + GOOD_FOR_MS + 1) == 0


def test_a_restart_goes_on() -> None:
    """With what was believed, unconfirmed, until a receipt."""
    receipts = ReceiptTime()
    receipts.go_on(None)
    assert receipts.utc(BootMs(MIN)) is None
    receipts.go_on(TRUE + 7)
    assert off_ms(receipts) == 7
    assert not receipts.synchronised(BootMs(MIN))
    assert not receipts.asks(BootMs(MIN))
    told(receipts, MIN, 4, 2)
    receipts.go_on(0)
    assert off_ms(receipts) == 2
    assert receipts.synchronised(BootMs(MIN))


def test_it_asks_once_and_again_after_an_answer_that_was_too_slow() -> None:
    """An unanswered question is on the disk: asking more often would only fill that."""
    receipts = ReceiptTime()
    assert receipts.asks(BootMs(0))
    assert not receipts.asks(BootMs(ASK_LATER_MS - 1))
    told(receipts, 1_000, 3_000, 0)
    assert not receipts.asks(BootMs(ASK_SOON_MS - 1))
    assert receipts.asks(BootMs(ASK_SOON_MS))
    assert not receipts.asks(BootMs(2 * ASK_SOON_MS))
    assert receipts.asks(BootMs(ASK_SOON_MS + ASK_LATER_MS))
    told(receipts, 2 * ASK_LATER_MS, 10, 0)
    assert not receipts.asks(BootMs(9 * ASK_LATER_MS))
