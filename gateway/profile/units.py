"""Our units as others call them: UN/CEFACT Recommendation 20, and SenML (RFC 8428 with its secondary units, RFC 8798).

units.toml stands beside this module. What a unit is called does not depend on what is measured: so it stands there once
a unit, not once a quantity.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources


@dataclass(frozen=True, slots=True)
class Unit:
    """One UCUM unit; "" where others have no name for it."""

    ucum: str
    uncefact: str = ""
    senml: str = ""  # a primary unit: value * factor is in it
    factor: float = 1.0
    secondary: str = ""  # the unit itself, for a reader of SenML who knows secondary units


@cache
def units() -> Mapping[str, Unit]:
    """All of them, by their UCUM names."""
    text = resources.files("gateway.profile").joinpath("units.toml").read_text("utf-8")
    return {ucum: Unit(ucum, **entry) for ucum, entry in tomllib.loads(text).items()}
