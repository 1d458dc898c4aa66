"""What the centre wants again: settled batches of the archive, below everything else. Pure.

    ask -> queued -> next: being read -> came -> in the window -> done
                        ^------------- put_back, disconnected ----'

One is read when all other ranks are drained and nothing of them is due, and sent when its bytes have their time. A
receipt just lets it go; refused, it is let go of with a complaint; unanswered while others are answered, or while the
window is mute, it goes back to be read again, three times at most. It was settled before and stays so, whatever comes.

A seq is in at most one of these places, so nothing is recalled twice at once, however often it is asked for. It is kept
in RAM only: the centre knows from its own ledger what it still misses, and asks again after a restart.

Bounds. At most RECALLS_MAX batches are handed out (a fifth of a gateway's window), so that a centre which is slow with
them slows the recall down and nothing else. Their bytes pass at BYTES_A_SECOND on average, at most BURST_MS of that at
once: a quarter of a weak mobile uplink of 1 Mbit/s, and still an hour of a busy wired gateway in a few minutes.
"""

from collections.abc import Iterable
from typing import Final

from gateway.model import BatchId, BootMs, Seq, SeqRanges

RECALLS_MAX: Final = 4
BYTES_A_SECOND: Final = 32 * 1024
BURST_MS: Final = 1_000
TRIES_MAX: Final = 3  # that a batch was sent and nobody answered: then it is for the centre to ask again
RANGES_MAX: Final = 4_096  # that are remembered

NONE: Final = SeqRanges()


class Recalls:
    """Of one gateway; says which batches are to be read now, told what became of them."""

    def __init__(self) -> None:
        self._queued: dict[tuple[str, str], SeqRanges] = {}  # by gateway and epoch, in the order they were asked for
        self._reading: set[BatchId] = set()
        self._here: set[BatchId] = set()  # in the window
        self._tries: dict[BatchId, int] = {}  # of those that were put back: few, because they are the next to go
        self._free_at = 0.0  # boot ms: when the bytes sent so far have had their time

    def __len__(self) -> int:
        return sum(map(len, self._queued.values())) + len(self._reading) + len(self._here)

    @property
    def full(self) -> bool:
        """No more can be remembered now."""
        return sum(len(seqs.ranges) for seqs in self._queued.values()) >= RANGES_MAX

    @property
    def reading(self) -> int:
        """How many batches may still come from the disk."""
        return len(self._reading)

    def ask(self, gateway: str, epoch: str, seqs: SeqRanges) -> None:
        """These again; those that are on their way are left out."""
        out = (id_.seq for id_ in self._reading | self._here if (id_.gateway, id_.epoch) == (gateway, epoch))
        self._queue((gateway, epoch), seqs.minus(SeqRanges.of_seqs(out)))

    def next(self, limit: int) -> list[BatchId]:
        """At most so many to be read now, each epoch from its lowest."""
        room = min(limit, RECALLS_MAX - len(self._reading) - len(self._here))
        ids: list[BatchId] = []
        while len(ids) < room and self._queued:
            (gateway, epoch), seqs = next(iter(self._queued.items()))
            taken = _lowest(seqs, room - len(ids))
            ids += [BatchId(gateway, epoch, seq) for seq in taken.seqs()]
            self._left((gateway, epoch), seqs.minus(taken))
        self._reading.update(ids)
        return ids

    def came(self, id_: BatchId) -> bool:
        """It was read; it counts as in the window until it is `gone`. False when nobody waits for it any more."""
        if id_ not in self._reading:
            return False
        self._reading.discard(id_)
        self._here.add(id_)
        return True

    def gone(self, id_: BatchId) -> None:
        """It was read in vain, or it left the window for good."""
        self._reading.discard(id_)
        self._here.discard(id_)
        self._tries.pop(id_, None)

    def put_back(self, id_: BatchId) -> bool:
        """Sent in vain: it goes again later, from the disk; False when that has been so TRIES_MAX times."""
        tries = self._tries.get(id_, 0) + 1
        self.gone(id_)
        if tries >= TRIES_MAX:
            return False
        self._tries[id_] = tries
        self._queue((id_.gateway, id_.epoch), SeqRanges.of_seqs([id_.seq]))
        return True

    def disconnected(self) -> None:
        """Reads that were under way bring nothing; what is in the window stays."""
        for id_ in self._reading:
            self._queue((id_.gateway, id_.epoch), SeqRanges.of_seqs([id_.seq]))
        self._reading.clear()

    def may_send(self, now: BootMs) -> bool:
        """Whether its bytes have their time."""
        return now >= self._free_at

    def sent(self, size_bytes: int, now: BootMs) -> None:
        """One went out."""
        self._free_at = max(self._free_at, now - BURST_MS) + 1000 * size_bytes / BYTES_A_SECOND

    def _queue(self, key: tuple[str, str], seqs: SeqRanges) -> None:
        self._left(key, self._queued.get(key, NONE).union(seqs))

    def _left(self, key: tuple[str, str], seqs: SeqRanges) -> None:
        if seqs:
            self._queued[key] = seqs
        else:
            self._queued.pop(key, None)


def _lowest(seqs: SeqRanges, count: int) -> SeqRanges:
    """The first `count` of them, without counting through all."""
    return SeqRanges.of_seqs(_first(seqs.ranges, count))


def _first(ranges: Iterable[tuple[Seq, Seq]], count: int) -> list[Seq]:
    found: list[Seq] = []
    for first, last in ranges:
        found += range(first, min(last, first + count - len(found) - 1) + 1)
        if len(found) >= count:
            break
    return found
