"""A spool against a list: whatever happens, every seq is offered, settled, or named by a gap, and nothing else is.

The box is restarted, killed (what is only in RAM is gone), rebooted, cloned, and filled past its quota; receipts come
late, in any order, twice. Once more with a disk that fails besides, for any time, and comes back or does not.
"""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import TypeAlias

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.model import Batch, Gap, SeqRanges
from gateway.spool.steps import RETRY_MS
from gateway.testing.clock import FakeClock
from gateway.wire.body import decode
from tests.support.failing_disk import FailingDisk
from tests.support.spools import MB, Box, draft

Key: TypeAlias = tuple[str, int]


class SpoolAgainstAList(RuleBasedStateMachine):
    """`filed` is the model: what append returned. Gaps of settled gap batches are remembered, as the IOC would."""

    others: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="spool-"))
        self.filed: dict[Key, bytes] = {}
        self.settled: set[Key] = set()
        self.forgotten: set[Key] = set()  # settled before a crash: may be offered again
        self.stored_gaps: list[Gap] = []
        self.boots = 1
        self.serial = 0

    @initialize(synchronised=st.booleans())
    def start(self, synchronised: bool) -> None:
        """With a clock or without."""
        self.box = Box(self.folder, FakeClock(synchronised=synchronised), quota_bytes=MB, others=self.others)
        self.runner.run(self.box.start())

    def teardown(self) -> None:
        """The clock comes in the end: then all can be looked at."""
        try:
            if hasattr(self, "box"):
                self.box.clock.set_synchronised(True)
                self.runner.run(self.box.observe())
                self.at_the_end()
        finally:
            if hasattr(self, "box"):
                self.runner.run(self.box.spool.close())
            self.runner.close()
            shutil.rmtree(self.folder)

    def at_the_end(self) -> None:
        """The last look."""
        self.everything_is_accounted_for()

    @rule(size=st.sampled_from([10, 3_000, 30_000]), urgent=st.booleans(), times=st.sampled_from([1, 3, 20]))
    def append(self, size: int, urgent: bool, times: int) -> None:
        """Some drafts, each with a body that tells it apart."""
        for _ in range(times):
            self.serial += 1
            body = self.serial.to_bytes(4, "big") * (size // 4 + 1)
            base = draft(self.box.clock.boot_ms(), urgent=urgent, boot=self.box.boot)
            made = type(base)(base.boot, base.b0, base.last, 1, body, "none", urgent=urgent)
            seq = self.runner.run(self.box.spool.append(made))
            assert (self.box.spool.epoch, seq) not in self.filed
            self.filed[self.box.spool.epoch, seq] = body

    @rule(data=st.data(), count=st.integers(1, 30))
    def settle(self, data: st.DataObject, count: int) -> None:
        """A receipt for some of what is on offer, in any order."""
        offered = self.offered()[:count]
        if not offered:
            return
        for batch in data.draw(st.lists(st.sampled_from(offered), unique_by=lambda b: b.order, max_size=len(offered))):
            self.box.spool.settle(batch.id.epoch, SeqRanges.of_seqs([batch.id.seq]))
            self.settled.add((batch.id.epoch, batch.id.seq))
            self.stored_gaps += gaps_of(batch)

    @rule()
    def settle_again(self) -> None:
        """Receipts that come twice, or for what was given up, or for nobody."""
        for epoch, seq in list(self.settled)[:5]:
            self.box.spool.settle(epoch, SeqRanges.of_seqs([seq]))
        self.box.spool.settle("nobody", SeqRanges.of([(1, 1000)]))

    @rule()
    def restart(self) -> None:
        """In order: no receipt is forgotten."""
        self.runner.run(self.box.restart())
        assert not (self.settled - self.forgotten) & {(batch.id.epoch, batch.id.seq) for batch in self.offered()}

    @rule()
    def crash(self) -> None:
        """Receipts that were only in RAM are forgotten: those batches are sent again."""
        self.kill()
        self.runner.run(self.box.start())

    @rule(synchronised=st.booleans())
    def reboot(self, synchronised: bool) -> None:
        """A power cut: another boot, with a clock or without."""
        self.kill()
        self.boots += 1
        self.box.boot = f"b{self.boots}"
        self.box.clock = FakeClock(boot_ms=20_000, utc_ms=self.box.clock.utc_ms() + 60_000, synchronised=synchronised)
        self.runner.run(self.box.start())

    @precondition(lambda self: self.boots < 5)
    @rule()
    def clone(self) -> None:
        """The card goes into another machine."""
        self.box.machine += "x"
        self.reboot(synchronised=True)

    @rule(ms=st.sampled_from([1_000, 6_000]))
    def time_passes(self, ms: int) -> None:
        """The clock is looked at, the spool does its round."""
        self.runner.run(self.box.clock.advance(ms))
        self.runner.run(self.box.observe())
        self.runner.run(self.box.spool.tick())

    @rule(count=st.integers(1, 20))
    def north_holds(self, count: int) -> None:
        """Some are in flight."""
        self.box.spool.in_flight(frozenset(batch.id for batch in self.offered()[:count]))

    @invariant()
    def it_is_bounded(self) -> None:
        """Never above the quota, never failing."""
        if hasattr(self, "box"):
            assert self.box.spool.status.size_bytes <= MB
            assert self.box.spool.status.failing == ""

    @rule()
    def everything_is_accounted_for(self) -> None:
        """Offered with its own body, settled, or named; and what is named is not offered."""
        if not self.box.timeline.trusted:
            return
        offered = self.offered()
        assert [b.order for b in offered] == sorted({b.order for b in offered})
        here = {(b.id.epoch, b.id.seq): b for b in offered}
        named = named_by([*self.stored_gaps, *(gap for batch in offered for gap in gaps_of(batch))])
        for key, body in self.filed.items():
            if key in here:
                assert here[key].body == body
                assert key[1] not in named.get(key[0], SeqRanges())
            else:
                assert key in self.settled or key[1] in named.get(key[0], SeqRanges())
        assert "corrupt" not in {gap.reason for batch in offered for gap in gaps_of(batch)}
        for batch in offered:
            assert batch.n == 0 or (batch.id.epoch, batch.id.seq) in self.filed

    def offered(self) -> list[Batch]:
        """All that north could have."""
        return list(self.runner.run(self.box.spool.read(0, None, 10_000)))

    def kill(self) -> None:
        """The process is gone, with what it had in RAM."""
        self.box.kill()
        self.forgotten = set(self.settled)


def gaps_of(batch: Batch) -> tuple[Gap, ...]:
    """Records in a batch without rows."""
    return decode(batch.enc, batch.body).gaps if batch.n == 0 else ()


def named_by(gaps: list[Gap]) -> dict[str, SeqRanges]:
    """Seqs by epoch."""
    by_epoch: dict[str, list[tuple[int, int]]] = {}
    for gap in gaps:
        by_epoch.setdefault(gap.epoch, []).append((gap.first, gap.last))
    return {epoch: SeqRanges.of(pairs) for epoch, pairs in by_epoch.items()}


class SpoolOnABadDisk(SpoolAgainstAList):
    """RING-1, RING-2, RING-6, RING-7: what only a ring had is named if its process ended before the disk was back."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = FailingDisk()
        self.patched = self.disk.patched()
        self.patched.__enter__()

    def teardown(self) -> None:
        """On a disk that works."""
        try:
            if hasattr(self, "box"):
                self.disk_works()
            super().teardown()
        finally:
            self.patched.__exit__(None, None, None)

    @rule()
    def disk_fails(self) -> None:
        """From the next write on."""
        self.disk.failing = True

    @rule()
    def disk_works(self) -> None:
        """It is tried, and takes what the ring holds."""
        self.disk.failing = False
        self.time_passes(RETRY_MS)

    @rule()
    def restart(self) -> None:
        """In order; receipts that the disk did not take are forgotten."""
        if self.disk.failing:
            self.forgotten = set(self.settled)
            self.runner.run(self.box.restart())
        else:
            super().restart()

    @invariant()
    def it_is_bounded(self) -> None:
        """Never above the quota; failing only while the disk does."""
        if hasattr(self, "box"):
            assert self.box.spool.status.size_bytes <= MB
            assert self.disk.failing or self.box.spool.status.failing == ""

    @rule()
    def everything_is_accounted_for(self) -> None:
        """What the disk holds is not offered while it fails; the rest at once, and all of it when it works."""
        if not self.disk.failing:
            self.runner.run(self.box.spool.tick())
            super().everything_is_accounted_for()


SpoolAgainstAList.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestSpool = SpoolAgainstAList.TestCase
SpoolOnABadDisk.TestCase.settings = SpoolAgainstAList.TestCase.settings
TestSpoolOnABadDisk = SpoolOnABadDisk.TestCase
