"""scripts.meaning: the lists of meaning are without clashes, and a clash is seen."""

from dataclasses import replace

import pytest

from gateway.profile.quantities import quantities
from gateway.profile.units import Unit, units
from scripts import meaning


def test_the_lists_are_right(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to say of quantities.toml and units.toml as they are."""
    assert (meaning.main(), capsys.readouterr().out) == (0, "")


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("temperature", {"unit": "degF"}, "temperature: degF is not in units.toml"),
        ("humidity", {"fiware": "WeatherObserved.temperature"}, "humidity (%): WeatherObserved.temperature is also"),
        ("water_temperature", {"unit": "1"}, "water_temperature (1): temperature is also temperature (Cel)"),
        ("co2", {"fiware": "co2"}, "co2: co2 is no Model.attribute"),
        ("co2", {"fiware": "", "fiware_factor": 0.5}, "co2: fiware_factor goes with fiware"),
        ("relay", {"fiware": "Device.value"}, "relay: only a number has a unit elsewhere"),
    ],
)
def test_a_quantity_that_clashes_is_told(name: str, change: dict[str, str | float], told: str) -> None:
    """A unit that is not listed; one attribute for two quantities, or one attribute's name in two units."""
    listed = {**quantities(), name: replace(quantities()[name], **change)}  # type: ignore[arg-type]
    assert any(line.startswith(told) for line in meaning.wrong_quantities(listed.values(), units()))


@pytest.mark.parametrize(
    ("unit", "told"),
    [
        (Unit("K", uncefact="CEL"), "K: UN/CEFACT CEL is also Cel"),
        (Unit("kV", uncefact="KVT", senml="V"), "kV: SenML V x 1 is also V"),
        (Unit("K", uncefact="kel"), "K: kel is no code of UN/CEFACT"),
        (Unit("km", senml="m", secondary="km"), "km: a secondary unit differs"),
        (Unit("K", factor=2.0), "K: factor and secondary go with senml"),
    ],
)
def test_a_unit_that_clashes_is_told(unit: Unit, told: str) -> None:
    """A code or a name in SenML that another unit has: who reads it would take the one for the other."""
    assert any(line.startswith(told) for line in meaning.wrong_units([*units().values(), unit]))
