"""gateway.profile.quantities: the list itself is right."""

import re

from gateway.profile.quantities import quantities
from gateway.profile.types import field_name
from gateway.profile.units import units


def test_every_entry_is_whole() -> None:
    """A lawful name, a known UCUM unit, a letter, a title in both languages."""
    for name, quantity in quantities().items():
        assert field_name(name) == quantity.name
        assert quantity.unit in units()
        assert quantity.letter in ("f", "b", "s")
        assert [lang for lang, _ in quantity.title] == ["en", "vi"]
        assert all(re.fullmatch(r"\S.*\S", text) for _, text in quantity.title)


def test_titles_tell_quantities_apart() -> None:
    """No two quantities have one title in one language."""
    titles = [title for quantity in quantities().values() for title in quantity.title]
    assert len(titles) == len(set(titles))


def test_what_has_no_mean_is_not_averaged() -> None:
    """350 and 10 degrees are not 180, the codes 0 and 4 are not 2, and a day's total is not half of it at midnight."""
    wanted = {"wind_direction": "vector_mean", "course": "vector_mean"}
    wanted |= dict.fromkeys(("error_code", "volume_net", "energy_generated_today"), "last")
    assert {name: quantities()[name].aggregate for name in wanted} == wanted
