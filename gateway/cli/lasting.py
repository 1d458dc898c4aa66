"""A length of time as people say it."""

SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000
UNITS = {
    DAY_MS: {"en": "days", "vi": "ngày"},
    HOUR_MS: {"en": "hours", "vi": "giờ"},
    MINUTE_MS: {"en": "minutes", "vi": "phút"},
    SECOND_MS: {"en": "seconds", "vi": "giây"},
}


def lasting(ms: float, lang: str) -> str:
    """In the largest unit of which there are two, rounded down: `47 hours`, `3 days`."""
    size_ms = next((size for size in UNITS if ms >= 2 * size), SECOND_MS)
    return f"{int(ms // size_ms)} {UNITS[size_ms].get(lang, UNITS[size_ms]['en'])}"
