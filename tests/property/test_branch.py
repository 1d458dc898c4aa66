"""A spool with two uplinks: what one settles never touches the other's, whatever else happens to the box.

UPL-1 and UPL-5: for the other one too, every seq is offered, settled, or missed, and what it missed is told by a gap
or by a count.
"""

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from gateway.model import Batch, SeqRanges
from gateway.spool.view import View, uplink_number
from tests.property.test_spool import Key, SpoolAgainstAList, gaps_of, named_by

NAME = "telegraf"


class SpoolOfTwo(SpoolAgainstAList):
    """The same machine with a second uplink beside it; `forgotten` in RAM holds for both."""

    others = (NAME,)

    def __init__(self) -> None:
        super().__init__()
        self.settled_there: set[Key] = set()
        self.gaps_there: list[Batch] = []

    @rule(data=st.data(), count=st.integers(1, 30))
    def settle_there(self, data: st.DataObject, count: int) -> None:
        """PUBACKs for some, in any order: the first uplink's offer stays as it was."""
        before = keys(self.offered())
        there = self.offered_there()[:count]
        if not there:
            return
        for batch in data.draw(st.lists(st.sampled_from(there), unique_by=lambda b: b.order, max_size=len(there))):
            self.box.spool.branch(NAME).settle(batch.id.epoch, SeqRanges.of_seqs([batch.id.seq]))
            self.settled_there.add((batch.id.epoch, batch.id.seq))
            self.gaps_there += [batch] if batch.n == 0 else []
        assert keys(self.offered()) == before

    @rule()
    def settle_all_here(self) -> None:
        """Receipts for everything: the other's offer stays as it was."""
        before = keys(self.offered_there())
        for batch in self.offered():
            self.box.spool.settle(batch.id.epoch, SeqRanges.of_seqs([batch.id.seq]))
            self.settled.add((batch.id.epoch, batch.id.seq))
            self.stored_gaps += gaps_of(batch)
        assert keys(self.offered_there()) == before

    @rule()
    def the_other_misses_nothing_untold(self) -> None:
        """Offered with its own body, settled there, named by a gap, or counted."""
        if not self.box.timeline.trusted:
            return
        here = {(b.id.epoch, b.id.seq): b for b in self.offered_there()}
        records = [gap for batch in [*here.values(), *self.gaps_there, *self.offered()] for gap in gaps_of(batch)]
        named = named_by([*records, *self.stored_gaps])
        missed = 0
        for key, body in self.filed.items():
            if key in here:
                assert here[key].body == body
            elif key not in self.settled_there and key[1] not in named.get(key[0], SeqRanges()):
                assert key in self.settled, "neither uplink has it, and no gap names it"
                missed += 1
        details = [event.detail for event in self.box.events if event.code == "uplink_missed"]
        assert missed <= sum(detail[1] for detail in details if isinstance(detail[1], int))

    def at_the_end(self) -> None:
        """For both."""
        super().at_the_end()
        self.the_other_misses_nothing_untold()

    def offered_there(self) -> list[Batch]:
        """All that the other uplink could have."""
        return list(self.runner.run(self.box.spool.branch(NAME).read(0, None, 10_000)))


def keys(batches: list[Batch]) -> list[int]:
    """By order."""
    return [batch.order for batch in batches]


TestSpoolOfTwo = SpoolOfTwo.TestCase
TestSpoolOfTwo.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize("uplink", [1, uplink_number(NAME)])
def test_ranges_that_are_shared_would_be_found(uplink: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine is worth: with the uplinks' ranges mixed up it fails, whichever of them it is."""
    settle, others = View.settle, {1, uplink_number(NAME)} - {uplink}

    def mixed(view: View, epoch: str, seqs: SeqRanges, whose: int = 1) -> None:
        settle(view, epoch, seqs, whose)
        for other in others if whose == uplink else ():
            settle(view, epoch, seqs, other)

    monkeypatch.setattr(View, "settle", mixed)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            SpoolOfTwo, settings=settings(max_examples=50, deadline=None, phases=[Phase.generate], database=None)
        )
