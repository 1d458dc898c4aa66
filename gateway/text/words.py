"""What a code means and what to do about it, in Vietnamese or English: en.toml and vi.toml beside this module.

Each entry has a `title` (one line) and a `next` (what the person who reads it should do now). Both files have the same
entries; a test holds every code of the project against them.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from gateway.errors import GatewayError, Problem

LANGUAGES = ("vi", "en")


def title(code: str, lang: str) -> str:
    """What a code means, in one line; the code itself where it is not known (one of a newer version)."""
    return _entries(lang).get(code, {}).get("title", code)


def next_step(error: GatewayError | Problem | str, lang: str) -> str:
    """What the person who reads it should do now; a str is a code. Empty where nothing is known."""
    code = error if isinstance(error, str) else error.code
    return _entries(lang).get(code, {}).get("next", "")


@cache
def _entries(lang: str) -> Mapping[str, Mapping[str, str]]:
    known = lang if lang in LANGUAGES else "en"
    return tomllib.loads(resources.files("gateway.text").joinpath(f"{known}.toml").read_text("utf-8"))
