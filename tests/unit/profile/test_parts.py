"""gateway.profile.parts: the parts of a serial frame to values and back."""

import math
from dataclasses import replace
from typing import Any

import pytest

from gateway.model import Quality, Value
from gateway.profile.codec import Decoded
from gateway.profile.parts import decode_parts, encode_parts
from gateway.profile.profile import Field


def part(name: str, **more: Any) -> Field:
    """A field of a serial frame."""
    return replace(Field(name, name, "1", "f", 2, part=name), **more)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("002.74", 2.74), ("-0.5", -0.5), ("+7", 7.0), (" 229 ", 229.0), (".5", 0.5), ("5.", 5.0), ("1e2", 100.0),
        ("1.005", 1.0),
    ],
)  # fmt: skip
def test_numbers_in_text(text: str, value: float) -> None:
    """Leading zeros, signs, spaces and exponents are numbers; rounded to the field's decimals."""
    assert decode_parts([part("a")], {"a": text}) == Decoded((value,), ())


@pytest.mark.parametrize(
    ("parts", "quality"),
    [
        ({"a": ""}, Quality.NO_VALUE),
        ({"a": "  "}, Quality.NO_VALUE),
        ({"a": "abc"}, Quality.BAD_REPLY),
        ({"a": "1_0"}, Quality.BAD_REPLY),
        ({"a": "nan"}, Quality.BAD_REPLY),
        ({"a": "inf"}, Quality.BAD_REPLY),
        ({"a": "0x10"}, Quality.BAD_REPLY),
        ({"a": "1,5"}, Quality.BAD_REPLY),
        ({"a": "\u0665"}, Quality.BAD_REPLY),
        ({"a": "9" * 400}, Quality.BAD_REPLY),
        ({"a": "1e999"}, Quality.NOT_A_NUMBER),
        ({"a": math.nan}, Quality.NOT_A_NUMBER),
        ({}, Quality.BAD_REPLY),
    ],
)
def test_parts_without_a_number(parts: dict[str, str | float], quality: Quality) -> None:
    """Empty is the device's word for no value; anything else that is no number is a bad reply."""
    assert decode_parts([part("a"), part("b")], {**parts, "b": "1"}) == Decoded((None, 1.0), ((0, quality),))


def test_binary_parts() -> None:
    """Scaled as registers are; sentinels are raw words."""
    fields = [part("a", type="u16", tens=1), part("b", type="i16", sentinels=(0x8000,)), part("c", type="u8")]
    got = decode_parts(fields, {"a": 255, "b": -32768, "c": 7})
    assert got == Decoded((25.5, None, 7.0), ((1, Quality.NO_VALUE),))
    assert encode_parts(fields, got.values) == {"a": 255, "b": -32768, "c": 7}


def test_text_parts_are_written_with_their_decimals() -> None:
    """2.74 is sent as 2.74; no value as an empty text."""
    fields = [part("a"), part("b"), part("c", tens=1, decimals=1), part("d", scale=0.5, decimals=1)]
    assert encode_parts(fields, [2.74, None, 25.5, 1.5]) == {"a": "2.74", "b": "", "c": "255", "d": "3.0000000"}


def test_bits_and_labels_of_a_binary_part() -> None:
    """Several fields read one status byte, and write it together."""
    fields = [
        part("fault", part="status", type="u8", bits=(7, 1), letter="b"),
        part("state", part="status", type="u8", bits=(0, 3), letter="s", labels=((1, "warming"), (2, "ready"))),
        part("grade", part="grade", type="u8", letter="s", labels=((0, "good"), (3, "bad"))),
    ]
    assert decode_parts(fields, {"status": 0x82, "grade": 3}) == Decoded((True, "ready", "bad"), ())
    assert decode_parts(fields, {"status": 0x07, "grade": 0}).quality == ((1, Quality.OUT_OF_RANGE),)
    assert encode_parts(fields, [True, "ready", "bad"]) == {"status": 0x82, "grade": 3}


def test_labels_of_a_text_part() -> None:
    """A number in a text stands for a state too; half a number for none."""
    state = part("state", letter="s", labels=((3, "bulk"), (5, "float")))
    assert decode_parts([state], {"state": "5"}).values == ("float",)
    assert decode_parts([state], {"state": "4"}).quality == ((0, Quality.OUT_OF_RANGE),)
    assert decode_parts([state], {"state": "3.5"}).quality == ((0, Quality.BAD_REPLY),)
    assert encode_parts([state], ["bulk"]) == {"state": "3"}


@pytest.mark.parametrize(
    ("found", "value", "quality"),
    [
        (" Hel ", "Hel", None),
        ("", None, Quality.NO_VALUE),
        ("a\x07b", None, Quality.OUT_OF_RANGE),
        (5, None, Quality.BAD_REPLY),
    ],
)
def test_texts(found: str | float, value: str | None, quality: Quality | None) -> None:
    """As they stand, without the spaces around them."""
    one = part("id", type="text", letter="s")
    assert decode_parts([one], {"id": found}) == Decoded((value,), () if quality is None else ((0, quality),))


@pytest.mark.parametrize("value", [" a", "a\n", "", 5.0])
def test_texts_that_are_not_sent(value: Value) -> None:
    """What would read as another text."""
    one = part("id", type="text", letter="s")
    assert encode_parts([one], ["Hel"]) == {"id": "Hel"}
    assert encode_parts([one], [None]) == {"id": ""}
    with pytest.raises(ValueError, match="id: "):
        encode_parts([one], [value])


def test_nothing_fitted() -> None:
    """0 of a sensor that is not there."""
    assert decode_parts([part("a", not_fitted=True)], {"a": "0.0"}).quality == ((0, Quality.NOT_FITTED),)
