"""What a file holds, in RAM."""

import pytest

from gateway.model import SeqRanges
from gateway.spool.row import Stretch
from gateway.spool.view import View


@pytest.fixture
def view() -> View:
    """Epoch a (ids 1..10), a ring r (11..13), a again (14..15), and before all that another gateway's x (-4..0)."""
    return View(
        "hc-0001",
        [
            Stretch(-4, "x", 1, 5, "hc-0002", ""),
            Stretch(1, "a", 1, 10, "hc-0001", ""),
            Stretch(11, "r", 1, 3, "hc-0001", ""),
            Stretch(14, "a", 11, 12, "hc-0001", ""),
        ],
    )


def test_ids_and_seqs(view: View) -> None:
    """Both ways, over a ring that cut an epoch in two."""
    assert [view.id_of("a", seq) for seq in (1, 10, 11, 12, 13)] == [1, 10, 14, 15, None]
    assert [view.place(id_) for id_ in (1, 11, 14)] == [("a", 1), ("r", 1), ("a", 11)]
    with pytest.raises(KeyError):
        view.place(16)
    assert view.seqs(SeqRanges.of([(9, 14)])) == {"a": SeqRanges.of([(9, 11)]), "r": SeqRanges.of([(1, 3)])}


def test_pending_is_what_is_neither_settled_nor_gone(view: View) -> None:
    """Another gateway's are foreign, never pending."""
    assert view.pending() == SeqRanges.of([(1, 15)])
    view.settle("a", SeqRanges.of([(1, 3), (11, 11)]))
    view.remove(SeqRanges.of([(1, 2), (12, 12), (-4, -4)]))
    assert view.pending() == SeqRanges.of([(4, 11), (13, 13), (15, 15)])
    assert view.kept_settled() == SeqRanges.of([(3, 3), (14, 14)])
    assert view.foreign() == SeqRanges.of([(-3, 0)])


def test_only_what_was_numbered_can_be_settled(view: View) -> None:
    """A receipt for the future is not remembered."""
    view.settle("a", SeqRanges.of([(12, 99)]))
    view.settle("nobody", SeqRanges.of([(1, 9)]))
    assert view.settled == {"a": SeqRanges.of([(12, 12)]), "nobody": SeqRanges()}
    assert view.ranges() == {(1, "a"): SeqRanges.of([(12, 12)])}


def test_what_is_gone_is_no_longer_parked(view: View) -> None:
    """Parked seqs are pending, and not offered."""
    view.parked = {"a": {2: "crc", 3: "crc"}}
    assert view.offered() == SeqRanges.of([(1, 1), (4, 15)])
    view.remove(SeqRanges.of([(2, 2)]))
    assert view.parked == {"a": {3: "crc"}}


def test_ranges_without(view: View) -> None:
    """What table `settled` will hold, before it is so."""
    view.settle("a", SeqRanges.of([(1, 3)]))
    assert view.ranges_without(SeqRanges.of([(11, 11)])) == {
        (0, "r"): SeqRanges.of([(1, 1)]),
        (1, "a"): SeqRanges.of([(1, 3)]),
    }
    assert view.gone == {}


def test_an_empty_stretch_leaves_nothing_behind(view: View) -> None:
    """A new epoch without a batch is forgotten when the next one opens."""
    view.open(Stretch(16, "b", 1, 0, "hc-0001", ""))
    view.open(Stretch(16, "c", 1, 0, "hc-0001", ""))
    assert [s.epoch for s in view.stretches] == ["x", "a", "r", "a", "c"]
    view.grow(2)
    assert view.pending() == SeqRanges.of([(1, 17)])
    assert view.epochs() == ["a", "r", "c"]
