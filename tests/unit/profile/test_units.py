"""gateway.profile.units: what others call our units is right."""

import pytest

from gateway.profile.units import units

CODES = {  # Recommendation 20, as each was looked up
    "V": "VLT", "A": "AMP", "W": "WTT", "V.A": "D46", "V.A{reactive}": "D44", "kW.h": "KWH", "kV.A.h{reactive}": "K3",
    "Hz": "HTZ", "Cel": "CEL", "%": "P1", "1": "C62", "deg": "DD", "hPa": "A97", "m/s": "MTS", "m": "MTR", "mm": "MMT",
    "mm/h": "H67", "m3": "MTQ", "m3/h": "MQH", "lx": "LUX", "W/m2": "D54", "ug/m3": "GQ", "mg/L": "M1", "[ppm]": "59",
    "[ppb]": "61", "[pH]": "Q30", "[NTU]": "NTU", "uS/cm": "G42", "dB": "2N", "min": "MIN", "mg/kg": "NA",
}  # fmt: skip


def test_the_codes_are_those_of_the_recommendation() -> None:
    """Held against a second writing: VA is not D46's symbol there, and K5 for kvar is deprecated."""
    assert {ucum: units()[ucum].uncefact for ucum in CODES} == CODES


@pytest.mark.parametrize(
    ("value", "ucum", "primary", "wanted"),
    [
        (1.0, "kW.h", "J", 3.6e6),
        (1013.25, "hPa", "Pa", 101325.0),
        (36.0, "mm/h", "m/s", 1e-5),
        (3600.0, "m3/h", "m3/s", 1.0),
        (35.0, "ug/m3", "kg/m3", 3.5e-8),
        (400.0, "[ppm]", "/", 4e-4),
        (250.0, "uS/cm", "S/m", 0.025),
        (50.0, "%", "/", 0.5),
        (2.0, "min", "s", 120.0),
        (8.0, "mg/L", "kg/m3", 0.008),
    ],
)
def test_the_factor_leads_to_the_primary_unit(value: float, ucum: str, primary: str, wanted: float) -> None:
    """RFC 8798: value x factor is in the primary unit."""
    unit = units()[ucum]
    assert unit.senml == primary
    assert value * unit.factor == pytest.approx(wanted)


def test_what_has_no_name_says_so() -> None:
    """SenML knows no unit of mass per mass, and neither knows particles in a volume."""
    assert units()["mg/kg"].senml == units()["{count}/dL"].senml == units()["{count}/dL"].uncefact == ""
