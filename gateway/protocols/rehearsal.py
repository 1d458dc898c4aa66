"""A talk and the other side of it, played against each other without a line and without time. Pure.

Bytes that one side sends at another speed than the other listens at are lost, as on a wire. Where both sides wait, the
one whose patience ends first is told that nothing came. What is said is kept, for vectors: who said it, and what.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, TypeVar

from gateway.errors import DeviceError
from gateway.protocols.conversation import Pause, Receive, Send, SetBaud, Step, Talk
from gateway.protocols.framing import FrameReader, Framing
from gateway.protocols.plugin import SerialProtocol, Twin

T = TypeVar("T")
STEPS_MAX = 4096
FOR_EVER_MS = 1 << 40


@dataclass(frozen=True, slots=True)
class Said:
    """Bytes on the line: ours, or the device's."""

    ours: bool
    data: bytes
    baud: int = field(default=0, compare=False)


def rehearse(talk: Talk, twin: Twin, baud: int = 0) -> tuple[Mapping[str, object], tuple[Said, ...]]:
    """What the talk ends with, and all that was said; raises what the talk raises, and ValueError for one without end.

    `baud` is the speed at which both begin.
    """
    said: list[Said] = []
    ours, theirs = _Side(talk, baud), _Side(twin, baud)
    for _ in range(STEPS_MAX):
        if ours.ended:
            return ours.result or {}, tuple(said)
        if not _move(ours, theirs, said, ours=True) and not _move(theirs, ours, said, ours=False):
            (ours if ours.patience_ms <= theirs.patience_ms else theirs).give_up()
    raise ValueError(f"no end after {STEPS_MAX} steps")


def device(protocol: SerialProtocol, address: str, told: Mapping[str, str | int | float]) -> Twin:
    """The other side of `protocol`, as long as it is needed."""
    for _ in range(STEPS_MAX):
        yield from protocol.answer(address, told)


def recorded(exchange: Sequence[Said | SetBaud]) -> Twin:
    """A device that says what was recorded, when it is asked exactly what was, at the speeds that it was; once."""
    for said in exchange:
        if isinstance(said, SetBaud):
            yield said
        elif said.ours:
            size = len(said.data)
            asked = yield Receive(Framing("fixed", size, start=said.data, length=size), FOR_EVER_MS)
            if not asked:
                return
        else:
            yield Send(said.data)


def joined(said: Sequence[Said]) -> tuple[Said, ...]:
    """What one side said in several pieces, in one."""
    runs = groupby(said, key=lambda one: one.ours)
    return tuple(Said(ours, b"".join(one.data for one in run)) for ours, run in runs)


def took_ms(talk: Talk, twin: Twin, bits: int, baud: int) -> float:
    """How long a visit takes on a line with so many bits a character; raises as `rehearse`."""
    waited: list[int] = []
    _, said = rehearse(_noting(talk, waited), _noting(twin, waited), baud)
    return sum(waited) + sum(1000 * bits * len(one.data) / one.baud for one in said)


def silent_ms(talk: Talk, bits: int, baud: int) -> float:
    """How long a visit takes when nothing ever comes; what it raises in the end is not raised here."""
    took = 0.0
    try:
        step = next(talk)
        for _ in range(STEPS_MAX):
            took += 1000 * bits * len(step.data) / baud if isinstance(step, Send) else _wait_ms(step)
            step = talk.send(b"")
    except (StopIteration, DeviceError):
        pass
    return took


def _wait_ms(step: Step) -> int:
    return step.timeout_ms if isinstance(step, Receive) else step.ms if isinstance(step, Pause) else 0


def _noting(steps: Generator[Step, bytes, T], waited: list[int]) -> Generator[Step, bytes, T]:
    """The same, with each pause noted."""
    answer: bytes | None = None
    while True:
        try:
            step = next(steps) if answer is None else steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        if isinstance(step, Pause):
            waited.append(step.ms)
        answer = yield step


class _Side:
    """One of the two: where it stands, and what it has not looked at yet."""

    def __init__(self, steps: Generator[Step, bytes, Any], baud: int) -> None:
        self.baud = baud
        self.ended = False
        self.result: Mapping[str, object] | None = None
        self.step: Step | None = None
        self._steps = steps
        self._heard = bytearray()
        self._waited_ms = 0
        self._reader: FrameReader | None = None
        self.go_on(b"")

    @property
    def patience_ms(self) -> float:
        """How long it will wait yet."""
        return self.step.timeout_ms - self._waited_ms if isinstance(self.step, Receive) else float("inf")

    def go_on(self, answer: bytes) -> None:
        """To the next step."""
        try:
            self.step = self._steps.send(answer) if self.step is not None else next(self._steps)
        except StopIteration as stop:
            self.step, self.ended, self.result = None, True, stop.value
        self._waited_ms = 0
        self._reader = FrameReader(self.step.framing, in_step=True) if isinstance(self.step, Receive) else None

    def give_up(self) -> None:
        """Nothing came in time."""
        if self.ended:
            raise ValueError("both sides have come to an end, and nothing was told")
        self.go_on(b"")

    def hear(self, data: bytes, baud: int) -> None:
        """What the other says."""
        if baud == self.baud:
            self._heard += data

    def wait(self, ms: int) -> None:
        """Time goes by."""
        self._waited_ms += ms
        if self.patience_ms < 0:
            self.go_on(b"")

    def listen(self, step: Receive) -> bool:
        """Whether a frame had come; the bytes behind it are kept."""
        while self._heard and self._reader:
            byte = bytes((self._heard.pop(0),))
            for frame in self._reader.feed(byte):
                if step.fits is None or step.fits(frame):
                    self.go_on(frame)
                    return True
        return False


def _move(side: _Side, other: _Side, said: list[Said], *, ours: bool) -> bool:
    """One step of one side; whether it could be taken."""
    step = side.step
    if isinstance(step, Receive):
        return side.listen(step)
    if isinstance(step, Send):
        said.append(Said(ours, step.data, side.baud))
        other.hear(step.data, side.baud)
    elif isinstance(step, SetBaud):
        side.baud = step.baud
    elif isinstance(step, Pause):
        other.wait(step.ms)
    else:
        return False
    side.go_on(b"")
    return True
