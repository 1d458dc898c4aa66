"""Which profile fits a device, told by what it answered. Pure.

A profile says of its model: here stands a number that only this model has (`identify`), and these fields lie within
these ranges. Each is a question that costs one read, and an answer that fits is evidence, counted in bits: how seldom a
register of any other model would hold such a value by chance. A u16 that must equal 0x0090 is 16 bits, an f32 between
45 and 65 nearly 10, a humidity of 0..100 % in tenths 6. A register of zeros is no evidence of anything.

- fits: an `identify` of the profile holds, or the device's own identification (function 43/14) names the model.
- may be: all that was asked lies within the profile's ranges, but nothing of it is this model's alone.
- A SunSpec model is found by walking the device's chain; its header there is its number.
- A variant with an `identify` of its own, or of another model of a chain, is named with its profile; any other cannot
  be told. Where several of one profile fit, each only may be.
- Left out: an identify does not hold or is refused; or, without one, a sampled field is refused or out of its range.

What is asked first: numbers that tell a model, those of most profiles and of the device's own factory unit_id before
others; where one holds, only what tells its bearers apart; where none does, a sample of each profile that has none.
"""

import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import log2
from types import MappingProxyType
from typing import TypeAlias

from gateway.model import Value
from gateway.profile.codec import TABLES_OF_BITS, Block
from gateway.profile.profile import Field, Identify, ModbusSource, Profile
from gateway.profile.word import CODES, FLOATS
from gateway.protocols import sunspec
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.protocols.sunspec import Here, Nowhere, Sunspec, walk

Answer: TypeAlias = sunspec.Answer
Answers: TypeAlias = Mapping[ReadRequest, Answer]
Variants: TypeAlias = Mapping[str, Mapping[str, Profile]]  # by ref and name

PRESENCE = ReadRequest(Table.HOLDING, 0, 1)  # any answer to it, an exception too, says that somebody is there
BASICS = (PRESENCE, *(ReadRequest(table, 0, 1) for table in (Table.INPUT, Table.COIL, Table.DISCRETE)))
QUESTIONS_MAX = 56  # for one device
SAMPLE_MAX = 16  # registers or bits of a sample: one short read
PROOF_BITS = 8.0  # an identify that is less unlikely tells no model
CHAIN_BITS = 48.0  # of a mark of four letters and a model's number behind it
SURE_BITS = 16.0  # from here on nobody else is asked about
NAMED_BITS, VENDOR_BITS = 16.0, 6.0  # in the device's own identification
ONLY_BITS, ANY_BITS = 3.0, 0.5  # for coils that can be read, where registers cannot, and where they can
FACTORY_BITS = 2.0  # at a unit_id that few models come with
NEAR_BITS = 3.0  # two profiles closer than this are not told apart
SHORT_NAME = 4  # characters: a shorter model name may stand in any text by chance


class Sureness(StrEnum):
    """How far a match is to be believed."""

    FITS = "fits"
    MAY_BE = "may_be"


@dataclass(frozen=True, slots=True)
class Match:
    """A profile that what the device answered does not contradict, and why it is named."""

    profile: Profile
    sureness: Sureness
    bits: float
    why: tuple[str, ...]  # of identify, named, vendor, values, unit_id
    values: tuple[tuple[Field, Value], ...]  # what it would measure now: for a person to judge
    variant: str = ""  # of the profile, as the site file names it


class Fingerprints:
    """The Modbus profiles of a library, prepared to be asked about."""

    def __init__(self, profiles: Iterable[Profile], variants: Variants = MappingProxyType({})) -> None:
        self._known = []
        for profile in profiles:
            if isinstance(profile.source, ModbusSource):
                self._known.append(_Known.of(profile, profile.source))
                self._known += _told_apart(profile.source, variants.get(profile.ref, {}))

    def next_question(self, unit_id: int, answers: Answers) -> ReadRequest | None:
        """The most telling read that is left; None when no further one would change the verdict, or enough is asked."""
        if len(answers) >= QUESTIONS_MAX:
            return None
        left = [(known, known.judge(answers)) for known in self._known]
        left = [(known, verdict) for known, verdict in left if not verdict.excluded]
        proven = [(known, verdict) for known, verdict in left if verdict.proven]
        sure = any(verdict.bits >= SURE_BITS for _, verdict in proven)
        refs = {known.profile.ref for known, _ in proven}  # of a model that is sure, its variants are still asked about
        rest = [one for one in left if one[0].profile.ref in refs or one[0].is_on_a_chain(answers)] if sure else left
        marks = [(known, request, bits) for known, _ in rest for request, bits in known.questions(answers)]
        samples = [(known, *sample) for known, _ in proven or left if (sample := known.sample_question(answers))]
        return _most_telling(marks, unit_id, answers) or _most_telling(samples, unit_id, answers)

    def matches(self, unit_id: int, answers: Answers, texts: Sequence[str] = ()) -> tuple[Match, ...]:
        """Best first; `texts` = what the device says of itself by function 43/14."""
        judged = [(known, known.judge(answers, texts)) for known in self._known]
        likely = [(known, verdict) for known, verdict in judged if not verdict.excluded and verdict.why]
        best = max((verdict.bits for _, verdict in likely if verdict.proven), default=0.0)
        found = [known.match(verdict, unit_id, best) for known, verdict in likely]
        doubtful = Counter(match.profile.ref for match in found if match.sureness is Sureness.FITS)
        found = [replace(one, sureness=Sureness.MAY_BE) if doubtful[one.profile.ref] > 1 else one for one in found]
        return tuple(sorted(found, key=lambda match: (match.sureness, -match.bits, match.profile.ref, match.variant)))


def functions_answered(answers: Answers) -> tuple[Table, ...]:
    """The tables that gave data: what can be said of a device that no profile fits."""
    given = {request.table for request, answer in answers.items() if isinstance(answer, bytes)}
    return tuple(table for table in Table if table in given)


def _most_telling(
    asked: Sequence[tuple["_Known", ReadRequest, float]], unit_id: int, answers: Answers
) -> ReadRequest | None:
    shared = Counter(request for _, request, _ in asked)
    left = [
        (known.is_at_home(unit_id), shared[request], bits, -number, request)
        for number, (known, request, bits) in enumerate(asked)
        if request not in answers
    ]
    return max(left)[-1] if left else None


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What the answers say of one profile."""

    excluded: bool
    proven: bool
    bits: float
    why: tuple[str, ...]
    values: tuple[tuple[Field, Value], ...] = ()


_EXCLUDED = _Verdict(excluded=True, proven=False, bits=0.0, why=())


@dataclass(frozen=True, slots=True)
class _Mark:
    """A number that tells this model."""

    request: ReadRequest
    block: Block
    low: float
    high: float
    bits: float

    @classmethod
    def of(cls, one: Identify) -> "_Mark":
        field = Field(
            "identity", "", "", "f", 6, one.low, one.high, table=one.table, address=one.address, type=one.type
        )
        block = Block((field,), one.table, one.address, field.words)
        bits = _rarity(field) if (one.low, one.high) != (0, 0) else 1.0
        return cls(ReadRequest(one.table, one.address, field.words), block, one.low, one.high, bits)

    def holds(self, answer: Answer) -> bool:
        if not isinstance(answer, bytes):
            return False
        (value,) = self.block.decode(answer).values
        return isinstance(value, (int, float)) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class _Sample:
    """Neighbouring fields that one short read fetches."""

    request: ReadRequest
    fields: tuple[Field, ...]
    block: Block
    bits: float

    @classmethod
    def of(cls, fields: Sequence[Field]) -> "_Sample":
        table, first = fields[0].table, fields[0].address
        if table is None or first is None:
            raise ValueError(f"{fields[0].name} has no address")
        count = sum(field.words for field in fields)
        block = Block(fields, table, first, count)
        return cls(ReadRequest(table, first, count), tuple(fields), block, sum(map(_rarity, fields)))

    def read(self, data: bytes) -> tuple[list[tuple[Field, Value]], float, bool]:
        """(the values there are, the evidence in them, whether all lie within their ranges)."""
        values = [(f, v) for f, v in zip(self.fields, self.block.decode(data).values, strict=True) if v is not None]
        bits = sum(_rarity(field) for field, value in values if value)
        return values, bits, all(_within(field, value) for field, value in values)


@dataclass(frozen=True, slots=True)
class _Known:
    """One profile and its questions."""

    profile: Profile
    source: ModbusSource
    marks: tuple[_Mark, ...]
    sample: _Sample | None
    variant: str = ""

    @classmethod
    def of(cls, profile: Profile, source: ModbusSource, variant: str = "") -> "_Known":
        samples = [_Sample.of(run) for run in _runs(profile.reported, source)]
        best = max(samples, key=lambda sample: sample.bits, default=None)
        return cls(profile, source, tuple(map(_Mark.of, source.identify)), best, variant)

    def is_at_home(self, unit_id: int) -> bool:
        """At the unit_id it comes with, where that is not the one that most models come with."""
        return unit_id == self.source.unit_id != 1

    def questions(self, answers: Answers) -> Iterator[tuple[ReadRequest, float]]:
        """What tells this model, with the bits it is worth; of a chain, the next step of the walk."""
        if self.source.sunspec is None:
            yield from ((mark.request, mark.bits) for mark in self.marks)
        elif isinstance(step := walk(self.source.sunspec, answers), ReadRequest):
            yield step, CHAIN_BITS

    def is_on_a_chain(self, answers: Answers) -> bool:
        """Whether the device has a chain of models, and the walk to this one is not over."""
        wanted = self.source.sunspec
        marked = wanted is not None and any(sunspec.has_mark(answers.get(q)) for q in _first_questions(wanted))
        return marked and any(True for _ in self.questions(answers))

    def sample_question(self, answers: Answers) -> tuple[ReadRequest, float] | None:
        """Of a model in a chain, none before it is found."""
        at = _place(self.source.sunspec, answers)
        if self.sample is None or at is None:
            return None
        return replace(self.sample.request, address=self.sample.request.address + at), self.sample.bits

    def judge(self, answers: Answers, texts: Sequence[str] = ()) -> _Verdict:
        identified = self._identified(answers)
        if identified is None:
            return _EXCLUDED
        named, named_bits = self._named(texts)
        proven = identified >= PROOF_BITS or named == "named"
        sampled = self._sampled(answers)
        if sampled is None and not proven:
            return _EXCLUDED
        values, bits = sampled or ([], 0.0)
        by_values = bits > 0 and (proven or not (self.marks or self.source.sunspec))
        return _Verdict(
            excluded=False,
            proven=proven and sampled is not None,
            bits=identified + named_bits + bits,
            why=("identify",) * (identified > 0) + (named,) * bool(named) + ("values",) * by_values,
            values=tuple(values),
        )

    def match(self, verdict: _Verdict, unit_id: int, best_bits: float) -> Match:
        at_home = self.is_at_home(unit_id)
        surely = verdict.proven and verdict.bits >= best_bits - NEAR_BITS
        return Match(
            self.profile,
            Sureness.FITS if surely else Sureness.MAY_BE,
            verdict.bits + FACTORY_BITS * at_home,
            (*verdict.why, *["unit_id"] * at_home),
            verdict.values,
            self.variant,
        )

    def _identified(self, answers: Answers) -> float | None:
        """The bits of its numbers once all are there; None where one of them speaks against it."""
        if self.source.sunspec:
            step = walk(self.source.sunspec, answers)
            return None if isinstance(step, Nowhere) else CHAIN_BITS if isinstance(step, Here) else 0.0
        answered = [mark for mark in self.marks if mark.request in answers]
        if not all(mark.holds(answers[mark.request]) for mark in answered):
            return None
        return sum(mark.bits for mark in answered) if len(answered) == len(self.marks) else 0.0

    def _sampled(self, answers: Answers) -> tuple[list[tuple[Field, Value]], float] | None:
        """The values and their evidence, none where nothing was asked yet; None where the answer speaks against it."""
        question = self.sample_question(answers)
        if self.sample is None or question is None or question[0] not in answers:
            return [], 0.0
        data = answers[question[0]]
        if not isinstance(data, bytes):
            return None
        values, bits, plausible = self.sample.read(data)
        if (
            self.sample.request.table in TABLES_OF_BITS
        ):  # a bit says little: that it can be read tells something, if little else can
            bits = ONLY_BITS if isinstance(answers.get(PRESENCE), int) else ANY_BITS
        return (values, bits) if plausible else None

    def _named(self, texts: Sequence[str]) -> tuple[str, float]:
        """Whether the device's own identification names the model, or at least its maker."""
        said = _letters(" ".join(texts))
        vendor, _, model = self.profile.ref.partition("@")[0].partition("/")
        by_vendor = _letters(vendor) in said
        if _letters(model) in said and (by_vendor or len(_letters(model)) >= SHORT_NAME):
            return "named", NAMED_BITS
        return ("vendor", VENDOR_BITS) if by_vendor else ("", 0.0)


def _told_apart(base: ModbusSource, variants: Mapping[str, Profile]) -> Iterator[_Known]:
    """Those whose identity is not that of the profile."""
    for name, variant in variants.items():
        source = variant.source
        if not isinstance(source, ModbusSource):
            continue
        if (source.identify and source.identify != base.identify) or source.sunspec != base.sunspec:
            yield _Known.of(variant, source, name)


def _place(wanted: Sunspec | None, answers: Answers) -> int | None:
    """What its addresses count from."""
    if wanted is None:
        return 0
    step = walk(wanted, answers)
    return step.at if isinstance(step, Here) else None


def _first_questions(wanted: Sunspec) -> Iterator[ReadRequest]:
    return map(sunspec.first_question, wanted.bases)


def _letters(text: str) -> str:
    return "".join(sign for sign in text.lower() if sign.isalnum())


def _runs(fields: Sequence[Field], source: ModbusSource) -> Iterator[list[Field]]:
    """Every stretch of neighbouring fields that one short read may fetch, as long as it can be from each field on.

    Without holes: what stands in one is not known, and a device may refuse all of a read for it.
    """
    simple = [field for field in fields if field.address is not None and field.table is not None and _is_simple(field)]
    simple.sort(key=lambda field: (field.table or "", field.address or 0))
    for at, first in enumerate(simple):
        run, words = [first], first.words
        most = SAMPLE_MAX if first.table in TABLES_OF_BITS else min(SAMPLE_MAX, source.max_registers)
        for field in simple[at + 1 :]:
            follows = field.table is first.table and field.address == (first.address or 0) + words
            if not follows or words + field.words > most:
                break
            run.append(field)
            words += field.words
        if words <= most:
            yield run


def _is_simple(field: Field) -> bool:
    """A number (or bit) that can be judged by itself."""
    known = field.type in CODES or field.type == "bit"
    return known and not (
        field.parameter or field.scale_from or field.hidden or field.labels or field.length or field.bits
    )


def _within(field: Field, value: Value) -> bool:
    if isinstance(value, (str, bool)):
        return True
    return (field.low is None or value >= field.low) and (field.high is None or value <= field.high)


def _rarity(field: Field) -> float:
    """How seldom any register holds a value within the field's range, in bits; 0 where all do."""
    if field.low is None or field.high is None or field.type not in CODES:
        return 0.0
    if field.type in FLOATS:
        return 32 - log2(_rank(field.high) - _rank(field.low) + 1)
    raw = (field.high - field.low) * 10.0**field.tens / abs(field.scale) + 1
    return max(0.0, 16 * field.words - log2(raw))


def _rank(value: float) -> int:
    """The place of a float among all 2**32 of its kind; those of 64 bits are spread alike."""
    bits = int.from_bytes(struct.pack(">f", value))
    return -(bits & 0x7FFF_FFFF) if bits >> 31 else bits
