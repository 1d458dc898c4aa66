"""What to send, what is out, what is settled. Pure: told what happened, answers with what to do.

A batch comes in by `Fetch`, goes out by `Send`, and leaves by a receipt (`Settle`), by `Park`, or because the spool
gave it up. At most `batches_max` are here, at most `publishes_max` (and never more than the server's Receive Maximum)
wait for their PUBACK. A PUBACK frees a publish and proves nothing else. Every step as it was seen, with diagrams:
docs/explanation/window.md.

| state   | what happens                                 | next    | effect |
|---------|----------------------------------------------|---------|--------|
| -       | offered, and there is room                   | DUE     | |
| DUE     | its turn, and a publish is free              | OUT     | Send |
| OUT     | stored, with its crc                         | -       | Settle |
| OUT     | stored, with another crc                     | OUT     | Complain receipt_mismatch; sent again in its time |
| OUT     | refused, up to 3 times                       | READING | Reread |
| OUT     | refused a 4th time                           | -       | Park, Complain batch_parked |
| OUT     | refused: version                             | OUT     | the window is mute, see below |
| OUT     | nothing for 10 s, doubling to 5 min          | DUE     | |
| OUT     | overtaken 8 times                            | -       | Park; an hour later Unpark, READING |
| OUT     | overtaken > 3 times, half the window is such | aside   | later Reread, READING |
| READING | read again                                   | DUE     | |
| READING | the spool has it no more                     | -       | |
| -       | asked for again, and nothing else is due | DUE | in rank RECALL; no Settle, no Park for such a one |
| any     | disconnected                                 | same    | |
| OUT     | connected again                              | DUE     | |

Recall (`recalls`): settled batches that the centre misses. One is read when all other ranks are drained and nothing of
them is due, and sent when its bytes have their time. A receipt just lets it go; refused, it is let go of with a
complaint; unanswered while others are answered, or while the window is mute, it goes back to be read again, three times
at most. It was settled before and stays so, whatever comes.

Overtaken: a send of it was still unanswered when a batch first sent after it was answered.

Order: urgent; fresh (newer than what the spool held when the connection came up), in order; backlog, oldest first.
Backlog has a quarter of the window even while urgent and fresh batches keep coming, and a quarter of the sends beside
fresh ones; a tenth of the window is kept for urgent ones.

Mute: a send had no answer in its time and nothing was heard since, or the other side does not know our version.
Then nothing is counted or parked, nothing is fetched but urgent batches, and one batch at a time is sent again, the
one that has waited longest, after 10 s doubling to 5 min. Only when all that is here was tried in vain, each try
fetches one more, and sets the longest here aside for it when there is no room: else batches that kill their reader
would stop all others for good. Any answer ends it but a wrong crc, which may be anybody's.
"""

from collections.abc import Callable, Iterable, Sequence

from gateway.model import Batch, BatchId, BootMs, Receipt, SeqRanges
from gateway.north.complaints import Complaints
from gateway.north.effects import Effect, Park, Rank, ReadKept, Reread, Send, Settle, TimeOfDay, Unpark
from gateway.north.intake import Intake
from gateway.north.mute import Mute
from gateway.north.recalls import Recalls
from gateway.north.slot import SUSPECT_AFTER, Slot, State
from gateway.north.turn import Turn
from gateway.north.waiting import Waiting

BATCHES_MAX = 20
PUBLISHES_MAX = 20
REFUSALS_MAX = 3
OVERTAKEN_MAX = 8
ORDINARY = (Rank.URGENT, Rank.FRESH, Rank.BACKLOG)  # those that are fetched
FAILURE = 0x80  # PUBACK reasons from here on say no
NO_MATCHING_SUBSCRIBERS = 0x10


class Window:
    """All of north's decisions about batches. Every method answers with effects, to be done in order."""

    def __init__(
        self,
        size_of: Callable[[Batch], int],
        *,
        batches_max: int = BATCHES_MAX,
        publishes_max: int = PUBLISHES_MAX,
    ) -> None:
        """`size_of`: the bytes of its PUBLISH packet; `batches_max`: 20 for a gateway, 200 for a relay, at least 4."""
        if batches_max < 4 or publishes_max < 1:  # noqa: PLR2004 - below 4 the shares of the ranks round to nothing
            raise ValueError("a window holds at least 4 batches and 1 publish")
        self._size_of = size_of
        self._batches_max = batches_max
        self._urgent_only = max(1, batches_max // 10)
        self._quarter = -(-batches_max // 4)
        self._publishes_configured = publishes_max
        self._publishes_max = publishes_max
        self._packet_bytes_max = 0
        self._slots: dict[BatchId, Slot] = {}
        self._elsewhere = Waiting()  # suspects beyond half of the window, and unanswered ones
        self._unacked: set[BatchId] = set()
        self._left: dict[Rank, set[BatchId]] = {}  # left while this Fetch was under way: it may still bring them
        self._intake = Intake()
        self._recalls = Recalls()
        self._connected = False
        self._serial = 0
        self._heard = 0  # the serial at the last answer
        self._turn = Turn()
        self._mute = Mute()
        self._complaints = Complaints()
        self._puback = 0  # the last reason that was complained of

    @property
    def in_flight(self) -> frozenset[BatchId]:
        """Sent at least once, without a receipt: what the spool gives up last."""
        return frozenset(id_ for id_, slot in self._slots.items() if slot.first_sent is not None)

    @property
    def alarms(self) -> frozenset[str]:
        """Codes of what is wrong now."""
        return self._complaints.held

    def place(self, id_: BatchId) -> str:
        """Where a batch stands: due, out, reading, aside, parked (by us, for an hour), or "" when it is not here."""
        return self._slots[id_].state.name.lower() if id_ in self._slots else self._elsewhere.place(id_)

    @property
    def mute(self) -> str:
        """Why nothing is held against any batch now: no_receipts, version_refused, or "" when somebody answers."""
        return self._mute.why

    @property
    def idle(self) -> bool:
        """Nothing is here and nothing is left to fetch."""
        return all(slot.rank is Rank.RECALL for slot in self._slots.values()) and self._intake.drained(*ORDINARY)

    @property
    def recalling(self) -> int:
        """Batches that were asked for again and are not back yet."""
        return len(self._recalls)

    @property
    def recalls_full(self) -> bool:
        """No more can be asked for now."""
        return self._recalls.full

    def connected(self, receive_maximum: int, packet_bytes_max: int, tail: int, now: BootMs) -> list[Effect]:
        """A connection came up; `tail` = the order of the spool's newest batch: what is newer is fresh."""
        self._connected, self._heard = True, self._serial
        self._mute.end()
        self._publishes_max = min(self._publishes_configured, receive_maximum)
        self._packet_bytes_max = packet_bytes_max
        self._intake.connected(tail)
        self._complaints.clear("packet_too_large")
        effects: list[Effect] = []
        for id_, slot in list(self._slots.items()):
            slot.restart()
            if not self._fits(slot.batch, effects, now):
                self._drop(id_)
            elif slot.state is State.READING:
                effects.append(Reread(id_))
        return effects + self._go_on(now)

    def disconnected(self) -> None:
        """It is gone, with every publish and every read that was under way."""
        self._connected = False
        self._unacked.clear()
        self._intake.disconnected()
        self._recalls.disconnected()
        self._left.clear()

    def woken(self, now: BootMs) -> list[Effect]:
        """The spool has something new, or dated something old."""
        self._intake.woken()
        return self._go_on(now)

    def rewound(self, now: BootMs) -> list[Effect]:
        """The spool shows batches below what was read already."""
        self._intake.rewind()
        return self._go_on(now)

    def offered(self, rank: Rank, batches: Sequence[Batch], now: BootMs) -> list[Effect]:
        """The answer to a Fetch."""
        effects: list[Effect] = []
        left = self._left.pop(rank, set())
        for batch in self._intake.took(rank, batches):
            if batch.id not in left and not self._holds(batch.id) and self._fits(batch, effects, now):
                self._slots[batch.id] = Slot(batch, Rank.URGENT if batch.urgent else rank)
        return effects + self._go_on(now)

    def resend(self, gateway: str, epoch: str, archived: SeqRanges, unparked: SeqRanges) -> None:
        """Asked for again: `archived` go below all others, from the next tick on; `unparked` are parked no longer."""
        self._recalls.ask(gateway, epoch, archived)
        self._elsewhere.forget_parked(gateway, epoch, unparked)  # they are offered again as if they were new

    def recalled(self, id_: BatchId, batch: Batch | None, now: BootMs) -> list[Effect]:
        """The answer to a ReadKept; None: it is not kept any more."""
        effects: list[Effect] = []
        if self._recalls.came(id_):
            if batch is None or self._holds(id_) or not self._fits(batch, effects, now):
                self._recalls.gone(id_)
            else:
                self._slots[id_] = Slot(batch, Rank.RECALL)
        return effects + self._go_on(now)

    def reread(self, id_: BatchId, batch: Batch | None, now: BootMs) -> list[Effect]:
        """The answer to a Reread; None: settled or given up meanwhile."""
        slot = self._slots.get(id_)
        effects: list[Effect] = []
        if slot is not None and slot.state is State.READING:
            if batch is None or not self._fits(batch, effects, now):
                self._drop(id_)
            else:
                slot.batch, slot.state = batch, State.DUE
        return effects + self._go_on(now)

    def published(self, id_: BatchId, reason: int, now: BootMs) -> list[Effect]:
        """The PUBACK of a Send."""
        self._unacked.discard(id_)
        effects: list[Effect] = []
        if reason >= FAILURE:
            if reason != self._puback:
                self._complaints.clear("publish_refused")
            self._puback = reason
            effects += self._complaints.hold("publish_refused", (reason,), now)
        elif reason == NO_MATCHING_SUBSCRIBERS:
            effects += self._complaints.hold("nobody_stores", "", now)
        return effects + self._go_on(now)

    def received(self, receipt: Receipt, now: BootMs) -> list[Effect]:
        """Each entry alone; what is not out is not ours to judge."""
        effects: list[Effect] = []
        answered: list[Slot] = []
        self._stored(receipt, answered, effects, now)
        self._refused(receipt, answered, effects, now)
        if answered:
            self._hear(effects, now)
            self._count_overtaken(answered, effects, now)
        return effects + self._go_on(now)

    def tick(self, now: BootMs) -> list[Effect]:
        """Once a second or so: what is late is sent again."""
        if not self._connected:
            return []
        effects: list[Effect] = []
        late = [slot for slot in self._waiting() if slot.again_at <= now]
        if not self._mute and any(slot.serial > self._heard for slot in late):
            self._fall_mute("no_receipts", effects, now)
        if self._mute:
            effects += self._try_one(now)
        else:
            for slot in late:
                slot.state = State.DUE
            self._unpark(effects, now)
        return effects + self._go_on(now)

    # Receipts.

    def _stored(self, receipt: Receipt, answered: list[Slot], effects: list[Effect], now: BootMs) -> None:
        settled: list[Slot] = []
        for seq, crc in receipt.stored:
            slot = self._out(BatchId(receipt.gateway, receipt.epoch, seq))
            if slot is None:
                continue
            if slot.batch.crc != crc:
                effects += self._complaints.say("receipt_mismatch", (seq,), now)
                self._heard = self._serial
                continue
            settled.append(slot)
            self._drop(slot.batch.id)
        if first := [slot.batch.id.seq for slot in settled if slot.rank is not Rank.RECALL]:
            effects.append(Settle(receipt.epoch, SeqRanges.of_seqs(first)))
        if settled:
            sent = max(slot.first_sent for slot in settled if slot.first_sent is not None)
            effects.append(TimeOfDay(sent, now, receipt.now))
            answered += settled

    def _refused(self, receipt: Receipt, answered: list[Slot], effects: list[Effect], now: BootMs) -> None:
        for seq, why in receipt.refused:
            slot = self._out(BatchId(receipt.gateway, receipt.epoch, seq))
            if slot is None or slot.state is not State.OUT:
                continue  # a refusal is judged once for each send
            if why == "version":
                self._heard = self._serial
                self._fall_mute("version_refused", effects, now)
                continue
            answered.append(slot)
            if slot.rank is Rank.RECALL:
                self._drop(slot.batch.id)
                effects += self._complaints.say("recall_refused", (seq, why), now)
                continue
            slot.refusals += 1
            if slot.refusals > REFUSALS_MAX:
                self._drop(slot.batch.id)
                effects.append(Park(slot.batch.id, f"refused:{why}"))
                effects += self._complaints.say("batch_parked", (seq, why), now)
            else:
                slot.state = State.READING
                effects.append(Reread(slot.batch.id))

    def _hear(self, effects: list[Effect], now: BootMs) -> None:
        self._heard = self._serial
        self._mute.end()
        self._puback = 0
        gone = self._complaints.clear("no_receipts", "version_refused", "nobody_stores", "publish_refused")
        if gone:
            effects += self._complaints.say("receipts_again", " ".join(gone), now)

    def _count_overtaken(self, answered: Iterable[Slot], effects: list[Effect], now: BootMs) -> None:
        """By the first send of what was answered: an answer does not say which of several sends it answers."""
        newest = max(slot.first_serial for slot in answered)
        for slot in self._waiting():
            if slot.uncounted and slot.serial < newest:
                slot.uncounted = False
                slot.overtaken += 1
                if slot.rank is Rank.RECALL:
                    if slot.overtaken > SUSPECT_AFTER:
                        self._put_back(slot)
                elif slot.overtaken >= OVERTAKEN_MAX:
                    self._park_unanswered(slot, effects, now)
        excess = self._suspects() - self._batches_max // 2
        for slot in [slot for slot in self._waiting() if slot.suspect][: max(0, excess)]:
            if self._elsewhere.room_aside:
                self._put_aside(slot)
            else:
                self._park_unanswered(slot, effects, now)

    # Suspects.

    def _put_aside(self, slot: Slot) -> None:
        self._drop(slot.batch.id)
        self._elsewhere.put_aside(slot)

    def _park_unanswered(self, slot: Slot, effects: list[Effect], now: BootMs) -> None:
        id_ = slot.batch.id
        self._drop(id_)
        effects.append(Park(id_, "unanswered"))
        effects += self._complaints.say("batch_parked", (id_.seq, "unanswered"), now)
        self._elsewhere.park(slot, now)

    def _unpark(self, effects: list[Effect], now: BootMs) -> None:
        for slot in self._elsewhere.unpark(now):
            slot.overtaken = OVERTAKEN_MAX - 1  # one try an hour
            effects.append(Unpark(slot.batch.id))

    def _bring_back(self, effects: list[Effect]) -> None:
        while self._suspects() < self._batches_max // 2 and self._room_ordinary() > 0:
            slot = self._elsewhere.take_back()
            if slot is None:
                break
            slot.come_back()
            self._slots[slot.batch.id] = slot
            effects.append(Reread(slot.batch.id))

    def _suspects(self) -> int:
        return sum(slot.suspect for slot in self._slots.values())

    # Recall.

    def _put_back(self, slot: Slot) -> None:
        id_ = slot.batch.id
        del self._slots[id_]
        self._recalls.put_back(id_)

    def _ask_recalls(self) -> list[Effect]:
        """Only while nothing else is left to do."""
        waits = any(slot.state is State.DUE and slot.rank is not Rank.RECALL for slot in self._slots.values())
        if self._mute or waits or not self._intake.drained(*ORDINARY):
            return []
        return [ReadKept(id_) for id_ in self._recalls.next(self._room_ordinary())]

    # Mute.

    def _fall_mute(self, why: str, effects: list[Effect], now: BootMs) -> None:
        self._mute.fall(why, now)
        for slot in [slot for slot in self._slots.values() if slot.rank is Rank.RECALL]:
            self._put_back(slot)
        if why == "version_refused":
            self._complaints.clear("no_receipts")
        effects += self._complaints.hold(why, "", now)

    def _try_one(self, now: BootMs) -> list[Effect]:
        if not self._slots and self._intake.drained(*ORDINARY):  # nothing else can find out whether anybody is there
            return [ReadKept(id_) for id_ in self._recalls.next(1)] if self._mute.takes_try(now) else []
        longest = min(self._waiting(), key=lambda slot: slot.serial, default=None)
        if not self._mute.takes_try(now) or longest is None:
            return []
        if self._tried_all() and self._room_ordinary() <= 0 and self._elsewhere.room_aside:
            self._put_aside(longest)
        else:
            longest.state = State.DUE
        return []

    def _tried_all(self) -> bool:
        return all(slot.tried_mute for slot in self._slots.values())

    # What goes on after everything that happened: sends while publishes are free, fetches while there is room.

    def _go_on(self, now: BootMs) -> list[Effect]:
        if not self._connected:
            return []
        effects: list[Effect] = []
        while len(self._unacked) < self._publishes_max:
            slot = self._next_due(now)
            if slot is None:
                break
            effects.append(self._send(slot, now))
        if not self._mute:
            self._bring_back(effects)
        self._fetch(effects)
        return effects + self._ask_recalls()

    def _next_due(self, now: BootMs) -> Slot | None:
        recalls = self._recalls.may_send(now)
        slots = [slot for slot in self._slots.values() if recalls or slot.rank is not Rank.RECALL]
        return self._turn.next(slots, self._unacked)

    def _send(self, slot: Slot, now: BootMs) -> Send:
        self._serial += 1
        self._turn.took(slot.rank)
        slot.send(self._serial, now)
        slot.tried_mute |= bool(self._mute)
        self._unacked.add(slot.batch.id)
        if slot.rank is Rank.RECALL:
            self._recalls.sent(self._size_of(slot.batch), now)
        return Send(slot.batch)

    def _fetch(self, effects: list[Effect]) -> None:
        effects += self._intake.ask(Rank.URGENT, min(self._room(), self._quarter, self._room_newer()))
        fresh, backlog = self._shares()
        effects += self._intake.ask(Rank.FRESH, fresh)
        effects += self._intake.ask(Rank.BACKLOG, min(backlog, self._room_ordinary()))

    def _shares(self) -> tuple[int, int]:
        """How many fresh and backlog batches may be fetched now."""
        room = self._room_ordinary()
        if self._mute:
            room = min(room, 1) if self._tried_all() else 0
            return room, room
        return min(room, self._room_newer() - self._urgent_only), room

    def _room_newer(self) -> int:
        """For urgent and fresh batches together: what is left beside backlog's quarter."""
        quarter = 0 if self._intake.drained(Rank.BACKLOG) else self._quarter
        here = sum(slot.rank in {Rank.URGENT, Rank.FRESH} for slot in self._slots.values())
        return self._batches_max - quarter - here - self._intake.asked(Rank.URGENT, Rank.FRESH)

    def _room(self) -> int:
        return self._batches_max - len(self._slots) - self._intake.asked(*Rank) - self._recalls.reading

    def _room_ordinary(self) -> int:
        here = sum(slot.rank is not Rank.URGENT for slot in self._slots.values())
        coming = self._intake.asked(Rank.FRESH, Rank.BACKLOG) + self._recalls.reading
        return min(self._room(), self._batches_max - self._urgent_only - here - coming)

    # Small things.

    def _out(self, id_: BatchId) -> Slot | None:
        slot = self._slots.get(id_)
        return slot if slot is not None and slot.first_sent is not None else None

    def _waiting(self) -> list[Slot]:
        """Sent, PUBACKed, and not answered."""
        return [slot for slot in self._slots.values() if slot.state is State.OUT and slot.batch.id not in self._unacked]

    def _holds(self, id_: BatchId) -> bool:
        return self.place(id_) != ""

    def _drop(self, id_: BatchId) -> None:
        del self._slots[id_]
        self._recalls.gone(id_)
        for rank in Rank:
            if self._intake.asked(rank):
                self._left.setdefault(rank, set()).add(id_)

    def _fits(self, batch: Batch, effects: list[Effect], now: BootMs) -> bool:
        size = self._size_of(batch)
        if size <= self._packet_bytes_max:
            return True
        effects += self._complaints.hold("packet_too_large", (size, self._packet_bytes_max), now)
        return False
