"""A window whose spool and broker are honest, for tests of its rules."""

from collections import deque
from collections.abc import Iterable

from gateway.model import Batch, BootMs
from gateway.north.effects import Complain, Effect, Fetch, Park, Rank, Reread, Send, Settle, Unpark
from gateway.north.window import Window
from tests.support.backlog import make_batch, make_receipt

BIG = 1 << 20
HOUR_MS = 3_600_000


class Bench:
    """A window with an honest spool and broker: reads and PUBACKs are answered at once, receipts by the test."""

    def __init__(self, *, batches_max: int = 20, tail: int = 0, urgent: tuple[int, ...] = ()) -> None:
        self.window = Window(lambda batch: len(batch.body) + 100, batches_max=batches_max)
        self.now = BootMs(1_000)
        self.batches = [make_batch(seq, urgent=seq in urgent) for seq in range(1, tail + 1)]
        self.gone: set[int] = set()
        self.parked: dict[int, str] = {}
        self.puback = 0
        self.sent: list[int] = []
        self.log: list[Effect] = []

    def connect(self, *, receive_maximum: int = 20, packet_bytes: int = BIG) -> None:
        """A connection comes up."""
        self.do(self.window.connected(receive_maximum, packet_bytes, len(self.batches), self.now))

    def append(self, *, urgent: bool = False) -> Batch:
        """One more batch, told to the window."""
        self.batches.append(make_batch(len(self.batches) + 1, urgent=urgent))
        self.do(self.window.woken(self.now))
        return self.batches[-1]

    def stored(self, *seqs: int) -> None:
        """A good receipt."""
        self.do(self.window.received(make_receipt(*(self.batches[seq - 1] for seq in seqs)), self.now))

    def refused(self, seq: int, why: str) -> None:
        """A refusal."""
        self.do(self.window.received(make_receipt(refused=((seq, why),)), self.now))

    def wait(self, ms: int) -> list[int]:
        """Time passes, second by second; what is sent meanwhile."""
        before = len(self.sent)
        for _ in range(0, ms, 1_000):
            self.now = BootMs(self.now + 1_000)
            self.do(self.window.tick(self.now))
        return self.sent[before:]

    def do(self, effects: Iterable[Effect]) -> None:
        """Carry out, and what comes of it, in order."""
        waiting = deque(effects)
        while waiting:
            waiting += self._done(waiting.popleft())

    def _done(self, effect: Effect) -> Iterable[Effect]:
        self.log.append(effect)
        match effect:
            case Send(batch):
                self.sent.append(batch.id.seq)
                return self.window.published(batch.id, self.puback, self.now)
            case Settle(_, seqs):
                self.gone.update(seqs.seqs())
            case Park(id_, why):
                self.parked[id_.seq] = why
            case Unpark(id_):
                del self.parked[id_.seq]
            case Reread(id_):
                found = None if id_.seq in self.gone else self.batches[id_.seq - 1]
                return self.window.reread(id_, found, self.now)
            case Fetch(rank, after, until, limit):
                return self.window.offered(rank, self.offer(rank, after, until)[:limit], self.now)
        return ()

    def offer(self, rank: Rank, after: int, until: int | None) -> list[Batch]:
        """What the spool would read."""
        last = len(self.batches) if until is None else until
        return [
            batch
            for batch in self.batches
            if after < batch.order <= last
            and batch.id.seq not in self.gone
            and batch.id.seq not in self.parked
            and (rank is not Rank.URGENT or batch.urgent)
        ]

    def places(self, place: str) -> list[int]:
        """Seqs that stand there."""
        return [batch.id.seq for batch in self.batches if self.window.place(batch.id) == place]

    def codes(self) -> list[str]:
        """All complaints."""
        return [effect.code for effect in self.log if isinstance(effect, Complain)]
