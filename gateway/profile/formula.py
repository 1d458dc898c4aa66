"""A derived field's formula: text -> a function of numbers. A closed language, parsed by hand; no Python is evaluated.

    formula = term (("+" | "-") term)*
    term    = factor (("*" | "/") factor)*
    factor  = "-" factor | NUMBER | NAME | "(" formula ")" | call
    call    = ("min" | "max") "(" formula ("," formula)+ ")"
            | "clamp" "(" value "," low "," high ")"           three formulas
            | "table" "(" formula ("," X ":" Y)+ ")"           two pairs or more, X rises: a line between each two
    NAME    = a field of this device, or DEVICE.FIELD of another on its bus

A device's id may hold "-", so a minus before DEVICE.FIELD needs a space. Invariants: text, depth, names and pairs are
bounded, so parsing and evaluating are; the value is a finite number or there is a reason why there is none. A table is
never extended: outside its pairs there is no value (`table(clamp(x, low, high), ...)` holds its ends). Pure.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from operator import add, mul, sub, truediv
from typing import Final, TypeAlias

from gateway.model import Quality

LENGTH_MAX: Final = 1000
DEPTH_MAX: Final = 16
NAMES_MAX: Final = 16
PAIRS_MIN, PAIRS_MAX = 2, 64
OPERATIONS_MAX: Final = 64
FUNCTIONS: Final = ("min", "max", "clamp", "table")

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<foreign>[a-z0-9][a-z0-9-]*\.[a-z][a-z0-9_]*)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,3})?(?![a-z0-9_.]))"
    r"|(?P<name>[a-z][a-z0-9_]*)"
    r"|(?P<sign>[-+*/(),:]))"
)
_OPERATIONS: Final[Mapping[str, Callable[[float, float], float]]] = {"+": add, "-": sub, "*": mul, "/": truediv}
_Numbers: TypeAlias = Mapping[str, float]
_Part: TypeAlias = Callable[[_Numbers], float]


class BadFormula(ValueError):
    """Not a formula; says what is wrong, and where."""


class _OutsideTable(ArithmeticError):
    """No pair on one side."""


@dataclass(frozen=True, slots=True)
class Formula:
    """What is computed, and the names that it needs: in the order in which they come, each once."""

    names: tuple[str, ...]
    _part: _Part

    def value(self, numbers: _Numbers) -> float | Quality:
        """With a number for each name; or why there is none: not_a_number (division by 0), out_of_range (a table)."""
        try:
            return _finite(self._part(numbers))
        except _OutsideTable:
            return Quality.OUT_OF_RANGE
        except (ZeroDivisionError, OverflowError):
            return Quality.NOT_A_NUMBER


def parse(text: str) -> Formula:
    """Raises BadFormula."""
    if len(text) > LENGTH_MAX:
        raise BadFormula(f"{len(text)} characters, at most {LENGTH_MAX}")
    parser = _Parser(_tokens(text))
    part = parser.formula(0)
    parser.expect_end()
    if len(parser.names) > NAMES_MAX:
        raise BadFormula(f"{len(parser.names)} fields, at most {NAMES_MAX}")
    return Formula(tuple(parser.names), part)


def _tokens(text: str) -> list[tuple[str, str]]:
    """(kind, text) of each."""
    found, at = [], 0
    end = len(text.rstrip())
    while at < end:
        token = _TOKEN.match(text, at)
        if token is None:
            raise BadFormula(f"cannot be read from {text[at:].strip()[:20]!r} on")
        found.append((str(token.lastgroup), token[str(token.lastgroup)]))
        at = token.end()
    return found


class _Parser:
    """Recursive descent over the tokens; `names` grows as they come."""

    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._operations = 0
        self.names: dict[str, None] = {}

    def formula(self, depth: int) -> _Part:
        if depth > DEPTH_MAX:
            raise BadFormula(f"nested deeper than {DEPTH_MAX}")
        part = self._term(depth)
        while sign := self._take("+", "-"):
            part = self._joined(sign, part, self._term(depth))
        return part

    def expect_end(self) -> None:
        if self._at < len(self._tokens):
            raise BadFormula(f"unexpected {self._next()!r}")

    def _term(self, depth: int) -> _Part:
        part = self._factor(depth)
        while sign := self._take("*", "/"):
            part = self._joined(sign, part, self._factor(depth))
        return part

    def _factor(self, depth: int) -> _Part:
        if depth > DEPTH_MAX:
            raise BadFormula(f"nested deeper than {DEPTH_MAX}")
        if self._take("-"):
            inner = self._factor(depth + 1)
            return lambda numbers: -inner(numbers)
        if self._take("("):
            inner = self.formula(depth + 1)
            self._expect(")")
            return inner
        kind, text = self._token()
        if kind == "number":
            return _constant(_number(text))
        if kind == "name" and self._take("("):
            return self._call(text, depth + 1)
        if kind in ("name", "foreign"):
            self.names.setdefault(text)
            return lambda numbers: numbers[text]
        raise BadFormula(f"unexpected {text!r}")

    def _joined(self, sign: str, left: _Part, right: _Part) -> _Part:
        self._operations += 1
        if self._operations > OPERATIONS_MAX:
            raise BadFormula(f"more than {OPERATIONS_MAX} operations")
        return _joined(sign, left, right)

    def _call(self, function: str, depth: int) -> _Part:
        if function not in FUNCTIONS:
            raise BadFormula(f"no function {function}; there are {', '.join(FUNCTIONS)}")
        parts = [self.formula(depth)]
        if function == "table":
            return self._table(parts[0])
        while self._take(","):
            parts.append(self.formula(depth))
        self._expect(")")
        if function == "clamp":
            return _clamp(parts)
        if len(parts) < 2:  # noqa: PLR2004 - of one number there is none
            raise BadFormula(f"{function} needs two values or more")
        choose = min if function == "min" else max
        return lambda numbers: choose(part(numbers) for part in parts)

    def _table(self, part: _Part) -> _Part:
        xs, ys = list[float](), list[float]()
        while self._take(","):
            xs.append(self._signed())
            self._expect(":")
            ys.append(self._signed())
        self._expect(")")
        if not PAIRS_MIN <= len(xs) <= PAIRS_MAX:
            raise BadFormula(f"a table of {len(xs)} pairs: {PAIRS_MIN} to {PAIRS_MAX}")
        if any(left >= right for left, right in pairwise(xs)):
            raise BadFormula("the left numbers of a table have to rise")
        return lambda numbers: _looked_up(part(numbers), xs, ys)

    def _signed(self) -> float:
        sign = -1.0 if self._take("-") else 1.0
        kind, text = self._token()
        if kind != "number":
            raise BadFormula(f"a table has pairs of numbers, X:Y, not {text!r}")
        return sign * _number(text)

    def _next(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _token(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise BadFormula("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, *signs: str) -> str:
        """The next token, if it is one of these; else ""."""
        found = self._next()
        if found not in signs:
            return ""
        self._at += 1
        return found

    def _expect(self, sign: str) -> None:
        if not self._take(sign):
            raise BadFormula(f"{sign!r} is missing before {self._next() or 'the end'!r}")


def _joined(sign: str, left: _Part, right: _Part) -> _Part:
    join = _OPERATIONS[sign]
    return lambda numbers: _finite(join(left(numbers), right(numbers)))


def _finite(number: float) -> float:
    """So that no min, max or clamp hides that something went beyond all numbers."""
    if not isfinite(number):
        raise OverflowError
    return number


def _constant(number: float) -> _Part:
    return lambda _: number


def _number(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise BadFormula(f"{text} is too large")
    return number


def _clamp(parts: list[_Part]) -> _Part:
    if len(parts) != 3:  # noqa: PLR2004 - as its name says
        raise BadFormula("clamp needs a value, a low and a high")
    value, low, high = parts
    return lambda numbers: max(low(numbers), min(value(numbers), high(numbers)))


def _looked_up(x: float, xs: list[float], ys: list[float]) -> float:
    """On the line between the two pairs around x."""
    if not xs[0] <= x <= xs[-1]:
        raise _OutsideTable
    right = min(bisect_right(xs, x), len(xs) - 1)
    left = right - 1
    return ys[left] + (ys[right] - ys[left]) * ((x - xs[left]) / (xs[right] - xs[left]))
