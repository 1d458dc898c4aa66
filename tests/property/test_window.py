"""The window against a spool, a broker and an IOC that do anything in any order; then all three become honest.

Whatever happened: limits hold, nothing is settled without its receipt, nothing is sent that is settled or parked;
nothing is parked but for 4 refusals or 8 sends that were overtaken, and never while nobody answers.
Afterwards: everything that was ever appended is settled, or parked because it was refused.
"""

from collections.abc import Iterable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.model import Batch, BatchId, BootMs, Receipt, SeqRanges
from gateway.north.effects import Effect, Fetch, Park, Rank, Reread, Send, Settle, Unpark
from gateway.north.window import Window
from tests.support.backlog import EPOCH, GATEWAY, T0, make_batch

BATCHES_MAX = 8
PUBLISHES_MAX = 5
HOUR_MS = 3_600_000
HONEST_ROUNDS_MAX = 4000


class WindowMachine(RuleBasedStateMachine):
    """Every read, PUBACK and receipt is held back until a rule lets it go, if ever."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Window(lambda batch: len(batch.body), batches_max=BATCHES_MAX, publishes_max=PUBLISHES_MAX)
        self.now = BootMs(1_000)
        self.batches: list[Batch] = []
        self.settled = SeqRanges()
        self.parked: dict[BatchId, str] = {}
        self.vouched: set[int] = set()  # seqs a receipt with the right crc was given for
        self.connected = False
        self.publishes_max = 0
        self.unacked: list[Batch] = []
        self.sent: dict[int, Batch] = {}
        self.reads: list[Fetch | Reread] = []
        self.sends = 0
        self.serials: dict[int, list[int]] = {}  # of every send, by seq
        self.serial = 0
        self.answered: dict[int, list[int]] = {}  # the serial at each answer, by seq
        self.refusals: dict[int, int] = {}
        self.tried_again: set[int] = set()  # were parked once, and are tried hourly

    # What the spool, the broker, the IOC and the clock may do.

    @initialize(urgent=st.lists(st.booleans(), min_size=3, max_size=25))
    def start(self, urgent: list[bool]) -> None:
        """A backlog, most of it in the window and out."""
        self.batches = [make_batch(seq, urgent=is_urgent) for seq, is_urgent in enumerate(urgent, 1)]
        self.connect(receive_maximum=10)
        while self.reads:
            self.answer_read(self.reads.pop(0))

    @rule(urgent=st.lists(st.booleans(), min_size=1, max_size=12))
    def append_many(self, urgent: list[bool]) -> None:
        """The spool has several more before it says so."""
        start = len(self.batches) + 1
        self.batches += [make_batch(seq, urgent=is_urgent) for seq, is_urgent in enumerate(urgent, start)]
        self.do(self.window.woken(self.now))

    @rule(urgent=st.booleans())
    def append(self, urgent: bool) -> None:
        """The spool has one more, and says so."""
        self.batches.append(make_batch(len(self.batches) + 1, urgent=urgent))
        self.do(self.window.woken(self.now))

    @precondition(lambda self: not self.connected)
    @rule(receive_maximum=st.integers(1, 10))
    def connect(self, receive_maximum: int) -> None:
        """A connection comes up."""
        self.connected, self.publishes_max = True, min(PUBLISHES_MAX, receive_maximum)
        self.do(self.window.connected(receive_maximum, 1 << 20, self.last_order, self.now))

    @precondition(lambda self: self.connected)
    @rule()
    def disconnect(self) -> None:
        """It goes, with all that was under way."""
        self.connected = False
        self.unacked.clear()
        self.reads.clear()
        self.window.disconnected()

    @precondition(lambda self: self.reads)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        """The disk answers one of the reads, not always the oldest."""
        self.answer_read(self.reads.pop(data.draw(st.integers(0, len(self.reads) - 1))))

    @precondition(lambda self: self.unacked)
    @rule(data=st.data(), reason=st.sampled_from([0, 0, 0, 16, 135, 151]))
    def puback(self, data: st.DataObject, reason: int) -> None:
        """The broker acknowledges one of the publishes."""
        batch = self.unacked.pop(data.draw(st.integers(0, len(self.unacked) - 1)))
        self.do(self.window.published(batch.id, reason, self.now))

    @precondition(lambda self: self.unacked)
    @rule()
    def puback_all(self) -> None:
        """The broker acknowledges all of them."""
        while self.unacked:
            self.do(self.window.published(self.unacked.pop(0).id, 0, self.now))

    @precondition(lambda self: self.reads)
    @rule()
    def read_all(self) -> None:
        """The disk answers all reads."""
        while self.reads:
            self.answer_read(self.reads.pop(0))

    @precondition(lambda self: self.sent)
    @rule(
        data=st.data(),
        why=st.sampled_from(["", "", "", "crc", "schema", "version"]),
        crc_off=st.sampled_from([0, 0, 0, 1]),
        source=st.sampled_from([*3 * [(GATEWAY, EPOCH)], (GATEWAY, "other1"), ("hc-9999", EPOCH)]),
    )
    def receipt(self, data: st.DataObject, why: str, crc_off: int, source: tuple[str, str]) -> None:
        """The IOC answers some of what it was ever sent: late, twice, wrongly, for another epoch or gateway."""
        seqs = data.draw(st.lists(st.sampled_from(sorted(self.sent)), min_size=1, max_size=4))
        for seq in seqs:
            self.answered.setdefault(seq, []).append(self.serial)
            self.refusals[seq] = self.refusals.get(seq, 0) + (why not in ("", "version"))
        stored = () if why else tuple((seq, self.sent[seq].crc ^ crc_off) for seq in seqs)
        if stored and source == (GATEWAY, EPOCH) and crc_off == 0:
            self.vouched.update(seqs)
        refused = tuple((seq, why) for seq in seqs) if why else ()
        self.give(Receipt(*source, stored, (), refused, "i", T0))

    @rule(ms=st.sampled_from([100, 1_000, 11_000, 60_000, 301_000, HOUR_MS]))
    def time(self, ms: int) -> None:
        """Time passes."""
        self.now = BootMs(self.now + ms)
        self.do(self.window.tick(self.now))

    # What must hold at any time.

    @invariant()
    def within_limits(self) -> None:
        """Neither more publishes nor more batches out than allowed."""
        assert len(self.unacked) <= self.publishes_max
        assert len(self.window.in_flight) <= BATCHES_MAX
        assert not any(id_.seq in self.settled for id_ in self.window.in_flight)

    def do(self, effects: Iterable[Effect]) -> None:
        """Carry effects out, as the session would, and check each."""
        sends = 0
        mute = self.window.mute
        for effect in effects:
            assert self.connected, "effects without a connection"
            if isinstance(effect, Send):
                sends += 1
                assert effect.batch.id.seq not in self.settled, "sent what is settled"
                assert effect.batch.id not in self.parked, "sent what is parked"
                assert effect.batch not in self.unacked, "sent twice at once"
                assert effect.batch == self.batches[effect.batch.order - 1], "sent something else"
                self.unacked.append(effect.batch)
                self.sent[effect.batch.id.seq] = effect.batch
                self.serial += 1
                self.serials.setdefault(effect.batch.id.seq, []).append(self.serial)
            elif isinstance(effect, Settle):
                assert effect.epoch == EPOCH
                assert self.vouched.issuperset(effect.seqs.seqs()), "settled without a receipt"
                self.settled = self.settled.union(effect.seqs)
            elif isinstance(effect, Park):
                self.parked[effect.id] = effect.why
                self.may_park(effect, mute)
            elif isinstance(effect, Unpark):
                assert self.parked.pop(effect.id, None) is not None, "tried again what is not parked"
                self.tried_again.add(effect.id.seq)
            elif isinstance(effect, Fetch | Reread):
                self.reads.append(effect)
        assert sends <= PUBLISHES_MAX, "more sends in one step than may be out"
        self.sends += sends

    def may_park(self, park: Park, mute: str) -> None:
        """By a count of its own: at most as strict as the rule, so what breaks it is a batch parked too early."""
        seq = park.id.seq
        assert not mute, "parked while nobody answers"
        if park.why.startswith("refused:"):
            assert self.refusals[seq] >= 4, "refused fewer than 4 times"
            return
        overtaken = sum(
            any(self.serials[other][-1] > serial and answers[-1] >= serial for other, answers in self.answered.items())
            for serial in self.serials[seq]
        )
        assert overtaken >= 8 or seq in self.tried_again, "parked before 8 sends were overtaken"

    def give(self, receipt: Receipt) -> None:
        """A receipt arrives, if anybody is there to take it."""
        if self.connected:
            self.do(self.window.received(receipt, self.now))

    def answer_read(self, asked: Fetch | Reread) -> None:
        """What the spool would give."""
        if isinstance(asked, Reread):
            batch = self.batches[asked.id.seq - 1]
            found = None if asked.id.seq in self.settled else batch
            self.do(self.window.reread(asked.id, found, self.now))
            return
        last = self.last_order if asked.until is None else asked.until
        offered = [
            batch
            for batch in self.batches
            if asked.after < batch.order <= last
            and batch.id.seq not in self.settled
            and batch.id not in self.parked
            and (asked.rank is not Rank.URGENT or batch.urgent)
        ]
        self.do(self.window.offered(asked.rank, offered[: asked.limit], self.now))

    @property
    def last_order(self) -> int:
        """Of the newest batch."""
        return len(self.batches)

    # And in the end.

    def teardown(self) -> None:
        """Everybody becomes honest, without a new connection if there is one: all must arrive, with bounded sending."""
        if not self.connected:
            self.connect(receive_maximum=3)
        self.sends = 0
        for _ in range(HONEST_ROUNDS_MAX):
            while self.reads:
                self.answer_read(self.reads.pop(0))
            if self.unacked:
                batch = self.unacked.pop(0)
                self.do(self.window.published(batch.id, 0, self.now))
                self.vouched.add(batch.id.seq)
                self.give(Receipt(GATEWAY, EPOCH, ((batch.id.seq, batch.crc),), (), (), "i", T0))
            elif self.open_seqs():
                self.time(1_000)
            else:
                break
        assert self.open_seqs() == []
        assert self.sends <= 2 * len(self.batches) + BATCHES_MAX

    def open_seqs(self) -> list[int]:
        """Neither settled nor parked for a refusal."""
        refused = {id_.seq for id_, why in self.parked.items() if why.startswith("refused:")}
        return [b.id.seq for b in self.batches if b.id.seq not in self.settled and b.id.seq not in refused]


WindowMachine.TestCase.settings = settings(
    max_examples=100, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_window = WindowMachine.TestCase
