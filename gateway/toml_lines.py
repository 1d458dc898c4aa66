"""Where each key and each item of a TOML file begins: one walk over the text of a file that is known to be valid.

`tomllib` says where a broken file breaks, but gives no lines for a valid one. The walk reads no values: a slip of it
costs a line number, never a setting.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeAlias

Step: TypeAlias = str | int
Steps: TypeAlias = tuple[Step, ...]

_SPACE = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BARE_VALUE = re.compile(r"[^,\]}\n#]*")
_STRINGS = (  # the delimiter, and what stands between two of them; longest first
    ('"""', re.compile(r'"""(?:\\.|"{1,2}(?!")|[^"\\])*"{3,5}', re.DOTALL)),
    ("'''", re.compile(r"'''(?:'{1,2}(?!')|[^'])*'{3,5}", re.DOTALL)),
    ('"', re.compile(r'"(?:\\.|[^"\\])*"')),
    ("'", re.compile(r"'[^']*'")),
)


class Walk:
    """Over the text of a valid file, once; notes where keys and items begin."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._newlines = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[Steps, int] = {}
        self._counts: dict[Steps, int] = {}  # arrays of tables: how many so far

    def lines(self) -> Mapping[Steps, int]:
        """The line of everything, or of everything before the place where this walk and tomllib disagree."""
        with suppress(_LostStepError):
            self._walk()
        return self._lines

    def _walk(self) -> None:
        table: Steps = ()
        self._skip()
        while self._at < len(self._text):
            if self._text.startswith("[[", self._at):
                table = self._header(2)
            elif self._text.startswith("[", self._at):
                table = self._header(1)
            else:
                self._pair(table)
            self._skip()

    def _header(self, brackets: int) -> Steps:
        start = self._at
        self._at += brackets
        steps: Steps = ()
        keys = self._dotted()
        for key in keys[:-1]:
            steps = self._last((*steps, key))
            self._note(steps, start)
        steps = (*steps, keys[-1])
        self._note(steps, start)
        if brackets == 1:
            steps = self._last(steps)
        else:
            self._counts[steps] = self._counts.get(steps, 0) + 1
            steps = (*steps, self._counts[steps] - 1)
        self._note(steps, start)
        self._skip()
        self._at += brackets
        return steps

    def _last(self, steps: Steps) -> Steps:
        return (*steps, self._counts[steps] - 1) if steps in self._counts else steps

    def _pair(self, table: Steps) -> None:
        start = self._at
        steps = table
        for key in self._dotted():
            steps = (*steps, key)
            self._note(steps, start)
        self._take("=")
        self._value(steps)

    def _dotted(self) -> list[str]:
        keys = [self._key()]
        while self._peek() == ".":
            self._at += 1
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        if self._peek() in "\"'":
            raw = self._string()
            return next(iter(tomllib.loads(f"{raw} = 0")))
        return self._match(_KEY)

    def _value(self, steps: Steps) -> None:
        first = self._peek()
        if first == "[":
            self._items(steps, "]", lambda n: self._value((*steps, n)))
        elif first == "{":
            self._items(steps, "}", lambda _: self._pair(steps))
        elif first in "\"'":
            self._string()
        else:
            self._match(_BARE_VALUE)

    def _items(self, steps: Steps, end: str, item: Callable[[int], None]) -> None:
        self._at += 1
        n = 0
        while self._peek() != end:
            self._note((*steps, n) if end == "]" else steps, self._at)
            item(n)
            n += 1
            if self._peek() == ",":
                self._at += 1
        self._at += 1

    def _string(self) -> str:
        pattern = next(pattern for quote, pattern in _STRINGS if self._text.startswith(quote, self._at))
        return self._match(pattern)

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if not found:
            raise _LostStepError
        self._at = found.end()
        return found[0]

    def _peek(self) -> str:
        self._skip()
        if self._at >= len(self._text):
            raise _LostStepError
        return self._text[self._at]

    def _take(self, expected: str) -> None:
        found = self._peek()
        if found != expected:
            raise _LostStepError
        self._at += 1

    def _skip(self) -> None:
        self._match(_SPACE)

    def _note(self, steps: Steps, at: int) -> None:
        self._lines.setdefault(steps, bisect_right(self._newlines, at - 1) + 1)


class _LostStepError(Exception):
    """The walk and tomllib disagree."""
