"""gateway.profile.fingerprint: what is asked first, and what an answer is worth."""

import struct
from collections.abc import Mapping
from dataclasses import replace

import pytest

from gateway import sources
from gateway.profile import load
from gateway.profile.fingerprint import (
    BASICS,
    PRESENCE,
    QUESTIONS_MAX,
    Answer,
    Answers,
    Fingerprints,
    Sureness,
    functions_answered,
)
from gateway.profile.profile import Field, Identify, Profile
from gateway.protocols import sunspec
from gateway.protocols.modbus_pdu import ReadRequest, Table
from tests.support.south import a_field, a_profile, a_source
from tests.support.sunspec import registers

EQUALS = Identify(Table.HOLDING, 0x160, "u16", 0x90, 0x90)
BETWEEN = Identify(Table.INPUT, 0x46, "f32", 45, 65)


def named(ref: str, *fields: Field, **source: object) -> Profile:
    """A profile of that name."""
    return replace(a_profile(fields, a_source(**source)), ref=ref)


def ranged(address: int, low: float, high: float, type_: str = "i16", tens: int = 1) -> Field:
    """An input register with a range."""
    return replace(a_field(address, type_, Table.INPUT), low=low, high=high, tens=tens)


STATION = named("ecowitt/wn90@1", a_field(0x165), unit_id=144, identify=(EQUALS,))
METER = named("eastron/sdm630@1", ranged(0, 0, 300, "f32", 0), ranged(2, 0, 300, "f32", 0), identify=(BETWEEN,))
CLIMATE = named("xy/md02@1", ranged(1, -40, 80), ranged(2, 0, 100))
RELAYS = named("waveshare/relay8@1", *(a_field(n, "bit", Table.COIL) for n in range(8)))
ALL = Fingerprints([STATION, METER, CLIMATE, RELAYS])
LIBRARY = load.load([sources.shipped()])
SHIPPED = Fingerprints(LIBRARY.profiles.values(), LIBRARY.variants)


def answers(registers: Mapping[Table, Mapping[int, bytes]], unit_id: int = 1, asked: Fingerprints = ALL) -> Answers:
    """What a device with these registers (address: data from there on) answers to every question."""
    given: dict[ReadRequest, Answer] = {PRESENCE: 2}
    while (question := asked.next_question(unit_id, given)) is not None:
        assert question not in given, "asked twice"
        data = registers.get(question.table, {}).get(question.address)
        size = (question.count + 7) // 8 if question.table is Table.COIL else 2 * question.count
        given[question] = data[:size] if data is not None and len(data) >= size else 2
    return given


def refs(registers: Mapping[Table, Mapping[int, bytes]], unit_id: int = 1) -> list[tuple[str, str]]:
    """(profile, how sure), best first."""
    matches = ALL.matches(unit_id, answers(registers, unit_id))
    return [(match.profile.ref, str(match.sureness)) for match in matches]


VOLTS = struct.pack(">ff", 230.2, 229.1)
MAPS = {
    "station": {Table.HOLDING: {0x160: b"\0\x90", 0x165: b"\0\x05"}},
    "meter": {Table.INPUT: {0x46: struct.pack(">f", 50.02), 0: VOLTS, 1: VOLTS[2:6]}},
    "climate": {Table.INPUT: {1: struct.pack(">hh", 314, 560)}},
    "relays": {Table.COIL: {0: b"\x05"}},
}


@pytest.mark.parametrize(
    ("device", "found"),
    [
        ("station", [("ecowitt/wn90@1", "fits")]),
        ("meter", [("eastron/sdm630@1", "fits")]),
        ("climate", [("xy/md02@1", "may_be")]),
        ("relays", [("waveshare/relay8@1", "may_be")]),
    ],
)
def test_each_device_is_named(device: str, found: list[tuple[str, str]]) -> None:
    """Sure only where the model has a number of its own."""
    assert refs(MAPS[device]) == found


@pytest.mark.parametrize(
    "registers",
    [
        {},
        {Table.HOLDING: {0x160: b"\0\x91"}},
        {Table.INPUT: {0x46: struct.pack(">f", 70.0)}},
        {Table.INPUT: {0x46: struct.pack(">f", float("nan"))}},
        {Table.INPUT: {1: struct.pack(">hh", 3140, 560)}},
        {Table.INPUT: {1: bytes(4)}},
    ],
)
def test_nobody_is_named_without_evidence(registers: Mapping[Table, Mapping[int, bytes]]) -> None:
    """Another number, none, one out of range, zeros: no match is better than a wrong one."""
    assert refs(registers) == []


def test_a_device_of_zeros_is_nobody_for_sure() -> None:
    """It answers whatever is asked."""
    zeros = {table: {address: bytes(80) for address in range(0x200)} for table in Table}
    assert Sureness.FITS not in {match.sureness for match in ALL.matches(1, answers(zeros))}


def test_an_identity_with_a_sample_that_cannot_be() -> None:
    """The number is there, the voltages are not: it may be, it is not said to fit."""
    registers = {Table.INPUT: {0x46: struct.pack(">f", 50.0), 0: struct.pack(">ff", 9e9, 1.0)}}
    assert refs(registers) == [("eastron/sdm630@1", "may_be")]


def test_few_questions() -> None:
    """A number that tells a model ends the questions about others."""
    assert len(answers(MAPS["station"], 144)) == 3
    assert len(answers(MAPS["meter"])) <= 4
    assert len(answers(MAPS["climate"])) <= 6


def test_the_factory_unit_id_is_asked_about_first() -> None:
    """A device at 144 is most likely the one that comes with it; that it is there is a little evidence."""
    assert ALL.next_question(144, {PRESENCE: 2}) == ReadRequest(Table.HOLDING, 0x160, 1)
    at_home = ALL.matches(144, answers(MAPS["station"], 144))[0]
    elsewhere = ALL.matches(3, answers(MAPS["station"], 3))[0]
    assert at_home.bits > elsewhere.bits
    assert "unit_id" in at_home.why
    assert "unit_id" not in elsewhere.why


def test_a_question_that_profiles_share_is_asked_once_and_early() -> None:
    """Two meters of one maker have the same identity; the one that explains more is named first."""
    small = named("eastron/sdm120@1", ranged(0, 0, 300, "f32", 0), identify=(BETWEEN,))
    both = Fingerprints([STATION, small, METER])
    assert both.next_question(1, {PRESENCE: 2}) == ReadRequest(Table.INPUT, 0x46, 2)
    found = both.matches(1, answers(MAPS["meter"], asked=both))
    assert [match.profile.ref for match in found] == ["eastron/sdm630@1", "eastron/sdm120@1"]


@pytest.mark.parametrize(
    ("texts", "why", "sureness"),
    [
        (["Ecowitt", "WN90"], "named", Sureness.FITS),
        (["ecowitt technology"], "vendor", Sureness.MAY_BE),
        (["XY", "MD-02 v3"], "named", Sureness.FITS),
    ],
)
def test_what_a_device_says_of_itself(texts: list[str], why: str, sureness: Sureness) -> None:
    """Function 43/14: model or maker, by the profile's id, whatever signs stand between."""
    match = ALL.matches(1, {PRESENCE: 2}, texts)[0]
    assert (why in match.why, match.sureness) == (True, sureness)


def test_a_text_of_others_names_nobody() -> None:
    """A short model name in it is chance."""
    assert ALL.matches(1, {PRESENCE: 2}, ["ACME md02b-like"]) != ()
    short = Fingerprints([named("abb/b23@1", a_field(0))])
    assert short.matches(1, {PRESENCE: 2}, ["tab23x"]) == ()


def test_the_values_are_for_a_person_to_judge() -> None:
    """Decoded by the profile."""
    match = ALL.matches(1, answers(MAPS["climate"]))[0]
    assert [value for _, value in match.values] == [31.4, 56.0]


def other_model(address: int) -> Profile:
    """A variant of the meter: its identity stands elsewhere."""
    return replace(METER, source=a_source(identify=(Identify(Table.HOLDING, address, "u16", 1650, 1650),)))


def told(registers: Mapping[Table, Mapping[int, bytes]], variants: Mapping[str, Profile]) -> list[tuple[str, str]]:
    """(variant, how sure), best first."""
    asked = Fingerprints([METER], {METER.ref: variants})
    return [(match.variant, str(match.sureness)) for match in asked.matches(1, answers(registers, asked=asked))]


def test_a_variant_with_an_identity_is_named() -> None:
    """Where its own number stands, it fits and its profile does not; elsewhere the profile fits."""
    variants = {"ethernet": other_model(11), "fine": replace(METER, confidence="the same identity")}
    ethernet = {Table.HOLDING: {11: b"\x06\x72"}, Table.INPUT: {0: VOLTS, 1: VOLTS[2:6]}}
    assert told(ethernet, variants) == [("ethernet", "fits")]
    assert told(MAPS["meter"], variants) == [("", "fits")]


def test_two_variants_that_both_fit_are_only_possible() -> None:
    """Neither is said for sure."""
    registers = {Table.HOLDING: {11: b"\x06\x72", 12: b"\x06\x72"}, Table.INPUT: {0: VOLTS, 1: VOLTS[2:6]}}
    found = told(registers, {"a": other_model(11), "b": other_model(12)})
    assert found == [("a", "may_be"), ("b", "may_be")]


def test_a_sample_is_short_and_without_holes() -> None:
    """Neighbouring fields of one table that are numbers, within the profile's longest read; no settings."""
    fields = [ranged(n, 0, 10) for n in (0, 1, 2, 5)]
    fields += [replace(ranged(n, 0, 1), parameter=True) for n in (3, 4)] + [replace(ranged(6, 0, 1), hidden=True)]
    asked = Fingerprints([named("a/b@1", *fields, max_registers=2)])
    assert asked.next_question(1, {}) == ReadRequest(Table.INPUT, 0, 2)


def test_there_is_an_end() -> None:
    """However many profiles."""
    many = Fingerprints(
        [named(f"a/b{n}@1", a_field(n), identify=(Identify(Table.INPUT, n, "u16", 7, 7),)) for n in range(200)]
    )
    assert len(answers({}, asked=many)) == QUESTIONS_MAX


def test_what_an_unknown_device_answers() -> None:
    """Tables that gave data, not those that were refused or silent."""
    assert functions_answered(dict(zip(BASICS, (b"\0\0", 2, None, b"\0"), strict=True))) == (
        Table.DISCRETE,
        Table.HOLDING,
    )


def test_the_shipped_profiles_can_be_asked_about() -> None:
    """None of them breaks a scan; a device that refuses everything is none of them."""
    given = answers({}, asked=SHIPPED)
    assert SHIPPED.matches(1, given) == ()
    assert len(given) < QUESTIONS_MAX


SUNSPEC = {"sunspec/inverter@1": (102, 50), "sunspec/inverter-float@1": (113, 60), "sunspec/meter@1": (203, 105)}
VENDOR = (64_901, 7)


@pytest.mark.parametrize("base", sunspec.BASES)
@pytest.mark.parametrize("ref", SUNSPEC)
def test_a_sunspec_model_is_found_wherever_it_stands(ref: str, base: int) -> None:
    """Behind other models, from each base; a device of other models is none of them."""
    models = [(1, 65), VENDOR, (120, 26)]
    assert shipped_names(registers(base, [*models, SUNSPEC[ref], VENDOR])) == [(ref, "", "fits")]
    assert shipped_names(registers(base, models)) == []
    assert shipped_names(registers(base, [*models, (SUNSPEC[ref][0], 51)])) == []


def test_each_model_of_one_chain_is_named() -> None:
    """An inverter that has a meter behind it is both; of two meters a person has to choose."""
    both = [(1, 66), (103, 50), (1, 66), (203, 105)]
    assert shipped_names(registers(40_000, both)) == [
        ("sunspec/inverter@1", "", "fits"),
        ("sunspec/meter@1", "", "fits"),
    ]
    assert shipped_names(registers(40_000, [*both, (1, 66), (201, 105)])) == [
        ("sunspec/inverter@1", "", "fits"),
        ("sunspec/meter@1", "", "may_be"),
        ("sunspec/meter@1", "second", "may_be"),
    ]


def test_a_scan_of_a_chain_without_an_end_is_bounded() -> None:
    """As any scan of one device."""
    given = answers({Table.HOLDING: as_bytes(registers(40_000, [(1, 66), *[VENDOR] * 200, (103, 50)]))}, asked=SHIPPED)
    assert len(given) <= QUESTIONS_MAX
    assert not [one for one in SHIPPED.matches(1, given) if one.profile.ref.startswith("sunspec/")]


def test_what_a_sunspec_device_would_measure_is_shown() -> None:
    """Read where the model was found."""
    at = 40_002 + 68
    words = registers(40_000, [(1, 66), (113, 60)]) | {at + 2: 0x461C, at + 3: 0x4000}
    given = answers({Table.HOLDING: as_bytes(words)}, asked=SHIPPED)
    (match,) = [one for one in SHIPPED.matches(1, given) if one.profile.ref.startswith("sunspec/")]
    assert {field.name: value for field, value in match.values}["current_sum"] == 10_000.0


def as_bytes(words: Mapping[int, int]) -> dict[int, bytes]:
    """What a read that begins at each of them gives, as far as they go on."""
    stretches = {at: [words[on] for on in range(at, at + 125) if on in words] for at in words}
    return {at: b"".join(word.to_bytes(2) for word in stretch) for at, stretch in stretches.items()}


def shipped_names(words: Mapping[int, int]) -> list[tuple[str, str, str]]:
    """What the sunspec profiles make of a device whose values are the words 0 to 255, but for these registers."""
    values = {at: bytes(range(256)) for at in range(65000)} | as_bytes(words)
    given = answers({Table.HOLDING: values}, asked=SHIPPED)
    matches = [match for match in SHIPPED.matches(1, given) if match.profile.ref.startswith("sunspec/")]
    return [(match.profile.ref, match.variant, str(match.sureness)) for match in matches]
