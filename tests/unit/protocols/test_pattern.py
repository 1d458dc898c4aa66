"""gateway.protocols.pattern: which regular expressions are taken, and that none of them takes long."""

import pytest

from gateway.protocols.pattern import PATTERN_MAX, compiled


def test_named_groups() -> None:
    """Quantifiers are possessive: what they took they keep."""
    found = compiled(r"\((?P<volts>[0-9.]+) (?P<load>\d{3})\x20.?").fullmatch("(226.0 014 ")
    assert found is not None
    assert found.groupdict() == {"volts": "226.0", "load": "014"}
    assert compiled(".*,").fullmatch("a,") is None
    assert compiled("[^,]*,").fullmatch("a,") is not None


@pytest.mark.parametrize(
    "pattern",
    [
        *("(a+)+", "a++", "a*?", "(?:a)", "(?=a)", "(?<=a)", r"(?P<a>x)(?P=a)", r"(?P<a>x)\1", "(?P<a>x)+"),
        *("a|b", "^a", "a$", "(?P<a>(?P<b>x))", "[z-a]", "(?P<a>x", "x)", "[a", "(?P<a>x)(?P<a>y)", "a{3,2}"),
        *("(?P<A>x)", r"\b", "*", "a" * (PATTERN_MAX + 1)),
    ],
)
def test_the_rest_of_the_language_is_refused(pattern: str) -> None:
    """Everything that goes back and tries again, and what no engine understands."""
    with pytest.raises(ValueError, match=r"."):
        compiled(pattern)


def test_no_pattern_takes_long() -> None:
    """Twenty quantifiers that fit everything, against a text that ends wrongly: one walk, not 256 to the 20th steps."""
    assert compiled("a*" * 20 + "b").fullmatch("a" * 255 + "c") is None
