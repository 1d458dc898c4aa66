"""Settled batches that go again: below all others, and settled whatever comes (W-93, W-94)."""

from collections.abc import Iterable

from gateway.model import Receipt, SeqRanges
from gateway.north.effects import Complain, Effect, Park, ReadKept, Reread, Settle, Unpark
from gateway.north.recalls import RECALLS_MAX
from gateway.north.window import Window
from tests.support.backlog import EPOCH, GATEWAY, T0
from tests.support.window import Bench

NONE = SeqRanges()


class RecallBench(Bench):
    """With an archive that answers at once."""

    dropped: frozenset[int] = frozenset()  # settled, and made room

    def _done(self, effect: Effect) -> Iterable[Effect]:
        if not isinstance(effect, ReadKept):
            return super()._done(effect)
        self.log.append(effect)
        assert effect.id.seq in self.gone, "only what is settled is in the archive"
        found = None if effect.id.seq in self.dropped else self.batches[effect.id.seq - 1]
        return self.window.recalled(effect.id, found, self.now)


def settled_bench(count: int) -> RecallBench:
    """So many batches, all settled, and a connection."""
    bench = RecallBench(tail=count)
    bench.connect()
    while bench.window.in_flight:
        bench.stored(*sorted(id_.seq for id_ in bench.window.in_flight))
    bench.log.clear()
    bench.sent.clear()
    return bench


def ask(bench: RecallBench, *seqs: int) -> None:
    """The command."""
    bench.window.resend(GATEWAY, EPOCH, SeqRanges.of_seqs(seqs), NONE)


def effects(bench: RecallBench, kind: type[Effect]) -> list[Effect]:
    """Of this kind, so far."""
    return [effect for effect in bench.log if isinstance(effect, kind)]


def test_they_go_a_few_at_a_time_with_the_crc_of_the_first_send() -> None:
    """Each receipt makes room for the next; nothing is settled again."""
    bench = settled_bench(10)
    ask(bench, *range(1, 8))
    bench.wait(1_000)
    assert bench.sent == [1, 2, 3, 4]
    assert len(bench.window.in_flight) == RECALLS_MAX
    bench.stored(2, 1)
    assert bench.sent == [1, 2, 3, 4, 5, 6]
    bench.stored(3, 4, 5, 6, 7)
    bench.stored(7)
    assert bench.window.recalling == 0
    assert effects(bench, Settle) == []


def test_anything_else_goes_first() -> None:
    """A fresh batch that came after the command."""
    bench = settled_bench(3)
    ask(bench, 1, 2)
    bench.append()
    assert bench.sent[0] == 4


def test_a_reconnect_sends_what_was_out_and_the_rest() -> None:
    """Nothing was lost of what was asked for."""
    bench = settled_bench(8)
    ask(bench, *range(1, 7))
    bench.wait(1_000)
    bench.window.disconnected()
    bench.sent.clear()
    bench.connect()
    assert bench.sent == [1, 2, 3, 4]
    bench.stored(1, 2, 3, 4)
    assert bench.sent == [1, 2, 3, 4, 5, 6]


def test_a_refused_one_is_let_go_of() -> None:
    """Told; neither parked nor read as pending: on the disk it is as settled as before."""
    bench = settled_bench(2)
    ask(bench, 1)
    bench.wait(1_000)
    bench.refused(1, "schema")
    assert Complain("recall_refused", (1, "schema")) in bench.log
    assert bench.window.recalling == 0
    assert effects(bench, Park) == effects(bench, Reread) == []


def test_a_receipt_with_another_crc_lets_nothing_go() -> None:
    """As for any batch (W-55)."""
    bench = settled_bench(2)
    ask(bench, 1)
    bench.wait(1_000)
    wrong = bench.batches[1]
    bench.do(bench.window.received(_receipt(1, wrong.crc), bench.now))
    assert bench.window.recalling == 1
    assert any(isinstance(effect, Complain) and effect.code == "receipt_mismatch" for effect in bench.log)


def test_while_nobody_answers_recalls_wait() -> None:
    """Only what finds out whether anybody is there goes; an answer brings the rest."""
    bench = settled_bench(6)
    ask(bench, 1, 2, 3, 4, 5)
    bench.wait(1_000)
    bench.sent.clear()
    bench.append()
    bench.wait(120_000)
    assert set(bench.sent) == {7}
    bench.stored(7)
    bench.wait(2_000)
    assert {1, 2} <= set(bench.sent)


def test_one_that_is_not_kept_is_forgotten() -> None:
    """The archive made room meanwhile: the centre will ask, and hear it."""
    bench = settled_bench(2)
    bench.dropped = frozenset({1})
    ask(bench, 1)
    bench.wait(1_000)
    assert bench.window.recalling == 0
    assert bench.sent == []


def test_a_parked_one_is_as_new() -> None:
    """The spool offers it again, and the hourly try of before is forgotten."""
    bench = RecallBench(tail=30)
    bench.connect()
    stubborn = 1
    for _ in range(40):
        out = sorted(id_.seq for id_ in bench.window.in_flight if id_.seq != stubborn)
        if not out:
            bench.append()
            continue
        bench.stored(*out)
        bench.wait(301_000)
        if stubborn in bench.parked:
            break
    assert bench.parked == {stubborn: "unanswered"}
    bench.sent.clear()
    bench.window.resend(GATEWAY, EPOCH, NONE, SeqRanges.of_seqs([stubborn]))
    bench.parked.clear()
    bench.do(bench.window.rewound(bench.now))
    assert stubborn in bench.sent
    bench.stored(stubborn)
    bench.log.clear()
    bench.wait(3_700_000)
    assert effects(bench, Unpark) == []


def test_a_stop_does_not_wait_for_them() -> None:
    """They are nobody's only copy."""
    bench = settled_bench(3)
    ask(bench, 1, 2)
    assert bench.window.idle
    bench.wait(1_000)
    assert bench.window.idle


def test_the_window_says_when_it_is_full() -> None:
    """The command is then answered `busy`."""
    window = Window(lambda _: 1)
    window.resend(GATEWAY, EPOCH, SeqRanges.of_seqs(range(1, 10_000, 2)), NONE)
    assert window.recalls_full


def _receipt(seq: int, crc: int) -> Receipt:
    return Receipt(GATEWAY, EPOCH, ((seq, crc),), (), (), "i", T0)
