"""The controlled list: what a quantity means city-wide, its one UCUM unit, its letter on the wire, its titles.

quantities.toml stands beside this module. It is ours, not a stranger's: a test checks it, and it is read without
pydantic, so the daemon may read it too.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Quantity:
    """One entry of the list."""

    name: str
    unit: str  # UCUM
    letter: str  # f number, b boolean, s text
    title: tuple[tuple[str, str], ...]  # ("en", ...), ("vi", ...)
    aggregate: str = ""  # mean | last | energy_mean | vector_mean; "" = the common one of its letter


@cache
def quantities() -> Mapping[str, Quantity]:
    """All of them, by name."""
    text = resources.files("gateway.profile").joinpath("quantities.toml").read_text("utf-8")
    return {
        name: Quantity(
            name, entry["unit"], entry["letter"], tuple(sorted(entry["title"].items())), entry.get("aggregate", "")
        )
        for name, entry in tomllib.loads(text).items()
    }
