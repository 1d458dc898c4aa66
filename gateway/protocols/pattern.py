r"""A regular expression from a profile that cannot take long, whatever it is given.

Python's engine goes back and tries again, which can take for ever. So only a part of its language is taken:
- characters, escapes, classes, named groups `(?P<name>...)`, and quantifiers behind one character or class;
- no alternatives, no repeated or nested groups, no references, no look-around;
- every quantifier is made possessive: what it took it never gives back. `[0-9.]+,` works, `.*,` never matches.
Without a way back a match takes one walk over the text.
"""

import re
from functools import lru_cache

PATTERN_MAX = 512  # characters
FRAME_MAX_BYTES = 256  # of what it is matched against

_TOKEN = re.compile(
    r"""(?P<open>\(\?P<[a-z][a-z0-9_]{0,63}>) | (?P<close>\))
      | (?P<many>[*+?]|\{[0-9]{1,3}(?:,[0-9]{0,3})?\})
      | (?P<one>\\[dDwWsS.()\[\]{}*+?|^$/\\-] | \\x[0-9A-Fa-f]{2} | \[\^?(?:\\[^\n]|[^\]\[\\])+\]
              | [^\\()\[\]{}*+?|^$])""",
    re.VERBOSE,
)


@lru_cache(maxsize=64)
def compiled(pattern: str) -> re.Pattern[str]:
    """Ready for `fullmatch`; raises ValueError, in words, for what could take long or is not understood."""
    if len(pattern) > PATTERN_MAX:
        raise ValueError(f"more than {PATTERN_MAX} characters")
    made, at, before, inside = "", 0, "", False
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        kind = token.lastgroup if token else None
        if token is None or kind is None or (kind == "many" and before != "one") or (kind == "open" and inside):
            raise ValueError(f"{pattern[at:]!r}: not of the part of regular expressions that is taken here")
        inside = (inside or kind == "open") and kind != "close"
        made += token[0] + ("+" if kind == "many" else "")
        at, before = token.end(), kind
    try:
        return re.compile(made, re.ASCII)
    except re.error as error:
        raise ValueError(str(error)) from None
