"""Where the registers of a device stand: at once for most; for a SunSpec device, where its model is found. Pure.

A profile of a SunSpec model counts addresses from the model's header, so plans and what a device has taught hold
wherever that stands; only what goes onto the wire is moved there. The place is walked to a few questions a visit
(`protocols.sunspec`), so that the other devices of the bus wait no longer than for a poll. Each visit then reads the
header together with the values: a header that is another one than wanted voids the visit, and the walk begins anew.
So a place that was kept over a restart needs no walk, and a chain that has changed never gives a value.

A chain without the model is told once for each chain that is found so, and walked again after WALK_AGAIN_MS.
"""

from collections.abc import Mapping
from dataclasses import replace

from gateway.model import BootMs, Value
from gateway.profile.profile import LENGTH_FIELD, MODEL_FIELD
from gateway.protocols.modbus_pdu import ReadRequest
from gateway.protocols.sunspec import ADDRESSES, Answer, Here, Nowhere, Sunspec, first_question, walk

WALK_AGAIN_MS = 60_000
TOLD_MODELS_MAX = 24  # of a chain, in an event


class Place:
    """Of one device; `sunspec` None: its addresses are what the profile says."""

    def __init__(self, sunspec: Sunspec | None) -> None:
        self.sunspec = sunspec
        self.at: int | None = None if sunspec else 0
        self.not_before = BootMs(0)  # when the next question may be asked
        self._answers: dict[ReadRequest, Answer] = {}
        self._told: str | None = None  # of the last chain without the model

    @property
    def question(self) -> ReadRequest | None:
        """What the walk asks next; None once the place is known."""
        step = walk(self.sunspec, self._answers) if self.sunspec and self.at is None else None
        return step if isinstance(step, ReadRequest) else None

    def answered(self, question: ReadRequest, answer: Answer, now: BootMs) -> str | None:
        """Take in an answer; the chain as text when it has not the model, and that is new.

        Silence is only taken in for the question that begins a chain: a device need not answer where it has nothing.
        Inside a chain it is asked again.
        """
        if self.sunspec is None or (answer is None and question not in map(first_question, self.sunspec.bases)):
            return None
        self._answers[question] = answer
        match walk(self.sunspec, self._answers):
            case Here(at):
                self.at, self._told = at, None
                self._answers.clear()
            case Nowhere(seen, unsure):
                self._answers.clear()
                if not unsure:
                    self.not_before = BootMs(now + WALK_AGAIN_MS)
                    return self._news(_shown(seen))
        return None

    def holds(self, values: Mapping[str, Value | None]) -> bool | None:
        """Whether the header that came with a visit is the model's; None where a part of it did not come."""
        if self.sunspec is None:
            return True
        model, length = values.get(MODEL_FIELD), values.get(LENGTH_FIELD)
        return None if model is None or length is None else self.sunspec.is_header(model, length)

    def lose(self) -> None:
        """The model does not stand there any more."""
        if self.sunspec is not None:
            self.at = None
            self._answers.clear()

    def keep(self, at: int | None) -> None:
        """As it was known in an earlier life; raises ValueError for a place where no model can stand."""
        if self.sunspec is None or at is None:
            return
        if not 0 <= at < ADDRESSES - self.sunspec.length:
            raise ValueError(f"no model of {self.sunspec.length} registers stands at {at}")
        self.at = at

    def moved(self, request: ReadRequest) -> ReadRequest:
        """As it goes onto the wire; raises ValueError while the place is not known."""
        if self.at is None:
            raise ValueError("where it stands is not known")
        return replace(request, address=request.address + self.at) if self.at else request

    def _news(self, shown: str) -> str | None:
        if shown == self._told:
            return None
        self._told = shown
        return shown


def _shown(seen: tuple[tuple[int, int], ...]) -> str:
    """A chain as people read it: "1 (66), 160 (88)"."""
    texts = [f"{model} ({length})" for model, length in seen[:TOLD_MODELS_MAX]]
    return ", ".join(texts + ["…"] * (len(seen) > TOLD_MODELS_MAX)) or "-"
