"""gateway.profile.quantities: the list itself is right."""

import re

from gateway.profile.quantities import quantities
from gateway.profile.types import field_name

UCUM = {
    "V", "A", "W", "V.A", "V.A{reactive}", "1", "deg", "Hz", "kW.h", "kV.A.h{reactive}", "%", "Cel", "hPa", "lx", "m/s",
    "mm", "ug/m3", "{count}/dL", "m", "dB", "W/m2", "mm/h", "[ppm]", "[ppb]", "mg/L", "[pH]", "[NTU]", "m3/h", "m3",
    "uS/cm", "mg/kg", "min", "A.h",
}  # fmt: skip


def test_every_entry_is_whole() -> None:
    """A lawful name, a known UCUM unit, a letter, a title in both languages."""
    for name, quantity in quantities().items():
        assert field_name(name) == quantity.name
        assert quantity.unit in UCUM
        assert quantity.letter in ("f", "b", "s")
        assert [lang for lang, _ in quantity.title] == ["en", "vi"]
        assert all(re.fullmatch(r"\S.*\S", text) for _, text in quantity.title)


def test_titles_tell_quantities_apart() -> None:
    """No two quantities have one title in one language."""
    titles = [title for quantity in quantities().values() for title in quantity.title]
    assert len(titles) == len(set(titles))
