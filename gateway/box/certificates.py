"""How long the certificates of the uplinks are still good. Blocking; by the ssl module alone."""

import ssl
from collections.abc import Iterable
from typing import Any, Final

from gateway.model import UtcMs

MS_PER_DAY: Final = 86_400_000


def days_left(files: Iterable[str], now: UtcMs) -> float | None:
    """Until the first of these certificates ends, below 0 when it has; None when there is none.

    Of each PEM file its first certificate counts: the authority's, and the box's own.
    """
    ends = [end for file in files if (end := _end(file)) is not None]
    return (min(ends) - now) / MS_PER_DAY if ends else None


def _end(file: str) -> int | None:
    """Of one file; one that cannot be read has none: the uplink says why it cannot."""
    try:
        found: dict[str, Any] = ssl._ssl._test_decode_cert(file)  # type: ignore[attr-defined]  # noqa: SLF001 - the only decoder there is
    except (OSError, ValueError):
        return None
    return int(ssl.cert_time_to_seconds(found["notAfter"]) * 1000)
