"""The chain of models of a SunSpec device: where in its holding registers each model stands. Pure.

    base      "SunS"                   40000, 0 or 50000
    base + 2  id, length, body ...     id 1, the common model, comes first
    ...       id, length, body ...     the next header stands `length` behind the last one's two registers
    ...       0xFFFF                   no more

Which models there are, in which order and with which of a maker between them, is the device's own affair, and it may
change with a setting or a firmware. So a place is only known by walking, and `walk` says of what was answered so far
where the model stands, that it stands nowhere, or what to ask next. It is made of answers and nothing else, so a
scan, a poll and a test walk alike.

Invariants, whatever is answered:
- addresses rise with each header, MODELS_MAX headers and one question a base are all that is asked: it always ends;
- a place is only given when each header up to it was read, the mark before the first, and its own is one that was
  asked for, with all of its registers inside the table. Model 0, a length of 0 and a chain that does not begin with
  the common model are no chain.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from gateway.protocols.modbus_pdu import ReadRequest, Table

Answer: TypeAlias = bytes | int | None  # the data of a good reply; the code of an exception; neither came

MARK = b"SunS"
MARK_WORDS, HEADER_WORDS = 2, 2
BASES = (40_000, 0, 50_000)  # in the order in which they are asked
COMMON, END = 1, 0xFFFF
MODELS_MAX = 48  # of a chain that are looked at
ADDRESSES = 0x10000


@dataclass(frozen=True, slots=True)
class Sunspec:
    """The model that is wanted: one of `models`, all of one layout, `length` registers behind its header."""

    models: tuple[int, ...]
    length: int
    nth: int = 1  # of those in the chain: a device may have several meters
    bases: tuple[int, ...] = BASES

    def is_header(self, model: object, length: object) -> bool:
        """Whether these two words begin such a model."""
        return model in self.models and length == self.length


@dataclass(frozen=True, slots=True)
class Here:
    """The model was found."""

    at: int  # address of its header


@dataclass(frozen=True, slots=True)
class Nowhere:
    """There is no such model, as far as was answered."""

    seen: tuple[tuple[int, int], ...]  # (id, length) of the chain's models, in its order
    unsure: bool = False  # a question stayed unanswered, so it may still be there


def walk(wanted: Sunspec, answers: Mapping[ReadRequest, Answer]) -> ReadRequest | Here | Nowhere:
    """Where the model stands, or the next question."""
    unsure = False
    for base in wanted.bases:
        question = first_question(base)
        if question not in answers:
            return question
        data = answers[question]
        if has_mark(data):
            return _along(wanted, base, answers)
        unsure = unsure or data is None
    return Nowhere((), unsure)


def first_question(base: int) -> ReadRequest:
    """The mark, and the first header."""
    return ReadRequest(Table.HOLDING, base, MARK_WORDS + HEADER_WORDS)


def has_mark(answer: Answer) -> bool:
    """Whether the answer to a `first_question` begins a chain."""
    return isinstance(answer, bytes) and len(answer) == 2 * (MARK_WORDS + HEADER_WORDS) and answer.startswith(MARK)


def _along(wanted: Sunspec, base: int, answers: Mapping[ReadRequest, Answer]) -> ReadRequest | Here | Nowhere:
    seen: list[tuple[int, int]] = []
    at, left = base + MARK_WORDS, wanted.nth
    while len(seen) < MODELS_MAX and at + HEADER_WORDS <= ADDRESSES:
        question, data = _header(base, at, answers)
        if question not in answers:
            return question
        if not isinstance(data, bytes) or len(data) != 2 * HEADER_WORDS:
            return Nowhere(tuple(seen), unsure=data is None)
        model, length = _words(data)
        behind = at + HEADER_WORDS + length
        if model in (0, END) or length == 0 or behind > ADDRESSES or (not seen and model != COMMON):
            break
        seen.append((model, length))
        left -= wanted.is_header(model, length)
        if left == 0:
            return Here(at)
        at = behind
    return Nowhere(tuple(seen))


def _header(base: int, at: int, answers: Mapping[ReadRequest, Answer]) -> tuple[ReadRequest, Answer]:
    """The question that a header comes with, and the header; the first one comes with the mark."""
    if at == base + MARK_WORDS:
        question = first_question(base)
        data = answers.get(question)
        return question, data[2 * MARK_WORDS :] if isinstance(data, bytes) else data
    question = ReadRequest(Table.HOLDING, at, HEADER_WORDS)
    return question, answers.get(question)


def _words(data: bytes) -> Iterator[int]:
    return (int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2))
