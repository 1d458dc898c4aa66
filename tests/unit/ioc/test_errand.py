"""What is asked of one gateway, and what came of it."""

from gateway.ioc.errand import (
    ANSWER_MS,
    BATCHES_MAX,
    PAUSE_MS,
    RANGES_MAX,
    SETTLE_MS,
    STALL_MS,
    Ask,
    Errand,
    parts,
    scope,
)
from gateway.model import BootMs, SeqRanges
from gateway.wire.command import Outcome, Resent
from tests.support.ioc import EPOCH, GATEWAY

NONE = SeqRanges()
NOW = BootMs(1_000_000)


def seqs(*pairs: tuple[int, int]) -> SeqRanges:
    """Ranges."""
    return SeqRanges.of(pairs)


def errand(missing: SeqRanges, stored: SeqRanges = NONE) -> Errand:
    """Of one epoch; the gateway is online."""
    made = Errand(GATEWAY, {EPOCH: missing.union(stored)}, {EPOCH: missing})
    made.said(NOW, online=True, recalling=0)
    return made


def good(id_: str, not_kept: SeqRanges = NONE) -> Outcome:
    """An outcome."""
    return Outcome(id_, ok=True, code="ok", resent=Resent(1, not_kept, len(not_kept)))


def test_commands_are_bounded() -> None:
    """In ranges and in batches; together they name everything once, in order."""
    wanted = SeqRanges.of([*((n, n) for n in range(1, 500, 2)), (1_000, 1_000 + 2 * BATCHES_MAX)])
    asked = list(parts({EPOCH: wanted}))
    assert all(len(ask.seqs.ranges) <= RANGES_MAX and len(ask.seqs) <= BATCHES_MAX for ask in asked)
    assert SeqRanges.of(pair for ask in asked for pair in ask.seqs.ranges) == wanted
    assert sum(len(ask.seqs) for ask in asked) == len(wanted)


def test_one_that_is_away_is_waited_for() -> None:
    """Nothing is sent before its status says online."""
    made = Errand(GATEWAY, {EPOCH: seqs((1, 3))}, {EPOCH: seqs((1, 3))})
    assert made.due("a", NOW) is None
    made.said(NOW, online=False, recalling=0)
    assert made.due("b", NOW) is None
    made.said(NOW, online=True, recalling=0)
    assert made.due("c", NOW) == Ask(EPOCH, seqs((1, 3)))
    assert made.due("d", NOW) is None
    assert not made.over(NOW)


def test_what_is_stored_and_what_is_not_kept_leaves() -> None:
    """Then it is over, once a status can have told that nothing is on its way."""
    made = errand(seqs((1, 10)))
    made.due("a", NOW)
    assert made.answered(good("other"), NOW) is None
    assert made.answered(good("a", seqs((1, 4), (99, 99))), NOW) == Ask(EPOCH, seqs((1, 4)))
    made.stored(EPOCH, seqs((5, 10)), NOW)
    assert (made.back, made.lost, made.left, made.missed) == (6, 4, 0, 10)
    assert not made.over(NOW)
    assert made.over(BootMs(NOW + SETTLE_MS))


def test_what_was_stored_all_along_is_never_called_lost() -> None:
    """The store has it: a gateway that does not keep it any more says nothing new."""
    made = errand(NONE, stored=seqs((1, 10)))
    made.due("a", NOW)
    assert made.answered(good("a", seqs((1, 10))), NOW) is None
    assert made.lost == 0


def test_it_is_not_over_while_batches_are_on_their_way() -> None:
    """Also those that the store has already: their rows may be what is missing."""
    made = errand(NONE, stored=seqs((1, 10)))
    made.due("a", NOW)
    made.answered(good("a"), NOW)
    made.said(NOW, online=True, recalling=7)
    assert not made.over(BootMs(NOW + SETTLE_MS))
    made.said(NOW, online=True, recalling=0)
    assert made.over(BootMs(NOW + SETTLE_MS))


def test_no_outcome_in_time_is_asked_again() -> None:
    """Under a new id: asking twice does no harm."""
    made = errand(seqs((1, 3)))
    assert made.due("a", NOW)
    assert made.due("b", BootMs(NOW + ANSWER_MS)) == Ask(EPOCH, seqs((1, 3)))
    assert made.answered(good("a"), NOW) is None
    made.answered(good("b", seqs((1, 3))), NOW)
    assert made.lost == 3


def test_a_refusal_that_may_pass_is_tried_again() -> None:
    """After a pause: busy, a disk that fails, a clock that is not set."""
    for code in ("busy", "spool_failed", "clock_not_trusted", "not_noted"):
        made = errand(seqs((1, 3)))
        made.due("a", NOW)
        made.answered(Outcome("a", ok=False, code=code), NOW)
        assert not made.failed
        assert made.due("b", NOW) is None
        assert made.due("b", BootMs(NOW + PAUSE_MS)) == Ask(EPOCH, seqs((1, 3)))


def test_a_refusal_that_will_not_pass_ends_it() -> None:
    """An older gateway does not know the command."""
    made = errand(seqs((1, 3)))
    made.due("a", NOW)
    made.answered(Outcome("a", ok=False, code="unknown_command"), NOW)
    assert made.failed == "unknown_command"
    assert made.over(NOW)
    assert made.left == 3


def test_a_restart_of_the_gateway_has_it_asked_again() -> None:
    """It forgot what it was asked; a standstill is taken for the same."""
    made = errand(seqs((1, 3)))
    made.due("a", NOW)
    made.answered(good("a"), NOW)
    made.stored(EPOCH, seqs((1, 1)), NOW)
    made.said(NOW, online=False, recalling=0)
    made.said(NOW, online=True, recalling=0)
    assert made.due("b", NOW) == Ask(EPOCH, seqs((2, 3)))
    made.answered(good("b"), NOW)
    assert made.due("c", BootMs(NOW + STALL_MS - 1)) is None
    made.said(NOW, online=True, recalling=2)
    assert made.due("c", BootMs(NOW + STALL_MS)) is None
    made.said(NOW, online=True, recalling=0)
    assert made.due("c", BootMs(NOW + STALL_MS)) == Ask(EPOCH, seqs((2, 3)))


def test_nobody_there_is_away() -> None:
    """Whatever its last status said."""
    made = errand(seqs((1, 3)))
    made.due("a", NOW)
    made.unheard(NOW)
    assert made.due("b", BootMs(NOW + PAUSE_MS)) is None
    made.said(NOW, online=True, recalling=0)
    assert made.due("b", BootMs(NOW + PAUSE_MS)) == Ask(EPOCH, seqs((1, 3)))


def test_the_seqs_of_a_time() -> None:
    """Between the nearest points; open where there is none."""
    assert scope((5, 9), 20) == seqs((5, 9))
    assert scope((None, 9), 20) == seqs((1, 9))
    assert scope((5, None), 20) == seqs((5, 20))
    assert scope((None, None), 20) == seqs((1, 20))
