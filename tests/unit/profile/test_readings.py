"""gateway.profile.readings: what registers of an unknown map may mean."""

import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.profile.readings import NO_VALUE, ORDERS, PAIRS, Best, best, plausible, reading, text

ORDER_OF_BYTES = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}


def words(value: float, type_: str = "f32", order: str = "ABCD") -> tuple[int, int]:
    """The two registers of a value, as the order's letters say."""
    data = struct.pack({"f32": ">f", "u32": ">I", "i32": ">i"}[type_], value)
    placed = bytes(data[at] for at in ORDER_OF_BYTES[order])
    return int.from_bytes(placed[:2]), int.from_bytes(placed[2:])


@given(st.sampled_from(PAIRS), st.sampled_from(ORDERS), st.integers(0, 2**31 - 1))
@settings(max_examples=100)
def test_every_order_is_read_as_its_letters_say(type_: str, order: str, number: int) -> None:
    """A is the most significant byte."""
    value = number / 7 if type_ == "f32" else number
    assert reading(words(value, type_, order), type_, order) == pytest.approx(value, rel=1e-6)


def test_one_register() -> None:
    """As it stands, with and without a sign, and as two characters."""
    assert (reading((0xFFFE,), "u16"), reading((0xFFFE,), "i16")) == (65534, -2)
    assert text(0x4142) == "AB"
    assert text(0x0041) == ".A"
    assert text(0x1B80) == ".."


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        *((230.2, True), (-12.5, True), (0.0011, True), (1e7, True), (0.0, False), (1e-4, False), (2e7, False)),
        *((math.nan, False), (math.inf, False), (1e-40, False)),
    ],
)
def test_which_floats_look_like_a_value(value: float, fits: bool) -> None:
    """By magnitude alone; NaN, infinity and denormals have none."""
    assert plausible(words(value), "f32") is fits


def test_which_whole_numbers_look_like_a_value() -> None:
    """The same bounds; so a small number in the wrong order does not."""
    assert plausible(words(244, "u32"), "u32")
    assert plausible(words(-5, "i32"), "i32")
    assert not plausible(words(-5, "i32"), "u32")
    assert not plausible(words(244, "u32"), "u32", "CDAB")
    assert plausible((1,), "u16")
    assert not any(plausible((word,), "u16") for word in NO_VALUE)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("odd", [False, True])
def test_the_order_of_a_stretch_is_found(order: str, odd: bool) -> None:
    """Of floats as a meter has them, wherever they begin."""
    values = (230.2, 229.9, 231.4, 1.52, 0.0, 50.02, 1000.6)
    stretch = [0] * odd + [word for value in values for word in words(value, order=order)]
    found = best(stretch)
    assert found == Best("f32", order, odd, 1.0)


def test_counters_are_told_from_floats() -> None:
    """Whole numbers, with a sign where one is negative."""
    stretch = [word for value in (70_000, 1_200_345, 99) for word in words(value, "u32", "CDAB")]
    found = best(stretch)
    assert found is not None
    assert (found.type, found.order) == ("u32", "CDAB")
    signed = [word for value in (70_000, -1_200_345, 99_000) for word in words(value, "i32")]
    found = best(signed)
    assert found is not None
    assert (found.type, found.order) == ("i32", "ABCD")


@pytest.mark.parametrize("stretch", [[], [0] * 8, [5], [None, 7, None], [0xFFFF] * 6])
def test_nothing_is_made_up(stretch: list[int | None]) -> None:
    """Too little, or nothing that stands out."""
    assert best(stretch) is None


def test_a_hole_tears_its_pair_only() -> None:
    """What was refused is nobody's half."""
    values = [word for value in (230.2, 229.9, 231.4) for word in words(value)]
    assert best([*values, None, 7]) == Best("f32", "ABCD", odd=False, share=1.0)
