"""What is wrong with the lists of meaning: gateway/profile/quantities.toml and units.toml. Said, one a line; status 1.

    python -m scripts.meaning

Two quantities must not be one attribute of a FIWARE model, nor share an attribute's name in different units. Every unit
stands in the list, and no two have one code of UN/CEFACT or one name in SenML: a reader would take one for the other.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping

from gateway.profile.quantities import Quantity, quantities
from gateway.profile.units import Unit, units

ATTRIBUTE = re.compile(r"[A-Z][A-Za-z]+\.[A-Za-z0-9]+(\.(L[123]|N))?")
CODE = re.compile(r"[A-Z0-9]{2,3}")
COUNTS = ("1", "{count}")  # both are C62: a count is a number without a unit


def main() -> int:
    """Print all of it; 0 when there is nothing."""
    found = [*wrong_units(units().values()), *wrong_quantities(quantities().values(), units())]
    for line in found:
        print(line)
    return int(bool(found))


def wrong_units(listed: Iterable[Unit]) -> Iterator[str]:
    """Codes and names that are none, or that two units have."""
    first: dict[str, str] = {}
    for unit in listed:
        if unit.uncefact and not CODE.fullmatch(unit.uncefact):
            yield f"{unit.ucum}: {unit.uncefact} is no code of UN/CEFACT"
        if not unit.senml and (unit.secondary or unit.factor != 1.0):
            yield f"{unit.ucum}: factor and secondary go with senml"
        if unit.factor <= 0 or (unit.secondary and unit.factor == 1.0):
            yield f"{unit.ucum}: a secondary unit differs from its primary by a factor above 0"
        told = {f"UN/CEFACT {unit.uncefact}": unit.uncefact, f"SenML {unit.secondary}": unit.secondary}
        told |= {f"SenML {unit.senml} x {unit.factor:g}": unit.senml}
        for name in (name for name, said in told.items() if said):
            if name in first and {first[name], unit.ucum} != set(COUNTS):
                yield f"{unit.ucum}: {name} is also {first[name]}"
            first.setdefault(name, unit.ucum)


def wrong_quantities(listed: Iterable[Quantity], known: Mapping[str, Unit]) -> Iterator[str]:
    """Units that are not in the list, and attributes that are none or clash."""
    first: dict[str, Quantity] = {}
    for quantity in listed:
        if quantity.letter == "f" and quantity.unit not in known:
            yield f"{quantity.name}: {quantity.unit} is not in units.toml"
        if quantity.letter != "f" and (quantity.fiware or quantity.senml):
            yield f"{quantity.name}: only a number has a unit elsewhere"
        if not quantity.fiware:
            if quantity.fiware_factor != 1.0:
                yield f"{quantity.name}: fiware_factor goes with fiware"
            continue
        if not ATTRIBUTE.fullmatch(quantity.fiware):
            yield f"{quantity.name}: {quantity.fiware} is no Model.attribute"
        for name in (quantity.fiware, quantity.fiware.partition(".")[2].partition(".")[0]):
            other = first.setdefault(name, quantity)
            if other is not quantity and (name == quantity.fiware or other.unit != quantity.unit):
                yield f"{quantity.name} ({quantity.unit}): {name} is also {other.name} ({other.unit})"


if __name__ == "__main__":
    sys.exit(main())
