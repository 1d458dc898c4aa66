"""What was asked for again: bounded, in order, each at most once."""

from gateway.model import BatchId, BootMs, SeqRanges
from gateway.north.recalls import BURST_MS, BYTES_A_SECOND, RANGES_MAX, RECALLS_MAX, TRIES_MAX, Recalls
from tests.support.backlog import EPOCH, GATEWAY


def ids(*seqs: int, epoch: str = EPOCH) -> list[BatchId]:
    """Of one epoch."""
    return [BatchId(GATEWAY, epoch, seq) for seq in seqs]


def asked(*ranges: tuple[int, int]) -> Recalls:
    """So much was asked for."""
    made = Recalls()
    made.ask(GATEWAY, EPOCH, SeqRanges.of(ranges))
    return made


def test_a_few_at_a_time_in_order() -> None:
    """W-94: the lowest first, epochs as they were asked for, never more than the bound."""
    recalls = asked((7, 8), (2, 2))
    recalls.ask(GATEWAY, "other1", SeqRanges.of([(1, 1_000_000_000)]))
    assert recalls.next(2) == ids(2, 7)
    assert recalls.next(20) == ids(8) + ids(1, epoch="other1")
    assert recalls.next(20) == []
    assert recalls.reading == RECALLS_MAX
    assert len(recalls) == 1_000_000_003


def test_what_is_on_its_way_is_not_asked_for_twice() -> None:
    """W-93: queued, being read, or in the window; gone, it may be asked for again."""
    recalls = asked((1, 3))
    recalls.next(2)
    assert recalls.came(ids(1)[0])
    recalls.ask(GATEWAY, EPOCH, SeqRanges.of([(1, 3)]))
    assert len(recalls) == 3
    recalls.gone(ids(1)[0])
    recalls.ask(GATEWAY, EPOCH, SeqRanges.of([(1, 3)]))
    assert recalls.next(20) == ids(1, 3)


def test_a_lost_connection_costs_a_read() -> None:
    """It is read again; an answer that comes all the same is nobody's."""
    recalls = asked((1, 1))
    recalls.next(1)
    recalls.disconnected()
    assert not recalls.came(ids(1)[0])
    assert recalls.next(1) == ids(1)


def test_sent_in_vain_is_tried_a_few_times() -> None:
    """Then it is for the centre to ask again."""
    recalls = asked((1, 1))
    for again in range(TRIES_MAX):
        assert recalls.next(1) == ids(1)
        recalls.came(ids(1)[0])
        assert recalls.put_back(ids(1)[0]) == (again < TRIES_MAX - 1)
    assert recalls.next(1) == []
    assert len(recalls) == 0


def test_bytes_have_their_time() -> None:
    """A burst of a second after a rest, then so many a second."""
    recalls, now = Recalls(), BootMs(100_000)
    sent = 0
    while recalls.may_send(now):
        recalls.sent(8192, now)
        sent += 8192
    assert sent <= BYTES_A_SECOND * BURST_MS / 1000 + 8192
    assert not recalls.may_send(BootMs(now + 200))
    assert recalls.may_send(BootMs(now + 300))


def test_it_remembers_no_more_than_it_may() -> None:
    """By ranges: those are what costs memory."""
    recalls = asked(*((seq, seq) for seq in range(1, 2 * RANGES_MAX - 2, 2)))
    assert not recalls.full
    recalls.ask(GATEWAY, "other1", SeqRanges.of([(1, 1)]))
    assert recalls.full
