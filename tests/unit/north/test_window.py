"""The window's table, row by row."""

import pytest

from gateway.model import BootMs, SeqRanges
from gateway.north.effects import Fetch, Park, Rank, Reread, Send, Settle, TimeOfDay
from gateway.north.window import Window
from tests.support.backlog import EPOCH, T0, make_batch, make_receipt
from tests.support.window import BIG, HOUR_MS, Bench


def test_the_whole_backlog_goes_out_in_order_and_is_settled_by_its_receipts() -> None:
    """Oldest first, never more than the window, until nothing is left."""
    bench = Bench(tail=60)
    bench.connect()
    while not bench.window.idle:
        bench.stored(*sorted(id_.seq for id_ in bench.window.in_flight))
    assert bench.sent == list(range(1, 61))
    assert bench.gone == set(range(1, 61))
    assert bench.codes() == []


def test_a_tenth_of_the_window_is_kept_for_urgent_batches() -> None:
    """A full backlog leaves two places, and an alarm takes one at once."""
    bench = Bench(tail=60)
    bench.connect()
    assert len(bench.sent) == 18
    bench.append(urgent=True)
    assert bench.sent[-1] == 61
    bench.append(urgent=True)
    bench.append(urgent=True)
    assert len(bench.window.in_flight) == 20


def test_urgent_goes_before_everything_older() -> None:
    """On a new connection the alarm of the outage is the first thing sent."""
    bench = Bench(tail=30, urgent=(29,))
    bench.connect(receive_maximum=1)
    assert bench.sent[0] == 29
    assert bench.sent[1:4] == [1, 2, 3]


def test_fresh_goes_before_backlog_but_leaves_it_a_quarter() -> None:
    """While new batches keep coming, a quarter of what is sent is old."""
    bench = Bench(tail=200)
    bench.connect()
    for _ in range(100):
        bench.append()
        bench.append()
        oldest_out = min(id_.seq for id_ in bench.window.in_flight)
        newest_out = max(id_.seq for id_ in bench.window.in_flight)
        bench.stored(oldest_out, newest_out)
    later = bench.sent[60:]
    backlog = sum(seq <= 200 for seq in later)
    assert backlog >= len(later) // 4
    fresh = [seq for seq in later if seq > 200]
    assert fresh == sorted(fresh)


def test_a_server_that_takes_one_publish_at_a_time_gets_every_fourth_from_the_backlog() -> None:
    """However many fresh batches wait for their turn."""
    window = Window(lambda _: 100)
    window.connected(1, BIG, 8, BootMs(0))
    window.offered(Rank.URGENT, (), BootMs(0))
    window.offered(Rank.BACKLOG, (), BootMs(0))
    window.woken(BootMs(0))
    order = [
        e.batch
        for e in window.offered(Rank.FRESH, [make_batch(s) for s in range(9, 17)], BootMs(0))
        if isinstance(e, Send)
    ]
    for rank in (Rank.URGENT, Rank.BACKLOG):
        window.offered(rank, [make_batch(s) for s in range(1, 3)] if rank is Rank.BACKLOG else (), BootMs(0))
    for _ in range(9):
        order += [e.batch for e in window.published(order[-1].id, 0, BootMs(0)) if isinstance(e, Send)]
    assert [batch.order for batch in order] == [9, 10, 11, 1, 12, 13, 14, 2, 15, 16]


def test_never_more_publishes_out_than_the_server_allows() -> None:
    """Receive Maximum 3: three sends, the fourth after a PUBACK."""
    window = Window(lambda _: 100)
    window.connected(3, BIG, 10, BootMs(0))
    window.offered(Rank.URGENT, (), BootMs(0))
    batches = [make_batch(seq) for seq in range(1, 11)]
    sent = [e for e in window.offered(Rank.BACKLOG, batches, BootMs(0)) if isinstance(e, Send)]
    assert [send.batch.id.seq for send in sent] == [1, 2, 3]
    after = [e for e in window.published(batches[1].id, 0, BootMs(0)) if isinstance(e, Send)]
    assert [send.batch.id.seq for send in after] == [4]


def test_a_puback_settles_nothing() -> None:
    """P2: only the IOC's word does."""
    bench = Bench(tail=3)
    bench.connect()
    assert bench.sent == [1, 2, 3]
    assert not any(isinstance(effect, Settle) for effect in bench.log)
    assert not bench.window.idle


def test_a_receipt_tells_when_now_was() -> None:
    """The interval is from the newest first send of what it settles to its arrival."""
    bench = Bench(tail=1)
    bench.connect()
    bench.now = BootMs(1_500)
    bench.append()
    bench.now = BootMs(1_900)
    bench.stored(1, 2)
    assert TimeOfDay(BootMs(1_500), BootMs(1_900), T0) in bench.log
    assert Settle(EPOCH, SeqRanges.of_seqs([1, 2])) in bench.log


def test_what_is_not_out_is_not_settled() -> None:
    """Settled already, never sent, another epoch: nothing happens."""
    bench = Bench(tail=2)
    bench.connect()
    bench.stored(1)
    before = len(bench.log)
    bench.stored(1)
    bench.do(bench.window.received(make_receipt(make_batch(99)), bench.now))
    foreign = make_receipt(bench.batches[1])
    bench.do(bench.window.received(type(foreign)("other", EPOCH, foreign.stored, (), (), "i", T0), bench.now))
    assert bench.log[before:] == []


def test_another_crc_settles_nothing_and_is_told_once_a_minute() -> None:
    """A receipt names a content: with another one the batch goes again."""
    bench = Bench(tail=1)
    bench.connect()
    wrong = type(make_receipt())("hc-0001", EPOCH, ((1, bench.batches[0].crc ^ 1),), (), (), "i", T0)
    bench.do(bench.window.received(wrong, bench.now))
    bench.do(bench.window.received(wrong, bench.now))
    assert bench.codes() == ["receipt_mismatch"]
    assert bench.gone == set()
    assert bench.wait(10_000) == [1]


def test_a_refused_batch_is_read_and_sent_again_three_times_then_parked() -> None:
    """Four refusals: four sends, three rereads, parked with its reason."""
    bench = Bench(tail=1)
    bench.connect()
    for _ in range(4):
        bench.refused(1, "crc")
    assert bench.sent == [1, 1, 1, 1]
    assert sum(isinstance(effect, Reread) for effect in bench.log) == 3
    assert bench.parked == {1: "refused:crc"}
    assert bench.codes() == ["batch_parked"]
    assert bench.window.idle


def test_one_send_is_refused_once() -> None:
    """A refusal that comes twice before the batch was read again counts once."""
    window = Window(lambda _: 100)
    batch = make_batch(1)
    window.connected(20, BIG, 1, BootMs(0))
    window.offered(Rank.BACKLOG, [batch], BootMs(0))
    refusal = make_receipt(refused=((1, "schema"), (1, "schema"), (1, "schema"), (1, "schema"), (1, "schema")))
    effects = window.received(refusal, BootMs(0))
    assert [effect for effect in effects if isinstance(effect, Reread | Park)] == [Reread(batch.id)]


def test_a_batch_that_the_spool_gave_up_leaves_the_window() -> None:
    """Reread answers None: its seq is in a gap now."""
    bench = Bench(tail=1)
    bench.connect()
    bench.gone.add(1)
    bench.refused(1, "crc")
    assert bench.window.idle


def test_version_refused_counts_and_parks_nothing_and_fetches_nothing_new() -> None:
    """An old IOC: the window waits for its upgrade, trying one batch at a time."""
    bench = Bench(tail=40)
    bench.connect()
    for _ in range(5):
        for seq in range(1, 19):
            bench.refused(seq, "version")
    assert bench.parked == {}
    assert len(bench.sent) == 18
    assert bench.codes() == ["version_refused"]
    assert bench.wait(9_000) == []
    assert bench.wait(31_000) == [1, 2]  # 10 s, then 20 s
    bench.stored(1)
    assert bench.codes()[-1] == "receipts_again"
    assert set(bench.wait(1_000)) >= set(range(3, 19))


def test_while_nobody_answers_one_batch_is_tried_at_a_time() -> None:
    """After 10 s, doubling to 5 min, in turn; nothing new but urgent; nothing counted."""
    bench = Bench(tail=40)
    bench.connect()
    bench.sent.clear()
    assert bench.wait(10_000) == [1]
    assert bench.wait(20_000) == [2]
    assert bench.wait(40_000) == [3]
    bench.append()
    assert bench.wait(1_000) == []
    bench.append(urgent=True)
    assert bench.sent[-1] == 42
    hour = bench.wait(HOUR_MS)
    assert len(hour) <= 20
    assert bench.parked == {}
    assert bench.codes() == ["no_receipts"]


def test_when_answers_come_again_everything_that_waited_goes_at_once() -> None:
    """One answer ends the silence, and nothing was held against any batch."""
    bench = Bench(tail=40)
    bench.connect()
    bench.wait(600_000)
    bench.sent.clear()
    bench.stored(1)
    bench.wait(1_000)
    assert set(bench.sent) >= set(range(2, 19))
    assert bench.window.alarms == frozenset()
    while not bench.window.idle:
        bench.stored(*(id_.seq for id_ in bench.window.in_flight))
    assert bench.gone == set(range(1, 41))


def test_one_batch_that_kills_its_reader_does_not_stop_the_others() -> None:
    """Alone in the window and never answered: others are fetched all the same, it is counted and parked."""
    bench = Bench(tail=1)
    bench.connect()
    for _ in range(60):
        bench.append()
        for _ in range(60):
            bench.wait(1_000)
            bench.stored(*(id_.seq for id_ in bench.window.in_flight if id_.seq != 1))
    assert bench.gone == set(range(2, 62))
    assert 1 in bench.parked or bench.sent.count(1) < 30


def test_overtaken_eight_times_is_parked_and_tried_hourly() -> None:
    """Each send counts once, and only because a batch sent after it was answered first."""
    bench = Bench(tail=1)
    bench.connect()
    while 1 not in bench.parked:
        bench.append()
        bench.stored(*(id_.seq for id_ in bench.window.in_flight if id_.seq != 1))
        bench.wait(1_000)
    assert bench.sent.count(1) == 8
    assert bench.parked == {1: "unanswered"}
    assert bench.codes() == ["batch_parked"]
    bench.wait(HOUR_MS)
    assert bench.parked == {}
    assert bench.sent.count(1) == 9
    bench.append()
    bench.stored(bench.batches[-1].id.seq)
    assert bench.parked == {1: "unanswered"}  # one try an hour
    bench.wait(HOUR_MS)
    bench.stored(1)
    assert bench.window.idle


def test_only_a_batch_sent_later_counts_when_it_is_answered_first() -> None:
    """The newest batch is sent nine times, and every time an older one is answered next: that proves nothing."""
    bench = Bench(tail=150, batches_max=200)
    bench.connect()
    for seq in range(1, 150):
        bench.wait(9_000)
        bench.stored(seq)
    assert bench.sent.count(150) >= 9
    assert bench.parked == {}


def test_an_answer_does_not_say_which_send_it_answers() -> None:
    """Batch 1 was sent before batch 2 and again after it: its answer may be to the first send, so it proves nothing."""
    bench = Bench(tail=2)
    bench.connect()
    bench.refused(1, "crc")
    bench.refused(1, "crc")
    assert bench.sent == [1, 2, 1, 1]
    assert bench.window._held.slots[bench.batches[1].id].overtaken == 0


def test_what_was_set_aside_comes_back_once_also_over_a_new_connection() -> None:
    """The spool offers it again from the start; the window knows that it holds it."""
    bench = Bench(tail=14)
    bench.connect()
    for _ in range(300):
        bench.append()
        bench.wait(1_000)
        bench.stored(*(id_.seq for id_ in bench.window.in_flight if id_.seq > 14))
        if bench.places("aside"):
            break
    assert bench.places("aside")
    bench.window.disconnected()
    bench.sent.clear()
    bench.connect()
    while not bench.window.idle or bench.places("aside"):
        bench.stored(*(id_.seq for id_ in bench.window.in_flight))
    assert sorted(bench.sent) == list(range(1, 15))
    assert bench.gone == {batch.id.seq for batch in bench.batches}


def test_batches_that_are_never_answered_hold_at_most_half_of_the_window() -> None:
    """Every second batch is poison: the good ones still go through, the bad ones end up parked."""
    bench = Bench(tail=100)
    bench.connect()
    for _ in range(24 * 3_600):
        bench.wait(1_000)
        bench.stored(*(id_.seq for id_ in bench.window.in_flight if id_.seq % 2 == 0))
        assert sum(slot.suspect for slot in bench.window._held.slots.values()) <= 10
        if len(bench.gone) == 50:
            break
    assert bench.gone == set(range(2, 101, 2))
    for _ in range(3 * 3_600):
        bench.wait(1_000)
        bench.stored(*(id_.seq for id_ in bench.window.in_flight))
    assert bench.gone == set(range(1, 101))


def test_on_a_new_connection_what_was_out_goes_at_once() -> None:
    """No wait for the ladder, and sends on the old connection are not held against it."""
    bench = Bench(tail=5)
    bench.connect()
    bench.window.disconnected()
    bench.sent.clear()
    bench.connect()
    assert bench.sent == [1, 2, 3, 4, 5]
    assert bench.wait(9_000) == []


def test_what_came_during_the_outage_is_backlog_not_fresh() -> None:
    """Fresh is what the spool did not have when this connection came up."""
    bench = Bench(tail=2)
    bench.connect()
    bench.window.disconnected()
    bench.batches += [make_batch(seq) for seq in (3, 4)]
    bench.log.clear()
    bench.connect()
    fetches = [effect for effect in bench.log if isinstance(effect, Fetch)]
    assert {fetch.rank for fetch in fetches} == {Rank.URGENT, Rank.BACKLOG}
    assert next(fetch.until for fetch in fetches if fetch.rank is Rank.BACKLOG) == 4
    bench.append()
    assert any(isinstance(effect, Fetch) and effect.rank is Rank.FRESH and effect.after == 4 for effect in bench.log)


def test_nothing_happens_without_a_connection() -> None:
    """Told of news and of time, it keeps still."""
    window = Window(lambda _: 100)
    assert window.woken(BootMs(0)) == []
    assert window.tick(BootMs(0)) == []
    assert not window.idle


def test_a_packet_the_server_does_not_take_is_an_alarm_and_stays_pending() -> None:
    """Not sent, not parked, and offered again on the next connection."""
    bench = Bench(tail=3)
    bench.batches[1] = make_batch(2, body=b"x" * 5_000)
    bench.connect(packet_bytes=1_000)
    assert bench.sent == [1, 3]
    assert bench.window.alarms == {"packet_too_large"}
    bench.window.disconnected()
    bench.connect()
    assert bench.sent[2:] == [1, 3, 2]
    assert bench.window.alarms == frozenset()


def test_a_batch_in_the_window_does_not_go_to_a_server_with_smaller_packets() -> None:
    """It was out already when the next server turned out to take less."""
    bench = Bench(tail=1)
    bench.batches[0] = make_batch(1, body=b"x" * 5_000)
    bench.connect()
    bench.window.disconnected()
    bench.connect(packet_bytes=1_000)
    assert bench.sent == [1]
    assert bench.window.in_flight == frozenset()


@pytest.mark.parametrize(("reason", "code"), [(16, "nobody_stores"), (135, "publish_refused")])
def test_what_a_puback_says_is_told_once_and_ends_with_a_receipt(reason: int, code: str) -> None:
    """16: nobody subscribes; 128 and above: the server refused."""
    bench = Bench(tail=3)
    bench.puback = reason
    bench.connect()
    assert bench.codes() == [code]
    assert bench.window.alarms == {code}
    bench.stored(1)
    assert bench.window.alarms == frozenset()
    assert bench.codes() == [code, "receipts_again"]


def test_a_refused_publish_stays_out_and_goes_again() -> None:
    """The batch is neither lost nor parked for a broker's mood."""
    bench = Bench(tail=1)
    bench.puback = 151
    bench.connect()
    assert bench.wait(10_000) == [1]
    assert bench.parked == {}


def test_a_fetch_under_way_does_not_bring_back_what_was_settled_meanwhile() -> None:
    """The read was made before the receipt came."""
    window = Window(lambda _: 100)
    batches = [make_batch(1, urgent=True), make_batch(2)]
    window.connected(20, BIG, 2, BootMs(0))
    window.offered(Rank.URGENT, batches[:1], BootMs(0))
    window.published(batches[0].id, 0, BootMs(0))
    window.received(make_receipt(batches[0]), BootMs(0))
    window.offered(Rank.BACKLOG, batches, BootMs(0))
    assert {id_.seq for id_ in window.in_flight} == {2}


def test_news_during_a_read_is_not_missed() -> None:
    """The read brought nothing, but the spool had news after it was asked for: it is read again."""
    window = Window(lambda _: 100)
    window.connected(20, BIG, 0, BootMs(0))
    window.woken(BootMs(0))
    again = window.offered(Rank.BACKLOG, (), BootMs(0))
    assert Rank.BACKLOG in [effect.rank for effect in again if isinstance(effect, Fetch)]
    once_more = window.offered(Rank.BACKLOG, (), BootMs(0))
    assert Rank.BACKLOG not in [effect.rank for effect in once_more if isinstance(effect, Fetch)]


def test_a_window_too_small_for_its_shares_is_refused() -> None:
    """Below four the quarters round to nothing."""
    with pytest.raises(ValueError, match="at least 4"):
        Window(lambda _: 1, batches_max=3)


def test_a_storm_of_alarms_leaves_backlog_its_quarter() -> None:
    """However many urgent batches keep coming, and though each of them goes first."""
    bench = Bench(tail=400)
    bench.connect()
    for _ in range(800):
        bench.append(urgent=True)
    for _ in range(50):
        assert sum(seq <= 400 for seq in (id_.seq for id_ in bench.window.in_flight)) >= 5
        bench.stored(*(id_.seq for id_ in bench.window.in_flight))


def test_what_is_remembered_of_reads_is_bounded_by_the_reads_that_are_under_way() -> None:
    """One read or another is always under way: what left the window before a read was asked for is forgotten."""
    window = Window(lambda _: 100)
    now = BootMs(1_000)
    window.connected(20, BIG, 400, now)
    reads, seq = [Rank.URGENT, Rank.BACKLOG], 0
    for _ in range(40):
        for rank in reads:
            brought = [] if rank is Rank.URGENT else [make_batch(seq + n) for n in range(1, 6)]
            seq += len(brought)
            window.offered(rank, brought, now)
            window.woken(now)
            window.received(make_receipt(*brought), now)
    assert window.idle is False
    assert sum(len(left) for left in window._intake._left.values()) <= 20
