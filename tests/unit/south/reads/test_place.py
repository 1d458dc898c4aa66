"""gateway.south.reads.place: how a place is found, kept and lost."""

import pytest

from gateway.model import BootMs
from gateway.protocols.modbus_pdu import ReadRequest, Table
from gateway.south.reads.place import TOLD_MODELS_MAX, WALK_AGAIN_MS, Place
from tests.support.sunspec import WANTED, answer, registers

NOW = BootMs(1_000)
READ = ReadRequest(Table.HOLDING, 2, 40)


def walked(place: Place, words: dict[int, int]) -> str | None:
    """To its end: what is told."""
    told = None
    while place.not_before <= NOW and (question := place.question) is not None:
        told = place.answered(question, answer(words, question), NOW) or told
    return told


def test_most_devices_are_where_the_profile_says() -> None:
    """Nothing is asked, nothing is moved, whatever was read."""
    place = Place(None)
    place.lose()
    assert (place.at, place.question, place.moved(READ), place.holds({})) == (0, None, READ, True)


def test_reads_are_moved_to_the_model() -> None:
    """Once it is found, and not before."""
    place = Place(WANTED)
    with pytest.raises(ValueError, match="not known"):
        place.moved(READ)
    assert walked(place, registers(0, [(1, 65), (102, 50)])) is None
    assert place.moved(READ) == ReadRequest(Table.HOLDING, 69 + 2, 40)
    assert place.question is None


def test_a_header_of_another_model_does_not_hold() -> None:
    """What did not come says nothing."""
    place = Place(WANTED)
    assert place.holds({"sunspec_model": 102.0, "sunspec_length": 50.0}) is True
    assert place.holds({"sunspec_model": 113.0, "sunspec_length": 60.0}) is False
    assert place.holds({"sunspec_model": 103.0, "sunspec_length": 51.0}) is False
    assert place.holds({"sunspec_model": 103.0, "sunspec_length": None}) is None


def test_a_chain_without_the_model_is_told_once() -> None:
    """It is walked again after a minute; another chain, or one that had the model in between, is news."""
    place, chain = Place(WANTED), registers(0, [(1, 65), (113, 60)])
    assert walked(place, chain) == "1 (65), 113 (60)"
    assert place.not_before == NOW + WALK_AGAIN_MS
    place.not_before = NOW
    assert walked(place, chain) is None
    place.not_before = NOW
    assert walked(place, {}) == "-"
    place.not_before = NOW
    assert walked(place, registers(0, [(1, 65), (103, 50)])) is None
    place.lose()
    assert walked(place, {}) == "-"
    place.not_before = NOW
    long = walked(place, registers(0, [(1, 65), *[(64_901, 1)] * 30]))
    assert long is not None
    assert long.count("(") == TOLD_MODELS_MAX


def test_silence_is_no_chain_without_the_model() -> None:
    """The walk begins again at once, and nothing is told: nobody knows what the device has."""
    place = Place(WANTED)
    for base in WANTED.bases:
        question = place.question
        assert question == ReadRequest(Table.HOLDING, base, 4)
        assert place.answered(question, None, NOW) is None
    assert place.not_before == 0
    assert place.question == ReadRequest(Table.HOLDING, WANTED.bases[0], 4)


def test_a_header_that_stays_unanswered_is_asked_for_again() -> None:
    """The walk goes on where it was."""
    place, words = Place(WANTED), registers(40_000, [(1, 66), (103, 50)])
    first = place.question
    assert first is not None
    place.answered(first, answer(words, first), NOW)
    second = place.question
    assert second is not None
    assert place.answered(second, None, NOW) is None
    assert place.question == second


def test_a_kept_place_needs_no_walk() -> None:
    """But one where no model can stand is refused."""
    place = Place(WANTED)
    place.keep(None)
    assert walked(place, registers(0, [(1, 65), (102, 50)])) is None
    place.keep(40_070)
    assert place.moved(READ).address == 40_072
    with pytest.raises(ValueError, match="stands at"):
        place.keep(65_500)
    plain = Place(None)
    plain.keep(40_070)
    assert plain.at == 0
