"""Cursors over the spool."""

from gateway.north.effects import Fetch, Rank
from gateway.north.intake import Intake
from tests.support.backlog import make_batch


def test_one_read_at_a_time_for_each_rank() -> None:
    """Asked once; asked again where the last answer ended."""
    intake = Intake()
    intake.connected(10)
    assert intake.ask(Rank.BACKLOG, 3) == [Fetch(Rank.BACKLOG, 0, 10, 3)]
    assert intake.ask(Rank.BACKLOG, 3) == []
    assert intake.asked(*Rank) == 3
    assert intake.ask(Rank.URGENT, 2) == [Fetch(Rank.URGENT, 0, None, 2)]
    taken = intake.took(Rank.BACKLOG, [make_batch(seq) for seq in (4, 5, 9)])
    assert [batch.id.seq for batch in taken] == [4, 5, 9]
    assert intake.ask(Rank.BACKLOG, 5) == [Fetch(Rank.BACKLOG, 9, 10, 5)]


def test_more_than_was_asked_for_is_left_for_the_next_read() -> None:
    """The cursor stands at the last one taken, so nothing is skipped."""
    intake = Intake()
    intake.connected(10)
    intake.ask(Rank.BACKLOG, 2)
    assert len(intake.took(Rank.BACKLOG, [make_batch(seq) for seq in (1, 2, 3)])) == 2
    assert intake.ask(Rank.BACKLOG, 2) == [Fetch(Rank.BACKLOG, 2, 10, 2)]


def test_a_short_answer_drains_a_rank_until_there_is_news() -> None:
    """No polling of an empty spool; fresh is drained from the start."""
    intake = Intake()
    intake.connected(10)
    assert intake.drained(Rank.FRESH)
    intake.ask(Rank.BACKLOG, 2)
    intake.took(Rank.BACKLOG, [make_batch(1)])
    assert intake.drained(Rank.FRESH, Rank.BACKLOG)
    assert intake.ask(Rank.BACKLOG, 2) == []
    intake.woken()
    assert intake.ask(Rank.FRESH, 2) == [Fetch(Rank.FRESH, 10, None, 2)]


def test_an_answer_nobody_waits_for_takes_nothing() -> None:
    """A read of the connection before."""
    intake = Intake()
    intake.connected(10)
    intake.ask(Rank.BACKLOG, 2)
    intake.disconnected()
    intake.connected(10)
    assert intake.took(Rank.BACKLOG, [make_batch(1)]) == []
    assert not intake.drained(Rank.BACKLOG)


def test_a_rewind_reads_from_the_start_again() -> None:
    """Batches that came into sight below a cursor are found; fresh ones stay fresh."""
    intake = Intake()
    intake.connected(10)
    intake.ask(Rank.BACKLOG, 2)
    intake.took(Rank.BACKLOG, [make_batch(4), make_batch(5)])
    intake.rewind()
    assert intake.ask(Rank.BACKLOG, 2) == [Fetch(Rank.BACKLOG, 0, 10, 2)]
    assert intake.ask(Rank.FRESH, 2) == [Fetch(Rank.FRESH, 10, None, 2)]


def test_a_read_under_way_does_not_undo_a_rewind() -> None:
    """Its batches are taken, its end is no place to go on from."""
    intake = Intake()
    intake.connected(10)
    intake.ask(Rank.BACKLOG, 2)
    intake.rewind()
    assert len(intake.took(Rank.BACKLOG, [make_batch(7), make_batch(8)])) == 2
    assert intake.ask(Rank.BACKLOG, 2) == [Fetch(Rank.BACKLOG, 0, 10, 2)]
