"""Degrees as NMEA 0183 writes them: ddmm.mmmm and the hemisphere's letter <-> a decimal text. Pure."""

import re

_LETTERS = {"latitude": "NS", "longitude": "EW"}
_DIGITS = {"latitude": 2, "longitude": 3}  # of the whole degrees
_MOST = {"latitude": 90, "longitude": 180}
_MINUTES = 100_000  # parts of a minute that are written: 2 cm


def read(axis: str, number: str, letter: str) -> str | None:
    """Decimal degrees; "" where the device has none; None for what is no angle."""
    if not number and not letter:
        return ""
    found = re.fullmatch(rf"([0-9]{{{_DIGITS[axis]}}})([0-5][0-9](?:\.[0-9]{{0,10}})?)", number)
    if found is None or letter not in tuple(_LETTERS[axis]):
        return None
    angle = int(found[1]) + float(found[2]) / 60
    return None if angle > _MOST[axis] else f"{'-' if letter == _LETTERS[axis][1] else ''}{angle:.7f}"


def written(axis: str, text: str) -> tuple[str, str]:
    """(number, letter) of decimal degrees; both empty for an empty text."""
    if not text:
        return "", ""
    degrees, minutes = divmod(round(abs(float(text)) * 60 * _MINUTES), 60 * _MINUTES)
    number = f"{degrees:0{_DIGITS[axis]}d}{minutes / _MINUTES:08.5f}"
    return number, _LETTERS[axis][float(text) < 0]
