"""The chain of models of a simulated SunSpec device (`gateway.protocols.sunspec`): each device has one of its own.

Its name decides at which base the chain begins, how long the common model is, and which models stand before and behind
the one that the profile is of; so devices of one site differ, and one is the same at each start. Pure.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

from gateway.profile.profile import LENGTH_FIELD, MODEL_FIELD, Field, Identify
from gateway.protocols.modbus_pdu import Table
from gateway.protocols.sunspec import COMMON, END, HEADER_WORDS, MARK, MARK_WORDS, Sunspec
from simulators.signals import Signal

COMMON_LENGTHS = (66, 65)
OTHERS = ((120, 26), (160, 48), (64_901, 7), (65_001, 130), (122, 44))  # (id, length): SunSpec's, and two of a maker's
BETWEEN_MAX = 3

Fields = list[tuple[Field, Signal]]


def layout(name: str, wanted: Sunspec) -> tuple[int, list[tuple[int, int]]]:
    """(base, models): the common model, others, the wanted one `nth` times with others between, others."""
    chance = Random(f"sunspec {name}")  # noqa: S311 - a simulator's chance, the same at each start
    models = [(COMMON, chance.choice(COMMON_LENGTHS))]
    for _ in range(wanted.nth):
        models += [*_others(chance), (wanted.models[0], wanted.length)]
    return chance.choice(wanted.bases), [*models, *_others(chance)]


def chained(name: str, fields: Fields, wanted: Sunspec) -> tuple[Fields, Sequence[Identify]]:
    """The fields where they stand in the chain, and the rest of it as registers that say one number."""
    base, models = layout(name, wanted)
    words = [int.from_bytes(MARK[:2]), int.from_bytes(MARK[2:])]
    rest = [_word(base + at, word) for at, word in enumerate(words)]
    at, here = base + MARK_WORDS, 0
    for model, length in models:
        here = at if model in wanted.models else here
        rest += [_word(at, model), _word(at + 1, length), _word(at + HEADER_WORDS + length - 1, 0)]
        at += HEADER_WORDS + length
    rest += [_word(at, END), _word(at + 1, 0)]
    header = {MODEL_FIELD: wanted.models[0], LENGTH_FIELD: wanted.length}
    return [(_moved(field, here), _constant(header.get(field.name), signal)) for field, signal in fields], rest


def _others(chance: Random) -> list[tuple[int, int]]:
    return chance.sample(OTHERS, chance.randrange(BETWEEN_MAX + 1))


def _word(address: int, word: int) -> Identify:
    return Identify(Table.HOLDING, address, "u16", word, word)


def _moved(field: Field, by: int) -> Field:
    return replace(field, address=(field.address or 0) + by)


def _constant(word: int | None, signal: Signal) -> Signal:
    return signal if word is None else lambda _: float(word)
