"""The controlled list: what a quantity means city-wide, its one UCUM unit, its letter on the wire, its titles.

quantities.toml stands beside this module; what others call its units, in units.toml. Both are ours, not a stranger's:
`scripts.meaning` checks them, and they are read without pydantic, so the daemon may read them too.
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
    fiware: str = ""  # Model.attribute of a smart data model; value * fiware_factor is what it wants
    fiware_factor: float = 1.0
    senml: str = ""  # where it is not that of the unit
    aggregate: str = ""  # mean | last | energy_mean | vector_mean; "" = the common one of its letter


@cache
def quantities() -> Mapping[str, Quantity]:
    """All of them, by name."""
    text = resources.files("gateway.profile").joinpath("quantities.toml").read_text("utf-8")
    return {
        name: Quantity(name, **entry | {"title": tuple(sorted(entry["title"].items()))})
        for name, entry in tomllib.loads(text).items()
    }
