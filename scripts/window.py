"""docs/explanation/window.md: what the window does with a batch, found out by trying.

    python -m scripts.window            write the page
    python -m scripts.window --check    exit status 1 when it is stale

Nothing here knows the rules. A small window is driven through many thousand steps, by a spool, a broker and a centre
that do this and that; one batch is watched, and each step that moved it or did something with it becomes a line. The
steps are drawn from fixed seeds: the same code gives the same page, and a rule that changes changes the page.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

from gateway.model import Batch, BatchId, BootMs, Receipt, Stamp, UtcMs
from gateway.north.effects import Complain, Effect, Fetch, Park, Rank, Reread, Send, Settle, Unpark
from gateway.north.window import Window

PAGE: Final = Path(__file__).parent.parent / "docs" / "explanation" / "window.md"
NOTE: Final = "<!-- Written by `python -m scripts.window` from the code: do not edit. -->"
GATEWAY, EPOCH, START = "hc-0001", "k3v9x2", BootMs(1_000)
BATCHES_MAX = 8
EPISODES, STEPS_MAX = 420, 120
SMALL, BIG = 10, 1000  # what a server takes; a batch has 100
DISK, SETTLED, REFUSED = "on disk", "settled", "parked: refused"
PLACES: Final = (DISK, "due", "out", "reading", "aside", "parked", REFUSED, SETTLED)
MEANING: Final = {
    DISK: "pending in the spool, not in the window",
    "due": "in the window, to be sent",
    "out": "sent, no receipt yet",
    "reading": "is read from disk again",
    "aside": "not answered, others were: waits until fewer such are in the window",
    "parked": "kept, not sent; tried again after an hour",
    REFUSED: "kept, not sent, until `resend` or an upgrade",
    SETTLED: "the store has it",
}
OPEN, AWAY = "answered", "no connection"
MODES: Final = (AWAY, OPEN, "mute: no_receipts", "mute: version_refused")


@dataclass
class Bench:
    """One window, all that is under way, and the batch that is watched."""

    random: Random
    mood: str
    window: Window = field(default_factory=lambda: Window(lambda _: 100, batches_max=BATCHES_MAX))
    now: BootMs = START
    batches: list[Batch] = field(default_factory=list)
    gone: set[BatchId] = field(default_factory=set)
    parked: dict[BatchId, str] = field(default_factory=dict)
    reads: list[Fetch | Reread] = field(default_factory=list)
    unacked: list[BatchId] = field(default_factory=list)
    connected: bool = False
    said: list[str] = field(default_factory=list)  # what the step did with the watched batch
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for _ in range(6):
            self._append()
        self.watched = self.batches[self.random.randrange(2)].id

    @property
    def place(self) -> str:
        """Of the watched batch."""
        if self.watched in self.gone:
            return SETTLED
        refused = self.parked.get(self.watched, "").startswith("refused")
        return REFUSED if refused else self.window.place(self.watched) or DISK

    @property
    def mode(self) -> str:
        """Of the window."""
        return AWAY if not self.connected else f"mute: {self.window.mute}" if self.window.mute else OPEN

    def steps(self) -> list[tuple[str, Callable[[], None]]]:
        """What may happen now, by the mood of the centre."""
        if not self.connected:
            return [("a connection", self._connect), ("a server with too small packets", self._connect_small)]
        steps: list[tuple[str, Callable[[], None]]] = [
            ("10 s pass", lambda: self._wait(10_000)),
            ("5 min pass", lambda: self._wait(300_000)),
        ]
        if self._rarely():
            steps += [("the connection is lost", self._lose), ("an hour passes", lambda: self._wait(3_600_000))]
        own, others = self._own_read(), [read for read in self.reads if read is not self._own_read()]
        if own is not None:
            steps += [("read: it is there", lambda: self._read(own))]
            steps += [("read: given up meanwhile", partial(self._given_up, own))] if self._rarely() else []
        if self.watched in self.unacked:
            steps += [(f"PUBACK {name}", partial(self._puback, reason)) for name, reason in _REASONS]
        steps += [("the spool is read", lambda: self._read(others[0]))] if others else []
        return steps + self._answers()

    def _answers(self) -> list[tuple[str, Callable[[], None]]]:
        if self.mood == "silent":
            return []
        steps: list[tuple[str, Callable[[], None]]] = []
        if self.mood in ("deaf to it", "deaf to many", "good"):
            steps += [("one first sent after it is answered", self._answer_another)] * 3
        if self.mood == "good" or (not self.mood.startswith("deaf") and self._rarely()):
            steps += [("stored", lambda: self._receipt(stored=0)), ("stored, with another crc", self._mismatch)]
            steps += [("stored, of another epoch", lambda: self._receipt(stored=0, epoch="other1"))]
        if self.mood == "picky":
            steps += [("refused", lambda: self._receipt(why="schema"))] * 4
        if self.mood == "old":
            steps += [("refused: version", lambda: self._receipt(why="version"))] * 4
        return steps

    def do(self, effects: Iterable[Effect]) -> None:
        """Take note; what needs an answer waits for a step of its own."""
        for effect in effects:
            match effect:
                case Send(batch):
                    self.unacked.append(batch.id)
                    self._say("Send", batch.id)
                case Settle(epoch, seqs):
                    settled = [BatchId(GATEWAY, epoch, seq) for seq in seqs.seqs()]
                    self.gone.update(settled)
                    for id_ in settled:
                        self._say("Settle", id_)
                case Fetch():
                    self.reads.append(effect)
                case Reread(id_):
                    self.reads.append(effect)
                    self._say("Reread", id_)
                case Park(id_, why):
                    self.parked[id_] = why
                    self._say("Park", id_)
                case Unpark(id_):
                    del self.parked[id_]
                    self._say("Unpark", id_)
                case Complain(code, _):
                    self.complaints.append(code)

    # What may happen.

    def _connect(self, packet_bytes: int = BIG) -> None:
        self.connected = True
        self.do(self.window.connected(20, packet_bytes, len(self.batches), self.now))

    def _connect_small(self) -> None:
        self._connect(SMALL)

    def _lose(self) -> None:
        self.connected = False
        self.reads.clear()
        self.unacked.clear()
        self.window.disconnected()

    def _wait(self, ms: int) -> None:
        self.now = BootMs(self.now + ms)
        self.do(self.window.tick(self.now))

    def _puback(self, reason: int) -> None:
        self.unacked.remove(self.watched)
        self.do(self.window.published(self.watched, reason, self.now))

    def _read(self, asked: Fetch | Reread) -> None:
        self.reads.remove(asked)
        if isinstance(asked, Reread):
            self.do(self.window.reread(asked.id, self.batches[asked.id.seq - 1], self.now))
        else:
            self.do(self.window.offered(asked.rank, self._offer(asked)[: asked.limit], self.now))

    def _given_up(self, own: Reread) -> None:
        self.reads.remove(own)
        self.do(self.window.reread(self.watched, None, self.now))
        self.gone.add(self.watched)  # its seq is in a gap now; the episode is over

    def _mismatch(self) -> None:
        self._receipt(stored=1)

    def _receipt(self, *, stored: int | None = None, why: str = "", epoch: str = EPOCH) -> None:
        seq = self.watched.seq
        words = () if stored is None else ((seq, self.batches[seq - 1].crc + stored),)
        self._take(Receipt(GATEWAY, epoch, words, (), ((seq, why),) if why else (), "ingest-1", UtcMs(0)))

    def _take(self, receipt: Receipt) -> None:
        self.do(self.window.received(receipt, self.now))

    def _answer_another(self) -> None:
        """A new one is appended, read, sent, acknowledged and answered."""
        batch = self._append()
        self.do(self.window.woken(self.now))
        while others := [read for read in self.reads if read is not self._own_read()]:
            self._read(others[0])
        for id_ in [id_ for id_ in self.unacked if id_ != self.watched]:
            self.unacked.remove(id_)
            self.do(self.window.published(id_, 0, self.now))
        old = [] if self.mood == "deaf to many" else self.batches[:-1]
        for one in [*(one for one in old if one.id != self.watched and one.id not in self.gone), batch]:
            self._take(Receipt(GATEWAY, EPOCH, ((one.id.seq, one.crc),), (), (), "ingest-1", UtcMs(0)))

    # Small things.

    def _append(self) -> Batch:
        seq = len(self.batches) + 1
        id_ = BatchId(GATEWAY, EPOCH, seq)
        self.batches.append(Batch(id_, Stamp(UtcMs(seq), "ntp"), 0, 7 * seq, b"x", "none", order=seq))
        return self.batches[-1]

    def _offer(self, asked: Fetch) -> list[Batch]:
        if asked.rank is Rank.URGENT:
            return []
        last = len(self.batches) if asked.until is None else asked.until
        hidden = self.gone | self.parked.keys()
        return [batch for batch in self.batches if asked.after < batch.order <= last and batch.id not in hidden]

    def _own_read(self) -> Reread | None:
        reads = [read for read in self.reads if isinstance(read, Reread) and read.id == self.watched]
        return reads[0] if reads else None

    def _rarely(self) -> bool:
        return self.random.random() < 0.05  # noqa: PLR2004 - so that what takes many steps is reached

    def _say(self, what: str, id_: BatchId) -> None:
        if id_ == self.watched:
            self.said.append(what)


_REASONS = (("0", 0), ("16, nobody subscribes", 16), ("128 and above, refused", 135))
_MOODS = ("good", "deaf to it", "deaf to many", "picky", "old", "silent")

Line = tuple[str, str, str, str]  # before, what happened, after, effects


def explored() -> tuple[set[Line], set[Line], int]:
    """All that was seen: lines of a batch, lines of the window; and in how many steps."""
    batch_lines, window_lines, steps = set[Line](), set[Line](), 0
    for seed in range(EPISODES):
        random = Random(seed)  # noqa: S311 - the same page from the same code
        bench = Bench(random, _MOODS[seed % len(_MOODS)])
        for _ in range(STEPS_MAX):
            steps += 1
            name, step = random.choice(bench.steps())
            place, mode = bench.place, bench.mode
            bench.said, bench.complaints = [], []
            step()
            complaints = [f"Complain {code}" for code in bench.complaints]
            mode_line = (mode, name, bench.mode, ", ".join(complaints))
            if mode != bench.mode or complaints:
                window_lines.add(mode_line)
            if name == "read: given up meanwhile":
                batch_lines.add((place, name, "given up", ""))
                break
            if place != bench.place or bench.said:
                batch_lines.add((place, name, bench.place, ", ".join(bench.said)))
            if bench.place == SETTLED:
                break
    return batch_lines, window_lines, steps


def page() -> str:
    """The whole text."""
    return "\n".join([NOTE, *_page(*explored())]).rstrip() + "\n"


def _page(batch_lines: set[Line], window_lines: set[Line], steps: int) -> Iterator[str]:
    yield from (
        "# The window",
        "",
        "What the gateway does with a batch between the disk and its receipt. The rules and their reasons stand at the",
        "top of `gateway/north/window.py`; this page was found out by trying: windows were driven through",
        f"{steps:,} steps, and each line was seen. What is not listed does nothing. An effect in brackets was seen",
        "sometimes; a complaint is told once a minute at most.",
        "",
    )
    yield from _table(("a batch is", "meaning"), ((f"`{place}`", MEANING[place]) for place in PLACES))
    yield from ("## A batch", "")
    yield from _diagram(batch_lines, PLACES)
    yield from _table(("from", "what happens", "to", "effects on it"), _ordered(batch_lines, PLACES))
    yield from (
        "## The window",
        "",
        "While it is *mute* nothing is held against any batch, nothing but urgent ones is read from disk, and one",
        "batch at a time is sent again, after 10 s, doubling to 5 min.",
        "",
    )
    yield from _diagram(window_lines, MODES)
    yield from _table(("from", "what happens", "to", "effects"), _ordered(window_lines, MODES))


def _ordered(lines: Iterable[Line], places: Sequence[str]) -> list[Line]:
    def key(line: Line) -> tuple[int, str, int, str]:
        return places.index(line[0]), line[1], places.index(line[2]) if line[2] in places else len(places), line[3]

    merged: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for before, what, after, effects in sorted(lines, key=key):
        merged[before, what, after].append(effects)
    return [(f"`{a}`", what, f"`{b}`", _either(effects)) for (a, what, b), effects in merged.items()]


def _either(seen: Sequence[str]) -> str:
    """What was always there, then in brackets what was there sometimes."""
    sets = [set(effects.split(", ")) - {""} for effects in seen]
    always = set.intersection(*sets)
    sometimes = set.union(*sets) - always
    return ", ".join([*sorted(always), *(f"({effect})" for effect in sorted(sometimes))]) or "-"


def _diagram(lines: Iterable[Line], places: Sequence[str]) -> Iterator[str]:
    """Mermaid; only what moves."""
    moves: dict[tuple[str, str], set[str]] = defaultdict(set)
    for before, what, after, _ in lines:
        if before != after:
            moves[before, after].add(what)
    names = [*places, *sorted({after for _, after in moves} - set(places))]
    yield from ("```mermaid", "stateDiagram-v2")
    yield from (f'    state "{name}" as s{at}' for at, name in enumerate(names))
    for before, after in sorted(moves, key=lambda move: (names.index(move[0]), names.index(move[1]))):
        label = "; ".join(sorted(moves[before, after])).replace(":", "#58;")
        yield f"    s{names.index(before)} --> s{names.index(after)} : {label}"
    yield from ("```", "")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or say that it differs from what would be written."""
    parser = argparse.ArgumentParser(prog="python -m scripts.window", description="Write docs/explanation/window.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the page is stale")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    text = page()
    stale = not options.page.exists() or options.page.read_text("utf-8") != text
    if stale and options.check:
        print(f"{options.page} is stale: run python -m scripts.window")
    elif stale:
        options.page.write_text(text, "utf-8")
    return int(options.check and stale)


if __name__ == "__main__":
    sys.exit(main())
