"""gateway.protocols.degrees: ddmm.mmmm and a letter, both ways."""

import pytest

from gateway.protocols.degrees import read, written


@pytest.mark.parametrize(
    ("axis", "number", "letter", "wanted"),
    [
        ("latitude", "4807.038", "N", "48.1173000"),
        ("longitude", "01131.000", "E", "11.5166667"),
        ("latitude", "3351.40002", "S", "-33.8566670"),
        ("longitude", "18000.0", "W", "-180.0000000"),
        ("latitude", "", "", ""),
        ("latitude", "", "N", None),
        ("latitude", "4807.038", "", None),
        ("latitude", "4807.038", "E", None),
        ("latitude", "4860.0", "N", None),
        ("latitude", "9000.1", "N", None),
        ("latitude", "807.038", "N", None),
        ("longitude", "4807.038", "E", None),
        ("latitude", "48a7.0", "N", None),
    ],
)
def test_angles_are_read(axis: str, number: str, letter: str, wanted: str | None) -> None:
    """Nothing for none, None for what is no angle: never a wrong place."""
    assert read(axis, number, letter) == wanted


@pytest.mark.parametrize("angle", ["48.1173000", "-33.8566670", "0.0000000", "59.9999999", "-0.0000001"])
def test_angles_survive_the_way(angle: str) -> None:
    """To two centimetres."""
    told = read("latitude", *written("latitude", angle))
    assert told is not None
    assert float(told) == pytest.approx(float(angle), abs=2e-7)


def test_no_angle_is_written_as_nothing() -> None:
    """Both parts are empty."""
    assert written("longitude", "") == ("", "")
