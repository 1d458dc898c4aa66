"""What registers of an unknown map may mean: each type in each order, and which readings look like a value. Pure.

`plausible` says of one reading alone that it may be a measured value: its magnitude is 0.001..10 000 000, which leaves
out NaN, infinities, denormals, and nearly everything that is read in a wrong order; a register by itself is neither 0
nor one of the usual words for "no value". 0 may be anything, and so tells nothing.

`best` goes further: a map keeps to one order, so the type and order in which most pairs of a stretch are plausible is
likely the right one, if it beats all others. Pairs begin at even or at odd registers of the stretch. A float counts
double: two registers that are something else seldom look like one, while every small number looks like a whole one.
Read from one register too early in the order CDAB, ABCD floats look much as they are (their high halves stand in their
places, with another's low half): of two that score the same the order that is more common in maps is named.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PAIRS = ("f32", "u32", "i32")
ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")  # the more common first
LEAST, MOST = 1e-3, 1e7
NO_VALUE = (0, 0xFFFF, 0x7FFF, 0x8000)
WEIGHTS = {"f32": 2.0, "i32": 1.0}
ENOUGH = 2.0  # what a stretch has to weigh to tell anything
_CODES = {"u16": "H", "i16": "h", "u32": "I", "i32": "i", "f32": "f"}


@dataclass(frozen=True, slots=True)
class Best:
    """How the pairs of a stretch are read with most sense."""

    type: str
    order: str
    odd: bool  # they begin at the second register of the stretch
    share: float  # of the pairs that are not all zeros


def reading(words: Sequence[int], type_: str, order: str = "ABCD") -> float:
    """The number in one register (u16, i16) or two (u32, i32, f32)."""
    data = b"".join(word.to_bytes(2) for word in words)
    if order in ("BADC", "DCBA"):
        data = b"".join(data[at : at + 2][::-1] for at in range(0, len(data), 2))
    if order in ("CDAB", "DCBA"):
        data = data[2:] + data[:2]
    number: float = struct.unpack(f">{_CODES[type_]}", data)[0]
    return number


def text(word: int) -> str:
    """The two characters in a register; a dot for what is none."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in word.to_bytes(2))  # noqa: PLR2004 - ASCII


def plausible(words: Sequence[int], type_: str, order: str = "ABCD") -> bool:
    """Whether this may be a measured value, by the rules above."""
    if len(words) == 1:
        return words[0] not in NO_VALUE
    return LEAST <= abs(reading(words, type_, order)) <= MOST


def best(words: Sequence[int | None]) -> Best | None:
    """The reading of pairs that makes most sense; None where none stands out. A None is a register that was refused."""
    scored = sorted(_scores(words), key=lambda scored: scored[0], reverse=True)
    if not scored or scored[0][0][0] < ENOUGH or (len(scored) > 1 and scored[0][0] == scored[1][0]):
        return None
    return scored[0][1]


def _scores(words: Sequence[int | None]) -> Iterator[tuple[tuple[float, int], Best]]:
    for odd in (False, True):
        pairs = [pair for at in range(odd, len(words) - 1, 2) if (pair := _pair(words, at))]
        for type_, weight in WEIGHTS.items():
            for order in ORDERS:
                good = [pair for pair in pairs if plausible(pair, type_, order)]
                if good:
                    signed = any(reading(pair, type_, order) < 0 for pair in good)
                    named = "u32" if type_ == "i32" and not signed else type_
                    yield (weight * len(good), -ORDERS.index(order)), Best(named, order, odd, len(good) / len(pairs))


def _pair(words: Sequence[int | None], at: int) -> tuple[int, int] | None:
    """None where a half is missing, or neither half says anything."""
    first, second = words[at], words[at + 1]
    if first is None or second is None or (first in NO_VALUE and second in NO_VALUE):
        return None
    return first, second
