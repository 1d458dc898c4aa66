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

Overtaken: a send of it was still unanswered when a batch first sent after it was answered (`suspects`). Rank RECALL:
`recalls`. The order of sending: `turn`; who has how much of the window: `room`.

Mute: a send had no answer in its time and nothing was heard since, or the other side does not know our version.
Then nothing is counted or parked, nothing is fetched but urgent batches, and one batch at a time is sent again, the
one that has waited longest, after 10 s doubling to 5 min. Only when all that is here was tried in vain, each try
fetches one more, and sets the longest here aside for it when there is no room: else batches that kill their reader
would stop all others for good. Any answer ends it but a wrong crc, which may be anybody's.
"""

from collections.abc import Callable, Sequence

from gateway.model import Batch, BatchId, BootMs, Receipt, SeqRanges
from gateway.north.complaints import Complaints
from gateway.north.effects import Effect, Park, Rank, ReadKept, Reread, Send, Settle, TimeOfDay
from gateway.north.held import Held
from gateway.north.intake import Intake
from gateway.north.mute import Mute
from gateway.north.recalls import Recalls
from gateway.north.room import Room
from gateway.north.slot import Slot, State
from gateway.north.suspects import Suspects
from gateway.north.turn import Turn

BATCHES_MAX = 20
PUBLISHES_MAX = 20
REFUSALS_MAX = 3
ORDINARY = (Rank.URGENT, Rank.FRESH, Rank.BACKLOG)  # those that are fetched
FAILURE = 0x80  # PUBACK reasons from here on say no
NO_MATCHING_SUBSCRIBERS = 0x10


class Window:
    """All of north's decisions about batches. Every method answers with effects, to be done in order."""

    def __init__(
        self, size_of: Callable[[Batch], int], *, batches_max: int = BATCHES_MAX, publishes_max: int = PUBLISHES_MAX
    ) -> None:
        """`size_of`: the bytes of its PUBLISH packet; `batches_max`: 20 for a gateway, 200 for a relay, at least 4."""
        if batches_max < 4 or publishes_max < 1:  # noqa: PLR2004 - below 4 the shares of the ranks round to nothing
            raise ValueError("a window holds at least 4 batches and 1 publish")
        self._size_of = size_of
        self._publishes_configured = publishes_max
        self._publishes_max = publishes_max
        self._packet_bytes_max = 0
        self._intake, self._recalls = Intake(), Recalls()
        self._held = Held(self._intake, self._recalls)
        self._room = Room(batches_max, self._held, self._intake, self._recalls)
        self._complaints = Complaints()
        self._suspects = Suspects(batches_max, self._held, self._room, self._complaints)
        self._connected = False
        self._serial = 0
        self._heard = 0  # the serial at the last answer
        self._turn = Turn()
        self._mute = Mute()
        self._puback = 0  # the last reason that was complained of

    @property
    def in_flight(self) -> frozenset[BatchId]:
        """Sent at least once, without a receipt: what the spool gives up last."""
        return self._held.sent

    @property
    def alarms(self) -> frozenset[str]:
        """Codes of what is wrong now."""
        return self._complaints.held

    def place(self, id_: BatchId) -> str:
        """Where a batch stands: due, out, reading, aside, parked (by us, for an hour), or "" when it is not here."""
        slot = self._held.slots.get(id_)
        return self._suspects.place(id_) if slot is None else slot.state.name.lower()

    @property
    def mute(self) -> str:
        """Why nothing is held against any batch now: no_receipts, version_refused, or "" when somebody answers."""
        return self._mute.why

    @property
    def idle(self) -> bool:
        """Nothing is here and nothing is left to fetch."""
        return self._held.only_recalled and self._intake.drained(*ORDINARY)

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
        for id_, slot in list(self._held.slots.items()):
            slot.restart()
            if not self._fits(slot.batch, effects, now):
                self._held.drop(id_)
            elif slot.state is State.READING:
                effects.append(Reread(id_))
        return effects + self._go_on(now)

    def disconnected(self) -> None:
        """It is gone, with every publish and every read that was under way."""
        self._connected = False
        self._held.unacked.clear()
        self._intake.disconnected()
        self._recalls.disconnected()

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
        for batch in self._intake.took(rank, batches):
            if not self._holds(batch.id) and self._fits(batch, effects, now):
                self._held.take(batch, Rank.URGENT if batch.urgent else rank)
        return effects + self._go_on(now)

    def reread(self, id_: BatchId, batch: Batch | None, now: BootMs) -> list[Effect]:
        """The answer to a Reread; None: settled or given up meanwhile."""
        effects: list[Effect] = []
        if (slot := self._held.reading(id_)) is not None:
            if batch is None or not self._fits(batch, effects, now):
                self._held.drop(id_)
            else:
                slot.batch, slot.state = batch, State.DUE
        return effects + self._go_on(now)

    def published(self, id_: BatchId, reason: int, now: BootMs) -> list[Effect]:
        """The PUBACK of a Send."""
        self._held.unacked.discard(id_)
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
            effects += self._suspects.overtaken(answered, now)
        return effects + self._go_on(now)

    def tick(self, now: BootMs) -> list[Effect]:
        """Once a second or so: what is late is sent again."""
        if not self._connected:
            return []
        effects: list[Effect] = []
        late = self._held.late(now)
        if not self._mute and any(slot.serial > self._heard for slot in late):
            self._fall_mute("no_receipts", effects, now)
        if self._mute:
            effects += self._try_one(now)
        else:
            for slot in late:
                slot.state = State.DUE
            effects += self._suspects.unpark(now)
        return effects + self._go_on(now)

    def resend(self, gateway: str, epoch: str, archived: SeqRanges, unparked: SeqRanges) -> None:
        """Asked for again: `archived` go below all others, from the next tick on; `unparked` are parked no longer."""
        self._recalls.ask(gateway, epoch, archived)
        self._suspects.forget_parked(gateway, epoch, unparked)  # they are offered again as if they were new

    def recalled(self, id_: BatchId, batch: Batch | None, now: BootMs) -> list[Effect]:
        """The answer to a ReadKept; None: it is not kept any more."""
        effects: list[Effect] = []
        if self._recalls.came(id_):
            if batch is None or self._holds(id_) or not self._fits(batch, effects, now):
                self._recalls.gone(id_)
            else:
                self._held.take(batch, Rank.RECALL)
        return effects + self._go_on(now)

    # Receipts.

    def _stored(self, receipt: Receipt, answered: list[Slot], effects: list[Effect], now: BootMs) -> None:
        settled: list[Slot] = []
        for seq, crc in receipt.stored:
            slot = self._held.out(BatchId(receipt.gateway, receipt.epoch, seq))
            if slot is None:
                continue
            if slot.batch.crc != crc:
                effects += self._complaints.say("receipt_mismatch", (seq,), now)
                self._heard = self._serial
                continue
            settled.append(slot)
            self._held.drop(slot.batch.id)
        if first := [slot.batch.id.seq for slot in settled if slot.rank is not Rank.RECALL]:
            effects.append(Settle(receipt.epoch, SeqRanges.of_seqs(first)))
        if settled:
            sent = max(slot.first_sent for slot in settled if slot.first_sent is not None)
            effects.append(TimeOfDay(sent, now, receipt.now))
            answered += settled

    def _refused(self, receipt: Receipt, answered: list[Slot], effects: list[Effect], now: BootMs) -> None:
        for seq, why in receipt.refused:
            slot = self._held.out(BatchId(receipt.gateway, receipt.epoch, seq))
            if slot is None or slot.state is not State.OUT:
                continue  # a refusal is judged once for each send
            if why == "version":
                self._heard = self._serial
                self._fall_mute("version_refused", effects, now)
                continue
            answered.append(slot)
            effects += self._refuse(slot, why, now)

    def _refuse(self, slot: Slot, why: str, now: BootMs) -> list[Effect]:
        id_ = slot.batch.id
        if slot.rank is Rank.RECALL:
            self._held.drop(id_)
            return [*self._complaints.say("recall_refused", (id_.seq, why), now)]
        slot.refusals += 1
        if slot.refusals > REFUSALS_MAX:
            self._held.drop(id_)
            return [Park(id_, f"refused:{why}"), *self._complaints.say("batch_parked", (id_.seq, why), now)]
        slot.state = State.READING
        return [Reread(id_)]

    def _hear(self, effects: list[Effect], now: BootMs) -> None:
        self._heard = self._serial
        self._mute.end()
        self._puback = 0
        gone = self._complaints.clear("no_receipts", "version_refused", "nobody_stores", "publish_refused")
        if gone:
            effects += self._complaints.say("receipts_again", " ".join(gone), now)

    # Mute.

    def _fall_mute(self, why: str, effects: list[Effect], now: BootMs) -> None:
        self._mute.fall(why, now)
        self._held.put_back_all()
        if why == "version_refused":
            self._complaints.clear("no_receipts")
        effects += self._complaints.hold(why, "", now)

    def _try_one(self, now: BootMs) -> list[Effect]:
        if not self._held.slots and self._intake.drained(
            *ORDINARY
        ):  # nothing else can find out whether anybody is there
            return [ReadKept(id_) for id_ in self._recalls.next(1)] if self._mute.takes_try(now) else []
        longest = min(self._held.waiting, key=lambda slot: slot.serial, default=None)
        if not self._mute.takes_try(now) or longest is None:
            return []
        if self._tried_all() and self._room.ordinary <= 0 and self._suspects.room_aside:
            self._suspects.put_aside(longest)
        else:
            longest.state = State.DUE
        return []

    def _tried_all(self) -> bool:
        return all(slot.tried_mute for slot in self._held.slots.values())

    # What goes on after everything that happened: sends while publishes are free, fetches while there is room.

    def _go_on(self, now: BootMs) -> list[Effect]:
        if not self._connected:
            return []
        effects: list[Effect] = []
        while len(self._held.unacked) < self._publishes_max and (slot := self._next_due(now)) is not None:
            effects.append(self._send(slot, now))
        if not self._mute:
            effects += self._suspects.bring_back()
        effects += self._room.fetches(mute=bool(self._mute), one_more=self._tried_all())
        return effects + self._ask_recalls()

    def _next_due(self, now: BootMs) -> Slot | None:
        recalls = self._recalls.may_send(now)
        slots = [slot for slot in self._held.slots.values() if recalls or slot.rank is not Rank.RECALL]
        return self._turn.next(slots, self._held.unacked)

    def _send(self, slot: Slot, now: BootMs) -> Send:
        self._serial += 1
        self._turn.took(slot.rank)
        slot.send(self._serial, now)
        slot.tried_mute |= bool(self._mute)
        self._held.unacked.add(slot.batch.id)
        if slot.rank is Rank.RECALL:
            self._recalls.sent(self._size_of(slot.batch), now)
        return Send(slot.batch)

    def _ask_recalls(self) -> list[Effect]:
        """Only while nothing else is left to do."""
        if self._mute or self._held.ordinary_due or not self._intake.drained(*ORDINARY):
            return []
        return [ReadKept(id_) for id_ in self._recalls.next(self._room.ordinary)]

    # Small things.

    def _holds(self, id_: BatchId) -> bool:
        return self.place(id_) != ""

    def _fits(self, batch: Batch, effects: list[Effect], now: BootMs) -> bool:
        size = self._size_of(batch)
        if size <= self._packet_bytes_max:
            return True
        effects += self._complaints.hold("packet_too_large", (size, self._packet_bytes_max), now)
        return False
