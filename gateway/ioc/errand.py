"""What is asked of one gateway in a recall, and what came of it. Pure.

    todo: parts of what is wanted --due--> a command --answered--> what is not kept leaves `missing`
    `missing` shrinks as the ledger shows more; when it stands still, all of it is asked for again

One command is out at a time, and only while the gateway says that it is online: one that is away is waited for. A new
id each time: asking twice does no harm (W-93), and an id that was lost on its way would only be answered `repeated`.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.model import BootMs, Seq, SeqRanges
from gateway.wire.command import Outcome

RANGES_MAX: Final = 100  # of one command
BATCHES_MAX: Final = 20_000
ANSWER_MS: Final = 30_000  # the outcome comes in this time, or the command is sent again
PAUSE_MS: Final = 10_000  # after a refusal that may pass
STALL_MS: Final = 60_000  # nothing more arrived: asked for again
SETTLE_MS: Final = 5_000  # after the last outcome a status says whether anything is still on its way
HOPELESS: Final = frozenset({"unknown_command", "not_allowed", "bad_arguments"})  # another try would get the same


@dataclass(frozen=True, slots=True)
class Ask:
    """One command to be sent."""

    epoch: str
    seqs: SeqRanges


class Errand:
    """`wanted`: by epoch, all that the gateway is asked for; `missing`: what of it the ledger does not show yet."""

    def __init__(self, gateway: str, wanted: Mapping[str, SeqRanges], missing: Mapping[str, SeqRanges]) -> None:
        self.gateway = gateway
        self.wanted = {epoch: seqs for epoch, seqs in wanted.items() if seqs}
        self.missing = {epoch: seqs for epoch, seqs in missing.items() if seqs}
        self.missed = sum(map(len, self.missing.values()))  # batches, at the start
        self.not_kept: dict[str, SeqRanges] = {}
        self.online = False
        self.recalling = 0  # batches, by the gateway's newest status
        self.failed = ""  # the code of an outcome that ends it
        self._todo = deque(parts(self.wanted))
        self._out: tuple[str, Ask, BootMs] | None = None  # id, what, and until when its outcome is waited for
        self._not_before = BootMs(0)
        self._moved_at = BootMs(0)

    @property
    def asked(self) -> int:
        """Batches, in all."""
        return sum(map(len, self.wanted.values()))

    @property
    def left(self) -> int:
        """Batches that are neither in the ledger nor known to be lost."""
        return sum(map(len, self.missing.values()))

    @property
    def back(self) -> int:
        """Batches that were missing and are in the ledger now."""
        return self.missed - self.left - self.lost

    @property
    def lost(self) -> int:
        """Batches that the gateway has no more."""
        return sum(map(len, self.not_kept.values()))

    def over(self, now: BootMs) -> bool:
        """Nothing is left to wait for."""
        if self.failed:
            return True
        if self._todo or self._out is not None or self.missing:
            return False
        return not self.recalling and now - self._moved_at >= SETTLE_MS

    def said(self, now: BootMs, *, online: bool, recalling: int) -> None:
        """A status, or a will, came. One that was away has forgotten what it was asked for."""
        if online and not self.online:
            self._moved_at = now
            if not self._todo and self._out is None:
                self._todo.extend(parts(self.missing))
        if not online:
            recalling = 0
            if self._out is not None:
                self._todo.appendleft(self._out[1])
                self._out = None
        self.online, self.recalling = online, recalling

    def due(self, command_id: str, now: BootMs) -> Ask | None:
        """The command to send now, under this id."""
        if self._out is not None and now >= self._out[2]:
            self._todo.appendleft(self._out[1])
            self._out = None
        if not self.online or self.failed or self._out is not None or now < self._not_before:
            return None
        if not self._todo and self.missing and not self.recalling and now - self._moved_at >= STALL_MS:
            self._todo.extend(parts(self.missing))
        if not self._todo:
            return None
        ask = self._todo.popleft()
        self._out, self._moved_at = (command_id, ask, BootMs(now + ANSWER_MS)), now
        return ask

    def unheard(self, now: BootMs) -> None:
        """The broker had nobody to give the command to."""
        self._again(now)
        self.online = False

    def answered(self, outcome: Outcome, now: BootMs) -> Ask | None:
        """What the gateway says is no longer kept, to be recorded; None when that is nothing, or not our command."""
        if self._out is None or self._out[0] != outcome.id:
            return None
        if outcome.resent is None or not outcome.ok:
            self.failed = outcome.code if outcome.code in HOPELESS else ""
            self._again(now)
            return None
        (_, ask, _), self._out, self._moved_at = self._out, None, now
        lost = outcome.resent.not_kept.intersection(ask.seqs).intersection(self.missing.get(ask.epoch, SeqRanges()))
        self.not_kept[ask.epoch] = self.not_kept.get(ask.epoch, SeqRanges()).union(lost)
        self._take(ask.epoch, lost)
        return Ask(ask.epoch, lost) if lost else None

    def stored(self, epoch: str, seqs: SeqRanges, now: BootMs) -> None:
        """The ledger has these."""
        if self.missing.get(epoch, SeqRanges()).intersection(seqs):
            self._moved_at = now
            self._take(epoch, seqs)

    def _again(self, now: BootMs) -> None:
        if self._out is not None:
            self._todo.appendleft(self._out[1])
            self._out = None
        self._not_before = BootMs(now + PAUSE_MS)

    def _take(self, epoch: str, seqs: SeqRanges) -> None:
        left = self.missing.pop(epoch, SeqRanges()).minus(seqs)
        if left:
            self.missing[epoch] = left


def parts(wanted: Mapping[str, SeqRanges]) -> Iterator[Ask]:
    """In commands of a bounded size."""
    for epoch, seqs in wanted.items():
        part: list[tuple[Seq, Seq]] = []
        count = 0
        for first, last in _short(seqs.ranges):
            if part and (len(part) >= RANGES_MAX or count + last - first + 1 > BATCHES_MAX):
                yield Ask(epoch, SeqRanges.of(part))
                part, count = [], 0
            part.append((first, last))
            count += last - first + 1
        if part:
            yield Ask(epoch, SeqRanges.of(part))


def scope(around: tuple[Seq | None, Seq | None], highest: Seq) -> SeqRanges:
    """The seqs that may be of a time, by what the ledger shows around it."""
    first, last = around
    return SeqRanges.of([(first or 1, min(last or highest, highest))])


def _short(ranges: Iterable[tuple[Seq, Seq]]) -> Iterator[tuple[Seq, Seq]]:
    """None longer than one command may be."""
    for first, last in ranges:
        for at in range(first, last + 1, BATCHES_MAX):
            yield at, min(at + BATCHES_MAX - 1, last)
