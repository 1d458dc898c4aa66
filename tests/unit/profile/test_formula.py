"""gateway.profile.formula: what is a formula, what it computes, what it never does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Quality
from gateway.profile.formula import BadFormula, parse

NUMBERS = {"level": 2.0, "rain": 0.5, "tide-1.level": 1.25}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("8 / 2 / 2", 2.0),
        ("5 - 2 - 1", 2.0),
        ("-level + 1.5e1", 13.0),
        ("level - tide-1.level", 0.75),
        ("min(level, rain, 1)", 0.5),
        ("max(level, rain)", 2.0),
        ("clamp(level, 0, 1.5)", 1.5),
        ("clamp(-level, 0, 1.5)", 0.0),
        ("table(level, 0:0, 1:1.2, 3:4.2)", 2.7),
        ("table(level, 0:0, 2:-1)", -1.0),
        ("table(clamp(level, 0, 1), 0:0, 1:1.2)", 1.2),
        ("level-rain", 1.5),
    ],
)
def test_what_it_computes(text: str, value: float) -> None:
    """The usual order of operations; a table is straight between two pairs; a name without a dot ends at a minus."""
    assert parse(text).value(NUMBERS) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("level / (rain - 0.5)", Quality.NOT_A_NUMBER),
        ("level * 1e300 * 1e300", Quality.NOT_A_NUMBER),
        ("min(level * 1e300 * 1e300, 1)", Quality.NOT_A_NUMBER),
        ("table(level, 0:0, 1:1)", Quality.OUT_OF_RANGE),
        ("table(-level, 0:0, 1:1)", Quality.OUT_OF_RANGE),
    ],
)
def test_there_is_no_value(text: str, code: Quality) -> None:
    """A division by 0, a number beyond all floats wherever it stands, a table that ends before: no made-up value."""
    assert parse(text).value(NUMBERS) is code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1 +",
        "1 2",
        "(1",
        "1)",
        "level.",
        "import os",
        "__class__",
        "level ** 2",
        "eval(1)",
        "min(1)",
        "clamp(1, 2)",
        "table(level, 0:0)",
        "table(level, 1:0, 1:1)",
        "table(level, level:0, 1:1)",
        "1e999",
        "Level",
        "a" * 1001,
        "(" * 18 + "1" + ")" * 18,
        "-" * 40 + "1",
        "+".join(["1"] * 66),
        "+".join(f"a{n}" for n in range(17)),
        "table(level," + ",".join(f"{n}:1" for n in range(65)) + ")",
    ],
)
def test_what_is_no_formula(text: str) -> None:
    """Syntax that is not there, unknown functions, and everything beyond its bounds."""
    with pytest.raises(BadFormula):
        parse(text)


def test_names_in_order() -> None:
    """Each once, fields of others with their device."""
    assert parse("tide-1.level + level * level - rain").names == ("tide-1.level", "level", "rain")


@settings(max_examples=200)
@given(st.text(alphabet="0123456789.:+-*/(), abelmintax_", max_size=60))
def test_any_text_is_a_formula_or_a_bad_one(text: str) -> None:
    """No other exception, and a value is finite or has a code."""
    try:
        formula = parse(text)
    except BadFormula:
        return
    value = formula.value(dict.fromkeys(formula.names, 1.5))
    assert isinstance(value, Quality | float)
