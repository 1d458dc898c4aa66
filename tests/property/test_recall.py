"""The window of test_window, and a centre that asks for settled and parked batches again whenever it likes.

Whatever happened: what is settled stays so and is settled once, nothing is recalled twice at once, recalled batches are
few, within their bytes, and exactly those that were asked for. In the end all of them came, or are not kept any more.
"""

from collections.abc import Iterable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from gateway.model import BatchId, SeqRanges
from gateway.north.effects import Effect, Park, ReadKept, Send, Settle
from gateway.north.recalls import BURST_MS, BYTES_A_SECOND, RECALLS_MAX
from gateway.north.window import Window
from tests.property.test_window import BATCHES_MAX, PUBLISHES_MAX, WindowMachine
from tests.support.backlog import EPOCH, GATEWAY, make_receipt

PACKET_BYTES = 8 * 1024
ROUNDS_MAX = 2_000
NONE = SeqRanges()


class RecallMachine(WindowMachine):
    """Its reads from the archive are held back too, and the spool may make room in between."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Window(lambda _: PACKET_BYTES, batches_max=BATCHES_MAX, publishes_max=PUBLISHES_MAX)
        self.kept_reads: list[BatchId] = []
        self.dropped: set[int] = set()  # settled, and made room
        self.asked: set[int] = set()
        self.recalls_sent = self.reads_answered = 0
        self.began = self.now

    @initialize(urgent=st.lists(st.booleans(), min_size=12, max_size=30))
    def start(self, urgent: list[bool]) -> None:
        """Most of a backlog is settled."""
        super().start(urgent)
        self.honest(rounds=8)

    @precondition(lambda self: self.connected)
    @rule(rounds=st.integers(1, 8))
    def honest(self, rounds: int) -> None:
        """For a while everything is answered as it should be, and the last ones out wait for their receipt."""
        for _ in range(rounds):
            while self.reads:
                self.answer_read(self.reads.pop(0))
            batches, self.unacked = self.unacked, []
            for batch in batches:
                self.do(self.window.published(batch.id, 0, self.now))
            for batch in batches:
                self.vouched.add(batch.id.seq)
                self.receive(batch.id.seq)

    @precondition(lambda self: self.settled)
    @rule(data=st.data())
    def recall(self, data: st.DataObject) -> None:
        """The centre misses some that are settled; it may have asked for them a moment ago."""
        seqs = data.draw(st.lists(st.sampled_from(list(self.settled.seqs())), min_size=1, max_size=12))
        self.asked.update(seqs)
        self.window.resend(GATEWAY, EPOCH, SeqRanges.of_seqs(seqs), NONE)

    @precondition(lambda self: self.settled)
    @rule(data=st.data())
    def make_room(self, data: st.DataObject) -> None:
        """Settled ones are the first to go."""
        self.dropped.update(data.draw(st.lists(st.sampled_from(list(self.settled.seqs())), max_size=3)))

    @precondition(lambda self: self.parked and self.connected)
    @rule(data=st.data())
    def resend_parked(self, data: st.DataObject) -> None:
        """Parked ones come back by the same command, whatever they were parked for."""
        ids = data.draw(st.lists(st.sampled_from(sorted(self.parked, key=lambda id_: id_.seq)), min_size=1, max_size=3))
        self.window.resend(GATEWAY, EPOCH, NONE, SeqRanges.of_seqs(id_.seq for id_ in ids))
        for id_ in ids:
            self.parked.pop(id_, None)
        self.do(self.window.rewound(self.now))

    @precondition(lambda self: self.kept_reads)
    @rule(data=st.data())
    def read_kept(self, data: st.DataObject) -> None:
        """The archive answers one of the reads."""
        self.answer_kept(self.kept_reads.pop(data.draw(st.integers(0, len(self.kept_reads) - 1))))

    @precondition(lambda self: self.kept_reads)
    @rule()
    def read_kept_all(self) -> None:
        """The archive answers all reads."""
        while self.kept_reads:
            self.answer_kept(self.kept_reads.pop(0))

    @precondition(lambda self: self.connected)
    @rule()
    def disconnect(self) -> None:
        """Its reads go too."""
        self.kept_reads.clear()
        self.connected = False
        self.unacked.clear()
        self.reads.clear()
        self.window.disconnected()

    @invariant()
    def within_limits(self) -> None:
        """All that may be out together, and of the recalled ones their own bounds."""
        again = [id_ for id_ in self.window.in_flight if id_.seq in self.settled]
        assert len(self.unacked) <= self.publishes_max
        assert len(self.window.in_flight) <= BATCHES_MAX
        assert len(again) + len(self.kept_reads) <= RECALLS_MAX
        assert self.asked.issuperset(id_.seq for id_ in again)
        allowed = BYTES_A_SECOND * (self.now - self.began + BURST_MS) / 1000 + PACKET_BYTES
        assert self.recalls_sent * PACKET_BYTES <= allowed, "recalled faster than allowed"

    def do(self, effects: Iterable[Effect]) -> None:
        """What concerns settled batches is checked here, the rest as before."""
        for effect in effects:
            if isinstance(effect, ReadKept):
                assert self.connected
                assert effect.id not in self.kept_reads, "read twice at once"
                assert effect.id not in self.window.in_flight, "read while it is out"
                assert effect.id.seq in self.asked, "nobody asked for it"
                self.kept_reads.append(effect.id)
            elif isinstance(effect, Send) and effect.batch.id.seq in self.settled:
                assert self.connected
                assert effect.batch.id.seq in self.asked, "nobody asked for it"
                assert effect.batch not in self.unacked, "sent twice at once"
                assert effect.batch == self.batches[effect.batch.order - 1], "sent something else"
                self.recalls_sent += 1
                self.unacked.append(effect.batch)
                self.sent[effect.batch.id.seq] = effect.batch
            else:
                if isinstance(effect, Settle):
                    assert not effect.seqs.intersection(self.settled), "settled again"
                if isinstance(effect, Park):
                    assert effect.id.seq not in self.settled, "parked what is settled"
                super().do([effect])

    def answer_kept(self, id_: BatchId) -> None:
        """What the archive would give."""
        self.reads_answered += 1
        batch = None if id_.seq in self.dropped else self.batches[id_.seq - 1]
        self.do(self.window.recalled(id_, batch, self.now))

    def teardown(self) -> None:
        """Everybody becomes honest: what was asked for comes to its end too."""
        super().teardown()
        for _ in range(ROUNDS_MAX):
            while self.kept_reads:
                self.answer_kept(self.kept_reads.pop(0))
            while self.reads:
                self.answer_read(self.reads.pop(0))
            if self.unacked:
                batch = self.unacked.pop(0)
                self.do(self.window.published(batch.id, 0, self.now))
                self.vouched.add(batch.id.seq)
                self.receive(batch.id.seq)
            elif self.window.recalling:
                self.time(1_000)
            else:
                break
        assert not self.window.recalling
        assert self.window.idle

    def receive(self, seq: int) -> None:
        """A good receipt."""
        self.do(self.window.received(make_receipt(self.batches[seq - 1]), self.now))


RecallMachine.TestCase.settings = settings(
    max_examples=80, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_recall = RecallMachine.TestCase
