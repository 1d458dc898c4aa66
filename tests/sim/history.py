"""What happened in one run: ground truth from the devices, what was appended, settled, stored; and one digest of all.

Each answer of a device carries its running number as value, so a value found anywhere names the moment of its reading.
What breaks a promise while it happens is noted at once, with the virtual time; the rest is for `checks`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.ioc.store.point import Point
from gateway.model import SeqRanges
from gateway.seams import Broker
from gateway.testing.broker import Published
from gateway.wire import batch as wire_batch
from gateway.wire import body as wire_body

KIND = "thing"
FIELD = "count"
BROKEN_MAX = 20  # that are told of one run

Reading = tuple[str, int]  # device, running number of the answer
Batch = tuple[str, int]  # epoch, seq


@dataclass(slots=True)
class History:
    """Grows while the world runs."""

    now: Callable[[], int]  # true ms
    read_at: dict[Reading, int] = field(default_factory=dict)  # ground truth: true ms
    appended: dict[Batch, tuple[Reading, ...]] = field(default_factory=dict)
    sent: dict[Batch, int] = field(default_factory=dict)  # crc
    ledger: set[Batch] = field(default_factory=set)
    settled: set[Batch] = field(default_factory=set)
    points: dict[tuple[str, str, int], int] = field(default_factory=dict)  # (device, clock, ms) -> number
    there: set[Reading] = field(default_factory=set)  # those of `points`
    ring_untold: set[str] = field(default_factory=set)  # epochs of rings that died, beside a disk that took no note
    blind: bool = False  # a daemon started without its disk: it cannot know which times were given out
    broken: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    _digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def note(self, *what: object) -> None:
        """One line of the history."""
        self._digest.update(repr((self.now(), what)).encode())

    def count(self, what: str) -> None:
        """For people: what a run went through."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def breaks(self, promise: str, what: str) -> None:
        """A promise is broken now."""
        self.note("broken", promise, what)
        if len(self.broken) < BROKEN_MAX:
            self.broken.append(f"{promise} at {self.now()}: {what}")

    def served(self, device: str, number: int) -> float:
        """A device answers: the value is the number."""
        self.read_at.setdefault((device, number), self.now())
        return float(number)

    def append_returned(self, epoch: str, seq: int, enc: str, body: bytes) -> None:
        """From now on the gateway has promised it."""
        groups = wire_body.decode(enc, body).groups
        readings = tuple((one.group.device, int(float(row[1][0] or 0))) for one in groups for row in one.rows)
        if self.appended.get((epoch, seq), readings) != readings:
            self.breaks("P1", f"append gave seq {seq} of {epoch} twice")
        self.appended[epoch, seq] = readings
        self.note("appended", epoch, seq, readings)

    def settles(self, epoch: str, seqs: SeqRanges) -> None:
        """The gateway believes that the store has these."""
        for seq in seqs.seqs():
            self.settled.add((epoch, seq))
            if (epoch, seq) not in self.ledger:
                self.breaks("P2", f"seq {seq} of {epoch} is settled and not in the store")

    def published(self, message: Published) -> None:
        """Something reached the broker."""
        self.note("mqtt", message.client, message.topic, hashlib.sha1(message.payload, usedforsecurity=False).digest())
        if message.topic.endswith("/up/data"):
            batch = wire_batch.decode(message.payload)
            key = (batch.id.epoch, batch.id.seq)
            if self.sent.setdefault(key, batch.crc) != batch.crc:
                self.breaks("P4", f"seq {key[1]} of {key[0]} was sent with two contents")

    def stored(self, point: Point) -> None:
        """The store has it."""
        tags = dict(point.tags)
        if point.measurement == "gw_batch":
            self._proven((tags["epoch"], int(float(point.fields["seq"]))))
        if point.measurement != KIND:
            return
        key = (tags["device"], tags.get("clock", ""), point.time_ns // 1_000_000)
        number = int(float(point.fields[FIELD]))
        if self.points.setdefault(key, number) != number:
            self.breaks("P5", f"{key}: answer {number} overwrites {self.points[key]}")
        if (key[0], number) not in self.read_at:
            self.breaks("P8", f"{key}: answer {number} was never given")
        self.there.add((key[0], number))
        self.note("stored", key, number)

    def _proven(self, batch: Batch) -> None:
        """A ledger point is written."""
        self.ledger.add(batch)
        if missing := [one for one in self.appended.get(batch, ()) if one not in self.there]:
            self.breaks("P2", f"{batch} is proven before {missing[0]} is stored")

    def connects(self, broker: Broker) -> None:
        """A client knocks."""
        self.note("connect", broker.client_id)

    def digest(self) -> str:
        """Of all that was noted, in its order."""
        return self._digest.hexdigest()
