"""gateway.profile.word: one raw word, both ways. The shapes as a whole are in test_codec."""

from dataclasses import replace

import pytest

from gateway.model import Quality
from gateway.profile.profile import Field
from gateway.profile.word import digits, field_mask, raw_number, signed, text, why_none, word_of
from gateway.protocols.modbus_pdu import Table

REGISTER = Field("x", "x", "1", "f", 0, table=Table.INPUT, address=0, type="u16")


@pytest.mark.parametrize(("word", "number"), [(0, 0), (0x2305, 2305), (0x9999, 9999), (0xA, None), (0x1F00, None)])
def test_digits(word: int, number: int | None) -> None:
    """Hex digits read as decimal ones; a letter is none."""
    assert digits(word) == number


@pytest.mark.parametrize(
    ("raw", "encoding", "found"),
    [
        (b"ABC\0\0", "utf-8", "ABC"),
        (b"ABC  ", "utf-8", "ABC"),
        (b" A C\r\n", "utf-8", " A C"),
        (b"\0\0", "utf-8", None),
        (b"A\0B", "utf-8", None),
        (b"\x01", "latin-1", None),
        (b"\xff\xff", "utf-8", None),
        (b"\xe9", "latin-1", "\u00e9"),
    ],
)
def test_text(raw: bytes, encoding: str, found: str | None) -> None:
    """Trailing NULs and spaces are padding; what cannot be text is none, and is not repaired."""
    assert text(raw, encoding) == found


@pytest.mark.parametrize(
    ("type_", "bits", "word", "number"),
    [
        ("i16", None, 0xFFFF, -1),
        ("u16", (4, 4), 0x1234, 3),
        ("i16", (4, 4), 0x12F4, -1),
        ("i16", (15, 1), 0x8000, -1),
        ("i16", (0, 16), 0x8000, -32768),
    ],
)
def test_the_number_in_a_word(type_: str, bits: tuple[int, int] | None, word: int, number: int) -> None:
    """All of it, or some bits; in two's complement when the type is signed."""
    one = replace(REGISTER, type=type_, bits=bits)
    assert raw_number(one, word) == number
    assert word_of(one, float(number)) == word & field_mask(one)


def test_a_raw_word_as_its_type_reads_it() -> None:
    """A sentinel is written unsigned."""
    assert signed(replace(REGISTER, type="i16"), 0x8000) == -0x8000
    assert signed(replace(REGISTER, type="bcd16"), 0xFFFF) == 0xFFFF


@pytest.mark.parametrize("value", [16.0, -1.0, 0.6e9])
def test_numbers_that_have_no_bits_for_it(value: float) -> None:
    """Neighbours in the register are never touched."""
    with pytest.raises(ValueError, match="does not fit"):
        word_of(replace(REGISTER, bits=(4, 4)), value)


def test_digits_that_are_too_many() -> None:
    """Four of them, and no sign."""
    for value in (10_000.0, -1.0):
        with pytest.raises(ValueError, match="does not fit"):
            word_of(replace(REGISTER, type="bcd16"), value)


def test_the_word_of_no_value() -> None:
    """Its sentinel; a byte's in its place; digits that are none; a number that no label is for; 0 of nothing fitted."""
    state = replace(REGISTER, letter="s", labels=((0, "off"), (1, "on"), (3, "bad")))
    assert word_of(replace(REGISTER, sentinels=(0x8000,)), None) == 0x8000
    assert word_of(replace(REGISTER, type="u8", bits=(8, 8), sentinels=(0xFF,)), None) == 0xFF00
    assert word_of(replace(REGISTER, bits=(0, 4), sentinels=(0xFFFF,)), None) == 0x000F
    assert word_of(replace(REGISTER, type="bcd32"), None) == 0xFFFFFFFF
    assert word_of(replace(REGISTER, not_fitted=True), None) == 0
    assert word_of(state, None) == 2
    assert word_of(replace(state, bits=(4, 2)), None) == 0x20
    assert word_of(replace(REGISTER, letter="s", labels=((0, "off"), (1, "on")), bits=(0, 1)), None) == 0
    assert word_of(replace(REGISTER, type="text", length=2, letter="s"), None) == bytes(4)


def test_why_a_byte_has_no_value() -> None:
    """It is looked for in the whole register."""
    high = replace(REGISTER, type="u8", bits=(8, 8), sentinels=(0xFF,), not_fitted=True)
    assert why_none(high, b"\xff\x00") is Quality.NO_VALUE
    assert why_none(high, b"\x00\xff") is Quality.NOT_FITTED


def test_a_boolean_is_no_number() -> None:
    """Nor the other way round."""
    with pytest.raises(ValueError, match="not a number"):
        word_of(REGISTER, True)
    with pytest.raises(ValueError, match="neither true nor false"):
        word_of(replace(REGISTER, letter="b", bits=(0, 1)), 1.0)
